"""The Parameters tab of the replay page in a real browser: its look, its cursor, its widths."""

from __future__ import annotations

from typing import Any

import pytest
from visual.test_visual import _check

QUERY = "parameters=full&tab=parameters&gpus=1"
NOW = "[data-readout=snapshot]"


def open_tab(browser: Any, address: str, query: str = "", width: int = 1100) -> Any:
    """Open the tab, and wait until the snapshot that it stands at is drawn."""
    page = browser.new_page(viewport={"width": width, "height": 900}, reduced_motion="reduce")
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(f"{address}?{QUERY}&{query}")
    page.wait_for_selector(".nbm-stagebox[data-step]")
    page.wait_for_timeout(300)
    return page


def shows(page: Any, step: int) -> None:
    """Wait until the stage shows a step."""
    page.wait_for_selector(f".nbm-stagebox[data-step='{step}']")


@pytest.mark.parametrize("theme", ["neon", "light"])
def test_looks(address: str, browser: Any, theme: str) -> None:
    """A quarter into the run, with a token chosen and its way drawn."""
    page = open_tab(browser, address, f"step=250&theme={theme}")
    page.fill("[data-control=search-token]", "tiger")
    page.keyboard.press("Enter")
    page.click("[data-control=follow-token]")
    page.click("[data-control=reset-view]")
    page.fill("[data-control=jump]", "126")
    page.keyboard.press("Enter")
    shows(page, 126)
    page.wait_for_timeout(1500)
    _check(f"parameters-{theme}", page.locator("[data-panel=parameters]").screenshot())
    assert page.errors == []
    page.close()


@pytest.mark.parametrize("width", [320, 480, 860, 1400])
def test_nothing_is_cut_off(address: str, browser: Any, width: int) -> None:
    """Every control lies within the panel; on a wide page what is chosen moves nothing."""
    page = open_tab(browser, address, "step=250", width)
    panel = page.locator("[data-panel=parameters]").bounding_box()
    for control in page.locator("[data-panel=parameters] [data-control] >> visible=true").all():
        box = control.bounding_box()
        name = control.get_attribute("data-control")
        assert box["x"] >= panel["x"], name
        assert box["x"] + box["width"] <= panel["x"] + panel["width"] + 0.5, name
    page.fill("[data-control=search-token]", "cat")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-control=follow-token]")
    if width >= 900:
        after = page.locator("[data-panel=parameters]").bounding_box()
        assert after["height"] == panel["height"]
    page.close()


def test_charts_and_playback_share_a_cursor(address: str, browser: Any) -> None:
    """Over the loss the tab goes to that step; where the tab goes, the charts tell the step."""
    page = open_tab(browser, address, "step=500")
    page.click("[data-tab=overview]")
    over = page.locator("[data-panel=loss] .u-over")
    over.wait_for()
    box = over.bounding_box()
    legend = page.locator("[data-panel=loss] .nbm-legend")
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 60)
    page.wait_for_selector("[data-panel=loss] .nbm-legend:has-text('step')")
    pointed = legend.inner_text().split("step ")[1].split()[0]
    page.click("[data-tab=parameters]")
    page.wait_for_selector(f"{NOW}:has-text('{pointed}')")
    page.focus("[data-control=scrub]")
    page.keyboard.press("Home")
    shows(page, 0)
    page.keyboard.press("ArrowRight")
    shows(page, 1)
    page.click("[data-tab=overview]")
    page.wait_for_selector("[data-panel=loss] .nbm-legend:has-text('step 1')")
    assert page.errors == []
    page.close()


def test_it_plays_to_the_end(address: str, browser: Any) -> None:
    """From the first snapshot to the last, and then it stands."""
    page = open_tab(browser, address, "step=250")
    page.select_option("[data-control=speed]", "50")
    page.focus("[data-control=scrub]")
    page.keyboard.press(" ")
    page.wait_for_selector("[data-control=playback][aria-pressed=true]")
    page.wait_for_selector("[data-control=playback][aria-pressed=false]", timeout=20_000)
    shows(page, 250)
    page.close()


def test_a_question_is_answered(address: str, browser: Any) -> None:
    """A matrix in full comes and goes; one basis for all is used when it is there."""
    page = open_tab(browser, address, "step=250")
    page.click("[data-control=kind-norm]")
    page.click("[data-control=most-0]")
    page.click("[data-control=full-matrix]")
    page.wait_for_selector(".nbm-magnified:visible canvas")
    page.keyboard.press("Escape")
    page.wait_for_selector(".nbm-magnified", state="hidden")
    page.click("[data-control=one-basis]")
    page.wait_for_selector("[data-readout=parameters]:has-text('axes of step 250')")
    page.close()


def test_a_saved_run_plays_what_it_has(address: str, browser: Any) -> None:
    """Without a kernel the few snapshots of a file are played, and the others are named."""
    page = browser.new_page()
    page.goto(f"{address}?tab=parameters&parameters=few&step=500&link=saved")
    page.wait_for_selector(f"{NOW}:has-text('more in the run file only')")
    page.click("[data-control=step-back]")
    shows(page, 372)
    page.close()

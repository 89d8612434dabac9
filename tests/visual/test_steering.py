"""The toolbar, the menus and the exports in a real browser, on the replay page."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

STATIC = Path(__file__).resolve().parents[2] / "nbmonitor" / "static"
image = pytest.importorskip("PIL.Image")


# Keeps what the line and the button have said: a state may last for a moment only.
WATCH = """
said = []; states = [];
const line = document.querySelector(".nbm-notice");
const button = document.querySelector("[data-control=checkpoint]");
const watch = (el, options, note) => new MutationObserver(note).observe(el, options);
watch(line, { childList: true }, () => said.push(line.textContent));
const wish = () => states.push(button.dataset.wish ?? null);
watch(button, { attributeFilter: ["data-wish"] }, wish);
"""


def open_page(browser: Any, address: str, query: str, width: int = 1400, **options: Any) -> Any:
    """Open the replay page; an error in it fails the test."""
    page = browser.new_page(viewport={"width": width, "height": 900}, **options)
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(f"{address}?{query}")
    page.wait_for_selector("[data-panel=loss] canvas")
    return page


def download(page: Any, control: str, path: Path) -> Path:
    """Press what saves a file, and keep it."""
    with page.expect_download() as got:
        page.click(control)
    got.value.save_as(path)
    return path


@pytest.mark.parametrize("width", [480, 1400])
def test_a_control_goes_from_sent_to_applied(address: str, browser: Any, width: int) -> None:
    """The line tells each state, the button's own state follows, a marker can be read."""
    page = open_page(browser, address, "step=250", width)
    page.evaluate(WATCH)
    page.click("[data-control=checkpoint]")
    page.wait_for_selector(".nbm-notice:has-text('applied at step 250')")
    page.wait_for_selector("[data-control=checkpoint]:not([data-wish])")
    said, states = page.evaluate("[said, states]")
    assert [text.split(" · ")[0] for text in said] == [
        "checkpoint: sent",
        "checkpoint: queued",
        "checkpoint: applied at step 250",
    ]
    assert states == ["sent", "queued", None]
    page.click("[data-control=pause]")
    page.wait_for_selector("[data-control=resume]:visible")
    assert page.inner_text(".nbm-state") == "PAUSED"
    box = page.locator("[data-panel=loss] .u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 40)
    page.wait_for_selector("[data-panel=loss] [data-tip]:visible:has-text('paused by the viewer')")
    assert page.locator("[data-tip]:visible").count() == 1
    assert page.errors == []
    page.close()


@pytest.mark.parametrize("width", [320, 480, 1400])
def test_menus_stay_inside(address: str, browser: Any, width: int) -> None:
    """No menu and no control is cut off, and keys do not leave the toolbar."""
    page = open_page(browser, address, "step=250", width)
    for control in ("learning-rate", "cadence", "stop", "export"):
        page.click(f"[data-control={control}]")
        box = page.locator(".nbm-pop:visible").bounding_box()
        assert box["x"] >= 0, control
        assert box["x"] + box["width"] <= width, control
        page.keyboard.press("Escape")
        assert page.locator(".nbm-pop:visible").count() == 0
    for button in page.locator(".nbm-controls > * >> visible=true").all():
        box = button.bounding_box()
        assert box["x"] + box["width"] <= width
    page.evaluate("heard = []; document.body.addEventListener('keydown', e => heard.push(e.key))")
    page.click("[data-control=learning-rate]")
    page.fill("[data-control=lr-value]", "")
    page.locator("[data-control=lr-value]").press_sequentially("dd2e-5")
    assert page.evaluate("heard") == []
    page.close()


def test_zoom_brings_every_step(address: str, browser: Any) -> None:
    """Buckets in a zoomed view are asked for; a dead kernel means a summary, and says so."""
    query = "step=19900&total=20000&buckets=100"

    def zoom(page: Any) -> Any:
        page.click("[data-control=range]")
        over = page.locator("[data-panel=grad_norm] .u-over")
        box = over.bounding_box()
        page.mouse.move(box["x"] + 100, box["y"] + 40)
        page.mouse.down()
        page.mouse.move(box["x"] + 130, box["y"] + 40, steps=3)
        page.mouse.up()
        page.wait_for_selector("[data-control=range][data-range=zoom]")
        return page.locator("[data-panel=grad_norm] .nbm-legend")

    page = open_page(browser, address, query)
    legend = zoom(page)
    box = page.locator("[data-panel=grad_norm] .u-over").bounding_box()
    # One pixel is less than two steps here: without the rows, the step would be a bucket's.
    page.mouse.move(box["x"] + 210, box["y"] + 40)
    page.wait_for_function(
        "() => { const step = document.querySelector('[data-panel=grad_norm] .nbm-legend')"
        ".textContent.match(/step ([\\d,]+)/); return step && !/(00|99)$/.test(step[1]) }"
    )
    assert "summary resolution" not in legend.inner_text()
    page.close()
    page = open_page(browser, address, f"{query}&link=lost")
    legend = zoom(page)
    page.wait_for_selector("[data-panel=grad_norm] .nbm-summary")
    assert "no kernel" in legend.locator(".nbm-summary").get_attribute("title")
    page.close()


def test_exports(address: str, browser: Any, tmp_path: Path) -> None:
    """What is saved is what the page shows, also with a dead kernel."""
    options = {"accept_downloads": True, "device_scale_factor": 2}
    page = open_page(browser, address, "step=250&link=lost", **options)
    source = {
        "module": (STATIC / "widget.js").read_text(),
        "style": (STATIC / "widget.css").read_text(),
    }
    page.evaluate("source => replay.setSource(source)", source)

    def save(kind: str) -> Path:
        page.click("[data-control=export]")
        return download(page, f"[data-control=export-{kind}]", tmp_path / f"run.{kind}")

    rows = list(csv.reader(io.StringIO(save("csv").read_text())))
    assert "every step" in rows[0][0]
    assert rows[1][:2] == ["step", "train/loss"]
    assert [row[0] for row in rows[2:]] == [str(step) for step in range(251)]
    assert rows[2 + 155][1] == "NaN"
    assert rows[2 + 185][1] == "inf"
    page.wait_for_selector(".nbm-notice:has-text('every step')")

    whole = image.open(save("png")).convert("RGB")
    assert whole.width > 2 * 1300
    assert len(whole.resize((200, 200)).getcolors(40_000)) > 500
    chart = image.open(
        download(page, "[data-panel=loss] [data-control=panel-png]", tmp_path / "loss.png")
    ).convert("RGB")
    width = page.locator("[data-panel=loss]").bounding_box()["width"]
    assert abs(chart.width - 2 * (width + 16)) <= 2
    red, green, blue = np.moveaxis(np.asarray(chart).astype(int), 2, 0)
    traced = int(((green > 200) & (red < 120) & (blue < 120)).sum())
    assert traced > 500, "the loss is not in the picture"

    text = save("html").read_text()
    data = json.loads(re.search(r'id="nbmonitor-data">(.*?)</script>', text, re.DOTALL)[1])
    assert data["note"].endswith("every step")
    alone = browser.new_page(offline=True)
    errors: list[str] = []
    alone.on("pageerror", lambda error: errors.append(str(error)))
    alone.goto((tmp_path / "run.html").as_uri())
    alone.wait_for_selector("[data-panel=loss] canvas")
    assert alone.inner_text("[data-readout=step] b") == "250/500"
    assert alone.inner_text(".nbm-link") == "SAVED"
    assert alone.locator("[data-control=pause]").count() == 0
    assert errors == []
    alone.close()
    page.close()


def test_reduced_motion(address: str, browser: Any) -> None:
    """Nothing moves by itself for whoever asks for that, while news arrives."""
    opacity = "getComputedStyle(document.querySelector('.nbm-state'), '::before').opacity"
    seen = {}
    for motion in ("no-preference", "reduce"):
        page = open_page(browser, address, "step=100&live=20", reduced_motion=motion)
        page.click("[data-control=scanlines]")
        page.wait_for_selector(".nbm-state[data-beat]")
        lines = "getComputedStyle(document.querySelector('.nbmonitor'), '::after').content"
        seen[motion] = (page.evaluate(opacity), page.evaluate(lines))
        assert page.evaluate("document.getAnimations().length") == 0
        page.close()
    assert seen["no-preference"] == ("0.25", '""')
    assert seen["reduce"] == ("1", "none")


def test_a_collapsed_panel_leaves_no_hole(address: str, browser: Any) -> None:
    """Its neighbour takes the row, and the panels below move up."""
    page = open_page(browser, address, "step=250")
    page.locator("[data-panel=learning_rate] [data-control=collapse]").click()
    loss, folded, norm = (
        page.locator(f"[data-panel={name}]").bounding_box()
        for name in ("loss", "learning_rate", "grad_norm")
    )
    assert loss["width"] == pytest.approx(folded["width"])
    assert folded["height"] < 40
    assert norm["y"] == pytest.approx(folded["y"] + folded["height"] + 6, abs=1)
    page.close()

"""What travels packed: the dashboard, and its Parameters tab until it is seen; from a disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser.snapshots import put
from playwright.sync_api import Browser

from nbmonitor import TrainingMonitor, html

PANEL = "[data-panel=parameters]"
STYLES = f"{PANEL} style"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with two snapshots in it."""
    monitor = TrainingMonitor(run_dir=False)
    for step in (0, 8):
        put(monitor.run, step, step / 8, tokens=200, layers=2)
    made = tmp_path_factory.mktemp("packed") / "run.html"
    monitor.run.to_html(made)
    monitor.close()
    return made


@pytest.fixture
def opened(browser: Browser, path: Path) -> Iterator[Callable[..., Any]]:
    """Open the file, after a change to the browser; nothing may be asked of a network."""
    context = browser.new_context(viewport={"width": 1200, "height": 900}, offline=True)
    errors: list[str] = []

    def visit(before: str = "") -> Any:
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.add_init_script(before)
        page.goto(path.as_uri())
        page.wait_for_selector("[data-tab=parameters]")
        return page

    yield visit
    context.close()
    assert errors == []


def test_opens_when_it_is_seen(opened: Callable[..., Any]) -> None:
    page = opened()
    page.wait_for_timeout(300)
    assert page.locator(f"{PANEL} .nbm-parameters").count() == 0
    page.click("[data-tab=parameters]")
    page.wait_for_selector(f"{PANEL} .nbm-stagebox[data-step='8']")
    assert page.locator(f"{PANEL} .nbm-empty:visible").count() == 0
    # Its own styles came with it, once, and hold.
    assert page.locator(STYLES).count() == 1
    display = "(el) => getComputedStyle(el).display"
    assert page.locator(f"{PANEL} .nbm-parameters").evaluate(display) == "grid"
    page.click("[data-tab=overview]")
    page.click("[data-tab=parameters]")
    assert page.locator(STYLES).count() == 1


def test_follows_the_cursor_of_the_dashboard(opened: Callable[..., Any]) -> None:
    """The state that both share is one: playback leads the charts."""
    page = opened()
    page.click("[data-tab=parameters]")
    page.wait_for_selector(f"{PANEL} .nbm-stagebox[data-step='8']")
    page.click("[data-control=step-back]")
    page.wait_for_selector(f"{PANEL} .nbm-stagebox[data-step='0']")


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("delete window.DecompressionStream", "Safari 16.4 and later can unpack it"),
        ("URL.createObjectURL = () => 'blob:null/refused'", "cannot be opened here: "),
    ],
)
def test_says_why_the_tab_cannot_be_opened(
    opened: Callable[..., Any], broken: str, told: str
) -> None:
    page = opened()
    page.evaluate(f"() => {{ {broken} }}")
    page.click("[data-tab=parameters]")
    page.wait_for_selector(f"{PANEL} .nbm-empty:has-text('{told}')")
    page.click("[data-tab=overview]")
    page.wait_for_selector("[data-panel=loss]")


def test_says_why_nothing_can_be_shown(browser: Browser, path: Path) -> None:
    page = browser.new_page()
    page.add_init_script("delete window.DecompressionStream")
    page.goto(path.as_uri())
    page.wait_for_selector("main:has-text('cannot be shown here: it is packed; Chrome 103')")
    page.close()


def test_what_draws_is_in_the_bundle_only_packed() -> None:
    text = (html.STATIC / "widget.js").read_text()
    assert "cannot be shown here" in text
    for own in ("nbm-stagebox", "nbm-tabs", "uPlot"):
        assert own not in text
    assert "nbm-stagebox" not in (html.STATIC / "widget.css").read_text()

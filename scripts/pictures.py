"""`make pictures`: the README's pictures, taken of notebooks that train while we look.

Runs a notebook in JupyterLab, live, and takes the dashboard at parts of the run, wide and
narrow, dark and light. What the README shows is what a reader gets.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import lab
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
WIDE, NARROW, HEIGHT = 1500, 580, 1900
_RUN_ALL = "Run All Cells"
# The last picture may wait for a slow machine: minutes, in milliseconds.
_PATIENCE = 15 * 60_000
_STEP = """(part) => {
    const of = document.querySelector('.nbmonitor [data-readout=step]')?.textContent ?? '';
    const [step, total] = of.replaceAll(/[^0-9/]/g, '').split('/').map(Number);
    return total > 0 && step / total >= part;
}"""
_STATE = """(wanted) =>
    document.querySelector('.nbmonitor')?.textContent.toLowerCase().includes(wanted)"""


def _take(page: Page, name: str) -> None:
    dashboard = page.locator(".nbmonitor").first
    dashboard.scroll_into_view_if_needed()
    page.wait_for_timeout(800)  # the panels that came into view paint
    dashboard.screenshot(path=str(IMAGES / f"{name}.png"))
    print(f"docs/images/{name}.png", flush=True)


def _narrow(page: Page, name: str) -> None:
    page.set_viewport_size({"width": NARROW, "height": HEIGHT})
    page.wait_for_timeout(1500)
    _take(page, name)
    page.set_viewport_size({"width": WIDE, "height": HEIGHT})
    page.wait_for_timeout(1500)


def overview(page: Page) -> None:
    """Take the quickstart at 10 %, 50 % and at its end, narrow and in the light theme."""
    page.wait_for_function(_STEP, arg=0.1, timeout=_PATIENCE)
    _take(page, "overview-10")
    page.wait_for_function(_STEP, arg=0.5, timeout=_PATIENCE)
    _take(page, "overview-50")
    _narrow(page, "overview-narrow")
    page.wait_for_function(_STATE, arg="finished", timeout=_PATIENCE)
    page.wait_for_timeout(2000)
    _take(page, "overview-100")
    page.locator(".nbmonitor [data-control=theme]").first.click()
    _take(page, "overview-light")


NOTEBOOKS = {"01_quickstart.ipynb": overview}


def main() -> None:
    """Take all pictures, or those of the notebooks named."""
    wanted = sys.argv[1:] or list(NOTEBOOKS)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=lab.chromium(), args=["--no-sandbox"])
        with lab.serve(Path(folder), settings=lab.WHOLE) as server:
            for name in wanted:
                shutil.copy(ROOT / "notebooks" / name, folder)
                page = browser.new_page(viewport={"width": WIDE, "height": HEIGHT})
                page.goto(server.page(name, "doc"))
                page.locator(".jp-Notebook").wait_for(timeout=120_000)
                page.wait_for_timeout(3000)  # the kernel
                page.get_by_role("menuitem", name="Run", exact=True).click()
                page.get_by_role("menuitem", name=_RUN_ALL).first.click()
                page.locator(".nbmonitor").first.wait_for(timeout=_PATIENCE)
                NOTEBOOKS[name](page)
                page.close()
        browser.close()


if __name__ == "__main__":
    main()

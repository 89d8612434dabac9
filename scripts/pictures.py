"""`make pictures`: the README's pictures, taken of notebooks that train while we look.

Runs a notebook in JupyterLab, live, and takes the dashboard or a part of it at parts of the
run, wide and narrow, dark and light. What the README shows is what a reader gets.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from pathlib import Path

import lab
from PIL import Image
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
WIDE, NARROW, HEIGHT = 1500, 580, 1900
# The whole Quality tab on a narrow page: what is out of sight is not painted.
TALL = 4400
_RUN_ALL = "Run All Cells"
_READY = ".jp-Notebook-ExecutionIndicator[data-status=idle]"
# The last picture may wait for a slow machine: minutes, in milliseconds.
_PATIENCE = 15 * 60_000
# In percent. The bar is there whichever tab is open.
_STEP = """(part) => {
    const bar = document.querySelector('.nbmonitor .nbm-progress');
    return Number(bar?.getAttribute('aria-valuenow')) >= part * 100;
}"""
_STATE = """(wanted) =>
    document.querySelector('.nbmonitor')?.textContent.toLowerCase().includes(wanted)"""


def _take(page: Page, name: str) -> None:
    dashboard = page.locator(".nbmonitor").first
    dashboard.scroll_into_view_if_needed()
    page.wait_for_timeout(800)  # the panels that came into view paint
    _keep(dashboard.screenshot(), name)


def _keep(data: bytes, name: str) -> None:
    path = IMAGES / f"{name}.png"
    # A palette: a third of the size. The octree keeps the hues of thin lines, the default does not.
    shown = Image.open(io.BytesIO(data)).convert("RGB")
    octree = Image.Quantize.FASTOCTREE
    shown.quantize(256, octree, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"docs/images/{path.name}, {path.stat().st_size / 1000:.0f} kB", flush=True)


def _narrow(page: Page, name: str, height: int = HEIGHT) -> None:
    page.set_viewport_size({"width": NARROW, "height": height})
    page.wait_for_timeout(1500)
    _take(page, name)
    page.set_viewport_size({"width": WIDE, "height": HEIGHT})
    page.wait_for_timeout(1500)


def _ended(page: Page, name: str, settle: int, height: int) -> None:
    """Take the end of the run, wide, narrow and in the light theme."""
    page.wait_for_function(_STATE, arg="finished", timeout=_PATIENCE)
    page.wait_for_timeout(settle)
    _take(page, f"{name}-100")
    _narrow(page, f"{name}-narrow", height)
    page.set_viewport_size({"width": WIDE, "height": height})
    page.locator(".nbmonitor [data-control=theme]").first.click()
    _take(page, f"{name}-light")


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


def quality(page: Page) -> None:
    """Take the Quality tab at 40 % with failures open, and at its end, narrow and light."""
    page.set_viewport_size({"width": WIDE, "height": TALL})
    page.locator(".nbmonitor [data-tab=quality]").first.click()
    page.wait_for_function(_STEP, arg=0.4, timeout=_PATIENCE)
    # The row of the weak task: its cell of the shortest answers.
    weak = page.locator(".nbm-patterns tr", has=page.get_by_role("rowheader", name="reverse"))
    weak.locator("button").first.click()
    _take(page, "quality-40")
    _ended(page, "quality", 4000, TALL)  # after the cells below the training


def parameters(page: Page) -> None:
    """Take the Parameters tab in 3D half way, and at its end, narrow and light."""
    page.set_viewport_size({"width": WIDE, "height": TALL})
    page.locator(".nbmonitor [data-tab=parameters]").first.click()
    page.wait_for_function(_STEP, arg=0.5, timeout=_PATIENCE)
    _take(page, "parameters-50")
    _ended(page, "parameters", 6000, TALL)  # after all snapshots in one basis


NOTEBOOKS = {
    "01_quickstart.ipynb": overview,
    "03_quality.ipynb": quality,
    "04_parameters.ipynb": parameters,
}
# WebGL by the processor, where there is no graphics card, but not for the page itself.
_ARGUMENTS = ("--no-sandbox", "--enable-unsafe-swiftshader")


def main() -> None:
    """Take all pictures, or those of the notebooks named."""
    wanted = sys.argv[1:] or list(NOTEBOOKS)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=lab.chromium(), args=list(_ARGUMENTS))
        with lab.serve(Path(folder), settings=lab.WHOLE) as server:
            for name in wanted:
                shutil.copy(ROOT / "notebooks" / name, folder)
                page = browser.new_page(viewport={"width": WIDE, "height": HEIGHT})
                page.goto(server.page(name, "doc"))
                page.locator(".jp-Notebook").wait_for(timeout=120_000)
                page.locator(_READY).first.wait_for(state="attached", timeout=_PATIENCE)
                page.get_by_role("menuitem", name="Run", exact=True).click()
                page.get_by_role("menuitem", name=_RUN_ALL).first.click()
                page.locator(".nbmonitor").first.wait_for(timeout=_PATIENCE)
                NOTEBOOKS[name](page)
                page.close()
        browser.close()


if __name__ == "__main__":
    main()

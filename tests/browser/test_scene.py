"""The 3D scene in real hosts: pythreejs' objects, filled and played by the page."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import kernels
import pytest
from browser.jupyter import ARGUMENTS, HOSTS, TESTS, Notebook, Server, chromium, until
from playwright.sync_api import Browser
from visual.test_visual import _check

# WebGL by the processor: a test machine has no graphics card. The page itself is put together
# without WebGL, as browsers do there; to ask for ANGLE's SwiftShader makes that ten times slower.
GRAPHICS = ("--enable-unsafe-swiftshader",)
SHOW = f"""
import sys, time
sys.path.insert(0, {str(TESTS)!r})
from browser.snapshots import put
from nbmonitor import TrainingMonitor
monitor = TrainingMonitor(run_dir=False)
display(monitor)
"""
# Snapshots come in while the cell keeps the kernel busy, and more when a file says so.
BUSY = """
import pathlib
for k in range(24):
    while k >= 12 and not pathlib.Path("more").exists():
        time.sleep(0.05)
    put(monitor.run, k, k % 12 / 11)
    time.sleep(0.1)
time.sleep(90)
"""
PANEL = "[data-panel=parameters]"
CANVAS = f"{PANEL} .jupyter-threejs canvas"
# How many of the picture's pixels are lit, and in how many colours.
LOOK = """(selector) => {
    const from = document.querySelector(selector);
    if (!from) return [0, 0];
    const to = document.createElement("canvas");
    [to.width, to.height] = [240, 160];
    const ctx = to.getContext("2d");
    ctx.drawImage(from, 0, 0, 240, 160);
    const { data } = ctx.getImageData(0, 0, 240, 160);
    const colours = new Set();
    let lit = 0;
    for (let i = 0; i < data.length; i += 4) {
        if (data[i] + data[i + 1] + data[i + 2] > 150) lit++;
        colours.add((data[i] >> 4) * 256 + (data[i + 1] >> 4) * 16 + (data[i + 2] >> 4));
    }
    return [lit, colours.size];
}"""
# How often something was drawn in three dimensions.
COUNT = """
window.draws = 0;
for (const name of ["drawElements", "drawArrays"]) {
    for (const { prototype } of [WebGLRenderingContext, WebGL2RenderingContext]) {
        const draw = prototype[name];
        prototype[name] = function (...given) {
            window.draws++;
            draw.apply(this, given);
        };
    }
}
"""
# A tab behind others, and in front again.
HIDE = """(hidden) => {
    const state = hidden ? "hidden" : "visible";
    Object.defineProperty(document, "visibilityState", { configurable: true, get: () => state });
    document.dispatchEvent(new Event("visibilitychange"));
}"""
LOSE = """(selector) => {
    const canvas = document.querySelector(selector);
    const gl = canvas.getContext("webgl2") ?? canvas.getContext("webgl");
    gl.getExtension("WEBGL_lose_context").loseContext();
}"""


@pytest.fixture(scope="module")
def drawing(browser: Browser) -> Iterator[Browser]:
    """A browser that draws in three dimensions."""
    launched = browser.browser_type.launch(
        executable_path=chromium(), headless=True, args=["--headless=new", *ARGUMENTS, *GRAPHICS]
    )
    yield launched
    launched.close()


@pytest.fixture
def book(
    request: pytest.FixtureRequest, server: Server, drawing: Browser
) -> Iterator[Callable[..., Notebook]]:
    """Open a notebook in that browser; afterwards, the console must be free of errors."""
    context = drawing.new_context(viewport={"width": 1300, "height": 1100})
    context.add_init_script(COUNT)
    opened: list[Notebook] = []
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)

    def open_notebook(cells: list[str], host: str = "lab") -> Notebook:
        if cells:
            server.write(name, cells, kernels.name(kernels.VERSIONS[-1]))
        opened.append(Notebook(context, server, host, name))
        if cells:
            opened[-1].ready()
        return opened[-1]

    yield open_notebook
    context.close()
    server.stop_kernels()
    assert [error for page in opened for error in page.errors] == []


def open_tab(page: Notebook) -> None:
    """Go to the tab: nothing is painted that is out of sight."""
    page.page.get_by_role("tab", name="Parameters").click(timeout=30_000)
    page.page.locator(PANEL).scroll_into_view_if_needed(timeout=20_000)


def shown(page: Notebook) -> None:
    """Wait until there are points and sheets in the picture."""
    page.page.wait_for_selector(CANVAS, timeout=20_000)
    page.page.locator(CANVAS).scroll_into_view_if_needed()
    until(lambda: rich(page), 15, "a picture with points and sheets")


def rich(page: Notebook) -> bool:
    lit, colours = page.page.evaluate(LOOK, CANVAS)
    return lit > 400 and colours > 40


def step(page: Notebook) -> int:
    """The step that the scene shows."""
    return int(
        page.page.evaluate(
            "(s) => document.querySelector(s)?.closest('[data-step]')?.dataset.step ?? -1", CANVAS
        )
    )


def press(page: Notebook, control: str) -> None:
    page.page.locator(f"{PANEL} [data-control={control}]").click()


@pytest.mark.parametrize("host", HOSTS)
def test_it_is_drawn_and_played_while_the_kernel_is_busy(book, server, host) -> None:
    (server.files / "more").unlink(missing_ok=True)
    page = book([SHOW, BUSY], host)
    sent: list[Any] = []
    page.page.on("websocket", lambda ws: ws.on("framesent", lambda m: sent.append(m)))  # noqa: PLW0108 - marks its handler
    page.open()  # once more: sockets that were open already would not be heard
    page.ready()
    page.run(0)
    page.run(1, wait=False)
    open_tab(page)
    shown(page)
    until(lambda: step(page) == 11, 15, "the newest snapshot")
    assert page.busy(1)
    page.page.locator(CANVAS).hover(position={"x": 200, "y": 150})
    sent.clear()
    # From the first snapshot on, through all of them.
    press(page, "to-start")
    until(lambda: step(page) == 0, 5, "the first snapshot")
    press(page, "playback")
    seen = set()
    until(lambda: seen.add(step(page)) or len(seen) > 4, 15, "playback")
    assert page.busy(1)
    # What a page says all the time, and nothing for a frame.
    talk = [message for message in sent if b'"kind":"ack"' not in as_bytes(message)]
    assert talk == []

    for _ in range(2):
        page.page.evaluate(LOSE, CANVAS)
        until(lambda: page.page.locator(CANVAS).count() == 1 and rich(page), 10, "the picture")

    for width, height in ((800, 700), (1500, 1000)):
        page.page.set_viewport_size({"width": width, "height": height})
        until(lambda: fits(page), 10, "a picture as large as its box")
    until(lambda: rich(page), 10, "the picture")

    # Behind other tabs nothing is drawn; in front again, it is what came meanwhile.
    press(page, "follow")
    page.page.evaluate(HIDE, True)
    page.page.wait_for_timeout(200)
    draws = page.page.evaluate("() => window.draws")
    (server.files / "more").touch()
    page.page.wait_for_timeout(2000)
    assert page.page.evaluate("() => window.draws") == draws > 0
    assert step(page) < 12
    page.page.evaluate(HIDE, False)
    until(lambda: step(page) == 23 and rich(page), 10, "the newest snapshot")
    assert page.busy(1)


def fits(page: Notebook) -> bool:
    """Whether the picture is as large as the box that it is in."""
    return bool(
        page.page.evaluate(
            "(s) => { const canvas = document.querySelector(s);"
            " const box = canvas?.closest('.nbm-stagebox');"
            " return box && Math.abs(canvas.clientWidth - box.clientWidth) < 2"
            " && Math.abs(canvas.clientHeight - box.clientHeight) < 2; }",
            CANVAS,
        )
    )


def as_bytes(message: bytes | str) -> bytes:
    return message if isinstance(message, bytes) else message.encode()


def test_it_is_there_without_a_kernel_in_a_saved_notebook(book, server) -> None:
    feed = (
        "monitor.run.set_status('running')\n"
        "for k in range(4):\n    put(monitor.run, k, k / 3)\n"
        "monitor.run.set_status('finished')"
    )
    page = book([SHOW, feed])
    page.run(0)
    page.run(1)
    open_tab(page)
    shown(page)
    # The page saves by itself once the run is over.
    until(lambda: '"state":"finished"' in saved(page), 30, "the final state in the file")
    page.close()
    server.stop_kernels()
    again = book([])
    open_tab(again)
    shown(again)
    assert step(again) == 3


def saved(page: Notebook) -> str:
    return json.dumps(page.saved().metadata.get("widgets", {}), separators=(",", ":"))


def test_it_is_opened_and_closed_again_and_again(book) -> None:
    page = book([SHOW + "put(monitor.run, 0, 0.5)\n"])
    page.run(0)
    open_tab(page)
    shown(page)
    session = page.page.context.new_cdp_session(page.page)
    session.send("Performance.enable")
    held = []
    for times in (3, 4, 4):
        for _ in range(times):
            press(page, "stage-flat")
            page.page.wait_for_function("(s) => !document.querySelector(s)", arg=CANVAS)
            press(page, "stage-scene")
            page.page.wait_for_selector(CANVAS)
        # What is waited for in frames is let go of in a later one.
        page.page.wait_for_timeout(500)
        for _ in range(2):
            session.send("HeapProfiler.collectGarbage")
        told = session.send("Performance.getMetrics")["metrics"]
        counts = {m["name"]: m["value"] for m in told}
        canvases = page.page.evaluate("() => document.querySelectorAll('canvas').length")
        arrays = session.send("Runtime.getHeapUsage")["backingStorageSize"]
        held.append((canvases, counts["JSEventListeners"], counts["Nodes"], arrays))
    shown(page)
    # The first few times fill pools, and the host still loads what is its own: a leak grows always.
    grown = zip(
        *([b - a for a, b in zip(*two, strict=True)] for two in pairwise(held)), strict=True
    )
    canvases, listeners, nodes, arrays = (min(each) for each in grown)
    assert (canvases, listeners) == (0, 0)
    assert nodes <= 20
    # One scene has 0.4 MB of typed arrays.
    assert arrays < 5e5


def test_its_look(book) -> None:
    """Beside each other on a wide page, one above the other on a narrow one; dark and light."""
    page = book([SHOW + "put(monitor.run, 0, 1)\n", "monitor.theme = 'light'"])
    page.page.emulate_media(reduced_motion="reduce")
    page.run(0)
    open_tab(page)
    shown(page)
    box = page.page.locator(f"{PANEL} .nbm-stagebox")
    for theme in ("neon", "light"):
        if theme == "light":
            page.run(1)
        for name, width in (("wide", 1700), ("narrow", 900)):
            page.page.set_viewport_size({"width": width, "height": 1100})
            until(lambda: fits(page), 10, "a picture as large as its box")
            box.scroll_into_view_if_needed()
            page.page.mouse.move(2, 2)
            page.page.wait_for_timeout(600)
            # Most of it is ground: without its points it would differ by a twentieth.
            _check(f"scene-{name}-{theme}", box.screenshot(), 0.03)


def test_without_webgl_the_flat_view_says_why(notebook) -> None:
    page = notebook([SHOW + "put(monitor.run, 0, 0.5)\n"])
    page.page.add_init_script(
        "const get = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {"
        "  return /webgl/.test(kind) ? null : get.call(this, kind, ...rest); };"
    )
    page.open()
    page.ready()
    page.run(0)
    open_tab(page)
    page.page.wait_for_selector(f"{PANEL} .nbm-stagebox canvas", timeout=20_000)
    assert page.page.locator(CANVAS).count() == 0
    until(lambda: "WebGL" in page.page.locator(PANEL).inner_text(), 10, "the reason")

"""The page with a million steps of eight series: heap, and frames while panning and zooming."""

from __future__ import annotations

import functools
import http.server
import subprocess
import threading

from playwright.sync_api import sync_playwright

from bench import lab
from bench.figure import Figure

STEPS = 1_000_000
_DIST = lab.ROOT / "js" / "dist"
_FRAMES = """(keys) => new Promise((done) => {
    const panel = document.querySelector('[data-panel=loss]');
    const frames = [];
    let before = performance.now();
    const next = (now) => {
        frames.push(now - before);
        before = now;
        if (frames.length > 180) return done(frames.slice(1));
        const key = keys[frames.length % keys.length];
        panel.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}));
        requestAnimationFrame(next);
    };
    requestAnimationFrame(next);
})"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its own name
        """Say nothing."""


def measure() -> list[Figure]:
    """Open the replay page in Chromium with everything in it."""
    subprocess.run(["npm", "--prefix", "js", "run", "dev:build"], cwd=lab.ROOT, check=True,
                   capture_output=True)  # fmt: skip
    handler = functools.partial(_Quiet, directory=str(_DIST))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/dev/index.html"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=lab.chromium(), headless=True, args=["--headless=new", *lab.ARGUMENTS]
        )
        page = browser.new_page(viewport={"width": 1400, "height": 800})
        page.goto(f"{address}?step={STEPS}&total={STEPS}&gpus=0&lora=0&metrics=0", timeout=120_000)
        page.wait_for_selector("[data-panel=loss] canvas", timeout=120_000)
        page.locator("[data-control=range]").first.click()
        session = page.context.new_cdp_session(page)
        session.send("HeapProfiler.collectGarbage")
        usage = session.send("Runtime.getHeapUsage")
        page.locator("[data-panel=loss]").first.focus()
        frames = page.evaluate(_FRAMES, ["+", "+", "ArrowLeft", "ArrowRight", "-", "-"])
        browser.close()
    server.shutdown()
    frames.sort()
    middle = frames[len(frames) // 2]
    slow = frames[int(len(frames) * 0.95)]
    # Typed arrays live outside the heap proper and are most of it.
    heap = (usage["usedSize"] + usage["backingStorageSize"]) / 1e6
    return [
        Figure("1M steps in the page: JS heap", heap, "MB", 120, note="20 series, 16 of 1M rows"),
        Figure("the same: pan and zoom, median", 1000 / middle, "fps", 50, at_least=True,
               note=f"p95 frame {slow:.1f} ms, two charts and the readouts on screen"),
    ]  # fmt: skip

"""A thousand snapshots in a page, and scenes that are opened and closed: what memory they take.

The run is the one of `bench.snapshots`, opened from its file in JupyterLab: the page gets its
snapshots as after a reload. Memory is what a collection of garbage leaves, typed arrays included;
what was there before the run was shown is taken off.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import lab, scene
from bench.figure import Figure
from bench.snapshots import MAPS, SIDE, STEPS, TOKENS, film

CYCLES, AGAIN = 100, 15
_WARM = 10
_QUIET = 30

_START = """
import sys
from nbmonitor import open_run
"""
_OPEN = "run = open_run({path!r})\ndisplay(run)\n"
_SMALL = f"""
import sys
sys.path.insert(0, {str(lab.ROOT / "tests")!r})
from browser.snapshots import put
from nbmonitor import TrainingMonitor
monitor = TrainingMonitor(run_dir=False, autosave=False)
for k in range(3): put(monitor.run, k, k / 2)
"""


class _Memory:
    """What a page holds."""

    def __init__(self, page: Any) -> None:
        self._session = page.context.new_cdp_session(page)
        self._session.send("Performance.enable")

    def heap(self) -> float:
        """Megabytes of script objects and of typed arrays, after a collection."""
        self._collect()
        usage = self._session.send("Runtime.getHeapUsage")
        return float(usage["usedSize"] + usage["backingStorageSize"]) / 1e6

    def counts(self) -> dict[str, int]:
        """Nodes of the document and listeners to events."""
        self._collect()
        told = self._session.send("Performance.getMetrics")["metrics"]
        return {m["name"]: int(m["value"]) for m in told if m["name"] in _COUNTED}

    def _collect(self) -> None:
        for _ in range(2):
            self._session.send("HeapProfiler.collectGarbage")


_COUNTED = {"Nodes", "JSEventListeners"}


def _thousand(path: Path) -> Figure:
    with lab.notebook([_START, _OPEN.format(path=str(path))], flags=lab.GRAPHICS) as book:
        book.run(0)
        memory = _Memory(book.page)
        before = memory.heap()
        book.run(1)
        # A run of parameters alone has no tabs to choose from.
        book.page.wait_for_selector(scene.CANVAS, timeout=60_000)
        book.page.locator(f"{scene.PANEL} .nbm-stagebox").scroll_into_view_if_needed()
        readout = book.page.locator(f"{scene.PANEL} [data-readout=snapshot]")
        held, since = "", time.monotonic()
        while time.monotonic() - since < _QUIET:
            if (told := readout.inner_text()) != held:
                held, since = told, time.monotonic()
            time.sleep(0.5)
        came = memory.heap() - before
        book.page.select_option(f"{scene.PANEL} [data-control=speed]", "50")
        scene.press(book, "to-start")
        scene.press(book, "playback")
        time.sleep(25)
        played = memory.heap() - before
        shown = " ".join(readout.inner_text().split())
    note = f"{came:.0f} MB before it was played; then “{shown}”: a page holds 64 MB of them at most"
    what = (
        f"{len(STEPS):,} snapshots of {TOKENS:,} points + {MAPS} maps {SIDE} x {SIDE}: page's heap"
    )
    return Figure(what, max(came, played), "MB", 160, note=note)


def _cycles() -> Iterator[Figure]:
    with lab.notebook([_SMALL, "display(monitor)"], flags=lab.GRAPHICS) as book:
        book.run(0)
        book.run(1)
        scene.open_tab(book)
        memory = _Memory(book.page)

        def toggle(times: int) -> None:
            for _ in range(times):
                scene.press(book, "stage-flat")
                book.page.wait_for_function("(s) => !document.querySelector(s)", arg=scene.CANVAS)
                scene.press(book, "stage-scene")
                book.page.wait_for_selector(scene.CANVAS, timeout=30_000)

        def show(times: int) -> None:
            for _ in range(times):
                book.run(1)
                scene.open_tab(book)

        for what, times, act in (
            ("the scene opened and closed", CYCLES, toggle),
            ("the whole monitor shown anew", AGAIN, show),
        ):
            act(_WARM if act is toggle else 3)
            begun, had = memory.heap(), memory.counts()
            act(times)
            grown, has = memory.heap() - begun, memory.counts()
            canvases = book.page.evaluate("() => document.querySelectorAll('canvas').length")
            counts = ", ".join(f"{name} {had[name]} to {has[name]}" for name in sorted(has))
            yield Figure(
                f"{what}, {times} times: heap grown by", grown, "MB", 5,
                note=f"from {begun:.0f} MB; {counts}; {canvases} canvases",
            )  # fmt: skip


def measure() -> Iterator[Figure]:
    """Open and close; then make the run, and open it."""
    yield from _cycles()
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "run.sqlite"
        film(path, lab.describe(TOKENS, MAPS // 4))
        yield _thousand(path)

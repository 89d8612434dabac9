"""From a measured value to painted pixels, and the bytes on the way, kernel busy.

A loop of 100 steps a second notes when each step was measured; the page notes when it has
painted it. Both read the same machine's clock. Once with all that is on by default, and once
without the snapshots of parameters, whose bytes are beside those of the series.
"""

from __future__ import annotations

import json

from bench import lab
from bench.figure import Figure

STEPS = 3000
_WARM = 300

_CODE = f"""
import sys; sys.path.insert(0, {str(lab.ROOT)!r})
import json, math, time, torch
from nbmonitor import TrainingMonitor
model = torch.nn.Linear(8, 8)
monitor = TrainingMonitor(autosave=False, parameters=PARAMETERS)
display(monitor)
time.sleep(3)
monitor.watch(model, total_steps={STEPS})
weights = torch.randn(300, 300)
times = []
due = time.perf_counter()
for step in range(1, {STEPS} + 1):
    due += 0.01
    while time.perf_counter() < due:  # a busy kernel: computes until the step is due
        weights = torch.tanh(weights @ weights)
    monitor.step(2.0 + math.sin(step), {{"x": weights[:4]}}, grad_norm=1.0, learning_rate=1e-3,
                 epoch=step / {STEPS}, accuracy=0.5)
    times.append(time.time())
print("RESULT" + json.dumps(times))
"""

_LISTEN = """() => {
    window.painted = [];
    document.addEventListener('nbmonitor:painted', (event) => window.painted.push(
        [event.detail.step, (performance.timeOrigin + performance.now()) / 1000]), true);
}"""


def measure() -> list[Figure]:
    """Run the loop with and without snapshots."""
    delays, early, late = _run("None")
    _, *series = _run("False")
    count = f"{len(delays)} steps"
    alone, whole = (f"first half {a:.0f}, second half {b:.0f}" for a, b in (series, (early, late)))
    return [
        Figure("measured → painted, p50", delays[len(delays) // 2], "ms", 80, note=count),
        Figure("measured → painted, p99", delays[int(len(delays) * 0.99)], "ms", 250),
        Figure("bytes to the browser per step, series", max(series), "B", 150,
               note=f"{alone}, websocket frames whole; with snapshots {whole}"),
    ]  # fmt: skip


def _run(parameters: str) -> tuple[list[float], float, float]:
    """Join what kernel and page noted: sorted delays in ms, and bytes a step in each half."""
    with lab.notebook([_CODE.replace("PARAMETERS", parameters)]) as book:
        book.page.evaluate(_LISTEN)
        book.run(0, wait=False)
        book.wait_step(_WARM, 60)
        before, first = book.arrived, book.step()
        book.wait_step(STEPS // 2, 60)
        middle, at_middle = book.arrived, book.step()
        book.wait_step(STEPS - 100, 60)
        after, last = book.arrived, book.step()
        book.wait_idle(0, 60)
        times = lab.result(book, 0)
        painted = json.loads(book.page.evaluate("() => JSON.stringify(window.painted)"))
    delays = []
    at = _WARM
    for step, when in painted:
        while at < min(step, len(times)):
            delays.append((when - times[at]) * 1e3)
            at += 1
    delays.sort()
    early = (middle - before) / (at_middle - first)
    return delays, early, (after - middle) / (last - at_middle)

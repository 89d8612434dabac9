"""The run file: what a million steps take on the disk and to open, and what recording costs."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from bench import lab
from bench.callback_cost import _METER, _median
from bench.figure import Figure
from bench.kernel import result_of
from nbmonitor import open_run

STEPS = 1_000_000
_RECORDED_STEPS = 1000
_ROUNDS = 5

_WRITE = """
import math, sys, time
from pathlib import Path
from nbmonitor.engine import Engine
from nbmonitor.probes import discover
from nbmonitor.run import Run
from nbmonitor.runfile import Recorder
steps, path = int(sys.argv[1]), Path(sys.argv[2])
run = Run("a million steps")
engine = Engine(run, discover())
run.total_steps = steps
recorder = run.journal = Recorder(run, path, engine.panels)
run.set_status("running")
batch = 5_000
for start in range(1, steps + 1, batch):
    rows = []
    for step in range(start, start + batch):
        noise = math.sin(step * 12.9898) % 1.0
        rows.append((step, {
            "train/loss": 2.0 + noise, "train/grad_norm": 1.0 + noise,
            "train/learning_rate": 1e-4 * (1 - step / steps), "train/epoch": step / 1e5,
            "train/step_time": 0.01 + noise / 1e3, "tokens/per_second": 1e5 * noise,
            "tokens/padding_ratio": noise, "tokens/seen": 512.0 * step,
        }, 1.7e9 + step / 100))
    run.extend(rows)
    recorder.take(rows, start + batch)
    recorder.fold()
run.set_status("finished")
run.journal = None
recorder.close()
"""
_OPEN = """
import json, sys, time
from nbmonitor.viewer import open_run
from nbmonitor import picture
before = time.perf_counter()
widget = open_run(sys.argv[1], autosave=False)
packed = widget._packed()
opened = time.perf_counter() - before
widget.run.to_html(sys.argv[2])
before = time.perf_counter()
found = widget.run.archive(["train/loss"], 400_000, 410_000)["train/loss"]
zoomed = time.perf_counter() - before
assert len(found[0]) == 10_001
assert widget.run.step == int(sys.argv[3])
widget.close()
print(json.dumps([opened, len(packed), zoomed]))
"""
_LOOP = """
import sys, time
import torch
from nbmonitor import TrainingMonitor
model = torch.nn.Linear(2, 1)
monitor = TrainingMonitor(run_dir=sys.argv[1]).watch(model, total_steps=10_000)
print("begun", flush=True)
while True:
    time.sleep(0.05)
    monitor.step(0.5, now=time.time())
"""
_PAINTED = """() => {
    const canvas = document.querySelector('[data-panel=loss] canvas');
    if (!canvas?.width) return false;
    const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    return data.some((value) => value > 0);
}"""
_TRAIN = """
from nbmonitor import TrainingMonitor
meter = Meter()
t = make(STEPS)
monitor = TrainingMonitor(t, autosave=False)
callback, session = monitor._attached, monitor._session

class Turns(transformers.TrainerCallback):
    # Blocks of steps with the run file and without it, in one training.
    journal, steps = None, []
    def on_step_begin(self, *a, **k):
        run = session.run
        self.journal = self.journal or run.journal
        recorded = len(self.steps) // 25 % 2 == 0
        if recorded is (run.journal is None):
            run.journal = self.journal if recorded else None
        self.steps.append(recorded)
    def on_train_end(self, *a, **k):
        session.run.journal = self.journal

meter.wrap(callback, HOOKS)
meter.wrap(session, ["micro_batch", "add_loss"])
still, turns = idle(t), Turns()
t.add_callback(Edge(meter, still))
t.add_callback(turns)
t.train()
assert turns.journal is not None
costs = {True: [], False: []}
for recorded, cost in zip(turns.steps[19:], meter.steps(still)):
    costs[recorded].append(cost)
result = [sorted(found)[len(found) // 2] for found in (costs[True], costs[False])]
"""


def _python(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True,
        cwd=lab.ROOT,
    )  # fmt: skip
    return done.stdout


def _paint(page_file: Path) -> float:
    """Seconds from asking for a page with the run in it to the first painted curve."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=lab.chromium(), headless=True, args=["--headless=new", *lab.ARGUMENTS]
        )
        page = browser.new_page(viewport={"width": 1400, "height": 800})
        page.goto("about:blank")
        started = time.perf_counter()
        page.goto(page_file.as_uri())
        page.wait_for_function(_PAINTED)
        seconds = time.perf_counter() - started
        browser.close()
    return seconds


def _lag(home: Path) -> Figure:
    """Follow a loop in another process that logs what time it is."""
    command = [sys.executable, "-c", _LOOP, str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=lab.ROOT) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        widget = open_run(home, autosave=False)
        lags: list[float] = []
        end, seen = time.monotonic() + 10.0, 0
        while time.monotonic() < end:
            time.sleep(0.005)
            values = widget.run.points("train/now")[1] if "train/now" in widget.run.keys else []
            if len(values) > seen:
                # Rows come together: the first of them has waited longest.
                lags.append(time.time() - float(values[seen]))
                seen = len(values)
        widget.close()
        writer.kill()
    # What was there before the view is not late.
    lags = sorted(lags[1:])
    return Figure("a step until another process shows it, longest", lags[-1], "s", 1.0,
                  note=f"median {lags[len(lags) // 2]:.2f} s; {len(lags)} readings")  # fmt: skip


def _recording() -> Figure:
    """Compare steps with and without a run file, in blocks of one training."""
    code = f"STEPS = {_RECORDED_STEPS}\n" + _METER + _TRAIN
    found = [result_of(code) for _ in range(_ROUNDS)]
    more = _median([recorded - without for recorded, without in found])
    without = _median([without for _, without in found])
    return Figure("a run file, training thread CPU per step", more, "µs", 10,
                  note=f"beside {without:.0f} µs without one; {_ROUNDS} trainings")  # fmt: skip


def measure() -> list[Figure]:
    """Write a file, open it, paint it, zoom into it; follow one; train with and without one."""
    with tempfile.TemporaryDirectory() as home:
        path, page = Path(home) / "run.sqlite", Path(home) / "run.html"
        _python(_WRITE, str(STEPS), str(path))
        size = path.stat().st_size / 1e6
        opens = [json.loads(_python(_OPEN, str(path), str(page), str(STEPS))) for _ in range(3)]
        opened, packed, zoomed = sorted(opens)[1]
        painted = _paint(page)
        lag = _lag(Path(home) / "live")
    note = f"{opened * 1e3:.0f} ms to {packed / 1e3:.0f} KB packed, then a fresh page paints them"
    return [
        Figure("1M steps × 8 series: run file", size, "MB", 120),
        Figure("the same: open to first paint", opened + painted, "s", 1.5, note=note),
        Figure("the same: full resolution of 10,000 steps", zoomed * 1e3, "ms"),
        lag,
        _recording(),
    ]

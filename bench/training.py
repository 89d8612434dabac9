"""A whole `train()` with the monitor displayed in a live JupyterLab, over one without.

Pairs in one kernel, the order turned each time; the page paints in a Chromium that shares
the two cores. The page without graphics hardware draws in software: that is in the figure.
"""

from __future__ import annotations

from bench import lab
from bench.figure import Figure

PAIRS = 5
STEPS = 1500
BUDGET = 1.03
# In the middle of the 5-10 ms a step that the budget speaks of.
SIZE = {"layers": 3, "width": 96}

_CODE = f"""
import sys; sys.path.insert(0, {str(lab.ROOT)!r})
import json, time, transformers
transformers.logging.set_verbosity_error()
from bench.job import trainer as make
from nbmonitor import TrainingMonitor

SIZE = {SIZE}

def plain():
    t = make({STEPS}, **SIZE)
    t.callback_handler.callbacks = [c for c in t.callback_handler.callbacks
                                    if type(c).__name__ != "PrinterCallback"]
    start = time.perf_counter(); t.train()
    return time.perf_counter() - start

def watched():
    t = make({STEPS}, **SIZE)
    monitor = TrainingMonitor(t, autosave=False)
    display(monitor)
    time.sleep(1.5)
    start = time.perf_counter(); t.train()
    spent = time.perf_counter() - start
    time.sleep(0.5)
    monitor.close()
    return spent

plain(); watched()
pairs = []
for n in range({PAIRS}):
    order = (plain, watched) if n % 2 else (watched, plain)
    spent = {{f.__name__: f() for f in order}}
    pairs.append((spent["plain"], spent["watched"]))
print("RESULT" + json.dumps(pairs))
"""


def measure() -> list[Figure]:
    """Train in pairs and take the median ratio."""
    with lab.notebook([_CODE]) as book:
        book.run(0, seconds=580)
        pairs = lab.result(book, 0)
    ratios = sorted(watched / plain for plain, watched in pairs)
    step = sorted(plain for plain, _ in pairs)[PAIRS // 2] / STEPS * 1e3
    spread = f"{ratios[0]:.2f}-{ratios[-1]:.2f}, step {step:.1f} ms"
    return [Figure("train() displayed / without", ratios[PAIRS // 2], "×", BUDGET, note=spread)]

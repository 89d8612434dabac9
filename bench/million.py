"""A million steps of eight series: memory in the kernel, bytes in the saved notebook."""

from __future__ import annotations

import json
import subprocess
import sys

from bench.figure import Figure

STEPS = 1_000_000
_CODE = f"""
import json, math, psutil
from nbmonitor.run import Run
from nbmonitor.probes import discover
run = Run()
for probe in discover():
    run.declare(probe.series)
process = psutil.Process()
before = process.memory_info().rss
for step in range(1, {STEPS} + 1):
    noise = math.sin(step * 12.9898) % 1.0
    run.append(step, {{
        "train/loss": 2.0 + noise if step != 424242 else 99.0, "train/grad_norm": 1.0 + noise,
        "train/learning_rate": 1e-4 * (1 - step / {STEPS}), "train/epoch": step / 1e5,
        "train/step_time": 0.01 + noise / 1e3, "tokens/per_second": 1e5 * noise,
        "tokens/padding_ratio": noise, "tokens/mean_length": 400 * noise,
    }})
after = process.memory_info().rss
packed = run.pack()
print(json.dumps([after - before, len(packed), run.summary()["series"]["train/loss"]["max"]]))
"""


def measure() -> list[Figure]:
    """Fill a Run in a fresh process and weigh it."""
    done = subprocess.run([sys.executable, "-c", _CODE], capture_output=True, text=True, check=True)
    memory, packed, spike = json.loads(done.stdout)
    kept = "spike kept" if spike == 99.0 else "SPIKE LOST"
    return [
        Figure("1M steps × 8 series: kernel memory", memory / 1e6, "MB", 80, note=kept),
        Figure("the same: saved widget state (base64)", packed * 4 / 3 / 1e3, "KB", 500),
    ]

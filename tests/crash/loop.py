"""A bare loop that logs as fast as it can, to be killed: `loop.py <directory> <progress>`."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from progress import Progress

from nbmonitor import TrainingMonitor

directory, progress = sys.argv[1:]
done = Progress(Path(progress))
monitor = TrainingMonitor(run_dir=directory, name="loop").watch(torch.nn.Linear(1, 1))
step = 0
while True:
    step += 1
    monitor.step(loss=1.0 / step, learning_rate=step * 1e-6)
    done.note(step)

"""A real training, to be killed: `train.py <directory> <progress>`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import tiny
import transformers
from progress import Progress

from nbmonitor import TrainingMonitor

directory, progress = sys.argv[1:]
done = Progress(Path(progress))


class Count(transformers.TrainerCallback):
    """Comes after the monitor, which has had the step by then."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Say so."""
        done.note(state.global_step)


trainer = tiny.tiny_trainer(Path(directory) / "out", max_steps=1_000_000, logging_steps=5)
monitor = TrainingMonitor(trainer, run_dir=directory, name="train")
trainer.add_callback(Count())
trainer.train()

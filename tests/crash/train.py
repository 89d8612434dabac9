"""A real training, to be killed: `train.py <directory> <progress>`.

Peers write beside the monitor: TensorBoard's callback, and rows appended to a text file as
Python does by default and line by line.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import tiny
import transformers
from progress import Progress
from transformers.integrations import TensorBoardCallback

from nbmonitor import TrainingMonitor

directory, progress = sys.argv[1:]
done = Progress(Path(progress))
# The Trainer logs a step after the step's end: what a peer could know is told apart.
logged = Progress(Path(directory) / "logged")


class Rows(transformers.TrainerCallback):
    """A line of JSON for each step."""

    def __init__(self, name: str, buffering: int) -> None:
        self._file = (Path(directory) / name).open("w", buffering)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Append it."""
        self._file.write(json.dumps({"step": state.global_step, **logs}) + "\n")


class Count(transformers.TrainerCallback):
    """Comes after the monitor, which has had the step by then."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Say so."""
        done.note(state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Comes after the peers too."""
        logged.note(state.global_step)


trainer = tiny.tiny_trainer(Path(directory) / "out", max_steps=1_000_000, logging_steps=1)
monitor = TrainingMonitor(trainer, run_dir=directory, name="train")
os.environ["TENSORBOARD_LOGGING_DIR"] = str(Path(directory) / "tensorboard")
trainer.add_callback(TensorBoardCallback())
trainer.add_callback(Rows("buffered.jsonl", -1))
trainer.add_callback(Rows("lines.jsonl", 1))
trainer.add_callback(Count())
trainer.train()

"""A Hugging Face Trainer as something to steer: stop, save, evaluate, rate, pace of logs.

Called at the end of a step, when weights, optimizer and schedule agree with the step's number.
It needs no import of transformers. Saving and evaluating are called here and not left to the
Trainer's own flow, where an exception would end the training, an evaluation would also step a
ReduceLROnPlateau and count for the best model, and nothing would happen before a pause ends.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from nbmonitor.controls import NAMES
from nbmonitor.learning_rate import LearningRate
from nbmonitor.steering import Refused


class TrainerSteering:
    """The `Training` of one Trainer.

    Parameters
    ----------
    trainer
        A `transformers.Trainer`.

    Attributes
    ----------
    control
        The `TrainerControl` of the step that has just ended.
    consistent : bool
        Whether weights, optimizer and step number belong together just now.
    ignore_keys
        What the user told `train` to leave out of the model's outputs in evaluations.
    stopping : bool
        Whether the training was stopped here.
    """

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer
        self.begin()

    def begin(self, ignore_keys: Any = None) -> None:
        """Forget the last training."""
        self.control: Any = None
        self.ignore_keys = ignore_keys
        self.consistent = self.stopping = False
        self._saved: int | None = None

    # ------------------------------------------------------------------ what is possible

    def obstacles(self) -> dict[str, str]:
        """Say, by name of a control, why it can't be applied here."""
        trainer, args = self._trainer, self._trainer.args
        processes = int(getattr(args, "world_size", 1))
        if processes > 1:
            reason = f"the training has {processes} processes and a control would reach only one"
            return dict.fromkeys(NAMES, reason)
        out: dict[str, str] = {}
        # A Trainer that makes its own loader may evaluate on what it likes.
        loader = getattr(type(trainer), "get_eval_dataloader", None)
        own = not str(getattr(loader, "__module__", "")).startswith("transformers.")
        if getattr(trainer, "eval_dataset", None) is None and not own:
            out["evaluate"] = "the Trainer has no eval_dataset"
        if not hasattr(trainer, "_save_checkpoint"):
            reason = "this version of transformers saves in another way"
            out["checkpoint"] = out["save_and_stop"] = reason
        return out

    def learning_rate(self) -> LearningRate | None:
        """Return the rate and its schedule; None where the engine keeps both to itself."""
        trainer = self._trainer
        optimizer = trainer.optimizer
        # What takes its steps inside backward() has a dummy for an optimizer here.
        dummy = "Dummy" in type(getattr(optimizer, "optimizer", optimizer)).__name__
        if dummy or getattr(trainer, "is_deepspeed_enabled", False):
            return None
        if not getattr(optimizer, "param_groups", None):
            return None
        return LearningRate(optimizer, trainer.lr_scheduler)

    # ------------------------------------------------------------------ controls

    def stop(self) -> None:
        """End the training after this step."""
        self.control.should_training_stop = self.stopping = True

    def asked_to_stop(self) -> bool:
        """Whether it was stopped; the Trainer doesn't ask."""
        return self.stopping

    def save(self) -> str:
        """Save a checkpoint of the step that has just ended."""
        trainer = self._trainer
        trial = getattr(trainer, "_trial", None)
        # There is no public way to save what `resume_from_checkpoint` takes.
        directory = trainer._get_output_dir(trial)  # noqa: SLF001
        folder = Path(directory) / f"checkpoint-{trainer.state.global_step}"
        before = folder.exists()
        try:
            trainer._save_checkpoint(trainer.model_wrapped, trial)  # noqa: SLF001
        except BaseException:
            if not before and folder.exists():
                # Under its name `resume_from_checkpoint=True` would take it for a whole one.
                with contextlib.suppress(OSError):
                    folder.rename(folder.with_name(f"incomplete-{folder.name}"))
            raise
        handler = trainer.callback_handler
        trainer.control = handler.on_save(trainer.args, trainer.state, trainer.control)
        return f"saved {folder.name}"

    def saved(self, step: int) -> None:
        """Hear that there is a checkpoint of a step."""
        self._saved = step

    def evaluate(self) -> str:
        """Evaluate, and leave what the Trainer itself has planned for this step as it was."""
        control = self.control
        if control.should_evaluate:
            return "the Trainer itself evaluates at this step"
        planned = control.should_log, control.should_save
        try:
            metrics = self._trainer.evaluate(ignore_keys=self.ignore_keys)
        finally:
            control.should_log, control.should_save = planned
            control.should_evaluate = False
        loss = metrics.get("eval_loss") if isinstance(metrics, dict) else None
        return "evaluated" if loss is None else f"evaluated: loss {loss:.4g}"

    def log_every(self, steps: int) -> str:
        """Log every so many steps; the Trainer's arguments keep what the user wrote."""
        trainer = self._trainer
        strategy = getattr(trainer.args.logging_strategy, "value", trainer.args.logging_strategy)
        if strategy != "steps":
            msg = f"the Trainer logs by {strategy!r} and not by steps: logging_strategy says so"
            raise Refused(msg)
        before, trainer.state.logging_steps = trainer.state.logging_steps, steps
        return f"logs every {steps} steps, not {before}"

    # ------------------------------------------------------------------ an interrupt

    def worth_saving(self) -> bool:
        """Whether an interrupted training is to be saved, and can be.

        Not in the middle of an optimizer's step: it would claim to be what it isn't. Not where
        the user saves nothing, nor from one of several processes, which would wait for the rest.
        """
        args, state = self._trainer.args, self._trainer.state
        strategy = getattr(args.save_strategy, "value", args.save_strategy)
        return (
            self.consistent
            and strategy != "no"
            and state.global_step > 0
            and self._saved != state.global_step
            and "save_and_stop" not in self.obstacles()
        )

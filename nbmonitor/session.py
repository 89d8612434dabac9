"""One training loop being watched, whoever drives it: a Trainer's callback or plain PyTorch.

Counts micro-batches into steps, keeps the clock, and moves the Run through its states. It
knows neither transformers nor a widget.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Mapping
from typing import Any, Protocol

from nbmonitor.engine import Engine
from nbmonitor.probe import Batch, Context, Step
from nbmonitor.record import ACTIVE
from nbmonitor.run import Run
from nbmonitor.steering import Steering, Training
from nbmonitor.tally import MAPPINGS
from nbmonitor.transfer import at_hand


def samples_in(inputs: Any) -> int | None:
    """Rows of a batch: the first dimension of its first array, or the length of a list."""
    if isinstance(inputs, MAPPINGS):
        for value in inputs.values():
            shape = getattr(value, "shape", None)
            if shape is not None and len(shape) > 0:
                return int(shape[0])
        return None
    shape = getattr(inputs, "shape", None)
    if shape is not None:
        return int(shape[0]) if len(shape) else None
    if isinstance(inputs, tuple) and inputs:
        return samples_in(inputs[0])
    return len(inputs) if isinstance(inputs, list) else None


class Host(Protocol):
    """Who keeps the page alive while a session runs."""

    def leaving(self) -> None:
        """Complete the file of the run, which another is about to replace."""

    def opening(self, config: Mapping[str, Any], step: int) -> dict[str, float] | None:
        """Open the file of a run that is about to begin or go on at `step`.

        Returns the last values of a run that another process has left, now in the Run.
        """

    def began(self) -> None:
        """Hear that a run has begun."""

    def boundary(self, *, force: bool = False) -> None:
        """Use a moment between two pieces of training work; called very often.

        With `force`, also when one was used just now.
        """

    def controlled(self, meta: dict[str, Any]) -> None:
        """Hear how the viewers' controls stand; on any thread."""

    def ended(self) -> None:
        """Hear that the run is over and its status set."""

    def replaced(self, past: Run) -> None:
        """Keep the old Run, now that a new one has begun in its place."""


class Session:
    """The state between two optimiser steps.

    Parameters
    ----------
    run, engine
        What is written and who measures.
    host
        Told of begin and end, and given a moment after every step.
    """

    def __init__(self, run: Run, engine: Engine, host: Host) -> None:
        self.run, self.engine, self.host = run, engine, host
        self.steering = Steering(run, engine, host)
        # The state in which the run is about to end, for those who measure its end.
        self.ending = ""
        self._clear()

    def _clear(self) -> None:
        self._mark: float | None = None
        self._pause = self._evaluation = self._aside = 0.0
        self._loss: Any = None
        self._samples: int | None = None
        self._model: Any = None

    @property
    def active(self) -> bool:
        """Whether a run has begun and not ended."""
        return self.run.status in ACTIVE

    def begin(
        self,
        context: Context,
        step: int = 0,
        epochs: float = 0.0,
        training: Training | None = None,
    ) -> bool:
        """Start a run, or go on with one at `step`.

        A Run that holds steps already is put aside when training starts at 0 again, and cut
        back to `step` when it resumes from there.

        Returns
        -------
        bool
            Whether the steps before `step` came from a run file.
        """
        run = self.run
        self.engine.settle(wait=True)
        if step == 0 and run.step > 0:
            self.host.leaving()
            self.host.replaced(run.restart())
        last = self.host.opening(context.config, step)
        if step and step <= run.step:
            before = run.step
            dropped = run.rewind(step)
            message = f"resumed at step {step}; {dropped} values of steps up to {before} redone"
            run.event("resumed", step, {"message": message, "from": before, "to": step})
        elif step:
            run.event("resumed", step, {"message": f"resumed at step {step}", "to": step})
        run.config.update(context.config)
        run.config = dict(run.config)
        run.total_steps, run.total_epochs = context.total_steps or 0, epochs
        run.step = step
        run.set_status("running")
        self._clear()
        self._model = context.model
        self.engine.begin(context, step, last)
        self.steering.begin(training)
        self.host.began()
        self._mark = time.perf_counter()
        return last is not None

    def micro_batch(self, inputs: Any, model: Any = None) -> None:
        """Take note of a batch that is about to be trained on."""
        samples = samples_in(inputs)
        if samples is not None:
            self._samples = (self._samples or 0) + samples
        self.engine.batch(Batch(inputs, samples, model))

    def gradients(self, number: int, learning_rate: float | None = None) -> None:
        """Show the gradients of the step that is about to end to the probes that are due."""
        if self.engine.wants_gradients(number):
            at = Step(number, time.time(), model=self._model, loss=self._loss)
            at.learning_rate = learning_rate
            self.engine.gradients(at)

    def add_loss(self, loss: Any) -> None:
        """Add the loss of a micro-batch, already scaled for accumulation."""
        self._loss = loss if self._loss is None else self._loss + loss

    def step(
        self,
        number: int,
        *,
        grad_norm: Any = None,
        learning_rate: float | None = None,
        epoch: float | None = None,
    ) -> None:
        """Close an optimiser step."""
        now = time.perf_counter()
        duration = None if self._mark is None else now - self._mark
        self.engine.step(
            Step(
                number,
                time.time(),
                duration,
                self._model,
                at_hand(self._loss),
                at_hand(grad_norm),
                learning_rate,
                epoch,
                self._samples,
                self._pause,
                self._evaluation,
            )
        )
        self.run.step = number
        self._loss = self._samples = None
        # A probe may have evaluated at this step: no time of the next one.
        self._pause, self._evaluation = 0.0, self._aside
        self._mark, self._aside = now + self._aside, 0.0
        self.host.boundary()

    def steer(self) -> None:
        """Apply what viewers have asked for; returns when the training is to go on."""
        if self.steering.controls.waiting:
            spent = self._pause, self._evaluation
            self.steering.work()
            # What a viewer asks for is no part of the training's own pace, nor to be expected
            # again in the time that is left.
            if self._mark is not None:
                self._pause, self._evaluation = spent
                self._mark = time.perf_counter()
                self._aside = 0.0

    def set_aside(self, seconds: float) -> None:
        """Book seconds in which a probe evaluated: evaluation, and no time of a step."""
        self._aside += seconds

    def paused(self, *, evaluation: bool = False) -> None:
        """Say that the time since the last mark went into something else than a step."""
        now = time.perf_counter()
        if self._mark is not None:
            if evaluation:
                self._evaluation += now - self._mark
            else:
                self._pause += now - self._mark
        self._mark = now

    def marked(self, reason: str) -> None:
        """Say that the training has evaluated, or saved a checkpoint, at the step it is at."""
        if self.active:
            self.engine.mark(Step(self.run.step, time.time(), model=self._model), reason)

    def finish(self, status: str, message: str = "", detail: str = "") -> None:
        """End the run in a state of `run.STATUSES`."""
        if not self.active:
            return
        if status == "finished" and self.steering.stopped:
            status, message = "interrupted", self.steering.stopped
        self.ending = status
        self.engine.end(Step(self.run.step, time.time(), model=self._model))
        self.run.set_status(status, message, detail)
        self.steering.end()
        self._clear()
        self.host.ended()

    def fail(self, error: BaseException) -> None:
        """End the run because of an exception: *interrupted* by the user, or *failed*."""
        step = self.run.step
        if isinstance(error, KeyboardInterrupt):
            self.finish("interrupted", f"interrupted at step {step}")
            return
        detail = "".join(traceback.format_exception(error))
        self.finish("failed", f"{type(error).__name__} at step {step}: {error}", detail)

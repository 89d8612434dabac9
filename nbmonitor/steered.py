"""The controls as methods: what a user calls on a monitor to steer its training.

They go through the same queue as the page's buttons: asked for on any thread, applied on the
training thread at the end of the current step, recorded in the Run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nbmonitor import wire

if TYPE_CHECKING:
    from nbmonitor.session import Session


class Steered:
    """Mixed into what has a `_session`."""

    _session: Session

    def pause(self) -> None:
        """Hold the training at the end of the current step, until `resume`.

        Like all controls it can be called on any thread: from another thread, a subshell, a
        callback. It returns at once.

        Raises
        ------
        RuntimeError
            If no training is running, or this one can't be paused; so do all controls.
        """
        self._ask("pause")

    def resume(self) -> None:
        """Let a paused training go on."""
        self._ask("resume")

    def stop(self, *, save: bool = False) -> None:
        """End the training after the current step; with `save`, after a checkpoint.

        A Trainer's `train` then returns as usual, and the run is *interrupted*. A plain loop
        has to look at `should_stop`.
        """
        self._ask("save_and_stop" if save else "stop")

    def checkpoint(self) -> None:
        """Save a checkpoint at the end of the current step."""
        self._ask("checkpoint")

    def evaluate(self) -> None:
        """Evaluate at the end of the current step."""
        self._ask("evaluate")

    def set_learning_rate(
        self, value: float | None = None, *, multiply: float | None = None
    ) -> None:
        """Change the learning rate from the next step on, schedule included.

        Parameters
        ----------
        value
            What it is to be now: the schedule goes on from there in the same shape.
        multiply
            What it is to be multiplied with, in place of `value`.

        Raises
        ------
        TypeError
            If not exactly one of them is given, or it is no number.
        ValueError
            If it is not above 0.
        RuntimeError
            If no training is running, or its optimizer is unknown.
        """
        if (value is None) == (multiply is None):
            msg = "set_learning_rate takes either a value or multiply=factor"
            raise TypeError(msg)
        self._ask("learning_rate", {"multiply": multiply} if value is None else {"set": value})

    def undo_learning_rate(self) -> None:
        """Take the last change of the learning rate back; again for the one before it."""
        self._ask("undo_learning_rate")

    def set_cadence(
        self,
        logging_steps: int | None = None,
        *,
        probe: str | None = None,
        every: int | None = None,
    ) -> None:
        """Change how often the Trainer logs, or how often a probe measures.

        Parameters
        ----------
        logging_steps
            Steps between two logs, for this run; the Trainer's arguments stay as they are.
        probe, every
            A probe's name and the steps between two of its measurements.

        Raises
        ------
        TypeError, ValueError
            If neither, or half of it, is given, or it is no number of steps.
        RuntimeError
            If no training is running, or this one doesn't log by steps.
        """
        steps, measure = logging_steps is not None, probe is not None and every is not None
        if steps == measure or (probe is None) != (every is None):
            msg = "set_cadence takes either logging_steps=n, or probe=name and every=n"
            raise TypeError(msg)
        value = {"logging_steps": logging_steps} if steps else {"probe": probe, "every": every}
        self._ask("cadence", value)

    @property
    def should_stop(self) -> bool:
        """Whether a viewer has asked a plain loop to stop: `if monitor.should_stop: break`."""
        return self._session.steering.asked_to_stop()

    def _ask(self, name: str, value: Any = None) -> None:
        self._session.steering.ask(name, value)

    def _control(self, message: wire.Control) -> None:
        self._session.steering.controls.receive(message)

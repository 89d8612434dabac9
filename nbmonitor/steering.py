"""What a control does to a run: it is applied between two steps, and recorded.

Works on whatever offers itself as a `Training`: a Trainer or a plain loop. It knows neither
transformers nor a widget. Everything but `submit` and `receive` of its queue, and `publish`,
belongs to the training thread.
"""

from __future__ import annotations

import time
import traceback
from typing import Any, Protocol

from nbmonitor.controls import NAMES, Controls, Request, check
from nbmonitor.engine import Engine
from nbmonitor.learning_rate import LearningRate
from nbmonitor.probe import Step
from nbmonitor.run import Run

# Seconds between two looks at the page while paused, when nothing wakes us earlier.
_LOOK = 0.02


class Training(Protocol):
    """What is steered. What its methods raise is reported, and the training goes on."""

    def obstacles(self) -> dict[str, str]:
        """Say, by name of a control, why it can't be applied here."""

    def learning_rate(self) -> LearningRate | None:
        """Return the rate and its schedule."""

    def stop(self) -> None:
        """End the training after this step."""

    def save(self) -> str:
        """Save a checkpoint; return what to say of it."""

    def evaluate(self) -> str:
        """Evaluate; return what to say of it."""

    def log_every(self, steps: int) -> str:
        """Log at another pace; return what to say of it."""

    def asked_to_stop(self) -> bool:
        """Answer a loop that looks whether it is to stop."""


class Host(Protocol):
    """Who keeps the page alive and tells it about controls."""

    def boundary(self, *, force: bool = False) -> None:
        """Use a moment for the page; with `force`, even if one was used just now."""

    def controlled(self, meta: dict[str, Any]) -> None:
        """Tell the page how its controls stand; on any thread."""


class Refused(Exception):  # noqa: N818 - nothing has gone wrong
    """A control can't be applied, for the reason given."""


class Steering:
    """Apply controls to one Run.

    Parameters
    ----------
    run, engine
        Where they are recorded, and whose probes change their cadence.
    host
        Told of every change, and given moments while paused.

    Attributes
    ----------
    controls : Controls
        The queue.
    stopped : str
        The message of a run that a viewer has stopped, or "".
    """

    def __init__(self, run: Run, engine: Engine, host: Host) -> None:
        self._run, self._engine, self._host = run, engine, host
        self.controls = Controls(self.publish)
        self.stopped = ""
        self._training: Training | None = None
        self._rate: LearningRate | None = None
        self._paused = False
        self._paused_at = 0.0
        self._obstacles: dict[str, str] = {}

    # ------------------------------------------------------------------ a run's life

    def begin(self, training: Training | None) -> None:
        """Steer a training from now on."""
        self._training, self.stopped, self._paused = training, "", False
        if training is None:
            self.controls.close("this training can't be steered")
            return
        self._rate = training.learning_rate()
        self._obstacles = training.obstacles()
        self.controls.open()
        self.publish()

    def end(self) -> None:
        """Refuse what waits: there is no step left to apply it at."""
        if self._training is not None:
            self._training, self._paused = None, False
            self.controls.close(f"the run is over: {self._run.status}")

    def refresh(self) -> None:
        """Find out anew what can be done, and tell the page if that is news."""
        if self._training is not None:
            before, self._obstacles = self._obstacles, self._training.obstacles()
            if before != self._obstacles:
                self.publish()

    # ------------------------------------------------------------------ any thread

    def ask(self, name: str, value: Any = None) -> None:
        """Ask for a control from Python.

        Raises
        ------
        TypeError, ValueError
            If it takes no such value.
        RuntimeError
            If it can't be applied here.
        """
        check(name, value)
        # What waits may change what is possible: then it is decided when its turn comes.
        obstacle = "" if self.controls.waiting else self.obstacle(name)
        if obstacle:
            msg = f"{name} is not possible: {obstacle}"
            raise RuntimeError(msg)
        self.controls.submit(name, value)

    def asked_to_stop(self) -> bool:
        """Whether a loop that asks is to stop."""
        if self._training is None:
            return bool(self.stopped)
        stop = self._training.asked_to_stop()
        self.refresh()
        return stop

    def publish(self) -> None:
        """Tell the page how things stand; on any thread."""
        rate = self._rate
        meta = {
            "pending": self.controls.recent(),
            "available": {name: self.obstacle(name) for name in NAMES},
            "learning_rate": {
                "factor": 1.0 if rate is None else rate.factor,
                "undo": bool(rate is not None and rate.changes),
            },
        }
        self._host.controlled(meta)

    def obstacle(self, name: str) -> str:
        """Why a control can't be applied as things stand, or ""."""
        obstacle = self._obstacles.get(name)
        # A fixed set can be evaluated although the training itself has nothing to evaluate on;
        # not where nothing at all can be asked for.
        if name == "evaluate" and self._engine.evaluates and len(self._obstacles) < len(NAMES):
            obstacle = ""
        return self.controls.closed or obstacle or self._unfit(name)

    def _unfit(self, name: str) -> str:
        rate = self._rate
        unfit = {
            "pause": self._paused and "the training is paused already",
            "resume": not self._paused and "the training is not paused",
            "learning_rate": rate is None and "no optimizer is known",
            "undo_learning_rate": (rate is None or not rate.changes)
            and "there is no change of the learning rate to undo",
        }
        return unfit.get(name) or ""

    # ------------------------------------------------------------------ between two steps

    def work(self) -> None:
        """Apply what waits; while the training is paused, don't return."""
        self._apply_all()
        try:
            while self._paused and self._training is not None:
                self._host.boundary(force=True)
                self.controls.wait(_LOOK)
                self._apply_all()
        finally:
            self._paused = False

    def _apply_all(self) -> None:
        while (request := self.controls.take()) is not None:
            self._apply(request)

    def _apply(self, request: Request) -> None:
        step = self._run.step
        reason = "the run is being stopped" if self.stopped else self.obstacle(request.name)
        if reason:
            self.controls.settle(request, "refused", reason, step)
            return
        try:
            message = getattr(self, f"_{request.name}")(request)
        except Refused as error:
            self.controls.settle(request, "refused", str(error), step)
        except Exception as error:  # noqa: BLE001 - a checkpoint that fails must not end the training
            self._fail(request, error, step)
        except BaseException:
            self.controls.settle(request, "failed", "interrupted", step)
            raise
        else:
            data = {
                "message": message,
                "name": request.name,
                "value": request.value,
                "id": request.id,
                "source": request.source,
            }
            self._run.event("control", step, data)
            if self._training is not None:
                self._obstacles = self._training.obstacles()
            self.controls.settle(request, "applied", message, step)

    def _fail(self, request: Request, error: Exception, step: int) -> None:
        reason = f"{type(error).__name__}: {error}"
        data = {
            "severity": "warning",
            "title": f"{request.name.replace('_', ' ')} failed",
            "message": f"{request.name} at step {step}: {reason}; the training goes on",
            "traceback": "".join(traceback.format_exception(error)),
        }
        self._run.event("alert", step, data)
        self.controls.settle(request, "failed", reason, step)

    def _begin_work(self, request: Request, doing: str) -> Training:
        """Say what is going on: a page may have to wait for it for minutes."""
        request.message = doing
        self.publish()
        self._host.boundary(force=True)
        assert self._training is not None
        return self._training

    # ------------------------------------------------------------------ the controls by name

    def _pause(self, request: Request) -> str:
        self._paused, self._paused_at = True, time.monotonic()
        message = f"paused {_by(request)} at step {self._run.step}"
        self._run.set_status("paused", message)
        return message

    def _resume(self, request: Request) -> str:
        self._paused = False
        self._run.set_status("running")
        return f"resumed {_by(request)} after {time.monotonic() - self._paused_at:.1f} s"

    def _stop(self, request: Request) -> str:
        assert self._training is not None
        self._training.stop()
        if self._paused:
            self._paused = False
            self._run.set_status("running", "stopping")
        self.stopped = f"stopped {_by(request)} at step {self._run.step}"
        return self.stopped

    def _save_and_stop(self, request: Request) -> str:
        saved = self._begin_work(request, "saving").save()
        return f"{saved}, {self._stop(request)}"

    def _checkpoint(self, request: Request) -> str:
        return f"{self._begin_work(request, 'saving').save()}{_asked(request)}"

    def _evaluate(self, request: Request) -> str:
        training = self._begin_work(request, "evaluating")
        done = "" if self._obstacles.get("evaluate") else training.evaluate()
        if self._engine.evaluates:
            self._engine.evaluate(Step(self._run.step, time.time()))
            # A probe that raises is off.
            fixed = ("the fixed set failed", "fixed set evaluated")[self._engine.evaluates]
            done = f"{done}; {fixed}" if done else fixed
        return f"{done}{_asked(request)}"

    def _learning_rate(self, request: Request) -> str:
        rate = self._rate
        assert rate is not None
        before = rate.now
        if "set" not in request.value:
            rate.multiply(request.value["multiply"])
        elif not rate.set(request.value["set"]):
            msg = (
                f"the rate is 0 at this step of its schedule and can't be scaled to "
                f"{request.value['set']:g}; multiply it instead, or set it at another step"
            )
            raise Refused(msg)
        return f"learning rate {before:.3g} → {rate.now:.3g} {_by(request)}"

    def _undo_learning_rate(self, request: Request) -> str:
        rate = self._rate
        assert rate is not None
        before = rate.now
        rate.undo()
        return f"learning rate back from {before:.3g} to {rate.now:.3g} {_by(request)}"

    def _cadence(self, request: Request) -> str:
        value = request.value
        if "probe" in value:
            try:
                before = self._engine.set_every(value["probe"], value["every"])
            except ValueError as error:
                raise Refused(str(error)) from None
            return f"probe {value['probe']} every {value['every']} steps, not {before}"
        assert self._training is not None
        return self._training.log_every(value["logging_steps"])


def _asked(request: Request) -> str:
    return ", as the viewer asked" if request.source == "page" else ", as asked from Python"


def _by(request: Request) -> str:
    return "by the viewer" if request.source == "page" else "from Python"

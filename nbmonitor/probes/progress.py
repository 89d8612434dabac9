"""Step time, samples per second and the time left.

The estimate of the time left counts what is not a step too: evaluations still due by the
run's own schedule, and saving and logging at their rate so far.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbmonitor.probe import Context, Measured, Panel, Probe, Series, Step

_SMOOTH = 0.05


def _readout(key: str, label: str, series: str) -> dict[str, str]:
    return {"id": key, "label": label, "key": series}


class Progress(Probe):
    """How fast it goes and when it will be done."""

    name = "progress"
    cost = "nothing on the training thread"
    series = (
        Series("train/step_time", "step time", "s"),
        Series("train/samples_per_second", "samples/s", "samples/s"),
        Series("train/samples_seen", "samples seen", "", "float64"),
        Series("train/eta", "time left (estimate)", "s"),
    )
    panels = (
        Panel(
            "readouts", "Readouts", "readouts", (), order=10, span=12,
            options={"items": [
                _readout("step", "STEP", "train/step_time"),
                _readout("epoch", "EPOCH", "train/epoch"),
                _readout("loss", "LOSS", "train/loss"),
                _readout("learning_rate", "LR", "train/learning_rate"),
                _readout("grad_norm", "GRAD NORM", "train/grad_norm"),
                _readout("eta", "ETA", "train/eta"),
            ]},
        ),
    )  # fmt: skip

    def on_begin(self, context: Context) -> Measured | None:
        """Forget the last run."""
        self._total = context.total_steps
        self._config: Any = context.config
        self._smooth: float | None = None
        self._samples = 0
        self._evaluations: list[float] = []
        self._other = 0.0
        self._steps = 0
        return None

    def resume(self, last: Mapping[str, float]) -> None:
        """Go on with what a run file holds; the last step stands for all before it."""
        self._samples = int(last.get("train/samples_seen", 0))
        self._smooth = last.get("train/step_time")
        self._steps = 0 if self._smooth is None else 1

    def derive(self, step: Step, host: Measured) -> Measured:
        """Read the step's times; an evaluation's length is told by the step after it."""
        del host
        self._steps += 1
        if step.evaluation:
            self._evaluations.append(step.evaluation)
        self._other += step.pause
        out: dict[str, float] = {}
        if step.samples:
            self._samples += step.samples
            out["train/samples_seen"] = self._samples
        if step.duration is None or step.duration <= 0:
            return out
        out["train/step_time"] = step.duration
        if step.samples:
            out["train/samples_per_second"] = step.samples / step.duration
        first = self._smooth is None
        weight = max(_SMOOTH, 1.0 / self._steps)
        self._smooth = (
            step.duration
            if self._smooth is None
            else self._smooth + weight * (step.duration - self._smooth)
        )
        # The first step warms caches and compiles: no estimate is made from it alone.
        if self._total and not first:
            out["train/eta"] = self._remaining(step.number)
        return out

    def _remaining(self, done: int) -> float:
        total = self._total or done
        left = max(0, total - done)
        each = (self._smooth or 0.0) + self._other / self._steps
        seconds = left * each
        if self._evaluations:
            mean = sum(self._evaluations) / len(self._evaluations)
            seconds += mean * self._evaluations_due(done, total)
        return seconds

    def _evaluations_due(self, done: int, total: int) -> float:
        every = int(self._config.get("eval_steps") or 0)
        if every:
            return total // every - done // every
        return len(self._evaluations) * (total - done) / max(1, done)


PROBE = Progress

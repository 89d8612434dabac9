"""What waits in the engine's inbox: measurements on their way to becoming rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from nbmonitor.probe import Measured, Probe, Step
from nbmonitor.transfer import PLAIN, Transfer


class Measurement:
    """What a step carries and what probes measured of it, on its way to the host.

    Parameters
    ----------
    step
        Its loss and norm are the first to travel.
    due
        Probes that measured nothing and derive all the same.
    measured, values
        Probes that measured, and what.
    edge
        Whether it was at the edge of a run and not after a step.

    Attributes
    ----------
    numbers : list or None
        Everything that `derive` needs, if it is numbers of Python's own and a step's.
    """

    __slots__ = ("_transfer", "due", "edge", "measured", "numbers", "seq", "step", "values")

    def __init__(
        self,
        step: Step,
        due: list[Probe],
        measured: list[Probe],
        values: list[Measured],
        *,
        edge: bool = False,
    ) -> None:
        self.step, self.due, self.measured, self.values = step, due, measured, values
        self.edge, self.seq = edge, 0
        numbers = _carried(step)
        for taken in values:
            numbers += taken.values()
        # Numbers of Python's own have no way to go.
        here = PLAIN.issuperset(map(type, numbers))
        self.numbers = numbers if here and not edge else None
        self._transfer = None if here else _transfer(step, values)

    def ready(self) -> bool:
        """Whether all values have reached the host."""
        return self._transfer is None or self._transfer.ready()

    def host(self) -> list[Measured]:
        """Return the values of each probe, and let the step have its own; waits for a device."""
        if self._transfer is not None:
            carried, *self.values = self._transfer.host()
            self.step.loss, self.step.grad_norm = carried.get("loss"), carried.get("grad_norm")
        return self.values

    def shape(self) -> list[str | None]:
        """Return what the numbers are: names of probes, each with its measured ones and None."""
        shape: list[str | None] = []
        for probe, taken in zip(self.measured, self.values, strict=True):
            shape.append(probe.name)
            shape += taken
            shape.append(None)
        return shape

    def payload(self) -> tuple[Any, ...]:
        """Everything that `derive` needs, as plain values for the journal."""
        step = self.step
        if self._transfer is None:
            taken = {p.name: v for p, v in zip(self.measured, self.values, strict=True)}
        else:
            found = zip(self.measured, self.host(), strict=True)
            taken = {p.name: {k: _plain(v) for k, v in values.items()} for p, values in found}
        if self.edge:
            return ("edge", step.number, step.time, taken)
        return ("step", *map(_plain, _carried(step)), taken)


def _carried(step: Step) -> list[Any]:
    """What a step itself carries, in the order of a journal's entry."""
    return [
        step.number,
        step.time,
        step.duration,
        step.loss,
        step.grad_norm,
        step.learning_rate,
        step.epoch,
        step.samples,
        step.pause,
        step.evaluation,
    ]


def _transfer(step: Step, values: list[Measured]) -> Transfer:
    return Transfer([{"loss": step.loss, "grad_norm": step.grad_norm}, *values])


@dataclass(slots=True)
class Logged:
    """Metrics as they were logged."""

    numbers: ClassVar[None] = None

    step: Step
    metrics: dict[str, float]
    seq: int = 0

    def ready(self) -> bool:
        """Whether all values are on the host: always."""
        return True

    def payload(self) -> tuple[Any, ...]:
        """Kind, step, time and values."""
        return ("log", self.step.number, self.step.time, self.metrics)


@dataclass(slots=True)
class Ready:
    """Values that are series already."""

    numbers: ClassVar[None] = None

    step: Step
    values: dict[str, float]
    seq: int = 0

    def ready(self) -> bool:
        """Whether all values are on the host: always."""
        return True

    def payload(self) -> tuple[Any, ...]:
        """Kind, step, time and values."""
        return ("ready", self.step.number, self.step.time, self.values)


Entry = Measurement | Logged | Ready


def _plain(value: Any) -> Any:
    """Turn a host value into what `marshal` takes; of numpy's numbers it would take the bytes."""
    if type(value) in PLAIN:
        return value
    if isinstance(value, tuple | list):  # names beside their numbers
        return [_plain(inner) for inner in value]
    if isinstance(value, str | bytes):
        return value
    return value.tolist() if hasattr(value, "tolist") else float(value)

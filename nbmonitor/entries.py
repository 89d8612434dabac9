"""What waits in the engine's inbox: measurements on their way to becoming rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nbmonitor.probe import Measured, Probe, Step
from nbmonitor.transfer import PLAIN, Transfer


@dataclass(slots=True)
class Measurement:
    """What a step carries and what probes measured of it, on its way to the host."""

    step: Step
    due: list[Probe]
    measured: list[Probe]
    transfer: Transfer
    edge: bool = False
    seq: int = 0

    def ready(self) -> bool:
        """Whether all values have reached the host."""
        return self.transfer.ready()

    def host(self) -> list[Measured]:
        """Values that the step carries, then those of each probe; waits for a device."""
        return self.transfer.host()

    def payload(self) -> tuple[Any, ...]:
        """Everything that `derive` needs, as plain values for the journal."""
        step, host = self.step, self.host()
        taken: dict[str, Any] = {}
        for probe, values in zip(self.measured, host[1:], strict=True):
            for value in values.values():
                if type(value) not in PLAIN:
                    taken[probe.name] = {key: _plain(value) for key, value in values.items()}
                    break
            else:
                taken[probe.name] = values
        if self.edge:
            return ("edge", step.number, step.time, taken)
        carried = host[0]
        return (
            "step",
            step.number,
            step.time,
            step.duration,
            _plain(carried["loss"]),
            _plain(carried["grad_norm"]),
            _plain(step.learning_rate),
            _plain(step.epoch),
            step.samples,
            step.pause,
            step.evaluation,
            taken,
        )


@dataclass(slots=True)
class Logged:
    """Metrics as they were logged."""

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

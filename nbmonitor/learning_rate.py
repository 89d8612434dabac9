"""An optimiser's learning rate, changed so that the change lasts, and changed back.

A schedule computes the rate anew at every step, from numbers that it keeps itself. So the
whole schedule is scaled: each place where optimiser or scheduler keep a learning rate. All
parameter groups are scaled alike, which keeps their ratios. It works with torch's schedulers,
transformers' and accelerate's wrapper of them, without importing any.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_IN_GROUP = ("lr", "initial_lr", "max_lr", "min_lr")
_IN_SCHEDULER = (
    "base_lrs",
    "_last_lr",
    "eta_min",
    "min_lrs",
    "max_lrs",
    "default_min_lr",
    "_init_lrs",
    "_schedulers",
)
# A closed form may differ from scaling by rounding only; else it is something else.
_ROUNDING = 1e-6


@dataclass(slots=True)
class _Place:
    """Where a learning rate is kept: a key of a group, or an attribute, maybe one of a list."""

    owner: Any
    name: str
    index: int | None = None
    before: float = 0.0
    after: float = 0.0

    def read(self) -> float | None:
        """Return the rate, or None where there is none any more."""
        held = self._held()
        try:
            return float(held if self.index is None else held[self.index])
        except (IndexError, TypeError, ValueError):
            return None

    def write(self, rate: float) -> None:
        held = self._held()
        found = held if self.index is None else held[self.index]
        if hasattr(found, "fill_"):  # a tensor, that a compiled or captured step reads
            found.fill_(rate)
        elif self.index is not None:
            held[self.index] = rate
        elif isinstance(self.owner, dict):
            self.owner[self.name] = rate
        else:
            setattr(self.owner, self.name, rate)

    def _held(self) -> Any:
        if isinstance(self.owner, dict):
            return self.owner.get(self.name)
        return getattr(self.owner, self.name, None)


def _bare(scheduler: Any) -> Any:
    """Take accelerate's wrapper off."""
    inner = getattr(scheduler, "scheduler", None)
    return scheduler if inner is None else _bare(inner)


def _places(optimizer: Any, scheduler: Any) -> Iterator[_Place]:
    for group in optimizer.param_groups:
        for name in _IN_GROUP:
            yield _Place(group, name)
    if scheduler is not None:
        yield from _places_in(_bare(scheduler))


def _places_in(scheduler: Any) -> Iterator[_Place]:
    for name in _IN_SCHEDULER:
        held = getattr(scheduler, name, None)
        if name == "_schedulers":
            for inner in held or ():
                yield from _places_in(inner)
        elif isinstance(held, list):
            for index in range(len(held)):
                yield _Place(scheduler, name, index)
        else:
            yield _Place(scheduler, name)


class LearningRate:
    """The learning rate of one optimiser and its schedule.

    Parameters
    ----------
    optimizer
        Anything with `param_groups`.
    scheduler
        Its scheduler, or None.
    """

    def __init__(self, optimizer: Any, scheduler: Any = None) -> None:
        self._optimizer, self._scheduler = optimizer, scheduler
        self._changes: list[tuple[float, list[_Place]]] = []

    @property
    def factor(self) -> float:
        """What the schedule is multiplied with just now."""
        factor = 1.0
        for change, _ in self._changes:
            factor *= change
        return factor

    @property
    def changes(self) -> int:
        """How many changes can be undone."""
        return len(self._changes)

    @property
    def now(self) -> float:
        """The rate of the first parameter group, which is the one that is shown."""
        return float(self._optimizer.param_groups[0]["lr"])

    def multiply(self, factor: float) -> None:
        """Scale the schedule from here on."""
        self._change(factor)

    def set(self, rate: float) -> bool:
        """Scale the schedule so that the rate is now `rate`.

        Returns False, and does nothing, where the rate is 0: no factor leads away from that.
        """
        now = self.now
        if now == 0:
            return False
        self._change(rate / now, (now, rate))
        return True

    def _change(self, factor: float, exact: tuple[float, float] | None = None) -> None:
        places = []
        for place in _places(self._optimizer, self._scheduler):
            before = place.read()
            if before is not None:
                place.before = before
                # What was meant to become `rate` becomes that, not a rounding beside it.
                place.write(exact[1] if exact and before == exact[0] else before * factor)
                place.after = place.read() or 0.0
                places.append(place)
        self._changes.append((factor, places))

    def undo(self) -> None:
        """Take the last change back; the schedule is again what it would be without it."""
        if not self._changes:
            return
        factor, places = self._changes.pop()
        for place in places:
            now = place.read()
            if now is not None:
                place.write(place.before if now == place.after else now / factor)
        self._to_closed_form()

    def _to_closed_form(self) -> None:
        """Put a LambdaLR, as most of transformers' schedules are, exactly where it belongs."""
        scheduler = _bare(self._scheduler)
        lambdas, bases = getattr(scheduler, "lr_lambdas", None), getattr(scheduler, "base_lrs", [])
        groups = self._optimizer.param_groups
        if not lambdas or not len(lambdas) == len(bases) == len(groups):
            return
        for index, (group, base, shape) in enumerate(zip(groups, bases, lambdas, strict=True)):
            rate = float(base) * shape(scheduler.last_epoch)
            if abs(rate - float(group["lr"])) <= _ROUNDING * rate:
                _Place(group, "lr").write(rate)
                _Place(scheduler, "_last_lr", index).write(rate)

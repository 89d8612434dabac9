"""Which snapshots also tell what has changed since the start: all where that is cheap beside them.

Else every tenth, and those of evaluations, checkpoints and the end. It keeps accounts and knows
no snapshot; how often there is one at all is for `cadence.py`.
"""

from __future__ import annotations

EVERY = 10
# Of what a snapshot costs without it.
SHARE = 1 / 3
# Of the last few costs, the least counts: the first one loads code.
_COSTS = 2


class Turns:
    """Decides, by what it took the last times."""

    def __init__(self) -> None:
        self._costs: list[float] = []

    @property
    def affordable(self) -> bool:
        """Whether every snapshot may tell it."""
        return len(self._costs) < _COSTS or min(self._costs) <= SHARE

    def due(self, index: int, reason: str) -> bool:
        """Whether the snapshot of that number is to tell it, taken for that reason."""
        return reason != "cadence" or index % EVERY == 0 or self.affordable

    def paid(self, seconds: float, rest: float) -> None:
        """Book what it took, on all threads, and what the rest of its snapshot did."""
        self._costs = [*self._costs[1 - _COSTS :], seconds / max(rest, 1e-9)]

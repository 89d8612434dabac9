"""What rules look at: the last rows of the series that they name, and what the run is.

Bounded, and cheap to fill: a row is kept as it comes and becomes numbers in an array only
when a rule asks for it. It knows no rule.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

KEEP = 256
_NONE = np.zeros((3, 0))


class Track:
    """The last rows of one series.

    Parameters
    ----------
    keep
        How many.

    Attributes
    ----------
    rows : int
        How many there have been in all.
    last : tuple
        Step, value and time (seconds since the epoch) of the newest.
    """

    __slots__ = ("_count", "_keep", "_pending", "_table", "last", "rows")

    def __init__(self, keep: int = KEEP) -> None:
        self.rows = 0
        self.last = (0, float("nan"), 0.0)
        self._keep = keep
        self._pending: list[tuple[int, float, float]] = []
        self._table: Numbers = np.empty((3, 2 * keep))
        self._count = 0

    def extend(self, rows: list[tuple[int, float, float]]) -> None:
        """Take rows, one at least: step, value, time."""
        self.last = rows[-1]
        self.rows += len(rows)
        self._pending += rows
        if len(self._pending) >= self._keep:
            self._file()

    def _file(self) -> None:
        del self._pending[: -self._keep]
        fresh = len(self._pending)
        table = self._table
        if self._count + fresh > table.shape[1]:
            held = min(self._count, self._keep)
            table[:, :held] = table[:, self._count - held : self._count].copy()
            self._count = held
        table[:, self._count : self._count + fresh] = np.array(self._pending).T  # (3, fresh)
        self._count += fresh
        self._pending.clear()

    def tail(self, count: int) -> Numbers:
        """Steps, values and times (3, n) of the last rows, n ≤ count. A view: use it at once."""
        if self._pending:
            self._file()
        return self._table[:, max(0, self._count - min(count, self._keep)) : self._count]


def _nothing(_key: str) -> None:
    return None


@dataclass(slots=True)
class Lookback:
    """The rows that rules may look back on.

    Attributes
    ----------
    step : int
        Newest optimiser step.
    time : float
        Of the newest row, in seconds since the epoch.
    config : mapping
        What is trained and how: `Run.config`.
    total_steps : int
        Of the run; 0 if unknown.
    status : str
        Of the run.
    meta : callable
        The JSON that goes along with the latest tensor of a key (`Context.put`), or None.
    """

    step: int = 0
    time: float = 0.0
    config: Mapping[str, Any] = field(default_factory=dict)
    total_steps: int = 0
    status: str = "running"
    meta: Callable[[str], Mapping[str, Any] | None] = _nothing
    tracks: dict[str, Track] = field(default_factory=dict)
    _found: dict[str, tuple[int, list[str]]] = field(default_factory=dict)

    def last(self, key: str) -> float | None:
        """Newest value of a series, or None."""
        track = self.tracks.get(key)
        return None if track is None else track.last[1]

    def rows(self, key: str) -> int:
        """How many rows a series has had."""
        track = self.tracks.get(key)
        return 0 if track is None else track.rows

    def tail(self, key: str, count: int = KEEP) -> Numbers:
        """Steps, values and times (3, n) of the last rows of a series; n may be 0.

        A view that is good until the rule returns.
        """
        track = self.tracks.get(key)
        return _NONE if track is None else track.tail(count)

    def finite(self, key: str, count: int = KEEP) -> Numbers:
        """As `tail`, without the rows whose value is NaN or infinite."""
        rows = self.tail(key, count)
        good = np.isfinite(rows[1])
        return rows if good.all() else rows[:, good]

    def matching(self, pattern: str) -> list[str]:
        """Keys of the series seen so far that fit a pattern, in order of appearance."""
        count, found = self._found.get(pattern, (0, []))
        if count != len(self.tracks):
            found = [key for key in self.tracks if fits(key, pattern)]
            self._found[pattern] = (len(self.tracks), found)
        return found


def fits(key: str, pattern: str) -> bool:
    """Whether a series key fits a pattern, in which `*` stands for characters of one part."""
    if "*" not in pattern:
        return key == pattern
    parts, wanted = key.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted))

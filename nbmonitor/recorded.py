"""How a Run takes in what was recorded before: rows and events as they are, nothing noted anew.

The other base of `Run`, beside `Exports`.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable

import numpy as np

from nbmonitor import wire
from nbmonitor.series import Buckets, Column


class Recorded(ABC):
    """Base of `Run`."""

    step: int
    generation: int
    changed: threading.Event
    _lock: threading.RLock
    _events: list[wire.RunEvent]

    @abstractmethod
    def _column(self, key: str) -> Column:
        """Find or make the column of a series."""

    @abstractmethod
    def _bound(self) -> None:
        """Keep memory within its bound."""

    @abstractmethod
    def _clear(self) -> None:
        """Drop all series, events and tensors."""

    def lay(self, key: str, steps: wire.Floats, values: wire.Floats) -> None:
        """Add rows of one series that were recorded before, with whatever was to be noted."""
        with self._lock:
            column = self._column(key)
            if len(steps):
                x = np.maximum.accumulate(np.maximum(steps, column.last_x or 0.0))
                self.step = max(self.step, int(x[-1]))
                if column.extend(x, values):
                    self._bound()
        self.changed.set()

    def lay_buckets(self, key: str, old: Buckets) -> None:
        """Let a series, still without rows, begin with buckets."""
        with self._lock:
            column = self._column(key)
            column.summary, column.rows = old, int(old.counts.sum())

    def lay_events(self, events: Iterable[wire.RunEvent], *, first: bool = False) -> None:
        """Add events that were recorded before; with `first`, before those that there are."""
        with self._lock:
            if first and self._events:
                self.generation += 1
            at = 0 if first else len(self._events)
            self._events[at:at] = events
        self.changed.set()

    def forget(self) -> None:
        """Empty the record, to be filled anew: its history was rewritten elsewhere."""
        with self._lock:
            self._clear()
            self.generation += 1

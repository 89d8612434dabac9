"""What a Run is made of, and what it asks of whoever keeps it on disk."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from nbmonitor import wire

# States of a run: `run.STATUSES` without the one before its start.
ACTIVE = frozenset({"running", "paused"})
ENDED = frozenset({"finished", "interrupted", "failed"})
# Optimiser steps done, values by series key, seconds since the epoch.
Row = tuple[int, Mapping[str, float], float]
# Key, step, values, meta.
Tensor = tuple[str, int, NDArray[Any], dict[str, Any]]


def finite(value: Any) -> Any:
    """Return JSON with None in place of NaN and infinities, which it can't say.

    Anything without one is returned as it is; what holds one is copied, never changed.
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        said = {key: finite(inner) for key, inner in value.items()}
        return said if any(said[key] is not inner for key, inner in value.items()) else value
    if isinstance(value, list | tuple):
        items = [finite(inner) for inner in value]
        changed = any(a is not b for a, b in zip(items, value, strict=True))
        return items if changed else value
    return value


class Journal(Protocol):
    """Who keeps a Run on disk. None of its methods raises; `runfile.Recorder` is one."""

    def entry(self, seq: int, payload: tuple[Any, ...]) -> None:
        """Write down a raw measurement before its step ends; on the training thread."""

    def numbers(self, seq: int, shape: list[str | None], numbers: Sequence[Any]) -> bool:
        """Write down a step of nothing but numbers; False if it has to be an `entry`."""

    def event(self, index: int, event: wire.RunEvent) -> None:
        """Write down an event, the `index`-th of the Run."""

    def take(self, rows: Sequence[Row], upto: int) -> None:
        """Take derived rows; with them, all entries up to number `upto` are accounted for."""

    def rewind(self, step: int) -> None:
        """Learn that rows after `step` are void."""

    def fold(self) -> None:
        """Move what is new into the file; on the flusher's thread."""

    def close(self) -> None:
        """Fold for the last time and let go of the file."""

"""What the units of a matrix tell of its health: how far they went, which are dead or explode.

A unit is an output: a row of inputs that it weighs. All of it goes by a sample of the units and
of their inputs, now and at the start. Only numpy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbmonitor.parameters.change import (
    COLUMNS,
    DEAD,
    EXPLODING,
    LARGEST,
    SAMPLED,
    SINCE,
    STILL,
    Floats,
)

# A unit that stands still is dead if the others have moved by more than this.
_ALIVE = 1e-4
# Times its length at the start, and deviations from the others' median, at which one explodes.
_GROWN, _APART = 10.0, 8.0


def sizes(rows: NDArray[Any]) -> NDArray[np.float64]:
    """L2 norm of each unit, (units,)."""
    squares = np.einsum("ui,ui->u", rows, rows, dtype=np.float64, casting="unsafe")
    return np.asarray(np.sqrt(squares), np.float64)


@np.errstate(invalid="ignore", over="ignore", divide="ignore")
def judge(
    now: NDArray[np.float64],
    start: NDArray[np.float64],
    update: NDArray[np.float64],
    *,
    idle: bool = False,
) -> tuple[Floats, int]:
    """Tell how the units of a matrix are.

    Parameters
    ----------
    now, start, update
        (units,) L2 norms of each: the weights, as they were at the start, and the difference.
    idle
        Whether a unit may stand still in good health: a row of a table, whose token never came.

    Returns
    -------
    (array, int)
        (6,), columns are `COLUMNS`, `unit` left to the caller; and which of the units
        is the worst: one that is no number, else the largest that explodes, else one that is
        dead, else the largest.
    """
    row = np.full(len(COLUMNS), np.nan, np.float32)
    finite = np.isfinite(now)  # (units,)
    known = now if finite.all() else now[finite]
    whole, went = float(np.sqrt(start @ start)), float(np.sqrt(update @ update))
    if whole or not went:
        # Of what began as zeros and has moved, there is no ratio.
        row[SINCE] = went / whole if went else 0.0
    median = _median(known)
    base = np.where(start > 0, start, median)  # (units,)
    apart = _APART * _median(np.abs(known - median))
    exploding = ~finite | ((now > _GROWN * base) & (now > median + apart))
    dead = (now == 0) & (median > 0)
    if went and not idle:
        moved = np.where(update > 0, update / np.where(start > 0, start, now), 0.0)  # (units,)
        typical = _median(moved[finite]) if len(known) else 0.0
        dead |= (moved < STILL) & (typical > _ALIVE)
    row[SAMPLED], row[EXPLODING] = len(now), np.count_nonzero(exploding)
    if not idle:
        row[DEAD] = np.count_nonzero(dead)
    if median > 0:
        row[LARGEST] = known.max() / median
    shown = np.where(finite, now, -1.0)  # (units,)
    worst = int(shown.argmax())
    for found in (None if idle else dead, exploding, ~finite):
        if found is not None and found.any():
            worst = int(np.where(found, shown, -2.0).argmax())
    return row, worst


def _median(values: NDArray[np.float64]) -> float:
    """Median of a few; a tenth of the time that `numpy.median` takes for them. NaN of none."""
    if not len(values):
        return float("nan")
    ordered = np.sort(values)
    return float(ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2

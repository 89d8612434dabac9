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
    broken = ~np.isfinite(now)  # (units,)
    whole = float(np.sqrt(np.square(start).sum()))
    went = float(np.sqrt(np.square(update).sum()))
    if whole or not went:
        # Of what began as zeros and has moved, there is no ratio.
        row[SINCE] = went / whole if went else 0.0
    median = float(np.median(now[~broken])) if not broken.all() else float("nan")
    apart = float(np.median(np.abs(now[~broken] - median))) if not broken.all() else float("nan")
    base = np.where(start > 0, start, median)  # (units,)
    exploding = broken | ((now > _GROWN * base) & (now > median + _APART * apart))
    moved = np.where(update > 0, update / np.where(start > 0, start, now), 0.0)  # (units,)
    typical = float(np.median(moved[~broken])) if not broken.all() else 0.0
    dead = ((moved < STILL) & (typical > _ALIVE)) | ((now == 0) & (median > 0))
    row[SAMPLED], row[EXPLODING] = len(now), exploding.sum()
    if not idle:
        row[DEAD] = dead.sum()
    row[LARGEST] = np.max(now[~broken], initial=0.0) / median if median else np.nan
    shown = np.where(broken, -1.0, now)  # (units,)
    worst = int(shown.argmax())
    for found in (dead & (not idle), exploding, broken):
        if found.any():
            worst = int(np.where(found, shown, -2.0).argmax())
    return row, worst

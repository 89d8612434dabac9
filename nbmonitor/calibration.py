"""Calibration: a model that says 80 % should hit in 80 % of the cases.

The expected calibration error of Guo et al., "On calibration of modern neural networks" (ICML
2017), with ten bins of equal width, closed on the left: [0, 0.1), … [0.9, 1].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

BINS = 10
# Drift: more than this above the best, relatively …
RISE = 0.20
# … and absolutely; below that it is nothing that anyone would act on.
_LEAST = 0.01
# Evaluations whose cross-entropy was at most this share above today's count for the best.
_AS_GOOD = 0.05


class Baseline(NamedTuple):
    """The best calibrated of the evaluations that predicted as well as the last."""

    step: int
    ece: float
    cross_entropy: float


def expected_error(sums: NDArray[np.float64]) -> float:
    """Expected calibration error: the mean over predictions of |accuracy - confidence| of a bin.

    Parameters
    ----------
    sums
        (3, bins): how many predictions fell into a bin, the sum of their confidences, and how
        many were right.

    Returns
    -------
    float
        Ratio; NaN without a prediction.
    """
    total = float(sums[0].sum())
    return float(np.abs(sums[1] - sums[2]).sum()) / total if total else math.nan


def reliability(sums: NDArray[np.float64]) -> NDArray[np.float32]:
    """Count, mean confidence and accuracy by bin, (3, bins); NaN in an empty bin."""
    count = sums[0]
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.where(count > 0, sums[1:] / count, np.nan)  # (2, bins)
    return np.vstack([count, means]).astype(np.float32)


def baseline(
    history: Sequence[tuple[int, float | None, float | None]],
) -> Baseline | None:
    """Find the evaluation that the last one's calibration is measured by.

    A model that knows nothing is perfectly calibrated: it says 0.01 % and hits as often. So the
    best is looked for among the evaluations that predicted as well as the last, that is, with a
    cross-entropy at most 5 % above its.

    Parameters
    ----------
    history
        Step, cross-entropy and calibration error of every evaluation, oldest first.

    Returns
    -------
    Baseline or None
        The least calibration error, of equals the earliest; None where the last evaluation has
        no cross-entropy or no calibration error, or was the first.
    """
    known = [
        Baseline(step, ece, loss)
        for step, loss, ece in history
        if loss is not None and ece is not None
    ]
    if len(known) < 2:
        return None
    now = known[-1]
    if now.step != history[-1][0] or not math.isfinite(now.cross_entropy + now.ece):
        return None
    limit = now.cross_entropy * (1 + _AS_GOOD)
    return min(
        (b for b in known if b.cross_entropy <= limit and math.isfinite(b.ece)),
        key=lambda b: b.ece,
    )


def drift(
    ece: float | None, best: Baseline | None, predictions: int | None = None, part: float = 1.0
) -> dict[str, Any] | None:
    """Whether a calibration error lies above its baseline, and by how much.

    It counts from 20 % on, if it is more than 0.01 and than what chance makes of so many
    predictions (two standard errors).

    Parameters
    ----------
    ece, best
        Of the last evaluation, and its `baseline`.
    predictions
        Tokens of the evaluation; None if unknown.
    part
        Of these limits, for a drift that is known of already.

    Returns
    -------
    dict or None
        `rise` (ratio: 0.3 is 30 %; None above an error of 0), `best_ece` and `best_step`, or
        None without drift.
    """
    if ece is None or best is None or predictions == 0:
        return None
    chance = 2 * math.sqrt(0.25 / predictions) if predictions else 0.0
    if ece - best.ece <= part * max(_LEAST, chance) or ece <= best.ece * (1 + part * RISE):
        return None
    rise = (ece - best.ece) / best.ece if best.ece > 0 else None
    return {"rise": rise, "best_ece": best.ece, "best_step": best.step}

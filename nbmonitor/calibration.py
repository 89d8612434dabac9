"""Calibration: a model that says 80 % should hit in 80 % of the cases.

The expected calibration error of Guo et al., "On calibration of modern neural networks" (ICML
2017), with ten bins of equal width, closed on the left: [0, 0.1), … [0.9, 1].
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BINS = 10
# Drift: more than this above the best, relatively …
RISE = 0.20
# … and absolutely; below that it is nothing that anyone would act on.
_LEAST = 0.01
# Evaluations whose cross-entropy was at most this share above today's count for the best.
_AS_GOOD = 0.05


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


def drift(
    history: Sequence[tuple[float | None, float | None]], predictions: int
) -> dict[str, float] | None:
    """Whether the last evaluation is worse calibrated than the best one, and by how much.

    A model that knows nothing is perfectly calibrated: it says 0.01 % and hits as often. So the
    best is looked for among the evaluations that predicted as well as the last, that is, with a
    cross-entropy at most 5 % above its. The rise counts from 20 % on, if it is more than 0.01
    and than what chance makes of so many predictions (two standard errors).

    Parameters
    ----------
    history
        Cross-entropy and calibration error of every evaluation, oldest first.
    predictions
        Tokens of the last one.

    Returns
    -------
    dict or None
        `rise` (ratio: 0.3 is 30 %) and `best_ece`, or None without drift.
    """
    known = [(loss, ece) for loss, ece in history if loss is not None and ece is not None]
    if len(known) < 2 or predictions < 1:
        return None
    loss, ece = known[-1]
    if not (math.isfinite(loss) and math.isfinite(ece)):
        return None
    best = min(e for at, e in known if at <= loss * (1 + _AS_GOOD) and math.isfinite(e))
    chance = 2 * math.sqrt(0.25 / predictions)
    if ece - best <= max(_LEAST, chance) or ece <= best * (1 + RISE):
        return None
    return {"rise": (ece - best) / best if best > 0 else math.inf, "best_ece": best}

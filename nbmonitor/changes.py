"""Statistics that tell a change from noise: medians, ranks, lines and breaks in them.

Pure: arrays in, numbers out, all in float64. It knows no series, no rule and no Run. Written
for windows of up to a few hundred values, where sorting is cheaper than numpy's own median.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

# Of a normal distribution: standard deviation / median absolute deviation.
_SIGMA = 1.4826
# A segment of a broken line has at least so many points.
SHORTEST = 4


def median(values: Numbers) -> float:
    """Middle of the values, shape (n,); NaN of none."""
    count = len(values)
    if not count:
        return math.nan
    ordered = values.copy()
    ordered.sort()
    half = count // 2
    return float(ordered[half] if count % 2 else 0.5 * (ordered[half - 1] + ordered[half]))


def spread(values: Numbers) -> float:
    """Robust standard deviation: 1.4826 times the median distance from the median."""
    return _SIGMA * median(np.abs(values - median(values)))


def jitter(values: Numbers) -> float:
    """Robust standard deviation of what is left when a slow trend is taken away.

    From successive differences, whose variance is twice that of independent noise.
    """
    return _SIGMA * median(np.abs(np.diff(values))) / math.sqrt(2) if len(values) > 1 else 0.0


def wander(values: Numbers) -> tuple[float, float]:
    """Robust standard deviation around a line, and how much more a mean of many strays.

    The second is sqrt((1 + ρ) / (1 - ρ)) from the lag-1 correlation ρ of the residuals, between
    1 and 5: a mean of n correlated values has that times the error of n independent ones.
    """
    if len(values) < SHORTEST:
        return 0.0, 1.0
    x = np.arange(len(values), dtype=np.float64)
    x -= x.mean()
    rest = values - values.mean()
    rest = rest - float(x @ rest) / float(x @ x) * x
    # Single outliers have no say in the correlation.
    bound = 4 * spread(rest)
    rest = np.clip(rest, -bound, bound)
    total = float(rest @ rest)
    correlation = float(rest[1:] @ rest[:-1]) / total if total > 0 else 0.0
    correlation = min(12 / 13, max(0.0, correlation))
    return spread(rest), math.sqrt((1 + correlation) / (1 - correlation))


def normal_below(z: float) -> float:
    """Share of a standard normal distribution that lies below `z`."""
    return 0.5 * math.erfc(-z / math.sqrt(2))


def larger(ours: Numbers, theirs: Numbers) -> float:
    """How sure it is that `ours` (n,) tend to be larger than `theirs` (m,), in [0, 1].

    One minus the one-sided p of the Mann–Whitney test, in its normal approximation with the
    correction for ties.
    """
    n, m = len(ours), len(theirs)
    if not n or not m:
        return 0.5
    both = np.concatenate([ours, theirs])  # (n + m,)
    _, place, counts = np.unique(both, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - 0.5 * (counts - 1))[place]  # (n + m,), ties share their mean rank
    wins = float(ranks[:n].sum()) - n * (n + 1) / 2
    total = n + m
    ties = float((counts**3 - counts).sum()) / (total * (total - 1)) if total > 1 else 0.0
    variance = n * m / 12 * (total + 1 - ties)
    if variance <= 0:
        return 0.5
    return normal_below((wins - n * m / 2) / math.sqrt(variance))


def rising(values: Numbers) -> float:
    """How sure it is that the values (n,) rise, in [0, 1]: the Mann–Kendall test, one-sided.

    0.5 is no trend, near 0 they fall. Normal approximation without correction for ties.
    """
    count = len(values)
    if count < 3:
        return 0.5
    after = values[None, :] - values[:, None]  # (n, n)
    score = float(np.sign(after[np.triu_indices(count, 1)]).sum())
    variance = count * (count - 1) * (2 * count + 5) / 18
    return normal_below((score - math.copysign(min(1.0, abs(score)), score)) / math.sqrt(variance))


@dataclass(frozen=True, slots=True)
class Line:
    """A least-squares line: its slope with standard error, its values at both ends.

    Attributes
    ----------
    noise : float
        Standard deviation of the residuals.
    """

    slope: float
    error: float
    start: float
    end: float
    noise: float

    @property
    def t(self) -> float:
        """Slope in standard errors."""
        if self.error > 0:
            return self.slope / self.error
        return math.copysign(math.inf, self.slope) if self.slope else 0.0


def line(x: Numbers, y: Numbers) -> Line:
    """Fit a line to points (n,), n ≥ 3.

    Raises
    ------
    ValueError
        If there are fewer points.
    """
    count = len(x)
    if count < 3:
        msg = f"{count} points given; a line with its error needs 3"
        raise ValueError(msg)
    center, level = float(x.mean()), float(y.mean())
    dx, dy = x - center, y - level
    wide = float(dx @ dx)
    slope = float(dx @ dy) / wide if wide > 0 else 0.0
    rest = dy - slope * dx
    noise = math.sqrt(float(rest @ rest) / (count - 2))
    error = noise / math.sqrt(wide) if wide > 0 else 0.0
    ends = (level + slope * (float(x[0]) - center), level + slope * (float(x[-1]) - center))
    return Line(slope, error, *ends, noise)


def broken(x: Numbers, y: Numbers) -> tuple[int, float]:
    """Where a line through points (n,) is most likely broken, and how clearly.

    The sup-Wald statistic for one break of unknown place in level and slope (Andrews,
    Econometrica 61, 1993): the largest fall of the residual sum of squares when two lines take
    the place of one, in units of the residual variance. Its 1 % critical value for a single
    look is about 15.5.

    Returns
    -------
    index, statistic
        First point of the second segment; (0, 0.0) when there are too few points.
    """
    count = len(x)
    if count < 2 * SHORTEST + 1:
        return 0, 0.0
    x, y = (x - x[0]) / (x[-1] - x[0] or 1.0), y - y.mean()  # for the sums' digits
    sums = np.cumsum(np.stack([np.ones(count), x, y, x * x, x * y, y * y]), axis=1)  # (6, n)
    whole = sums[:, -1:]
    splits = np.arange(SHORTEST, count - SHORTEST + 1)
    before = sums[:, splits - 1]  # (6, splits)
    two = _residual(before) + _residual(whole - before)
    best = int(two.argmin())
    least = max(float(two[best]), 1e-12 * float(whole[5, 0]), 1e-300)
    gain = float(_residual(whole)[0]) - least
    return int(splits[best]), gain / (least / (count - 4))


def _residual(sums: Numbers) -> Numbers:
    """Residual sums of squares of lines, from sums (6, k) of 1, x, y, x², xy, y²."""
    n, sx, sy, sxx, sxy, syy = sums
    wide = np.maximum(sxx - sx * sx / n, 1e-300)
    shared = sxy - sx * sy / n
    left: Numbers = np.maximum(syy - sy * sy / n - shared * shared / wide, 0.0)
    return left

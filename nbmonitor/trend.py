"""Where a measure is heading, by a test and not by eye.

The Mann-Kendall test for a monotone trend (Mann 1945, Kendall 1975) over the last evaluations,
two-sided at 5 %, with the exact distribution of its statistic where no two values are equal
and the normal approximation with the correction for ties where some are. A plateau is more
than a test that finds nothing: the change over the window (Theil-Sen slope times its length)
has to be small, too. What is neither is left undecided: "too early".
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import median
from typing import Any

ALPHA = 0.05
# With fewer evaluations not even five in a perfect row would be more than chance.
LEAST = 5
WINDOW = 8


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a window of evaluations shows."""

    state: str
    p: float | None
    change: float


def mann_kendall(values: Sequence[float]) -> tuple[int, float]:
    """Kendall's S and the two-sided probability of one as large without a trend."""
    n = len(values)
    s = sum((b > a) - (b < a) for a, b in itertools.combinations(values, 2))
    ties = [count for count in Counter(values).values() if count > 1]
    if not ties:
        ways = _ways(n)
        centre = n * (n - 1) // 2
        # S = 2 · concordant - pairs, so S counts in twos from -pairs on.
        beyond = sum(w for at, w in enumerate(ways) if abs(2 * at - centre) >= abs(s))
        return s, min(1.0, beyond / math.factorial(n))
    variance = n * (n - 1) * (2 * n + 5) - sum(t * (t - 1) * (2 * t + 5) for t in ties)
    if variance <= 0 or s == 0:
        return s, 1.0
    z = (abs(s) - 1) / math.sqrt(variance / 18)
    return s, math.erfc(z / math.sqrt(2))


@cache
def _ways(n: int) -> tuple[int, ...]:
    """How many orders of n values have 0, 1, … pairs in order (Mahonian numbers)."""
    ways = [1]
    for k in range(2, n + 1):
        out = [0] * (len(ways) + k - 1)
        for at, count in enumerate(ways):
            for more in range(k):
                out[at + more] += count
        ways = out
    return tuple(ways)


def theil_sen(steps: Sequence[float], values: Sequence[float]) -> float:
    """The median slope between two points."""
    pairs = itertools.combinations(zip(steps, values, strict=True), 2)
    slopes = [(b - a) / (t - s) for (s, a), (t, b) in pairs if t != s]
    return median(slopes) if slopes else 0.0


def judge(
    steps: Sequence[float], values: Sequence[float], *, rising: bool, small: float
) -> Judgement:
    """Judge one window: "improving", "plateau", "regressing" or "too early"."""
    if len(values) < LEAST:
        return Judgement("too early", None, 0.0)
    s, p = mann_kendall(values)
    change = theil_sen(steps, values) * (steps[-1] - steps[0])
    if p < ALPHA and abs(change) > small / 10:
        return Judgement("improving" if (s > 0) == rising else "regressing", p, change)
    if abs(change) <= small:
        return Judgement("plateau", p, change)
    return Judgement("too early", p, change)


def trend(
    steps: Sequence[int], values: Sequence[float | None], *, rising: bool, small: float
) -> dict[str, Any]:
    """Judge the last evaluations, and say since when it has been so.

    Parameters
    ----------
    steps, values
        All evaluations, oldest first; None and what is not finite is left out.
    rising
        Whether more is better. A share that never was above 0 has not begun to rise: that is
        no plateau.
    small
        The change over a window that counts as none, in the units of `values`.

    Returns
    -------
    dict
        `state`, `since` (the first step of the longest stretch up to now that shows the same,
        None when it is too early), `p` and `test`, in words.
    """
    known = [
        (float(step), float(value))
        for step, value in zip(steps, values, strict=True)
        if value is not None and math.isfinite(value)
    ]
    if rising and len(known) >= LEAST and not any(value for _, value in known):
        return {"state": "too early", "since": None, "p": None, "test": "it was 0 all the time"}
    window = known[-WINDOW:]
    now = _judged(window, rising=rising, small=small)
    if now.state == "too early" and len(window) > LEAST:
        # A turn shows in the newest points first.
        window = known[-LEAST:]
        now = _judged(window, rising=rising, small=small)
    since: int | None = None
    if now.state != "too early":
        start = len(known) - len(window)
        while start > 0:
            earlier = known[start - 1 : start - 1 + len(window)]
            if _judged(earlier, rising=rising, small=small).state != now.state:
                break
            if now.state == "plateau" and abs(known[start - 1][1] - known[-1][1]) > small:
                break
            start -= 1
        since = int(known[start][0])
    return {"state": now.state, "since": since, "p": now.p, "test": _words(window, now, small)}


def _judged(window: Sequence[tuple[float, float]], *, rising: bool, small: float) -> Judgement:
    steps, values = [step for step, _ in window], [value for _, value in window]
    return judge(steps, values, rising=rising, small=small)


def _words(window: Sequence[tuple[float, float]], found: Judgement, small: float) -> str:
    if found.p is None:
        return f"Mann-Kendall needs {LEAST} evaluations, there are {len(window)}"
    return (
        f"Mann-Kendall over the last {len(window)} evaluations, two-sided at 5 %; "
        f"Theil-Sen change {found.change:+.3g}, flat up to ±{small:.3g}"
    )

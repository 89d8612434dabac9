"""Where a measure is heading, by a test and not by eye.

The Mann-Kendall test for a monotone trend (Mann 1945, Kendall 1975) over the last evaluations,
two-sided at 5 %, with the exact distribution of its statistic where no two values are equal
and the normal approximation with the correction for ties where some are. A plateau is more
than a test that finds nothing: the change over the window (Theil-Sen slope times its length)
has to be small, too. What is neither is left undecided: "too early".

A trend over the window may be a thing of the past: of eight evaluations that rose three times
and then stood still, the test finds a rise. So the newest five are asked as well. If they are a
plateau by themselves, and the course bends where they begin, that is what holds. The bend is
that of a straight line with one knot, fitted by least squares, its t-test one-sided at 5 %: of
courses that go on rising in a straight line with noise, at most one in twenty is called a
plateau for it.
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

import numpy as np

from nbmonitor.intervals import wilson

ALPHA = 0.05
# With fewer evaluations not even five in a perfect row would be more than chance.
LEAST = 5
WINDOW = 8
# Changes over a window that count as none: points of a share, and a part of a loss.
SMALL_SHARE, SMALL_LOSS = 0.02, 0.02
# A share that is so much above its first has begun to rise; from the other on, little is left.
_BEGUN, _DONE = 0.1, 0.95
_MOVING = ("improving", "regressing")
# Student's t, one-sided at 5 %, by degrees of freedom: a window less the three of a bent line.
_T = {3: 2.353, 4: 2.132, 5: 2.015}


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


def _settled(window: Sequence[tuple[float, float]], *, rising: bool, small: float) -> bool:
    """Whether what changed in a window did so before its newest `LEAST`, which are flat."""
    freedom = len(window) - 3
    newest = window[-LEAST:]
    if freedom not in _T or _judged(newest, rising=rising, small=small).state != "plateau":
        return False
    # The median of slopes overlooks one that is still on its way, or has just left again.
    level = median(value for _, value in newest)
    if max(abs(newest[0][1] - level), abs(newest[-1][1] - level)) > small:
        return False
    steps, values = np.array(window).T  # (n,), (n,)
    knot = newest[0][0]
    x = (steps - knot) / (steps[-1] - steps[0] or 1.0)
    bent = np.stack([np.ones_like(x), x, np.maximum(x, 0.0)], axis=1)  # (n, 3)
    inverse = np.linalg.pinv(bent)  # (3, n)
    _, before, bend = fit = inverse @ values
    rest = values - bent @ fit
    error = math.sqrt(float(rest @ rest) / freedom * float(inverse[2] @ inverse[2]))
    slower = before * bend < 0 and abs(before + bend) < abs(before) / 2
    return bool(slower and abs(bend) > _T[freedom] * error)


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
    settled = now.state in _MOVING and _settled(window, rising=rising, small=small)
    if settled or (now.state == "too early" and len(window) > LEAST):
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
            if now.state in _MOVING and _settled(earlier, rising=rising, small=small):
                break
            if now.state == "plateau" and abs(known[start - 1][1] - known[-1][1]) > small:
                break
            start -= 1
        since = int(known[start][0])
    words = _words(window, now, small)
    if settled:
        words += "; the change of before ended with them (t-test of a bend, at 5 %)"
    return {"state": now.state, "since": since, "p": now.p, "test": words}


def trends(
    steps: Sequence[int],
    matches: Sequence[float | None],
    losses: Sequence[float | None],
    examples: int | None = None,
) -> dict[str, dict[str, Any]]:
    """Judge exact match and cross-entropy of a fixed set, the one in the light of the other.

    A match that stands still before anything was learnt is not called a plateau but "too early".
    Something was learnt where the newest matches all lie above the first, by a tenth in the
    median (and by intervals that don't touch, where the number of examples is known); where the
    match is 95 % or more; where the cross-entropy has fallen and come to rest; and where it rises.
    If both stood still from the beginning, that is a plateau from `WINDOW` evaluations on.

    Parameters
    ----------
    steps, matches, losses
        All evaluations, oldest first; None where one has no such number.
    examples
        How many the set has.

    Returns
    -------
    dict
        `exact_match` and `cross_entropy`, as `trend` returns them.
    """
    known = [loss for loss in losses if loss is not None and math.isfinite(loss)]
    small = SMALL_LOSS * abs(known[-1]) if known else 0.0
    loss = trend(steps, losses, rising=False, small=small)
    match = trend(steps, matches, rising=True, small=SMALL_SHARE)
    shares = [share for share in matches if share is not None and math.isfinite(share)]
    if match["state"] == "plateau" and not _begun(shares, examples):
        fell = bool(known) and known[0] - known[-1] > small
        over = loss["state"] == "plateau" or not known
        if loss["state"] != "regressing" and not (over and (fell or len(shares) >= WINDOW)):
            said = "nothing was learnt yet: the match has not left its first value"
            match |= {"state": "too early", "since": None, "test": f"{said}; {match['test']}"}
    return {"exact_match": match, "cross_entropy": loss}


def _begun(shares: Sequence[float], examples: int | None) -> bool:
    """Whether a share has risen above its first, or has little left to rise."""
    first, newest = shares[0], shares[-LEAST:]
    level = median(newest)
    if level >= _DONE:
        return True
    apart = True
    if examples:
        low, _ = wilson(round(level * examples), examples)
        apart = low > wilson(round(first * examples), examples)[1]
    return apart and min(newest) > first and level - first >= _BEGUN


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

"""Which elements of something large are looked at. Pure."""

from __future__ import annotations

import math


def stride(count: int, most: int, width: int = 1) -> int:
    """Return the step with which at most `most` of `count` elements are met, in all columns.

    Parameters
    ----------
    count, most
        Elements that there are, and that may be met.
    width
        Length of a row: a step that shares a factor with it would meet the same few columns in
        every row.
    """
    step = max(1, -(-count // most))
    while math.gcd(step, width) > 1:
        step += 1
    return step

"""How sure a share is: the Wilson score interval of a proportion."""

from __future__ import annotations

import math

# The 97.5 % point of the normal distribution: 95 % lie within it on both sides.
Z95 = 1.959963984540054


def wilson(correct: int, seen: int) -> tuple[float, float]:
    """95 % confidence interval of a proportion; (0, 1) where nothing was seen.

    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22
    (1927), 209-212. Unlike p ± 1.96·σ it stays within [0, 1] and is of use for few examples.
    """
    if seen <= 0:
        return 0.0, 1.0
    share, z2 = correct / seen, Z95 * Z95
    middle = share + z2 / (2 * seen)
    half = Z95 * math.sqrt(share * (1 - share) / seen + z2 / (4 * seen * seen))
    low, high = (middle - half) / (1 + z2 / seen), (middle + half) / (1 + z2 / seen)
    return (0.0 if correct == 0 else max(0.0, low)), (1.0 if correct == seen else min(1.0, high))

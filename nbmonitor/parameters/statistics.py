"""What is told of each parameter tensor: names, meanings, and the arithmetic on the host.

Sums are completed in float64. What can't be known is NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

STATISTICS = (
    "mean", "std", "min", "max", "l2", "sparsity", "grad_l2", "grad_max", "change_l2", "change_max"
)  # fmt: skip
UNITS = {
    "mean": "mean of the weights",
    "std": "standard deviation of the weights (population)",
    "min": "smallest weight",
    "max": "largest weight",
    "l2": "L2 norm: root of the sum of squares",
    "sparsity": "share of weights no larger than a thousandth of their root mean square "
    "(from a sample where there are many)",
    "grad_l2": "L2 norm of the gradient as the optimiser saw it (estimate from a sample where "
    "there are many weights: within a few percent, and about a tenth where few rows have one)",
    "grad_max": "largest magnitude in the sample of that gradient",
    "change_l2": "L2 norm of the change since the last snapshot (estimate from a sample where "
    "there are many weights)",
    "change_max": "largest magnitude in the sample of that change",
}
OWN, GRADIENT, CHANGE = slice(0, 6), slice(6, 8), slice(8, 10)
L2 = STATISTICS.index("l2")
SPARSE = 1e-3

Sample = NDArray[np.float32]


def tell_small(values: Sample) -> NDArray[np.float64]:
    """Mean to sparsity of a tensor that is all there, (6,)."""
    x = values.astype(np.float64)
    l2 = float(np.sqrt(np.square(x).sum()))
    return np.array([x.mean(), x.std(), x.min(), x.max(), l2, sparsity(x)])


def tell_large(pieces: NDArray[np.float64], count: int, sample: Sample) -> NDArray[np.float64]:
    """Mean to sparsity of a tensor that was swept, (6,).

    Parameters
    ----------
    pieces
        (4, pieces): sums, smallest, largest, L2 norms, as `Sweep` takes them.
    count
        Elements of the tensor.
    sample
        (n,) some of them.
    """
    mean = pieces[0].sum() / count
    squares = np.square(pieces[3]).sum()
    # One pass: what this loses where the mean is far larger than the spread is of no concern to
    # weight matrices, and vectors are small enough to be told exactly.
    variance = max(0.0, squares / count - mean * mean) if np.isfinite(squares) else np.nan
    return np.array(
        [mean, variance**0.5, pieces[1].min(), pieces[2].max(), squares**0.5, sparsity(sample)]
    )


def sparsity(sample: NDArray[Any]) -> float:
    """Share of elements that are next to nothing beside the others."""
    x = np.abs(sample, dtype=np.float64)
    if not len(x) or not np.isfinite(x).all():
        return float("nan")
    return float((x <= SPARSE * np.sqrt(np.square(x).mean())).mean())


def size(sample: Sample | None, count: int) -> tuple[float, float]:
    """L2 norm of a tensor of `count` elements as a sample tells it, and the largest magnitude."""
    if sample is None or not len(sample):
        return float("nan"), float("nan")
    x = sample.astype(np.float64)
    return float(np.sqrt(np.square(x).mean() * count)), float(np.abs(x).max())

"""Products of matrices in pieces that numpy's BLAS does on the thread that asks for them.

OpenBLAS shares larger ones out to threads of its own, which then go on spinning for tens of
milliseconds: beside a training they take a core, or half of the training's, for a product that
one thread does in one. How many threads it may use is one number for the whole process, and not
ours to change; the size from which on it uses several is fixed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# OpenBLAS does a product of up to so many multiplications by itself (interface/gemm.c).
ALONE = 1 << 18
# Sides of a piece; rows as many as may be.
_INNER, _COLUMNS = 128, 64


def product(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """Multiply a (n, m) and b (m, k): (n, k), on this thread."""
    (n, m), k = a.shape, b.shape[1]
    if n * m * k <= ALONE:
        return np.asarray(a @ b)
    out = np.zeros((n, k), np.result_type(a, b))
    for left in range(0, k, _COLUMNS):
        columns = slice(left, left + _COLUMNS)
        for top in range(0, m, _INNER):
            inner = slice(top, top + _INNER)
            out[:, columns] += _tall(a[:, inner], b[inner, columns])
    return out


def _tall(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """Multiply (n, at most 128) and (at most 128, at most 64), rows by rows."""
    n, m = a.shape
    rows = max(1, ALONE // (m * b.shape[1]))
    whole = n - n % rows
    out = np.empty((n, b.shape[1]), np.result_type(a, b))
    # A stack of products is a loop in C, each of its products by itself.
    stack = a[:whole].reshape(-1, rows, m)  # (n / rows, rows, m)
    np.matmul(stack, b, out=out[:whole].reshape(-1, rows, b.shape[1]))
    out[whole:] = a[whole:] @ b
    return out

"""Singular values and effective rank of products of thin matrices, from their Gram matrices.

Pure numpy. The squared singular values of B·A are the eigenvalues of (AAᵀ)(BᵀB), which are those
of the symmetric S·Qᵀ(BᵀB)Q·S with AAᵀ = Q·S²·Qᵀ: matrices as small as the rank, whatever the size
of the product.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def singular_values(rows: Any, columns: Any, precision: float = 2.0**-23) -> Array:
    """Singular values of C·R, from the Gram matrices of R's rows and of C's columns.

    Parameters
    ----------
    rows
        R·Rᵀ, (..., k, k).
    columns
        Cᵀ·C, (..., k, k).
    precision
        Relative rounding of the numbers given. Values that such a rounding could have made of
        zeros are zero: below √(k · precision) of the largest, about 1e-3 at float32.

    Returns
    -------
    Array
        (..., k), ascending; NaN where anything given is not finite.
    """
    rows, columns = np.asarray(rows, np.float64), np.asarray(columns, np.float64)
    sound = np.isfinite(rows).all((-1, -2)) & np.isfinite(columns).all((-1, -2))
    rows = np.where(sound[..., None, None], rows, 0.0)
    columns = np.where(sound[..., None, None], columns, 0.0)
    squares, vectors = np.linalg.eigh(rows)  # (..., k), (..., k, k)
    sizes = np.sqrt(np.maximum(squares, 0.0))
    turned = np.swapaxes(vectors, -1, -2) @ columns @ vectors
    inner = sizes[..., :, None] * turned * sizes[..., None, :]  # (..., k, k)
    found = np.linalg.eigvalsh((inner + np.swapaxes(inner, -1, -2)) / 2)
    least = found.max(-1, keepdims=True) * rows.shape[-1] * precision
    values = np.sqrt(np.where(found > least, found, 0.0))
    out: Array = np.where(sound[..., None], values, np.nan)
    return out


def effective_rank(values: Any) -> Array:
    """Effective rank: exp(-Σ p·ln p) with p = σ / Σσ (Roy and Vetterli, EUSIPCO 2007).

    Parameters
    ----------
    values
        Singular values, (..., k).

    Returns
    -------
    Array
        (...,), from 1 to k; 0 for a matrix of zeros; NaN where a value is NaN.
    """
    values = np.asarray(values, np.float64)
    total = values.sum(-1, keepdims=True)
    shares = np.divide(values, total, out=np.zeros_like(values), where=total != 0)
    logs = np.log(shares, out=np.zeros_like(shares), where=shares != 0)
    rank = np.exp(-(shares * logs).sum(-1))
    out: Array = np.where(total[..., 0] == 0, 0.0, rank)
    return out

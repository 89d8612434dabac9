"""Rows in a few fixed random directions, from which all moments can be seen in one basis.

A snapshot's live view has the axes of its own moment. To compare moments, all are seen in the
basis of one of them, usually the latest. The full rows are gone by then; their sketches are
there. What leads from the sketch to the view at that one moment (least squares) is applied to
all: exact up to the quantisation where rows are no wider than a sketch, an estimate otherwise,
whose `fit` says how good it is. Only numpy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbmonitor.parameters.product import product

Floats = NDArray[np.float32]
WIDTH = 32
# Share of the variance added to the diagonal, where directions are nearly the same.
_RIDGE = 1e-6


def directions(width: int, count: int = WIDTH, seed: int = 0) -> Floats:
    """Make min(width, count) orthonormal random directions: (width, K), the same for a seed."""
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.normal(size=(width, min(width, count))))
    return q.astype(np.float32)


def sketch(rows: NDArray[Any], towards: Floats) -> Floats:
    """Project centred rows (n, d) to directions (d, K): (n, K); NaN for rows that aren't finite."""
    rows = np.asarray(rows, np.float32)
    finite = np.isfinite(rows).all(1)  # (n,)
    out = np.full((len(rows), towards.shape[1]), np.nan, np.float32)
    known = rows[finite]  # (k, d)
    if len(known):
        centred = known - known.mean(0, dtype=np.float64).astype(np.float32)  # (k, d)
        out[finite] = product(centred, towards)
    return out


@dataclass(frozen=True, slots=True)
class OneBasis:
    """Many moments seen in the basis of one.

    Parameters
    ----------
    basis_step
        Whose basis it is.
    views
        Coordinates (n, 3) by step.
    fit
        Share of the variance of the true view at `basis_step` that sketches account for (R²).
    """

    basis_step: int
    views: Mapping[int, Floats]
    fit: float


def one_basis(
    sketches: Iterable[tuple[int, NDArray[Any]]], basis_step: int, view: NDArray[Any], of: Any
) -> OneBasis:
    """See all moments in the basis of one.

    Parameters
    ----------
    sketches
        Step and sketch (n, K) of each moment.
    basis_step
        The step whose basis is taken.
    view
        (n, 3), the true view at that step; it stands for itself there.
    of
        (n, K), the sketch at that step.
    """
    weights, fit = _least_squares(np.asarray(of, np.float64), np.asarray(view, np.float64))
    views: dict[int, Floats] = {}
    for step, values in sketches:
        if step == basis_step:
            views[step] = np.asarray(view, np.float32)
        elif len(values) == len(view):
            views[step] = product(np.asarray(values, np.float64), weights).astype(np.float32)
    return OneBasis(basis_step, views, fit)


def _least_squares(of: NDArray[Any], view: NDArray[Any]) -> tuple[NDArray[Any], float]:
    """Solve of @ weights ≈ view; return weights (K, 3) and R²."""
    both = np.isfinite(of).all(1) & np.isfinite(view).all(1)  # (n,)
    a, b = of[both], view[both]  # (k, K), (k, 3)
    gram = product(a.T, a)  # (K, K)
    ridge = _RIDGE * float(np.trace(gram)) / max(1, len(gram))
    if not ridge:
        return np.zeros((of.shape[1], view.shape[1])), 0.0
    weights = np.linalg.solve(gram + ridge * np.eye(len(gram)), product(a.T, b))
    total = float(np.square(b).sum())
    left = float(np.square(b - product(a, weights)).sum())
    return weights, max(0.0, 1 - left / total) if total else 0.0

"""Embeddings in three dimensions: principal components that stay where they were.

The live view is a PCA of the rows at each moment, turned so that points come to lie near where
they lay before (orthogonal Procrustes). Only numpy; rows come as arrays on the host.

The subspace iteration is that of Halko, Martinsson & Tropp, "Finding structure with randomness",
SIAM Review 53 (2011), algorithm 4.4; the rotation is Schönemann's, Psychometrika 31 (1966).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbmonitor.parameters.product import product

Floats = NDArray[np.float32]
DIMENSIONS = 3
# Widths up to this are decomposed exactly.
_EXACT = 64
_COLUMNS = 8
_MOST_ROUNDS = 12
# Relative gain of explained variance below which another round is not worth it.
_ENOUGH = 1e-4


@dataclass(frozen=True, slots=True)
class View:
    """Rows in three dimensions.

    Parameters
    ----------
    coordinates
        (n, 3), in the rows' unit, centred; NaN for rows that are not finite.
    explained
        Share of the rows' variance along each axis, in [0, 1].
    basis
        (d, 3), orthonormal; columns beyond the rank are 0.
    centre
        (d,), the mean of the rows.
    """

    coordinates: Floats
    explained: tuple[float, float, float]
    basis: Floats
    centre: Floats


class Projector:
    """The live view of rows that change; remembers the last one to keep its orientation.

    Parameters
    ----------
    seed
        Of the directions that the search for components begins with.
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._last: View | None = None

    def forget(self) -> None:
        """Let the next view lie as it likes: the rows are others now."""
        self._last = None

    def project(self, rows: NDArray[Any]) -> View:
        """Project rows (n, d) to their three principal components.

        Another number of rows than before gives a view that is not turned.
        """
        rows = np.asarray(rows, np.float32)  # (n, d)
        finite = np.isfinite(rows).all(1)  # (n,)
        # Squares of large weights would leave the range of float32.
        peak = float(np.abs(rows[finite]).max(initial=0.0)) or 1.0
        known = rows[finite] / np.float32(peak)  # (k, d)
        centre = (known.sum(0, dtype=np.float64) / max(1, len(known))).astype(np.float32)  # (d,)
        centred = known - centre  # (k, d)
        last = self._last
        fits = last is not None and last.basis.shape[0] == rows.shape[1]
        basis = principal(centred, last.basis if last is not None and fits else None, self._seed)
        flat = product(centred, basis)  # (k, 3)
        if last is not None and last.coordinates.shape[0] == len(rows):
            before = last.coordinates[finite]  # (k, 3)
            both = np.isfinite(before).all(1)
            turn = procrustes(flat[both], before[both])  # (3, 3)
            flat, basis = flat @ turn, basis @ turn
        total = float(np.square(centred, dtype=np.float64).sum())
        shares = np.square(flat, dtype=np.float64).sum(0) / total if total else np.zeros(DIMENSIONS)
        coordinates = np.full((len(rows), DIMENSIONS), np.nan, np.float32)
        coordinates[finite] = flat * np.float32(peak)
        x, y, z = (min(1.0, float(share)) for share in shares)
        self._last = View(coordinates, (x, y, z), basis, centre * np.float32(peak))
        return self._last


def principal(centred: Floats, start: Floats | None = None, seed: int = 0) -> Floats:
    """Find the three directions of largest variance of centred rows (n, d): (d, 3), orthonormal.

    Parameters
    ----------
    centred
        Rows without their mean.
    start
        (d, 3) directions that are likely near, such as the last ones.
    seed
        Of the directions beside them.
    """
    n, d = centred.shape
    if not n or not d:
        return np.zeros((d, DIMENSIONS), np.float32)
    if d <= _EXACT:
        vectors = np.linalg.eigh(product(centred.T, centred).astype(np.float64))[1]  # ascending
        return _padded(vectors[:, ::-1][:, : min(DIMENSIONS, d, n)], d)
    return _padded(_iterated(centred, start, seed)[:, : min(DIMENSIONS, n)], d)


def _iterated(centred: Floats, start: Floats | None, seed: int) -> Floats:
    """Subspace iteration on a few columns until they explain no more: (d, q), best first."""
    n, d = centred.shape
    columns = min(_COLUMNS, n, d)
    guess = np.random.default_rng(seed).normal(size=(d, columns)).astype(np.float32)
    if start is not None:
        near = start[:, :columns]
        guess[:, : near.shape[1]] = np.where(near.any(0), near, guess[:, : near.shape[1]])
    q, _ = np.linalg.qr(guess)  # (d, q)
    captured = -1.0
    for _ in range(_MOST_ROUNDS):
        flat = product(centred, q)  # (n, q)
        energies = np.square(flat, dtype=np.float64).sum(0)
        now = float(np.sort(energies)[::-1][:DIMENSIONS].sum())
        if now <= captured * (1 + _ENOUGH):
            break
        captured = now
        # Turned within the subspace, so that the best columns come first and can be compared.
        q, _ = np.linalg.qr(product(centred.T, flat))  # (d, q)
        q = _sorted_within(centred, q)
    return q


def _sorted_within(centred: Floats, q: Floats) -> Floats:
    flat = product(centred, q)  # (n, q)
    _, vectors = np.linalg.eigh(product(flat.T, flat).astype(np.float64))
    best_first: Floats = (q @ vectors[:, ::-1]).astype(np.float32)
    return best_first


def _padded(vectors: NDArray[Any], d: int) -> Floats:
    """Three columns, each with its largest entry positive; 0 where there is no direction."""
    out = np.zeros((d, DIMENSIONS), np.float32)
    for axis in range(vectors.shape[1]):
        column = vectors[:, axis]
        out[:, axis] = column * (1.0 if column[np.abs(column).argmax()] >= 0 else -1.0)
    return out


def procrustes(points: NDArray[Any], onto: NDArray[Any]) -> Floats:
    """Find the rotation or reflection (3, 3) that brings points (n, 3) nearest to others (n, 3).

    What is multiplied from the right: `points @ procrustes(points, onto)`.
    """
    cross = product(points.astype(np.float64).T, onto.astype(np.float64))  # (3, 3)
    if not len(points) or not np.isfinite(cross).all():
        return np.eye(DIMENSIONS, dtype=np.float32)
    u, _, v = np.linalg.svd(cross)
    turn: Floats = (u @ v).astype(np.float32)
    return turn

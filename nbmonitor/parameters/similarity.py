"""How alike the updates of matrices are that read the same stream: linear CKA.

Kornblith et al., "Similarity of neural network representations revisited", ICML 2019, equation 5,
of updates in place of activations: examples are the coordinates of the stream, features the
units. It is 1 where two matrices have learned from the same directions of it, whatever their
units make of them. Only numpy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbmonitor.parameters.change import STILL, Floats, Similarity
from nbmonitor.parameters.product import product

# Features of all matrices together, and of one at least: one product of them takes 5 ms or so.
_FEATURES, _FEWEST = 768, 8
# Examples for each feature: with fewer, unrelated updates look alike.
_EXAMPLES = 4


def compare(updates: Mapping[int, NDArray[Any]], sizes: Mapping[int, float]) -> Similarity:
    """Compare all updates with one another.

    Parameters
    ----------
    updates
        (units, coordinates) of each matrix by id: weights less those of the start, for the same
        coordinates of the stream.
    sizes
        By id, the L2 norm that these weights had at the start.

    Returns
    -------
    Similarity
        Without matrices that have not moved, and those that hold what is no number.
    """
    moved = {n: float(np.linalg.norm(x.reshape(-1))) for n, x in updates.items()}
    broken = tuple(n for n, length in moved.items() if not np.isfinite(length))
    frozen = tuple(n for n, length in moved.items() if length <= STILL * sizes[n])
    ids = tuple(n for n in updates if n not in {*broken, *frozen})
    if len(ids) < 2:
        return Similarity(frozen=frozen, broken=broken)
    coordinates = updates[ids[0]].shape[1]
    most = max(_FEWEST, min(_FEATURES // len(ids), coordinates // _EXAMPLES))
    chosen = [_spaced(updates[n], most) for n in ids]
    units = max(len(x) for x in chosen)
    return Similarity(
        ids, linear_cka(chosen), chance(units, coordinates), frozen, broken, units, coordinates
    )


def linear_cka(features: Sequence[NDArray[Any]]) -> Floats:
    """Compare sets of features of the same examples.

    Parameters
    ----------
    features
        (f, p) each: f features, which may be others for each set, of p examples.

    Returns
    -------
    array
        (k, k) in [0, 1]; NaN where the features of a set are the same for all examples.
    """
    centred = [_unit_length(x) for x in features]
    starts = np.cumsum([0, *(len(x) for x in centred)])[:-1]  # (k,)
    whole = np.concatenate(centred)  # (all features, p)
    squares = np.square(product(whole, whole.T))  # (all features, all features)
    both = np.add.reduceat(np.add.reduceat(squares, starts, 0), starts, 1)  # (k, k)
    own = np.sqrt(np.diag(both).astype(np.float64))  # (k,)
    with np.errstate(invalid="ignore", divide="ignore"):
        out = both / np.outer(own, own)
    return np.asarray(np.minimum(out, 1), np.float32)


def chance(units: int, coordinates: int) -> float:
    """Expect so much of two sets of features whose directions have nothing to do with each other.

    Of f features in p examples that are drawn independently and evenly, the numerator is f²p, and
    each factor of the denominator the root of f²p + fp².
    """
    return units / (units + coordinates)


def _spaced(rows: NDArray[Any], most: int) -> NDArray[Any]:
    """`most` rows at even distances."""
    if len(rows) <= most:
        return rows
    return rows[((np.arange(most) + 0.5) * len(rows) / most).astype(np.int64)]


def _unit_length(features: NDArray[Any]) -> Floats:
    """Features less their means over the examples, (f, p); of length 1, for squares in float32."""
    x = features - features.mean(1, keepdims=True, dtype=np.float64)
    length = float(np.sqrt(np.square(x, dtype=np.float64).sum()))
    return np.asarray(x / length if length else x, np.float32)

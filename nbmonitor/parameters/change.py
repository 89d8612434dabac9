"""What has changed since a run began, as it travels: names of the key, its parts and its columns.

A `parameters/change` is a blob beside the snapshot of its step: of every matrix that was sampled,
how far its units went and whether some are dead or explode, and how alike the updates of those
are that read the same stream. It measures nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbmonitor.parameters.blob import Blob, Part

CHANGE = "parameters/change"
UNITS, SIMILARITY = "units", "similarity"
# Of the part `units`, (matrices, 6).
COLUMNS = ("since", "sampled", "dead", "exploding", "largest", "unit")
SINCE, SAMPLED, DEAD, EXPLODING, LARGEST, UNIT = range(len(COLUMNS))
# A matrix, or a unit, that went less far than this part of its length has not moved.
STILL = 1e-6
_SHADES = 255

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Similarity:
    """How alike updates are.

    Parameters
    ----------
    ids
        k matrices.
    values
        (k, k) linear CKA in [0, 1].
    chance
        What unrelated updates show with so many units and coordinates.
    frozen, broken
        Ids of matrices that were left out: they have not moved, or hold NaN or infinities.
    units, coordinates
        How many features and examples each matrix was compared by.
    """

    ids: tuple[int, ...] = ()
    values: Floats = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    chance: float = 0.0
    frozen: tuple[int, ...] = ()
    broken: tuple[int, ...] = ()
    units: int = 0
    coordinates: int = 0


def change_parts(units: NDArray[Any], similar: Similarity) -> dict[str, Part | NDArray[Any]]:
    """Name the parts of a `parameters/change`, for `Coder.encode`.

    Parameters
    ----------
    units
        (matrices, 6), columns are `COLUMNS`; NaN is unknown.
    similar
        Left out where there is nothing to compare.
    """
    out: dict[str, Part | NDArray[Any]] = {UNITS: np.asarray(units, np.float32)}
    if similar.ids:
        shades = np.rint(np.clip(similar.values, 0, 1) * _SHADES).astype(np.uint8)  # (k, k)
        out[SIMILARITY] = Part(shades, 1 / _SHADES, 0.0, 0.5 / _SHADES)
    return out


def change_header(start: int, similar: Similarity) -> dict[str, Any]:
    """Say in the blob's header what its parts mean.

    Parameters
    ----------
    start
        Step of the snapshot that everything is told against.
    """
    return {
        "start": start,
        "similarity": list(similar.ids),
        "chance": round(similar.chance, 4),
        "threshold": STILL,
        "frozen": list(similar.frozen),
        "broken": list(similar.broken),
        "units": similar.units,
        "coordinates": similar.coordinates,
    }


def change_meta(start: int) -> dict[str, Any]:
    """Say in the tensor's meta what can be told without unpacking it."""
    return {"start": start, "columns": list(COLUMNS)}


def similarity_ids(blob: Blob) -> list[int]:
    """Ids of the matrices that the part `similarity` compares, in order."""
    return [int(number) for number in blob.extra.get("similarity") or ()]


def unit_rows(
    blob: Blob | None, matrices: Sequence[Mapping[str, Any]], what: Sequence[str]
) -> list[dict[str, Any]]:
    """Tell the units of each sampled matrix: a row a matrix, with some of its own fields.

    Parameters
    ----------
    blob
        A `parameters/change`, or None: then there are no rows.
    matrices
        Of `parameters/meta`.
    what
        Fields of a matrix that go into its row.
    """
    part = None if blob is None else blob.parts.get(UNITS)
    if part is None:
        return []
    return [
        {**{key: matrix.get(key) for key in what}, **dict(zip(COLUMNS, row, strict=True))}
        for matrix, row in zip(matrices, part.values.tolist(), strict=False)
        if not np.isnan(row[SAMPLED])
    ]

"""Numbers as small integers with a scale: what a snapshot is made of, with the error it has.

It knows no blob: `blob.py` packs what is made here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

# A new scale has so much more range than its values need, so that the next ones fit it too.
ROOM = 1 / 8


@dataclass(frozen=True, slots=True)
class Part:
    """One array of a blob: value = offset + scale * stored.

    Parameters
    ----------
    stored
        What is kept, of one of `blob.DTYPES`, of any shape.
    scale, offset
        1 and 0 where the stored numbers are the values. A scale of 0: all values are the offset.
    error
        The most by which a value may be off, in the values' unit: half a step where they were
        quantised, 0 where they are exact.
    nonfinite
        How many values were NaN or infinite. NaN is stored as the offset, infinities as the ends
        of the range.
    """

    stored: NDArray[Any]
    scale: float = 1.0
    offset: float = 0.0
    error: float = 0.0
    nonfinite: int = 0

    @property
    def values(self) -> NDArray[np.float32]:
        """The values, rounded to float32 at the very end."""
        if self.stored.dtype.kind == "f":
            return self.stored.astype(np.float32)
        return (self.offset + self.scale * self.stored.astype(np.float64)).astype(np.float32)

    def fits(self, other: Part | None) -> bool:
        """Whether both store alike, so that a difference of the two means something."""
        return (
            other is not None
            and self.stored.dtype == other.stored.dtype
            and self.stored.dtype.kind in "iu"
            and self.stored.shape == other.stored.shape
            and (self.scale, self.offset) == (other.scale, other.offset)
        )


def quantise(
    values: NDArray[Any], dtype: DTypeLike, like: Part | None = None, bits: int | None = None
) -> Part:
    """Store values as integers.

    Signed types are symmetric around 0 (offset 0, lowest value unused); unsigned ones span from
    the least to the greatest value.

    Parameters
    ----------
    values
        Of any shape and unit.
    dtype
        An integer type of `blob.DTYPES`.
    like
        Its scale is used again when the values fit its range; otherwise they get a new one, with
        `ROOM` to spare. A part with another scale makes no difference to a key: see `Part.fits`.
    bits
        Of the type's, that a new scale uses; fewer compress better and err more. The range
        beyond is then the room.
    """
    kind = np.dtype(dtype)
    info = np.iinfo(kind)
    low, high = (-info.max, info.max) if kind.kind == "i" else (0, info.max)
    exact = np.asarray(values, np.float64)
    finite = np.isfinite(exact)
    lost = int(exact.size - np.count_nonzero(finite))
    known = exact[finite] if lost else exact.reshape(-1)
    least, most = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
    if like is not None and like.stored.dtype == kind and _holds(like, low, high, least, most):
        scale, offset = like.scale, like.offset
    else:
        scale, offset = _range(kind, least, most, bits)
    if lost:
        ends = (offset + scale * low, offset + scale * high)
        exact = np.nan_to_num(exact, nan=offset, neginf=ends[0], posinf=ends[1])
    whole = np.rint((exact - offset) / scale) if scale else np.zeros(exact.shape)
    stored = np.clip(whole, low, high).astype(kind)
    return Part(stored, scale, offset, scale / 2, lost)


def _holds(like: Part, low: int, high: int, least: float, most: float) -> bool:
    bottom, top = like.offset + like.scale * low, like.offset + like.scale * high
    return bottom <= least and most <= top


def _range(kind: np.dtype[Any], least: float, most: float, bits: int | None) -> tuple[float, float]:
    """Find scale and offset that hold the values, with room on the side they can go to."""
    top = np.iinfo(kind).max >> (0 if bits is None else kind.itemsize * 8 - bits)
    room = ROOM if top == np.iinfo(kind).max else 0.0
    if kind.kind == "i":
        reach = max(-least, most)
        scale, offset = reach * (1 + room) / top, 0.0
    else:
        span = most - least
        # What can't be negative stays so: norms and root mean squares begin at 0 or above.
        offset = least - span * ROOM / 2
        offset = _short(max(0.0, offset) if least >= 0 else offset, 9, -1)
        scale = (most + span * room / 2 - offset) / top if span else 0.0
    if not math.isfinite(scale) or scale < np.finfo(np.float32).tiny:
        # Differences below what float32 can tell are none.
        return 0.0, 0.0 if kind.kind == "i" else least
    return _short(float(scale), 6, 1), float(offset)


def _short(value: float, digits: int, side: int) -> float:
    """Round to so many digits, up (1) or down (-1): a header has many of these, as text."""
    near = float(f"{value:.{digits - 1}e}")
    if (near - value) * side >= 0:
        return near
    return float(f"{value + side * abs(value) * 10.0 ** (1 - digits):.{digits - 1}e}")

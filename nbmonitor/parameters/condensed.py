"""A snapshot in a quarter of its bytes, standing alone: for a saved notebook or a page of HTML.

Coarser steps, smaller maps, statistics to three digits; each part states the error that it has
then. It reads and makes blobs, and chooses none.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbmonitor.parameters.blob import Blob, Part, encode, quantise
from nbmonitor.parameters.change import UNITS

# Of a view on a screen, a step is then less than two pixels.
_VIEW_BITS, _SHADE_BITS, _HEAT_BITS = 9, 5, 6
_HEAT_SIDE = 16
# Mantissa bits that are left of a float32: off by at most one part in 256.
_LOW_BITS = 0xFFFF
_LARGEST = 3e38
_NAN = 0x7FC00000
# Share by which a statistic may be off.
STATS_ERROR = 2.0**-8


def condense(blob: Blob) -> bytes:
    """Make the small blob. Its header has `condensed`, and `stats_error`, a share of the value."""
    parts = {name: _part(name, part, blob.extra) for name, part in blob.parts.items()}
    extra = {**blob.extra, "condensed": True, "stats_error": STATS_ERROR}
    return encode(blob.step, parts, extra=extra)


def _part(name: str, part: Part, extra: dict[str, Any]) -> Part:
    if name == UNITS:
        return part  # numbers of units among them, which may not be rounded
    if part.stored.dtype.kind == "f":
        return Part(_rounded(part.stored))
    if name.startswith("heat/"):
        small = _pooled(part.values, largest=extra.get("heat_of") == "max")
        return _coarse(part, small, "uint8", _HEAT_BITS)
    if name.endswith("/view"):
        return _coarse(part, part.values, "int16", _VIEW_BITS)
    if part.error:
        return _coarse(part, part.values, "uint8", _SHADE_BITS)
    return part


def _coarse(part: Part, values: NDArray[Any], dtype: str, bits: int) -> Part:
    made = quantise(values, dtype, bits=bits)
    return replace(made, error=made.error + part.error, nonfinite=part.nonfinite)


def _rounded(values: NDArray[Any]) -> NDArray[np.float32]:
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    low, half = np.uint32(_LOW_BITS), np.uint32(_LOW_BITS // 2 + 1)
    # What is no number, or would be none when rounded up, is only cut.
    up = np.isfinite(values) & (np.abs(values) < _LARGEST)
    kept = (np.where(up, bits + half, bits) & ~low).astype(np.uint32)
    # A NaN whose low bits alone say so would become an infinity.
    kept[np.isnan(values)] = _NAN
    return kept.view(np.float32)


def _pooled(values: NDArray[np.float32], *, largest: bool) -> NDArray[np.float32]:
    """Pool a map (h, w) to at most 16 x 16 by root mean square, or largest value, of blocks."""
    rows, columns = (
        np.linspace(0, side, min(side, _HEAT_SIDE) + 1).round().astype(int)[:-1]
        for side in values.shape
    )
    if largest:
        highest = np.maximum.reduceat(np.maximum.reduceat(values, rows, 0), columns, 1)
        return np.asarray(highest, np.float32)
    squares = np.square(values, dtype=np.float64)
    total = np.add.reduceat(np.add.reduceat(squares, rows, 0), columns, 1)
    heights = np.diff([*rows, values.shape[0]])
    widths = np.diff([*columns, values.shape[1]])
    mean = total / (heights[:, None] * widths[None, :])
    pooled: NDArray[np.float32] = np.sqrt(mean).astype(np.float32)
    return pooled

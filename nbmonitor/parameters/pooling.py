"""Heat maps: a matrix pooled into a few cells, root mean square or largest magnitude of each.

The signed mean of a block of weights is noise; its size is not. Blocks are those of
`numpy.array_split`: no row or column is left out, and sizes differ by one at most.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Heat = NDArray[np.float32]
HeatOf = Literal["rms", "max"]


def folded(shape: Sequence[int]) -> tuple[int, int]:
    """Rows and columns of a tensor as it is drawn.

    Experts, (experts, out, in), stand below each other; of a convolution, (out, in, ...), a row
    is an output channel; a vector is one row.
    """
    if len(shape) < 2:
        return 1, shape[0] if shape else 1
    if len(shape) == 3:
        return shape[0] * shape[1], shape[2]
    columns = 1
    for size in shape[1:]:
        columns *= size
    return shape[0], columns


def heat_shape(shape: Sequence[int], size: int) -> tuple[int, int]:
    """Rows and columns of a tensor's heat map, `size` at most."""
    rows, columns = folded(shape)
    return min(size, rows), min(size, columns)


def regions(count: int, blocks: int) -> Iterator[tuple[int, int, int]]:
    """Cut rows into blocks as `numpy.array_split` does: (first block, blocks, rows each)."""
    each, longer = divmod(count, blocks)
    if longer:
        yield 0, longer, each + 1
    if each:
        yield longer, blocks - longer, each


def sizes(count: int, blocks: int) -> NDArray[np.int64]:
    """Members of each block, (blocks,)."""
    each, longer = divmod(count, blocks)
    return each + (np.arange(blocks) < longer)


def pool_columns(rows: Any, blocks: int, of: HeatOf) -> Any:
    """Pool the columns of a torch tensor that has been pooled by rows.

    Parameters
    ----------
    rows
        (h, columns): sums of squares, or largest magnitudes.
    blocks
        Columns of the heat map.

    Returns
    -------
    tensor
        (h, blocks): the same of each block.
    """
    parts, at = [], 0
    for _, count, each in regions(rows.shape[1], blocks):
        cut = rows[:, at : at + count * each].unflatten(1, (count, each))  # (h, count, each)
        parts.append(cut.sum(-1) if of == "rms" else cut.amax(-1))
        at += count * each
    return parts[0] if len(parts) == 1 else sys.modules["torch"].cat(parts, 1)


def finish(raw: NDArray[Any], shape: Sequence[int], of: HeatOf) -> Heat:
    """Turn pooled sums of squares into root mean squares; largest magnitudes stay.

    Parameters
    ----------
    raw
        (h, w) as pooled by rows and by columns.
    shape
        Of the tensor that was pooled.
    """
    if of == "max":
        return raw.astype(np.float32)
    rows, columns = folded(shape)
    area = np.outer(sizes(rows, raw.shape[0]), sizes(columns, raw.shape[1]))
    return np.sqrt(raw.astype(np.float64) / area).astype(np.float32)


def pool(values: NDArray[Any], heat: tuple[int, int], of: HeatOf) -> Heat:
    """Pool a small tensor on the host.

    Parameters
    ----------
    values
        Of any shape; pooled as `folded` lays it out.
    heat
        Rows and columns of the heat map, no more than `values` has.
    """
    cells = values.reshape(folded(values.shape)).astype(np.float64)  # (rows, columns)
    starts = [np.cumsum(sizes(n, b)) - sizes(n, b) for n, b in zip(cells.shape, heat, strict=True)]
    cells = np.square(cells) if of == "rms" else np.abs(cells)
    join = np.add if of == "rms" else np.maximum
    raw = join.reduceat(join.reduceat(cells, starts[0], 0), starts[1], 1)
    return finish(raw, values.shape, of)

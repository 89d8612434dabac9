"""Heat maps: a matrix pooled into a few cells, root mean square or largest magnitude of each.

The signed mean of a block of weights is noise; its size is not.
"""

from __future__ import annotations

from collections.abc import Sequence


def folded(shape: Sequence[int]) -> tuple[int, int]:
    """Rows and columns of a tensor as it is drawn.

    Experts, (experts, out, in), stand below each other; of a convolution, (out, in, ...), a row
    is an output channel; a vector is one row.
    """
    if len(shape) < 2:
        return 1, shape[0] if shape else 1
    rows, columns = shape[0], 1
    if len(shape) == 3:
        return shape[0] * shape[1], shape[2]
    for size in shape[1:]:
        columns *= size
    return rows, columns

"""One matrix at full resolution, or a window of it: what a heat map is too coarse for.

Copied on the training thread, between two steps; packed elsewhere. What has more cells than a
page can show is pooled, and says so.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbmonitor.parameters import blob
from nbmonitor.parameters.carrier import mark, to_host
from nbmonitor.parameters.moment import unreadable
from nbmonitor.parameters.part import quantise
from nbmonitor.parameters.plan import Plan
from nbmonitor.parameters.pooling import finish, folded
from nbmonitor.parameters.sweep import Sweep
from nbmonitor.record import Tensor

KEY = "parameters/matrix"
# Cells that are sent: 1 MB of int16.
MOST = 1 << 19
_FORM = re.compile(r"parameters/matrix/(\d+)(?:/(\d+):(\d+)/(\d+):(\d+))?")


class Refused(Exception):  # noqa: N818 - nothing has gone wrong
    """It can't be had, for the reason given."""


@dataclass(frozen=True, slots=True)
class Window:
    """Which matrix, by id, and which of its rows and columns (None: all) as it is drawn."""

    matrix: int
    rows: tuple[int, int] | None = None
    columns: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied: (h, w) cells, still on the device; of which window, at which step."""

    step: int
    window: Window
    shape: tuple[int, int]
    size: tuple[int, int]
    cells: Any
    of: str
    event: Any


def asked(key: str) -> Window | None:
    """Read `parameters/matrix/<id>`, with `/<row>:<row>/<column>:<column>` or without; or None."""
    found = _FORM.fullmatch(key)
    if found is None:
        return None
    number, *edges = found.groups()
    if edges[0] is None:
        return Window(int(number))
    top, bottom, left, right = map(int, edges)
    return Window(int(number), (top, bottom), (left, right))


def copy(plan: Plan, window: Window, step: int) -> Copied:
    """Copy a window on its device; no sync.

    Raises
    ------
    Refused
        If there is no such matrix or nothing in the window, or it can't be read here.
    """
    if not 0 <= window.matrix < len(plan.matrices):
        msg = f"there is no matrix {window.matrix}: this model has {len(plan.matrices)}"
        raise Refused(msg)
    matrix = plan.matrices[window.matrix]
    tensor = plan.tensor(matrix)
    reason = unreadable(tensor, matrix.shape)
    if reason:
        msg = f"{matrix.name} can't be read: {reason}"
        raise Refused(msg)
    shape = folded(matrix.shape)
    top, bottom = _inside(window.rows, shape[0])
    left, right = _inside(window.columns, shape[1])
    if top >= bottom or left >= right:
        msg = f"nothing of {matrix.name}, {shape[0]} x {shape[1]}, lies in that window"
        raise Refused(msg)
    part = tensor.detach().reshape(shape)[top:bottom, left:right]  # (rows, columns)
    taken = Window(window.matrix, (top, bottom), (left, right))
    size = _size(bottom - top, right - left)
    if size == tuple(part.shape):
        cells, of = part.float().clone(), "value"  # (h, w)
    else:
        of = plan.options.heat_of
        sweep = Sweep(part.device, plan.options.heat_of, size[0] * size[1])
        sweep.add(window.matrix, part, size)
        cells = sweep.heat[0][1]  # (h, w)
    return Copied(step, taken, shape, size, cells, of, mark(part.device))


def _inside(edges: tuple[int, int] | None, count: int) -> tuple[int, int]:
    return (0, count) if edges is None else (min(edges[0], count), min(edges[1], count))


def _size(rows: int, columns: int) -> tuple[int, int]:
    """Rows and columns of what is sent, `MOST` cells at most."""
    if rows * columns <= MOST:
        return rows, columns
    side = math.isqrt(MOST)
    width = min(columns, side)
    height = min(rows, MOST // width)
    return height, min(columns, MOST // height)


def pack(copied: Copied, ask: str) -> Tensor:
    """Make the tensor that answers a page; waits for the device.

    Parameters
    ----------
    ask
        The page's own name for its question.
    """
    (cells,) = to_host([copied.cells], [copied.event])
    rows, columns = copied.window.rows, copied.window.columns
    assert rows is not None
    assert columns is not None
    note = ""
    if copied.of != "value":
        cells = finish(cells, (rows[1] - rows[0], columns[1] - columns[0]), _kind(copied.of))
        high = -(-(rows[1] - rows[0]) // copied.size[0])
        wide = -(-(columns[1] - columns[0]) // copied.size[1])
        what = "root mean square" if copied.of == "rms" else "largest magnitude"
        note = (
            f"too many weights to send: each cell is the {what} of up to {high} x {wide} of them; "
            "look at a part to see single weights"
        )
    data = blob.encode(copied.step, {"cells": quantise(cells, "int16")})
    meta = {
        "id": ask,
        "matrix": copied.window.matrix,
        "step": copied.step,
        "shape": list(copied.shape),
        "rows": list(rows),
        "columns": list(columns),
        "of": copied.of,
        "note": note,
    }
    array: NDArray[np.uint8] = np.frombuffer(data, np.uint8)
    return KEY, copied.step, array, meta


def _kind(of: str) -> Any:
    return of

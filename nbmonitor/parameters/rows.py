"""Rows of embeddings that are followed, copied on the device where they are."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from nbmonitor.parameters.plan import Plan
from nbmonitor.parameters.pooling import folded
from nbmonitor.sampling import stride

# Rows stay as they are up to this many bytes; beyond, float16 halves them.
_BYTES = 16 << 20
# Columns of such rows that are kept as they are: float16 would hide a small step.
_COLUMNS = 256
_AT_ONCE = 256


def take_rows(plan: Plan, found: Mapping[int, Any]) -> dict[str, Any]:
    """Copy the rows that are followed.

    Parameters
    ----------
    plan
        Which they are.
    found
        Tensors that can be read, by id of the matrix.

    Returns
    -------
    dict
        "tokens", (n, d), and "positions", (m, d), where there are some; beside tokens in half
        precision "columns", (n, c): evenly spaced ones in full precision.
    """
    out: dict[str, Any] = {}
    if plan.tokens is not None and plan.tokens.id in found:
        table = found[plan.tokens.id].detach().reshape(folded(plan.tokens.shape))  # (V, d)
        out |= _gathered(table, plan.rows_on(table.device))
    if plan.positions is not None and plan.positions.id in found:
        table = found[plan.positions.id].detach().reshape(folded(plan.positions.shape))  # (M, d)
        out["positions"] = table[:: plan.position_step].clone()  # (m, d)
    return out


def _gathered(table: Any, ids: Any) -> dict[str, Any]:
    """Copy rows, (n, d); where they take much room, coarsely, and a part of them exactly."""
    width = table.shape[1]
    if len(ids) * width * table.element_size() <= _BYTES:
        return {"tokens": table.index_select(0, ids)}  # (n, d)
    kept = table.new_empty((len(ids), width), dtype=sys.modules["torch"].float16)  # (n, d)
    step = stride(width, _COLUMNS)
    exact = table.new_empty((len(ids), -(-width // step)))  # (n, columns)
    for start in range(0, len(ids), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        rows = table.index_select(0, ids[part])  # (some, d)
        kept[part] = rows
        exact[part] = rows[:, ::step]
    return {"tokens": kept, "columns": exact}

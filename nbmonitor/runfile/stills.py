"""Tensors of a run file: which there are, and one of them.

What they are is looked at without reading them: of a long run, they don't fit into memory.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nbmonitor.record import Tensor
from nbmonitor.reels import Frame, keep

_COLUMNS = "key, step, dtype, shape, meta, data"


@dataclass(frozen=True, slots=True)
class Still:
    """One row of `tensors`: its number, its key, and what a reel knows of it."""

    number: int
    key: str
    reel: bool
    frame: Frame


def fresh(db: sqlite3.Connection, after: int) -> list[Still]:
    """Rows numbered beyond `after`, in order, without their values."""
    found = db.execute(
        "SELECT rowid, key, step, meta, length(data) FROM tensors WHERE rowid > ? ORDER BY rowid",
        (after,),
    )
    out: list[Still] = []
    for number, key, step, text, nbytes in found:
        meta = json.loads(text or "{}")
        frame = Frame(int(step), int(nbytes or 0), meta.get("base"))
        out.append(Still(int(number), key, bool(meta.get("reel")), frame))
    return out


def wanted(rows: Sequence[Still], memory: int) -> list[int]:
    """Numbers of the rows that a Run needs: the newest of each key, and reels as they fit."""
    newest = {row.key: row.number for row in rows if not row.reel}
    reels: dict[str, list[Frame]] = {}
    for row in rows:
        if row.reel:
            reels.setdefault(row.key, []).append(row.frame)
    whole = sum(frame.nbytes for frames in reels.values() for frame in frames) <= memory
    ordered = {key: sorted(frames, key=lambda f: f.step) for key, frames in reels.items()}
    kept = {} if whole else {key: set(steps) for key, steps in keep(ordered, memory).items()}
    return [
        row.number
        for row in rows
        if (whole or row.frame.step in kept[row.key] if row.reel else newest[row.key] == row.number)
    ]


def read(db: sqlite3.Connection, number: int) -> Tensor:
    """Read the row of that number."""
    query = f"SELECT {_COLUMNS} FROM tensors WHERE rowid = ?"  # noqa: S608 - made here
    return _tensor(db.execute(query, (number,)).fetchone())


def at(db: sqlite3.Connection, key: str, step: int) -> Tensor | None:
    """Read the tensor of that key and step, if it is there."""
    query = f"SELECT {_COLUMNS} FROM tensors WHERE key = ? AND step = ?"  # noqa: S608 - made here
    found = db.execute(query, (key, step)).fetchone()
    return None if found is None else _tensor(found)


def steps(db: sqlite3.Connection, key: str) -> list[int]:
    """Steps of a key, ascending."""
    found = db.execute("SELECT step FROM tensors WHERE key = ? ORDER BY step", (key,))
    return [int(step) for (step,) in found]


def _tensor(row: tuple[Any, ...]) -> Tensor:
    key, step, dtype, shape, meta, data = row
    array = np.frombuffer(data, np.dtype(dtype).newbyteorder("<"))
    return key, int(step), array.reshape(json.loads(shape)), json.loads(meta or "{}")

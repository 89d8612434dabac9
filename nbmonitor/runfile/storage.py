"""What a Run is, into its SQLite file, one transaction at a time.

It raises what SQLite raises, having written all of a batch or nothing. What to do then is
the recorder's matter.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nbmonitor import wire
from nbmonitor.record import Row, Tensor
from nbmonitor.reels import is_reel
from nbmonitor.run import Run
from nbmonitor.runfile import schema
from nbmonitor.runfile.records import Folded
from nbmonitor.runfile.tables import Tables

# Of a tensor that is set over and over, and is no reel, so many are kept, or so many bytes.
_SNAPSHOTS = 100
_SNAPSHOT_BYTES = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Laid:
    """Derived rows; the measurements up to number `upto` are accounted for with them."""

    rows: Sequence[Row]
    upto: int


@dataclass(frozen=True, slots=True)
class Cut:
    """Rows after `step` are void, for the `number`-th time.

    `counts` has the rows of each series that the Run has left.
    """

    number: int
    step: int
    counts: Mapping[str, int]


@dataclass(slots=True)
class Batch:
    """What one transaction writes."""

    changes: list[Laid | Cut] = field(default_factory=list)
    first_event: int = 0
    events: list[wire.RunEvent] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    meta: dict[str, Any] = field(default_factory=dict)
    # A packed Run; kept if it holds exactly what the file then does.
    summary: bytes | None = None

    @property
    def weighs(self) -> bool:
        """Whether there is more in it than `meta`."""
        return bool(self.changes or self.events or self.tensors or self.summary)

    @property
    def rows(self) -> int:
        """Rows in it."""
        return sum(len(change.rows) for change in self.changes if isinstance(change, Laid))


class Storage:
    """An open run file, and the state of its writing.

    Parameters
    ----------
    path
        A run file, or one of no bytes, or none.
    run
        Whose record it is.
    counts
        Values of each key that the file holds already.

    Attributes
    ----------
    events : int
        Events in the file.
    meta : dict
        What its `meta` says.

    Raises
    ------
    sqlite3.Error
        If SQLite can't open or make it.
    RunFileError
        If it is something else than a run file, or of a version that can't be written.
    """

    def __init__(self, path: Path, run: Run, counts: Mapping[str, int] | None = None) -> None:
        self.path, self._run = path, run
        self.counts = Counter(counts or {})
        self.db = schema.connect(path, writable=True)
        try:
            if not self.db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                with schema.transaction(self.db):
                    schema.create(self.db)
            schema.check(self.db, path, migrate=True)
            self._reload()
        except BaseException:
            self.db.close()
            raise

    def _reload(self) -> None:
        self.tables = Tables(self.db, self._run)
        self.meta = schema.meta(self.db)
        self._written = {key: json.dumps(v, default=str) for key, v in self.meta.items()}
        found = self.db.execute("SELECT max(n) FROM events").fetchone()[0]
        self.events = 0 if found is None else int(found) + 1

    @property
    def folded(self) -> Folded:
        """How far the file has come."""
        seq, rewinds = (int(self.meta.get(key) or 0) for key in ("folded_seq", "rewinds"))
        return Folded(seq, self.events, rewinds)

    def differs(self, meta: Mapping[str, Any]) -> bool:
        """Whether the file's `meta` says anything else."""
        return any(self._written.get(k) != json.dumps(v, default=str) for k, v in meta.items())

    def write(self, batch: Batch) -> int:
        """Write a batch whole, or raise and leave the file as it was; return rows deleted."""
        counts = Counter(self.counts)
        try:
            with schema.transaction(self.db):
                deleted = self._write(batch, counts)
        except BaseException:
            self._reload_if_possible()
            raise
        self.counts = counts
        self.events = max(self.events, batch.first_event + len(batch.events))
        return deleted

    def _reload_if_possible(self) -> None:
        try:
            self._reload()
        except sqlite3.Error:
            return  # whoever hears of the first error opens the file anew

    def _write(self, batch: Batch, counts: Counter[str]) -> int:
        deleted = 0
        rows: list[Row] = []
        for change in batch.changes:
            if isinstance(change, Laid):
                rows.extend(change.rows)
                continue
            counts.update(self.tables.insert(rows))
            rows = []
            deleted += self._cut(change, counts)
        if rows:
            counts.update(self.tables.insert(rows))
        if batch.events:
            self.db.executemany(
                "INSERT OR REPLACE INTO events VALUES (?, ?, ?, ?, ?)",
                [
                    (n, e["kind"], e["step"], e["time"], json.dumps(e["data"], default=str))
                    for n, e in enumerate(batch.events, batch.first_event)
                ],
            )
        for tensor in batch.tensors:
            self._put(tensor)
        self._set(batch.meta)
        if batch.summary is not None and self._is_whole(batch.summary, counts):
            self.db.execute(
                "INSERT OR REPLACE INTO summary VALUES (1, ?, ?)",
                (json.dumps(self.tables.last), batch.summary),
            )
        return deleted

    def _cut(self, cut: Cut, counts: Counter[str]) -> int:
        deleted = self.tables.rewind(cut.step)
        self.db.execute("DELETE FROM tensors WHERE step > ?", (cut.step,))
        self.db.execute("DELETE FROM summary")
        counts.clear()
        counts.update(cut.counts)
        return deleted

    def _set(self, values: Mapping[str, Any]) -> None:
        """Write the keys of `meta` that have changed."""
        texts = {key: json.dumps(value, default=str) for key, value in values.items()}
        changed = [(k, text) for k, text in texts.items() if self._written.get(k) != text]
        if changed:
            lines = ", ".join(["(?, ?)"] * len(changed))
            self.db.execute(
                f"INSERT OR REPLACE INTO meta VALUES {lines}",  # noqa: S608
                [value for line in changed for value in line],
            )
            self._written.update(changed)
            self.meta.update({key: values[key] for key, _ in changed})

    def _put(self, tensor: Tensor) -> None:
        key, step, array, meta = tensor
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        self.db.execute(
            "INSERT OR REPLACE INTO tensors VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                key,
                step,
                time.time(),
                little.dtype.name,
                json.dumps(list(array.shape)),
                json.dumps(meta, default=str),
                little.tobytes(),
            ),
        )
        if is_reel(tensor):
            return
        if meta.get("latest"):
            # Inserted before: a follower would miss a row that takes the number of the old one.
            self.db.execute("DELETE FROM tensors WHERE key = ? AND step <> ?", (key, step))
            return
        keep = max(1, min(_SNAPSHOTS, _SNAPSHOT_BYTES // max(1, little.nbytes)))
        held = [
            number
            for (number,) in self.db.execute(
                "SELECT rowid FROM tensors WHERE key = ? ORDER BY rowid", (key,)
            )
        ]
        if len(held) > keep:
            # Every other one goes, so that what stays spans the whole run; never the newest.
            thinned = held[:-1] if keep == 1 else held[1:-1:2]
            self.db.executemany("DELETE FROM tensors WHERE rowid = ?", [(n,) for n in thinned])

    @staticmethod
    def _is_whole(summary: bytes, counts: Mapping[str, int]) -> bool:
        """Whether a packed Run holds as many rows of each series as the file."""
        header, stretches = wire.unpack_history(summary)
        keys = {spec["id"]: spec["key"] for spec in header["declare"]}
        held: Counter[str] = Counter()
        for rows in stretches:
            held[keys[rows.id]] = max(held[keys[rows.id]], rows.offset + rows.covered)
        return held == Counter(counts)

    def finish(self) -> None:
        """Make the file whole in itself, without a log beside it, so that it opens anywhere."""
        try:
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            # Refused as long as somebody reads: the log then stays, empty.
            self.db.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.OperationalError:
            return

    def close(self) -> None:
        """Let go of the file."""
        self.db.close()

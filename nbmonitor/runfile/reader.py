"""A run file as a Run: at once from its summary, exactly where somebody looks closer.

It opens a file for as long as one reading takes, so that a writer is never in its way. It
follows nothing and repairs nothing: `follow.py` and `recovery.py` do.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from nbmonitor import wire
from nbmonitor.export import Archive, Points
from nbmonitor.probe import Series
from nbmonitor.record import Tensor
from nbmonitor.run import Run
from nbmonitor.runfile import schema, stills
from nbmonitor.runfile.paths import is_written
from nbmonitor.runfile.rows import Bulk, bounds, newest, read
from nbmonitor.runfile.schema import RunFileError, SeriesRow
from nbmonitor.series import Buckets

# A run that has a file has begun, though the file may not yet say so.
ACTIVE = frozenset({"waiting", "running", "paused"})
# A writer that can't be told by its lock says within this many seconds that it lives.
HEARTBEAT = 30.0
_PATIENCE = 2.0


@dataclass(slots=True)
class Cursor:
    """How far a file was read: the last row of each table, events, tensors, its generation.

    `panels` are those that the file had then.
    """

    tables: dict[str, int] = field(default_factory=dict)
    events: int = 0
    tensors: int = 0
    series: int = 0
    generation: int = 0
    panels: list[wire.PanelSpec] = field(default_factory=list)


class RunFile:
    """A run file, open for reading at one moment.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    RunFileError
        If it is no run file, is damaged, or is of a version that can't be read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            msg = f"no run file {self.path}; list_runs(directory) tells what there is"
            raise FileNotFoundError(msg)
        log = self.path.with_name(f"{self.path.name}-wal")
        if not self.path.stat().st_size and not log.exists():
            msg = f"{self.path} is empty: its run has not begun, or died at once"
            raise RunFileError(msg)
        with self._explained():
            self._db = schema.connect(self.path, timeout=_PATIENCE)
            try:
                schema.check(self._db, self.path)
                # One moment for all that is read: a writer goes on beside it.
                self._db.execute("BEGIN")
                self.meta = schema.meta(self._db)
                self.series = schema.series(self._db)
            except BaseException:
                self._db.close()
                raise

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            msg = f"{self.path} can't be read just now: {error}"
            raise RunFileError(msg) from error
        except (sqlite3.DatabaseError, json.JSONDecodeError) as error:
            msg = (
                f"{self.path} is damaged: {error}. What is left of it may be saved with "
                f"`sqlite3 {self.path.name} .recover | sqlite3 rescued.sqlite`"
            )
            raise RunFileError(msg) from error

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def alive(self) -> bool:
        """Whether a process is writing the file now."""
        written = is_written(self.path)
        if written is None:
            return time.time() - float(self.meta.get("updated") or 0.0) < HEARTBEAT
        return written

    def points(
        self, keys: Sequence[str], start: float | None = None, end: float | None = None
    ) -> dict[str, Points]:
        """Read series in full: steps (n,) and values (n,) by key; unknown keys are left out."""
        with self._explained():
            out: dict[str, Points] = {}
            for table, columns in self._by_table(keys).items():
                span = bounds(self._db, table, start, end)
                bulk = read(self._db, table, columns, span)
                for s in columns:
                    x, values = bulk.points(s)
                    low = 0 if start is None else int(np.searchsorted(x, start, side="left"))
                    high = len(x) if end is None else int(np.searchsorted(x, end, side="right"))
                    out[s.key] = x[low:high], values[low:high]
            return out

    def last(self, key: str, *, best: bool = False) -> float | None:
        """Newest value of a series, or the smallest; None where there is none."""
        for s in self.series:
            if s.key == key:
                table, column = schema.quote(s.table), schema.quote(s.column)
                with self._explained():
                    query = (
                        f"SELECT min({column}) FROM {table}"  # noqa: S608 - names are quoted
                        if best
                        else f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL "  # noqa: S608
                        "ORDER BY n DESC LIMIT 1"
                    )
                    found = self._db.execute(query).fetchone()
                return None if found is None or found[0] is None else float(found[0])
        return None

    def events(self, after: int = 0) -> list[wire.RunEvent]:
        """Events from number `after` on."""
        with self._explained():
            found = self._db.execute(
                "SELECT kind, step, time, data FROM events WHERE n >= ? ORDER BY n", (after,)
            )
            return [
                {"kind": kind, "step": step, "time": at, "data": json.loads(data)}
                for kind, step, at, data in found
            ]

    def last_until(self, step: int) -> dict[str, float]:
        """Values of all series as they stood at a step."""
        out: dict[str, float] = {}
        with self._explained():
            for s in self.series:
                table, column = schema.quote(s.table), schema.quote(s.column)
                query = (
                    f"SELECT {column} FROM {table} WHERE step <= ? AND {column} IS NOT NULL "  # noqa: S608
                    "ORDER BY n DESC LIMIT 1"
                )
                found = self._db.execute(query, (step,)).fetchone()
                if found is not None:
                    out[s.key] = float(found[0])
        return out

    def steps_of(self, kind: str) -> list[tuple[int, dict[str, Any]]]:
        """Steps and data of all events of a kind."""
        with self._explained():
            found = self._db.execute("SELECT step, data FROM events WHERE kind = ?", (kind,))
            return [(int(step), json.loads(data)) for step, data in found]

    def tensor_steps(self, key: str) -> list[int]:
        """Steps that the file has of a tensor, ascending."""
        with self._explained():
            return stills.steps(self._db, key)

    def tensor(self, key: str, step: int) -> Tensor | None:
        """Read a tensor as it was at a step; None if it has none there."""
        with self._explained():
            return stills.at(self._db, key, step)

    # ------------------------------------------------------------------ into a Run

    def load(self, run: Run) -> Cursor:
        """Fill an empty Run; what is old comes as buckets, `run.archive` has it in full."""
        with self._explained():
            cursor = Cursor(generation=int(self.meta.get("generation") or 0))
            self._declare(run, cursor)
            summary = self._db.execute("SELECT upto, data FROM summary").fetchone()
            if summary is not None:
                cursor.tables = {str(t): int(n) for t, n in json.loads(summary[0]).items()}
                self._lay_summary(run, summary[1], cursor.tables)
        self.catch_up(run, cursor)
        run.path = self.path
        run.archive, run.film = archive(self.path), Frames(self.path)
        return cursor

    def catch_up(self, run: Run, cursor: Cursor) -> None:
        """Add to the Run what the file has got since; `cursor` goes along."""
        with self._explained():
            self._declare(run, cursor)
            for table, columns in self._by_table(None).items():
                bulk = read(self._db, table, columns, (cursor.tables.get(table, 0) + 1, None))
                if not len(bulk.n):
                    continue
                cursor.tables[table] = int(bulk.n[-1])
                for s in columns:
                    x, values = bulk.points(s)
                    if len(x):
                        run.lay(s.key, x, values)
            self._put(run, cursor)
        events = self.events(cursor.events)
        if events:
            run.lay_events(events, first=not cursor.events)
            cursor.events += len(events)
        cursor.panels = self.meta.get("panels") or []
        self._state(run)

    def _declare(self, run: Run, cursor: Cursor) -> None:
        fresh = self.series[cursor.series :]
        run.declare(
            Series(s.key, s.label, s.unit, "float32" if s.dtype == "float32" else "float64")
            for s in fresh
        )
        for s in fresh:
            run.lay(s.key, np.empty(0), np.empty(0))
        cursor.series += len(fresh)

    def _lay_summary(self, run: Run, data: bytes, upto: Mapping[str, int]) -> None:
        header, stretches = wire.unpack_history(data)
        keys = {spec["id"]: spec["key"] for spec in header["declare"]}
        known = {s.key: s for s in self.series}
        # Those over the same steps stand together: a series' newest may come before its buckets.
        for rows in sorted(stretches, key=lambda rows: rows.offset):
            s = known[keys[rows.id]]
            if rows.counts is not None and rows.marks is not None:
                run.lay_buckets(s.key, Buckets(rows.x, rows.values, rows.counts, rows.marks))
            elif s.dtype == "float32":
                run.lay(s.key, rows.x, np.asarray(rows.values, np.float64))
            else:
                # The summary has four bytes a number: not enough for these.
                x, values = newest(self._db, s, upto.get(s.table, 0), len(rows.x))
                run.lay(s.key, x, values)

    def _put(self, run: Run, cursor: Cursor) -> None:
        fresh = stills.fresh(self._db, cursor.tensors)
        for number in stills.wanted(fresh, run.reel_memory):
            key, step, array, meta = stills.read(self._db, number)
            run.put(key, step, array, meta)
        if fresh:
            cursor.tensors = fresh[-1].number

    def _state(self, run: Run) -> None:
        meta = self.meta
        run.config = {**(meta.get("config") or {}), "run_file": str(self.path)}
        if meta.get("name"):
            run.config.setdefault("name", meta["name"])
        run.total_steps = int(meta.get("total_steps") or 0)
        run.total_epochs = float(meta.get("total_epochs") or 0.0)
        run.started, run.ended = meta.get("started"), meta.get("ended")
        run.step = int(meta.get("step") or 0)
        run.status_message = str(meta.get("status_message") or "")
        run.status_detail = str(meta.get("status_detail") or "")
        run.status = str(meta.get("status") or "waiting")
        run.changed.set()

    def _by_table(self, keys: Sequence[str] | None) -> dict[str, list[SeriesRow]]:
        wanted = None if keys is None else set(keys)
        out: dict[str, list[SeriesRow]] = {}
        for s in self.series:
            if wanted is None or s.key in wanted:
                out.setdefault(s.table, []).append(s)
        return out


def load(run: Run, path: str | Path) -> Cursor:
    """Fill an empty Run from a file."""
    with RunFile(path) as file:
        return file.load(run)


def archive(path: Path) -> Archive:
    """Make what `Run.history` reads full resolution with."""

    def points(
        keys: Sequence[str], start: float | None = None, end: float | None = None
    ) -> Mapping[str, Points]:
        try:
            with RunFile(path) as file:
                return file.points(keys, start, end)
        except (OSError, RunFileError):
            # Gone, or damaged since: whoever asked has the summary and says so.
            return {}

    return points


class Frames:
    """Reads the reels of a file, as `Run.film`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def steps(self, key: str) -> list[int]:
        """Steps of a reel; [] where the file can't be read."""
        try:
            with RunFile(self._path) as file:
                return file.tensor_steps(key)
        except (OSError, RunFileError):
            return []  # as in `archive`

    def read(self, key: str, step: int) -> Tensor | None:
        """Read a value of a reel; None where it isn't there or can't be read."""
        try:
            with RunFile(self._path) as file:
                return file.tensor(key, step)
        except (OSError, RunFileError):
            return None


def find_checkpoint(
    directory: str | Path, step: int, output_dir: str | Path | None = None
) -> Path | None:
    """Find the newest file in `directory`, written by nobody now, with a checkpoint at `step`.

    With `output_dir`, the checkpoint must have been saved there.
    """
    for path in sorted(Path(directory).glob(f"*{schema.SUFFIX}"), reverse=True):
        try:
            with RunFile(path) as file:
                saved = [data for at, data in file.steps_of("checkpoint") if at == step]
                there = output_dir is None or any(
                    _same(d.get("directory"), output_dir) for d in saved
                )
                if saved and there and not file.alive:
                    return path
        except (OSError, RunFileError):
            continue  # not a candidate, whatever is wrong with it
    return None


def _same(saved: Any, output_dir: str | Path) -> bool:
    return Path(str(saved)).resolve() == Path(output_dir).resolve()


__all__ = ["ACTIVE", "Bulk", "Cursor", "Frames", "RunFile", "archive", "find_checkpoint", "load"]

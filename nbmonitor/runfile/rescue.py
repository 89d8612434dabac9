"""A run file that was deleted or damaged, made anew from what can still be read of it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from nbmonitor.runfile import schema
from nbmonitor.runfile.paths import journal_paths
from nbmonitor.runfile.schema import FIXED, SeriesRow, quote

_LINES = 1000


def beside(path: Path) -> Path:
    """Return the first free name of this file: its own, or one with a number."""
    stem, number = path.stem, 1
    while any(is_there(file) for file in _family(path)):
        number += 1
        path = path.with_name(f"{stem}-{number}{schema.SUFFIX}")
    return path


def is_there(path: Path) -> bool:
    """Whether a file can be seen there; one that can't be looked at can't be in the way."""
    try:
        path.lstat()
    except OSError:
        return False
    return True


def _family(path: Path) -> list[Path]:
    # SQLite would take up the log of a deleted file as if it were its own.
    logs = [path.with_name(path.name + ending) for ending in ("-wal", "-shm", "-journal")]
    return [path, *logs, *journal_paths(path)]


def copy(db: sqlite3.Connection, path: Path) -> None:
    """Write the whole database of a connection, whose file may be deleted, to a new file.

    Raises
    ------
    OSError, sqlite3.Error
        If the new file can't be made, or the old one can't be read.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666))
    try:
        with contextlib.closing(sqlite3.connect(path)) as target:
            db.backup(target)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def salvage(db: sqlite3.Connection, known: Sequence[SeriesRow], path: Path) -> int:
    """Write to a new file what can be read of a damaged one: rows and their series.

    Parameters
    ----------
    db
        Connection to the damaged file.
    known
        Its series; read from it, if none are given.
    path
        The new file.

    Returns
    -------
    int
        Rows that were saved.

    Raises
    ------
    OSError, sqlite3.Error
        If the new file can't be made.
    """
    known = known or schema.series(db)
    saved = 0
    with contextlib.closing(schema.connect(path, writable=True)) as target:
        with schema.transaction(target):
            schema.create(target)
            for table in dict.fromkeys(s.table for s in known):
                columns = [s.column for s in known if s.table == table]
                typed = "".join(f", {quote(column)} REAL" for column in columns)
                target.execute(
                    f"CREATE TABLE {quote(table)} "
                    f"(n INTEGER PRIMARY KEY, step INTEGER, time REAL{typed})"
                )
                saved += _rows(db, target, table, [*FIXED, *columns])
            target.executemany(
                "INSERT INTO series VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(s.id, s.key, s.label, s.unit, s.dtype, s.table, s.column) for s in known],
            )
            schema.write_view(target, known)
        _lines(db, target, "SELECT series, n, value FROM nonfinite", "nonfinite", 3)
    return saved


def _rows(
    db: sqlite3.Connection, target: sqlite3.Connection, table: str, columns: Sequence[str]
) -> int:
    """Copy rows from the front up to the damage, then from the end down to it."""
    names = ", ".join(map(quote, columns))
    query = f"SELECT {names} FROM {quote(table)} ORDER BY n"  # noqa: S608 - names are quoted
    saved, whole = _lines(db, target, query, f"{quote(table)} ({names})", len(columns))
    if not whole:
        saved += _lines(db, target, f"{query} DESC", f"{quote(table)} ({names})", len(columns))[0]
    return saved


def _lines(
    db: sqlite3.Connection, target: sqlite3.Connection, query: str, into: str, width: int
) -> tuple[int, bool]:
    """Copy what a query yields until it fails or there is nothing new; say whether it ended."""
    marks = ", ".join("?" * width)
    saved = 0
    try:
        found = db.execute(query)
        while lines := found.fetchmany(_LINES):
            sql = f"INSERT OR IGNORE INTO {into} VALUES ({marks})"  # noqa: S608 - names are quoted
            fresh = target.executemany(sql, lines).rowcount
            saved += fresh
            if fresh < len(lines):
                return saved, True
    except sqlite3.Error:
        return saved, False
    return saved, True

"""The tables of a run file: their names and versions, how to open one, what to do with others.

It knows SQLite and the words of the schema (docs/run-file.md); it reads and writes no rows.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote as percent

VERSION = 1
APPLICATION_ID = 0x4E424D4F  # "NBMO"
SUFFIX = ".sqlite"
# SQLite allows 2,000 columns and 500 parts of a view; wide tables get slow before that.
MAX_COLUMNS = 200
MAX_VIEW_PARTS = 400
# Columns of every rows_<n> that belong to no series.
FIXED = ("n", "step", "time")

_DDL = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT);
CREATE TABLE series (
    id INTEGER PRIMARY KEY, key TEXT UNIQUE, label TEXT, unit TEXT, dtype TEXT,
    "table" TEXT, "column" TEXT
);
CREATE TABLE nonfinite (series INTEGER, n INTEGER, value TEXT);
CREATE TABLE events (n INTEGER PRIMARY KEY, kind TEXT, step INTEGER, time REAL, data TEXT);
CREATE TABLE tensors (
    key TEXT, step INTEGER, time REAL, dtype TEXT, shape TEXT, meta TEXT, data BLOB,
    PRIMARY KEY (key, step)
);
CREATE TABLE summary (id INTEGER PRIMARY KEY CHECK (id = 1), upto TEXT, data BLOB);
"""

# From version to the function that brings a file of it to the next one, in a transaction.
MIGRATIONS: Mapping[int, Callable[[sqlite3.Connection], None]] = {}


class RunFileError(ValueError):
    """A file that can't be read as a run file; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """One row of `series`: where the values of a key are."""

    id: int
    key: str
    label: str
    unit: str
    dtype: str
    table: str
    column: str


def quote(name: str) -> str:
    """Quote a table's or column's name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def row_table(number: int) -> str:
    """Name the `number`-th wide table, from 1."""
    return f"rows_{number}"


def connect(path: Path, *, writable: bool = False, timeout: float = 0.25) -> sqlite3.Connection:
    """Open a run file, in autocommit, for any thread; `timeout` is the wait for locks, in s.

    Read-only, it works while another process writes, and on a medium that can't be written
    to once the file was closed in order.

    Raises
    ------
    sqlite3.Error
        If SQLite can't.
    """
    uri = f"file:{percent(str(path.absolute()))}?mode={'rwc' if writable else 'ro'}"
    connection = sqlite3.connect(
        uri, timeout, isolation_level=None, check_same_thread=False, uri=True
    )
    if writable:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("PRAGMA journal_size_limit=8388608")
        except sqlite3.Error:
            connection.close()
            raise
    return connection


def create(connection: sqlite3.Connection) -> None:
    """Make the tables in an empty file; within the caller's transaction."""
    for statement in _DDL.split(";"):
        if statement.strip():
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={VERSION}")


def check(connection: sqlite3.Connection, path: Path, *, migrate: bool = False) -> None:
    """See that this version can read the file; with `migrate`, bring an older one up to date.

    Raises
    ------
    RunFileError
        If it is no run file, is of a newer version, or is of an older one that only a
        writer may change.
    """
    try:
        identity = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        msg = f"{path} is not a run file: {error}; run files are made by TrainingMonitor"
        raise RunFileError(msg) from error
    if identity != APPLICATION_ID:
        msg = f"{path} is an SQLite file but not a run file (application_id {identity:#x})"
        raise RunFileError(msg)
    if version > VERSION:
        msg = (
            f"{path} was written by a newer nbmonitor, schema {version}; this one reads up to "
            f"{VERSION}: pip install -U nbmonitor"
        )
        raise RunFileError(msg)
    if version < VERSION:
        _migrate(connection, path, version, allowed=migrate)


def _migrate(connection: sqlite3.Connection, path: Path, version: int, *, allowed: bool) -> None:
    if any(step not in MIGRATIONS for step in range(version, VERSION)):
        msg = f"{path} has schema {version}, which this nbmonitor (schema {VERSION}) can't migrate"
        raise RunFileError(msg)
    if not allowed:
        msg = (
            f"{path} has the older schema {version}; it is migrated to {VERSION} when it is "
            "opened for writing: see that the file is writable and nobody writes it"
        )
        raise RunFileError(msg)
    with transaction(connection):
        for step in range(version, VERSION):
            MIGRATIONS[step](connection)
        connection.execute(f"PRAGMA user_version={VERSION}")


class transaction:  # noqa: N801 - used as a word: `with transaction(connection):`
    """A transaction that takes the write lock at once, and is rolled back by an exception."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if kind is None:
                self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):  # closing it rolls back as well
                    self._connection.execute("ROLLBACK")


def meta(connection: sqlite3.Connection) -> dict[str, Any]:
    """Everything in `meta`, decoded."""
    rows = connection.execute("SELECT key, value FROM meta")
    return {key: json.loads(value) for key, value in rows}


def write_meta(connection: sqlite3.Connection, values: Mapping[str, Any]) -> None:
    """Set keys of `meta`; what JSON doesn't know becomes text."""
    connection.executemany(
        "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        [(key, json.dumps(value, default=str)) for key, value in values.items()],
    )


def series(connection: sqlite3.Connection) -> list[SeriesRow]:
    """Every series of the file, in order of appearance."""
    rows = connection.execute(
        'SELECT id, key, label, unit, dtype, "table", "column" FROM series ORDER BY id'
    )
    return [SeriesRow(*row) for row in rows]


def write_view(connection: sqlite3.Connection, known: Iterable[SeriesRow]) -> None:
    """Make the view `points` (key, step, time, value) anew, if there are few enough series."""
    connection.execute("DROP VIEW IF EXISTS points")
    parts = [_view_part(s) for s in known]
    if 0 < len(parts) <= MAX_VIEW_PARTS:
        connection.execute("CREATE VIEW points AS " + " UNION ALL ".join(parts))


def _view_part(s: SeriesRow) -> str:
    key, column = s.key.replace("'", "''"), quote(s.column)
    return (
        f"SELECT '{key}' AS key, step, time, {column} AS value "  # noqa: S608 - names are quoted
        f"FROM {quote(s.table)} WHERE {column} IS NOT NULL"
    )

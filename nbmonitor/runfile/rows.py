"""Rows of a run file's wide tables as arrays; the few queries that need to be fast."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nbmonitor.runfile.schema import SeriesRow, quote

Span = tuple[int | None, int | None]
_BATCH = 50_000
# Steps hardly ever go back; by how many rows they do is looked at on both sides.
_SLACK = 256


@dataclass(frozen=True, slots=True)
class Bulk:
    """Rows of one table: numbers and steps (n,), values (n,) by column, NaN where there is none.

    `logged` has, by column, the numbers of rows whose value is a NaN that was logged.
    """

    n: NDArray[np.int64]
    step: NDArray[np.float64]
    values: dict[str, NDArray[np.float64]]
    logged: dict[str, NDArray[np.int64]]

    def points(self, s: SeriesRow) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Steps and values of one series, as its column in memory has them: never going back."""
        values = self.values[s.column]
        there = ~np.isnan(values)
        if s.column in self.logged:
            there |= np.isin(self.n, self.logged[s.column])
        x = self.step[there]
        return (np.maximum.accumulate(x) if len(x) else x), values[there]


def read(
    connection: sqlite3.Connection, table: str, columns: Sequence[SeriesRow], span: Span
) -> Bulk:
    """Read columns of a table from one row number to another, both included."""
    names = ", ".join(quote(s.column) for s in columns)
    where, bound = _between(span)
    found = connection.execute(
        f"SELECT n, step, {names} FROM {quote(table)} WHERE {where} ORDER BY n",  # noqa: S608
        bound,
    )
    parts: list[list[NDArray[np.float64]]] = [[] for _ in range(len(columns) + 2)]
    while batch := found.fetchmany(_BATCH):
        for part, column in zip(parts, zip(*batch, strict=True), strict=True):
            # numpy makes NaN of None.
            part.append(np.array(column, np.float64))
    whole = [np.concatenate(part) if part else np.empty(0) for part in parts]
    n = whole[0].astype(np.int64)
    logged = _logged(connection, columns, span) if len(n) else {}
    values = {s.column: column for s, column in zip(columns, whole[2:], strict=True)}
    return Bulk(n, whole[1], values, logged)


def _between(span: Span) -> tuple[str, list[int]]:
    low, high = span
    where = ["n >= ?"] if low is not None else []
    where += ["n <= ?"] if high is not None else []
    return " AND ".join(where) or "1", [b for b in span if b is not None]


def _logged(
    connection: sqlite3.Connection, columns: Sequence[SeriesRow], span: Span
) -> dict[str, NDArray[np.int64]]:
    where, bound = _between(span)
    found = connection.execute(
        f"SELECT series, n FROM nonfinite WHERE {where}",  # noqa: S608 - made here
        bound,
    ).fetchall()
    names = {s.id: s.column for s in columns}
    out: dict[str, list[int]] = {}
    for series, n in found:
        if series in names:
            out.setdefault(names[series], []).append(n)
    return {column: np.array(numbers, np.int64) for column, numbers in out.items()}


def newest(
    connection: sqlite3.Connection, s: SeriesRow, upto: int, count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read the last `count` rows of a series up to row number `upto`: steps and values."""
    column = quote(s.column)
    found = connection.execute(
        f"SELECT step, {column} FROM {quote(s.table)} WHERE n <= ? AND ({column} IS NOT NULL "  # noqa: S608
        "OR n IN (SELECT n FROM nonfinite WHERE series = ?)) ORDER BY n DESC LIMIT ?",
        (upto, s.id, count),
    ).fetchall()
    rows = np.array(found[::-1], np.float64).reshape(-1, 2)
    return rows[:, 0], rows[:, 1]


def bounds(
    connection: sqlite3.Connection, table: str, start: float | None, end: float | None
) -> Span:
    """Find row numbers that enclose the steps from `start` to `end`, in a few look-ups."""
    low: int | None = None
    high: int | None = None
    name = quote(table)
    first, last = connection.execute(
        f"SELECT min(n), max(n) FROM {name}"  # noqa: S608 - quoted
    ).fetchone()
    if first is None:
        return None, None
    if start is not None:
        low = max(first, _search(connection, name, (first, last), start) - _SLACK)
    if end is not None:
        high = _search(connection, name, (first, last), end + 1) + _SLACK
    return low, high


def _search(
    connection: sqlite3.Connection, name: str, between: tuple[int, int], step: float
) -> int:
    """Return the number of the first row whose step is not below `step`, as if steps ascended."""
    low, high = between[0], between[1] + 1
    query = f"SELECT step FROM {name} WHERE n >= ? ORDER BY n LIMIT 1"  # noqa: S608 - quoted
    while low < high:
        middle = (low + high) // 2
        found = connection.execute(query, (middle,)).fetchone()
        if found is not None and found[0] < step:
            low = middle + 1
        else:
            high = middle
    return low

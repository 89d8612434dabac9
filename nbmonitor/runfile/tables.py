"""Rows into the wide tables of a run file: which table and column a key has, and the inserts.

Everything happens within the caller's transaction. After one that was rolled back, a new
`Tables` is made: what this one remembers is then no longer so.
"""

from __future__ import annotations

import math
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from nbmonitor import wire
from nbmonitor.record import Row
from nbmonitor.run import Run
from nbmonitor.runfile import schema
from nbmonitor.runfile.schema import FIXED, MAX_COLUMNS, SeriesRow, quote

# Rows in one statement, largest first. SQLite gives up the interpreter's lock in each, and a
# busy training thread takes 5 ms to hand it back: few statements matter more than short ones.
_BATCHES = (256, 32, 4, 1)
_MAX_PARAMETERS = 30_000
_FARTHEST = 2**62


class Tables:
    """The wide tables of one file.

    Parameters
    ----------
    db
        Connection to the file.
    run
        Knows labels, units and precision of the series.
    """

    def __init__(self, db: sqlite3.Connection, run: Run) -> None:
        self._db, self._run = db, run
        self._series: dict[str, SeriesRow] = {s.key: s for s in schema.series(db)}
        # By table: keys in the order of its columns, names of the columns, rows so far.
        self._keys: dict[str, list[str]] = {}
        self._columns: dict[str, list[str]] = {}
        self._last: dict[str, int] = {}
        self._plans: dict[tuple[str, ...], list[str]] = {}
        for s in self._series.values():
            self._keys.setdefault(s.table, []).append(s.key)
            self._columns.setdefault(s.table, []).append(s.column)
        for table in self._keys:
            found = db.execute(f"SELECT max(n) FROM {quote(table)}").fetchone()  # noqa: S608
            self._last[table] = found[0] or 0

    @property
    def last(self) -> dict[str, int]:
        """Number of the last row of each table."""
        return dict(self._last)

    @property
    def series(self) -> list[SeriesRow]:
        """Every series of the file, in order of appearance."""
        return list(self._series.values())

    def insert(self, rows: Sequence[Row]) -> Counter[str]:
        """Add rows in order; return how many values each key got."""
        rows = [_plain(row) for row in rows]
        counts: Counter[tuple[str, ...]] = Counter()
        fresh: dict[str, list[tuple[Any, ...]]] = {}
        nans: list[tuple[int, int]] = []
        self._place(dict.fromkeys(tuple(row[1]) for row in rows))
        for step, values, time in rows:
            keys = tuple(values)
            counts[keys] += 1
            for table in self._plans[keys]:
                n = self._last[table] = self._last[table] + 1
                fresh.setdefault(table, []).append(
                    (n, step, time, *map(values.get, self._keys[table]))
                )
            # NaN is NULL to SQLite, which here means: no value.
            if math.isnan(sum(values.values())):
                for key, value in values.items():
                    if math.isnan(value):
                        s = self._series[key]
                        nans.append((s.id, self._last[s.table]))
        for table, lines in fresh.items():
            self._write(table, [*FIXED, *self._columns[table]], lines)
        for number, n in nans:
            self._db.execute("INSERT INTO nonfinite VALUES (?, ?, 'nan')", (number, n))
        total: Counter[str] = Counter()
        for keys, times in counts.items():
            for key in keys:
                total[key] += times
        return total

    def rewind(self, step: int) -> int:
        """Delete all rows after `step`; return how many. Their numbers aren't used again."""
        deleted = 0
        for table, keys in self._keys.items():
            ids = ", ".join(str(self._series[key].id) for key in keys)
            self._db.execute(
                f"DELETE FROM nonfinite WHERE series IN ({ids}) AND n IN "  # noqa: S608
                f"(SELECT n FROM {quote(table)} WHERE step > ?)",
                (step,),
            )
            found = self._db.execute(f"DELETE FROM {quote(table)} WHERE step > ?", (step,))  # noqa: S608
            deleted += found.rowcount
        return deleted

    def _write(self, table: str, columns: Sequence[str], lines: list[tuple[Any, ...]]) -> None:
        width = len(columns)
        one = f"({', '.join('?' * width)})"
        names = ", ".join(map(quote, columns))
        at = 0
        for size in _BATCHES:
            if size * width > _MAX_PARAMETERS:
                continue
            sql = f"INSERT INTO {quote(table)} ({names}) VALUES {', '.join([one] * size)}"  # noqa: S608
            while len(lines) - at >= size:
                self._db.execute(sql, [value for line in lines[at : at + size] for value in line])
                at += size

    # ------------------------------------------------------------------ keys to columns

    def _place(self, groups: Iterable[tuple[str, ...]]) -> None:
        """Make sure that the keys of each group have columns, and remember in which tables."""
        unknown = [keys for keys in groups if keys not in self._plans]
        grown = False
        for keys in unknown:
            fresh = [key for key in keys if key not in self._series]
            if fresh:
                self._add(fresh, beside=[key for key in keys if key in self._series])
                grown = True
            self._plans[keys] = list(dict.fromkeys(self._series[key].table for key in keys))
        if grown:
            schema.write_view(self._db, self._series.values())

    def _add(self, fresh: list[str], beside: list[str]) -> None:
        """Give new keys columns: in the table of those they come with, as long as it has room."""
        homes = Counter(self._series[key].table for key in beside)
        near = [table for table, _ in homes.most_common()]
        declared = {spec["key"]: spec for spec in self._run.series_since(0)}
        waiting = list(fresh)
        while waiting:
            table = next((t for t in near if len(self._keys[t]) < MAX_COLUMNS), "")
            if table:
                taken = waiting[:1]
                column = self._named(table, taken[0])
                self._db.execute(f"ALTER TABLE {quote(table)} ADD COLUMN {quote(column)} REAL")
            else:
                # All at once: each column that a table gets later has SQLite read its whole schema.
                taken = waiting[:MAX_COLUMNS]
                table = self._create(taken)
                near.append(table)
            del waiting[: len(taken)]
            for key in taken:
                self._note(table, key, declared.get(key))

    def _create(self, keys: list[str]) -> str:
        table = schema.row_table(len(self._keys) + 1)
        self._keys[table], self._columns[table], self._last[table] = [], [], 0
        columns = "".join(f", {quote(self._named(table, key))} REAL" for key in keys)
        self._db.execute(
            f"CREATE TABLE {quote(table)} (n INTEGER PRIMARY KEY, step INTEGER, time REAL{columns})"
        )
        return table

    def _named(self, table: str, key: str) -> str:
        """Give a key its column."""
        # To SQLite, "Loss" and "loss" are one column.
        taken = {name.lower() for name in (*FIXED, *self._columns[table])}
        column, number = key, 2
        while column.lower() in taken:
            column, number = f"{key}~{number}", number + 1
        self._columns[table].append(column)
        return column

    def _note(self, table: str, key: str, spec: wire.SeriesSpec | None) -> None:
        """Write down where a key's values are: in the first column of the table without a key."""
        s = SeriesRow(
            len(self._series),
            key,
            spec["label"] if spec else key,
            spec["unit"] if spec else "",
            self._run.dtype(key),
            table,
            self._columns[table][len(self._keys[table])],
        )
        self._db.execute(
            "INSERT INTO series VALUES (?, ?, ?, ?, ?, ?, ?)",
            (s.id, s.key, s.label, s.unit, s.dtype, s.table, s.column),
        )
        self._series[key] = s
        self._keys[table].append(key)


def _plain(row: Row) -> Row:
    """Make sure that SQLite takes a row: whole steps, and Python's own numbers."""
    step, values, time = row
    # The sum of floats alone is one: so much cheaper than to look at each.
    if type(step) is int and type(sum(values.values())) is float and abs(step) < _FARTHEST:
        return row
    plain = {key: float(value) for key, value in values.items()}
    return int(max(-_FARTHEST, min(step, _FARTHEST))), plain, float(time)

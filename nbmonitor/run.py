"""The record of one training run: series, tensors and events. Everything else reads it.

Appending is cheap and thread-safe; memory is bounded (old rows fold into buckets). It
knows neither a Trainer nor a widget nor a disk: the engine writes it, the flusher and
the user read it.
"""

from __future__ import annotations

import threading
import time as clock
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbmonitor import packing, wire
from nbmonitor.declarations import Declarations
from nbmonitor.export import Archive, Exports, Held
from nbmonitor.probe import Series
from nbmonitor.record import ACTIVE, ENDED, Journal, Row
from nbmonitor.recorded import Recorded
from nbmonitor.reeled import Reeled
from nbmonitor.reels import is_for_page
from nbmonitor.series import Column
from nbmonitor.summary import Summarised

STATUSES = ("waiting", "running", "paused", "finished", "interrupted", "failed")
MEMORY = 64 * 2**20
HISTORY_BYTES = 380_000
_NONFINITE_EVENTS = 200


def _nothing() -> None:
    """Stand in for `Run.settle` until an engine is attached."""


class Run(Reeled, Exports, Recorded, Summarised):
    """The live record.

    Parameters
    ----------
    name
        Shown in the title.
    memory
        Bytes that exact rows may take before the oldest fold into buckets.

    Attributes
    ----------
    config : dict
        What is trained and how: model, method, batch size, versions…
    generation : int
        Grows when history is rewritten, so that readers start over.
    changed : threading.Event
        Set by every change; the flusher clears it.
    settle : callable
        Brings measured rows in before anything is read; set by the engine. Called without
        the lock, because it appends.
    path : pathlib.Path or None
        The run file, when the Run is kept on disk.
    journal : Journal or None
        Who writes that file.
    archive, panels
        As in `Exports`.
    film, reel_memory
        As in `Reeled`.
    """

    def __init__(self, name: str = "", memory: int = MEMORY) -> None:
        self.config: dict[str, Any] = {"name": name} if name else {}
        self.memory = memory
        self.changed = threading.Event()
        self.settle: Callable[[], None] = _nothing
        self.path: Path | None = None
        self.journal: Journal | None = None
        self.archive: Archive | None = None
        self.panels: Callable[[], list[wire.PanelSpec]] = list
        self.generation = 0
        self.status = "waiting"
        self.status_message = ""
        self.status_detail = ""
        self.total_steps = 0
        self.total_epochs = 0.0
        self.started: float | None = None
        self.ended: float | None = None
        self._lock = threading.RLock()
        self._declared = Declarations()
        self._clear()

    def _clear(self) -> None:
        self.step = 0
        self._columns: list[Column] = []
        self._specs: list[wire.SeriesSpec] = []
        self._ids: dict[str, int] = {}
        self._events: list[wire.RunEvent] = []
        self._nonfinite: dict[str, int] = {}
        self._clear_tensors()

    def declare(self, series: Iterable[Series]) -> None:
        """Make labels, units and precision known before rows arrive."""
        with self._lock:
            self._declared.add(series)

    def _column(self, key: str) -> Column:
        number = self._ids.get(key)
        if number is not None:
            return self._columns[number]
        spec = self._declared.find(key)
        self._ids[key] = len(self._columns)
        self._specs.append(
            {"id": len(self._columns), "key": key, "label": spec.label, "unit": spec.unit}
        )
        self._columns.append(Column(spec.dtype))
        return self._columns[-1]

    def append(self, step: int, values: Mapping[str, float], time: float | None = None) -> None:
        """Add one row: the values of some series at a step.

        Parameters
        ----------
        step
            Optimiser steps done; never below the step of an earlier row.
        values
            Series key to number. NaN and ±Inf are kept and noted as `nonfinite` events.
        time
            Seconds since the epoch; now, when left out.
        """
        self.extend([(step, values, clock.time() if time is None else time)])

    def extend(self, rows: Sequence[Row]) -> None:
        """Add many rows: (step, values by key, seconds since the epoch) in order."""
        with self._lock:
            sealed, start = False, 0
            for end in range(1, len(rows) + 1):
                if end == len(rows) or rows[end][1].keys() != rows[start][1].keys():
                    sealed |= self._extend_alike(rows[start:end])
                    start = end
            if sealed:
                self._bound()
        self.changed.set()

    def _extend_alike(self, rows: Sequence[Row]) -> bool:
        """Add rows of the same keys, column by column."""
        keys = list(rows[0][1])
        steps = np.array([row[0] for row in rows], np.float64)
        table = np.array([[row[1][key] for row in rows] for key in keys], np.float64)
        table = table.reshape(len(keys), len(rows))
        self.step = max(self.step, int(steps.max()))
        sealed, rising = False, len(rows) == 1 or bool((steps[1:] >= steps[:-1]).all())
        odd = not np.isfinite(table).all()
        for key, values in zip(keys, table, strict=True):
            column = self._column(key)
            last = column.last_x
            # A page's x axis has one direction: a late row of an earlier step is put at
            # the newest step of its series.
            x = steps
            if not rising or (last is not None and last > steps[0]):
                x = np.maximum.accumulate(np.maximum(steps, last or 0.0))
            sealed |= column.extend(x, values)
            for at in np.flatnonzero(~np.isfinite(values)).tolist() if odd else ():
                self._note_nonfinite(key, int(x[at]), float(values[at]), rows[at][2])
        return sealed

    def _note_nonfinite(self, key: str, step: int, value: float, time: float) -> None:
        seen = self._nonfinite.get(key, 0) + 1
        self._nonfinite[key] = seen
        if seen > _NONFINITE_EVENTS:
            return
        message = f"{key} is {value} at step {step}"
        if seen == _NONFINITE_EVENTS:
            message += f" (time {seen}; later ones are drawn but no longer listed)"
        self.event(
            "nonfinite", step, {"key": key, "value": str(value), "message": message}, time=time
        )

    def _bound(self) -> None:
        while sum(c.nbytes for c in self._columns) > self.memory:
            largest = max(self._columns, key=lambda c: c.foldable)
            if not largest.foldable or not largest.fold_oldest():
                return

    def event(
        self, kind: str, step: int | None, data: dict[str, Any], time: float | None = None
    ) -> None:
        """Record that something happened; `data["message"]` is shown to people."""
        with self._lock:
            entry: wire.RunEvent = {
                "kind": kind,
                "step": self.step if step is None else step,
                "time": clock.time() if time is None else time,
                "data": data,
            }
            self._events.append(entry)
            if self.journal is not None:
                self.journal.event(len(self._events) - 1, entry)
        self.changed.set()

    def set_status(self, status: str, message: str = "", detail: str = "") -> None:
        """Move to another of `STATUSES`, with the reason and its details (a traceback)."""
        if status not in STATUSES:
            msg = f"status {status!r} given; one of {', '.join(STATUSES)} is allowed"
            raise ValueError(msg)
        with self._lock:
            now = clock.time()
            if status == "running" and self.status not in ACTIVE:
                self.started, self.ended = now, None
            if status in ENDED:
                self.ended = now
            self.status, self.status_message, self.status_detail = status, message, detail
            text = f"{status}: {message}" if message else status
            self.event("status", None, {"status": status, "message": text})

    def rewind(self, step: int) -> int:
        """Drop every row after `step`, because the training goes on from there."""
        with self._lock:
            dropped = sum(c.truncate(step) for c in self._columns)
            if self.journal is not None:
                self.journal.rewind(step)
            if self._reels.cut(step) or dropped:
                self.generation += 1
            self.step = min(self.step, step)
        self.changed.set()
        return dropped

    def restart(self) -> Run:
        """Empty the record for a new run; return the old one as a Run of its own."""
        with self._lock:
            past = Run(memory=self.memory)
            keep = {"settle", "changed", "_lock", "generation"}
            for name, value in vars(self).items():
                if name not in keep:
                    setattr(past, name, value)
            past.config = dict(self.config)
            self.path = self.journal = self.archive = self.film = None
            self._clear()
            self.generation += 1
            self.status, self.status_message, self.status_detail = "waiting", "", ""
            self.started = self.ended = None
        self.changed.set()
        return past

    @property
    def keys(self) -> list[str]:
        """Keys of all series that hold a row, in order of appearance."""
        self.settle()
        with self._lock:
            return [spec["key"] for spec in self._specs]

    def last(self, key: str) -> float | None:
        """Return the newest value of a series, or None."""
        self.settle()
        with self._lock:
            number = self._ids.get(key)
            return None if number is None else self._columns[number].last

    def dtype(self, key: str) -> str:
        """Precision of a series: "float32" or "float64"."""
        with self._lock:
            return self._declared.find(key).dtype

    def points(self, key: str) -> tuple[NDArray[np.float64], NDArray[Any]]:
        """Return steps (n,) and values (n,) of a series; for folded rows, the last of each bucket.

        Raises
        ------
        KeyError
            If the Run has no such series.
        """
        self.settle()
        with self._lock:
            held = self._held(key)
        return held.x, held.values

    def held(self, key: str) -> tuple[int, Held]:
        """Return the number of a series and what memory has of it.

        Raises
        ------
        KeyError
            If the Run has no such series.
        """
        self.settle()
        with self._lock:
            held = self._held(key)
            return self._ids[key], held

    def _held(self, key: str) -> Held:
        if key not in self._ids:
            msg = f"no series {key!r}; this Run has {sorted(self._ids) or 'none yet'}"
            raise KeyError(msg)
        column = self._columns[self._ids[key]]
        x, values = column.exact()
        if column.summary is None:
            return Held(x, values, 0, 0)
        old = column.summary
        last = np.concatenate([old.values[3].astype(values.dtype), values])
        return Held(np.concatenate([old.x, x]), last, len(old.x), column.folded)

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Events in order, each with `kind`, `step`, `time` (s since the epoch) and `data`."""
        self.settle()
        with self._lock:
            return [dict(e) for e in self._events if kind is None or e["kind"] == kind]

    def spans(self) -> dict[str, dict[str, Any]]:
        """Last value, its step, minimum, maximum, rows and unit of every series, by key."""
        self.settle()
        with self._lock:
            out = {}
            for spec, column in zip(self._specs, self._columns, strict=True):
                low, high = column.range
                last_x = column.last_x
                out[spec["key"]] = {
                    "last": column.last,
                    "step": None if last_x is None else int(last_x),
                    "min": low,
                    "max": high,
                    "rows": column.rows,
                    "unit": spec["unit"],
                }
            return out

    @property
    def nbytes(self) -> int:
        """Bytes that series and reels take, about."""
        with self._lock:
            return sum(c.nbytes for c in self._columns) + self._reels.nbytes

    def series_since(self, count: int) -> list[wire.SeriesSpec]:
        """Specs of the series with an id of `count` or more."""
        with self._lock:
            return list(self._specs[count:])

    def row_counts(self) -> dict[int, int]:
        """Rows appended so far, by series id."""
        with self._lock:
            return {number: column.rows for number, column in enumerate(self._columns)}

    def rows_since(self, sent: Mapping[int, int]) -> list[wire.Rows]:
        """Rows that a reader lacks who has `sent[id]` rows of each series."""
        with self._lock:
            return [
                rows
                for number, column in enumerate(self._columns)
                if column.rows > sent.get(number, 0)
                for rows in packing.stretches(
                    column, number, sent.get(number, 0), packing.BACKLOG_BYTES
                )
            ]

    def events_since(self, count: int) -> list[wire.RunEvent]:
        """Events after the first `count`."""
        with self._lock:
            return list(self._events[count:])

    def pack(self, budget: int = HISTORY_BYTES, *, tensors: bool = True) -> bytes:
        """Pack the whole Run for a page that has nothing, in about `budget` bytes.

        With `tensors`, small ones go along; they take at most `packing.TENSORS_BYTES` of it.
        So do some frames of reels, which take `packing.REEL_BYTES`, in part beyond the budget.
        """
        self.settle()
        frames = self.keepsakes(packing.REEL_BYTES) if tensors and self.reels else []
        with self._lock:
            held = [t for _, t in self._tensors.values() if tensors and is_for_page(t)]
            puts, buffers, taken = packing.keepsakes(held, frames, self.generation)
            left = max(budget + packing.REEL_MORE * bool(frames) - taken, budget // 3)
            header, rows = packing.everything(self._columns, self._specs, self._events, left)
            header["generation"], header["tensors"] = self.generation, puts
        return wire.pack_history(header, rows, buffers)

"""From what was measured to rows of the Run, without making a step wait.

The training thread leaves entries; whoever reads the Run (the flusher, `history()`) settles
them: values reach the host, probes derive their series, rows are laid down. Before a step ends,
what it measured is also written down raw in the run's journal, if it has one, so that a process
that dies loses nothing.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from nbmonitor.entries import Entry, Logged, Measurement, Ready
from nbmonitor.guard import Guard
from nbmonitor.probe import Measured, Probe, Step
from nbmonitor.record import Journal, Row
from nbmonitor.run import Run

# Seconds. What judges rows costs the training less when it is asked seldom: each time, a part of
# the processor's caches is its.
TELL_EVERY = 0.5


class Inbox:
    """Entries in order, each derived once.

    Parameters
    ----------
    run
        Gets the rows.
    guard
        Calls the probes.

    Attributes
    ----------
    log_probes
        Asked for what is logged.
    watchers
        Told of rows that were laid down, in order, by whatever thread settles; twice a second.
    """

    def __init__(self, run: Run, guard: Guard) -> None:
        self._run, self._guard = run, guard
        # Two locks, so that no step waits for a reader: one around entering, one around settling.
        self._entering = threading.Lock()
        self._settling = threading.RLock()
        self._waiting: deque[Entry] = deque()
        self._unwritten: deque[Entry] = deque()
        self._count = 0
        self.log_probes: list[Probe] = []
        self.watchers: list[Callable[[Sequence[Row]], None]] = []
        self._untold: list[Row] = []
        self._told = 0.0

    # ------------------------------------------------------------------ in

    def leave(self, entry: Entry) -> None:
        """Take an entry, on any thread, and write it down if it has reached the host."""
        run = self._run
        with self._entering:
            self._count = entry.seq = self._count + 1
            self._waiting.append(entry)
            journal = run.journal
            if journal is not None:
                numbers = entry.numbers
                if self._unwritten or (numbers is None and not entry.ready()):
                    self._unwritten.append(entry)
                    self._write_down()
                elif (
                    numbers is None
                    or not isinstance(entry, Measurement)
                    or not journal.numbers(entry.seq, entry.shape(), numbers)
                ):
                    _note_down(journal, entry)
        if not run.changed.is_set():
            run.changed.set()

    def _write_down(self) -> None:
        """Put into the journal what has reached the host, in order; called while entering."""
        journal = self._run.journal
        while self._unwritten and self._unwritten[0].ready():
            entry = self._unwritten.popleft()
            if journal is not None:
                _note_down(journal, entry)

    # ------------------------------------------------------------------ out

    def settle(self, *, wait: bool = False) -> None:
        """Lay down in the Run what has reached the host, in order; with `wait`, everything.

        Watchers hear of it, too, or of it with what comes in the next half second.
        """
        if self._unwritten:
            with self._entering:
                self._write_down()
        now = time.monotonic()
        due = wait or now - self._told >= TELL_EVERY
        if not self._waiting and not wait and not (due and self._untold):
            return
        run = self._run
        with self._settling:
            rows: list[Row] = []
            upto = 0
            while self._waiting and (wait or self._waiting[0].ready()):
                entry = self._waiting.popleft()
                upto = entry.seq
                values = self._values_of(entry)
                if values:
                    rows.append((entry.step.number, values, entry.step.time))
            if rows:
                run.extend(rows)
            if upto and run.journal is not None:
                run.journal.take(rows, upto)
            self._untold += rows
            if due and self._untold:
                self._told = now
                rows, self._untold = self._untold, []
                for watcher in list(self.watchers):
                    self._tell(watcher, rows)

    def _tell(self, watcher: Callable[[Sequence[Row]], None], rows: Sequence[Row]) -> None:
        try:
            watcher(rows)
        except Exception as error:  # noqa: BLE001 - what watches may not stop what it watches
            self.watchers.remove(watcher)
            name = getattr(watcher, "__qualname__", repr(watcher))
            self._guard.tell(f"{name} raised", name, "watch", error)

    def _values_of(self, entry: Entry) -> dict[str, float]:
        if isinstance(entry, Ready):
            return entry.values
        out: dict[str, float] = {}
        step = entry.step
        if isinstance(entry, Logged):
            call = self._guard.call
            for probe in self.log_probes:
                out.update(call(probe, probe.on_log, step.number, entry.metrics) or {})
            return out
        measured = entry.host()
        for probe in entry.due:
            self._derive(probe, step, {}, out)
        for probe, host in zip(entry.measured, measured, strict=True):
            self._derive(probe, step, host, out)
        return out

    def _derive(self, probe: Probe, step: Step, host: Measured, out: dict[str, float]) -> None:
        if probe.name in self._guard.off:
            return
        try:
            for key, value in probe.derive(step, host).items():
                if value is not None:
                    out[key] = float(value)
        except Exception as error:  # noqa: BLE001 - as in `Guard.call`, without a call more a step
            self._guard.switch_off(probe, "derive", error)


def _note_down(journal: Journal, entry: Entry) -> None:
    try:
        payload = entry.payload()
    except Exception:  # noqa: BLE001 - `derive` meets the same value, and says so
        return
    journal.entry(entry.seq, payload)

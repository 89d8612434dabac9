"""Keep a Run on disk: the journal at once, the SQLite file twice a second, whatever happens.

Nothing here raises. What fails is told once, in an alert, and tried again; rows wait in
memory meanwhile, and each is written once. It knows neither what a file looks like inside
(`storage.py`) nor how one is saved that was deleted or damaged (`rescue.py`).
"""

from __future__ import annotations

import contextlib
import math
import os
import platform
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nbmonitor import wire
from nbmonitor.record import Row
from nbmonitor.run import Run
from nbmonitor.runfile import journal as journals
from nbmonitor.runfile import rescue, schema
from nbmonitor.runfile.journal import Folded, Journal, Payload
from nbmonitor.runfile.outage import Outage
from nbmonitor.runfile.storage import Batch, Cut, Laid, Storage

HEARTBEAT = 2.0
PANELS_EVERY = 5.0
SUMMARY_EVERY = 60.0
# Several buckets a pixel on the widest screen, for a dozen series; more comes from the rows.
SUMMARY_BYTES = 1_500_000
# A summary may take so large a part of the time.
_SUMMARY_SHARE = 0.02
# A lock may be over in a moment.
_LAST_ATTEMPTS = 3
_ACTIVE = frozenset({"running", "paused"})


class Recorder:
    """Write one Run to one file; a `record.Journal`.

    Parameters
    ----------
    run
        What is kept. Its events and tensors are taken from it, so that none is missed.
    path
        A name from `new_path`. Should a run be there already, another name is taken.
    panels
        Returns the panels as they are.

    Attributes
    ----------
    path : pathlib.Path
        Where the file is; `run.path` goes along when that changes.
    entry : callable
        `Journal.entry` of the journal itself, so that a step pays for one call and not for two.
    """

    def __init__(
        self, run: Run, path: str | Path, panels: Callable[[], list[wire.PanelSpec]]
    ) -> None:
        path = Path(path)
        taken = path.exists() and path.stat().st_size > 0
        self._begin(run, rescue.beside(path) if taken else path, panels, {})

    @classmethod
    def reopen(
        cls, run: Run, path: str | Path, panels: Callable[[], list[wire.PanelSpec]]
    ) -> Recorder:
        """Go on with a file that another process wrote, and that `run` was filled from.

        What that process left in its journal should be in the file by now (`recovery.py`).
        """
        recorder = cls.__new__(cls)
        recorder._begin(run, Path(path), panels, _counts(run))  # noqa: SLF001 - its own
        return recorder

    def _begin(
        self,
        run: Run,
        path: Path,
        panels: Callable[[], list[wire.PanelSpec]],
        held: dict[str, int],
    ) -> None:
        self.path, self._run, self._panels, self._held = path, run, panels, held
        self._folding = threading.RLock()
        self._changes: deque[Laid | Cut] = deque()
        self._storage: Storage | None = None
        self._journal: Journal | None = None
        self._inode = 0
        # Numbers of this process begin after those of the file and of its journal.
        self._base = self._rewind_base = 0
        self._joined = self._closed = self._moved = self._dirty = False
        self._upto = self._rewinds = 0
        self._tensors = run.tensors_since(0)[0] if held else 0
        self._generation = -run.generation
        self._beat = self._looked = 0.0
        self._panel_specs: list[wire.PanelSpec] = []
        self._summary_at = time.monotonic() + SUMMARY_EVERY
        self._outage = Outage(run, lambda: self.path)
        self.entry: Callable[[int, Payload], None] = _ignore
        self._try(self._open)

    # ------------------------------------------------------------------ any thread

    def event(self, index: int, event: wire.RunEvent) -> None:
        """Write down an event, the `index`-th of the Run."""
        if self._journal is not None:
            self._journal.event(index, event)

    def take(self, rows: Sequence[Row], upto: int) -> None:
        """Take derived rows; with them, all entries up to number `upto` are accounted for."""
        if not self._closed:
            self._upto = max(self._upto, upto)
            self._changes.append(Laid(rows, upto))

    def rewind(self, step: int) -> None:
        """Learn that rows after `step` are void; the Run has dropped them already."""
        if self._closed:
            return
        self._rewinds += 1
        self._changes.append(Cut(self._rewinds, step, _counts(self._run)))
        if self._journal is not None:
            self._journal.rewind(self._rewind_base + self._rewinds, self._upto, step)

    # ------------------------------------------------------------------ the folding thread

    def fold(self) -> None:
        """Write what is new, in one transaction; soon again, if that fails."""
        with self._folding:
            if self._closed or not self._outage.is_due:
                return
            over = self._run.status not in _ACTIVE
            summary = self._dirty and (over or time.monotonic() > self._summary_at)
            self._try(lambda: self._fold(summary=summary))

    def close(self) -> None:
        """Fold for the last time, complete the file and let go of it."""
        with self._folding:
            if self._closed:
                return
            self._looked = -math.inf
            done = any(self._try(lambda: self._fold(summary=True)) for _ in range(_LAST_ATTEMPTS))
            self._closed, self.entry = True, _ignore
            if self._storage is not None:
                if done:
                    self._try(self._storage.finish)
                self._try(self._storage.close)
            if self._journal is not None:
                # What could not be written waits in the journal for whoever opens the file.
                journal, self._journal = self._journal, None
                self._try(lambda: journal.close(keep=not done))

    def _try(self, work: Callable[[], None]) -> bool:
        """Do it; tell what goes wrong, and see that it is tried again."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - no disk may stop a training
            trouble = self._outage.failed(error)
            self._outage.bound(self._changes)
            if trouble.kind == "damaged":
                self._replace("is damaged")
            elif trouble.kind == "foreign":
                self._replace("can't be gone on with")
            elif trouble.kind in {"io", "other", "readonly"} and self._in_place:
                self._reconnect()
            return False
        return True

    # ------------------------------------------------------------------ opening

    def _open(self) -> None:
        """Open the journal first: from then on nothing is lost."""
        if self._journal is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            left = journals.need(journals.records(self.path))
            self._journal = Journal(self.path)
            if not self._joined:
                self._base, self._rewind_base = left.seq, left.rewinds
            self._journal.base = self._base
            self.entry = self._journal.entry
        if self._storage is None:
            if self._inode and not self._has_file:
                # Deleted in the moment when it was not open.
                self._held, self._tensors = {}, 0
                self._outage.replaced(self.path, self.path, "was deleted", "from here on")
            self._storage = Storage(self.path, self._run, self._held)
            self._inode = self.path.stat().st_ino
            if not self._joined:
                self._join(self._storage.meta)
        self._run.path = self.path

    def _join(self, meta: dict[str, Any]) -> None:
        """Number on from where the file ends, so that what it has is known from what is new."""
        self._joined = True
        self._base = max(self._base, int(meta.get("folded_seq") or 0))
        self._rewind_base = max(self._rewind_base, int(meta.get("rewinds") or 0))
        self._generation += int(meta.get("generation") or 0)
        if self._journal is not None:
            self._journal.base = self._base

    def _reconnect(self) -> None:
        """Let the next fold open the file anew: whatever is wrong may be with the connection."""
        storage, self._storage = self._storage, None
        if storage is not None:
            self._held = dict(storage.counts)
            storage.close()

    # ------------------------------------------------------------------ one fold

    def _fold(self, *, summary: bool) -> None:
        settled = self._in_place or self._find_place()
        self._open()
        storage, journal = self._storage, self._journal
        assert storage is not None
        assert journal is not None
        if journal.trouble is not None:
            self._outage.journal_failed(journal.trouble)
        # Packing settles the Run: what it brings in is among the changes then.
        packed = self._pack() if summary else None
        changes = list(self._changes)
        version, tensors = self._run.tensors_since(self._tensors)
        batch = Batch(
            [c for c in map(self._numbered, changes) if self._is_new(c, storage.meta)],
            storage.events,
            self._run.events_since(storage.events),
            tensors,
            summary=packed,
        )
        batch.meta = self._meta(storage, batch)
        now = time.monotonic()
        active = self._run.status in _ACTIVE
        if (batch.changes or batch.events or tensors or packed or storage.differs(batch.meta)) or (
            active and now - self._beat > HEARTBEAT
        ):
            batch.meta["updated"] = time.time()
            storage.write(batch)
            self._beat = now
        self._dirty = not packed and (self._dirty or bool(batch.changes))
        for _ in changes:
            self._changes.popleft()
        self._tensors = version
        journal.rotate(
            Folded(
                int(storage.meta.get("folded_seq") or 0),
                storage.events,
                int(storage.meta.get("rewinds") or 0),
            )
        )
        if settled:
            self._outage.worked(batch.rows)

    def _pack(self) -> bytes:
        began = time.monotonic()
        packed = self._run.pack(SUMMARY_BYTES)
        now = time.monotonic()
        self._summary_at = now + max(SUMMARY_EVERY, (now - began) / _SUMMARY_SHARE)
        return packed

    def _numbered(self, change: Laid | Cut) -> Laid | Cut:
        if isinstance(change, Laid):
            return Laid(change.rows, self._base + change.upto)
        return Cut(self._rewind_base + change.number, change.step, change.counts)

    @staticmethod
    def _is_new(change: Laid | Cut, meta: dict[str, Any]) -> bool:
        """Whether the file lacks it: a write that failed may have been done all the same."""
        if isinstance(change, Laid):
            return change.upto > int(meta.get("folded_seq") or 0)
        return change.number > int(meta.get("rewinds") or 0)

    def _meta(self, storage: Storage, batch: Batch) -> dict[str, Any]:
        run, now = self._run, time.monotonic()
        if batch.events or now - self._looked > PANELS_EVERY:
            self._panel_specs, self._looked = self._panels(), now
        meta: dict[str, Any] = {
            "name": run.config.get("name", ""),
            "status": run.status,
            "status_message": run.status_message,
            "status_detail": run.status_detail,
            "step": run.step,
            "total_steps": run.total_steps,
            "total_epochs": run.total_epochs,
            "started": run.started,
            "ended": run.ended,
            "config": run.config,
            "panels": self._panel_specs,
            "generation": self._generation + run.generation,
            "pid": os.getpid(),
            "host": platform.node(),
        }
        if "run_id" not in storage.meta:
            from nbmonitor import __version__

            meta |= {
                "run_id": uuid.uuid4().hex,
                "created": time.time(),
                "nbmonitor_version": __version__,
            }
        for change in batch.changes:
            if isinstance(change, Laid):
                meta["folded_seq"] = change.upto
            else:
                meta["rewinds"] = change.number
        return meta

    # ------------------------------------------------------------------ deleted, moved, damaged

    @property
    def _in_place(self) -> bool:
        """Whether what is open is what has the names; also so as long as nothing is open."""
        if self._storage is None or self._journal is None:
            return True
        try:
            return self._journal.in_place and self.path.stat().st_ino == self._inode
        except OSError:
            return False

    def _find_place(self) -> bool:
        """Save what has lost its name; say whether all is well then."""
        journal, storage = self._journal, self._storage
        assert journal is not None
        assert storage is not None
        if self._has_file:
            # Only the journal is gone.
            self._let_go_of_journal()
            return True
        if journal.linked and not journal.in_place:
            if not self._moved:
                self._moved = True
                self._outage.moved()
            return True
        old, new = self.path, rescue.beside(self.path)
        try:
            rescue.copy(storage.db, new)
        except Exception as error:  # noqa: BLE001 - the deleted file is still open, and still good
            self._outage.failed(error)
            return False
        self._let_go_of_journal()
        self._reconnect()
        self._outage.replaced(old, new, "was deleted", "with everything it held")
        self._go_to(new)
        return True

    @property
    def _has_file(self) -> bool:
        try:
            return self.path.stat().st_ino == self._inode
        except OSError:
            return False

    def _let_go_of_journal(self) -> None:
        journal, self._journal, self.entry = self._journal, None, _ignore
        if journal is not None:
            journal.close()

    def _go_to(self, path: Path) -> None:
        self.path = self._run.path = path
        self._inode = 0
        if "run_file" in self._run.config:
            self._run.config = {**self._run.config, "run_file": str(path)}
        self._open()

    def _replace(self, why: str) -> None:
        """Go on in another file, with what can be read of this one."""
        old, new = self.path, rescue.beside(self.path)
        storage, self._storage = self._storage, None
        rows = 0
        try:
            db = storage.db if storage else schema.connect(old)
            with contextlib.closing(db):
                rows = rescue.salvage(db, storage.tables.series if storage else [], new)
        except Exception:  # noqa: BLE001 - it is tried once: what can't be read is lost
            new = rescue.beside(new)
        self._begin_anew(old, new, why, f"with {rows:,} rows saved from it")

    def _begin_anew(self, old: Path, new: Path, why: str, saved: str) -> None:
        self._let_go_of_journal()
        self._held, self._tensors = {}, 0
        self._outage.replaced(old, new, why, saved)
        self._try(lambda: self._go_to(new))


def _counts(run: Run) -> dict[str, int]:
    keys = {spec["id"]: spec["key"] for spec in run.series_since(0)}
    return {keys[number]: rows for number, rows in run.row_counts().items()}


def _ignore(seq: int, payload: Payload) -> None:
    """Stand in for a journal where there is none."""

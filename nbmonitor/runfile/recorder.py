"""Keep a Run on disk: the journal at once, the SQLite file twice a second, whatever happens.

Nothing here raises. What fails is told once, in an alert, and tried again; rows wait in
memory meanwhile, and each is written once. It knows neither what a file looks like inside
(`storage.py`) nor how one comes to be open (`files.py`).
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from nbmonitor import wire
from nbmonitor.record import ACTIVE, Row, Tensor
from nbmonitor.run import Run
from nbmonitor.runfile import rescue
from nbmonitor.runfile.files import Entry, Files, Numbers, ignore, refuse
from nbmonitor.runfile.state import State, birth
from nbmonitor.runfile.storage import Batch, Cut, Laid, Storage

HEARTBEAT = 2.0
SUMMARY_EVERY = 60.0
# Several buckets a pixel on the widest screen, for a dozen series; more comes from the rows.
SUMMARY_BYTES = 1_500_000
# A summary may take so large a part of the time.
_SUMMARY_SHARE = 0.02
# A lock may be over in a moment.
_LAST_ATTEMPTS = 3


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
    entry, numbers : callable
        Those of the journal itself, so that a step pays for one call and not for two.
    """

    def __init__(
        self, run: Run, path: str | Path, panels: Callable[[], list[wire.PanelSpec]]
    ) -> None:
        path = Path(path)
        # A name that `new_path` has reserved is a file of no bytes.
        taken = rescue.is_there(path) and path.stat().st_size > 0
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
        held: Mapping[str, int],
    ) -> None:
        self._run, self._state = run, State(run, panels)
        self.entry: Entry = ignore
        self.numbers: Numbers = refuse
        self._files = Files(run, path, held, self._bind)
        self._folding = threading.RLock()
        self._process = os.getpid()
        self._changes: deque[Laid | Cut] = deque()
        self._closed = self._dirty = False
        self._upto = self._rewinds = self._replaced = 0
        # What the Run has now of tensors, it has from the file.
        self._tensors = run.tensors_since(0)[0] if held else 0
        self._beat = 0.0
        self._summary_at = time.monotonic() + SUMMARY_EVERY
        self._try(self._open)

    def _bind(self, entry: Entry, numbers: Numbers) -> None:
        self.entry, self.numbers = entry, numbers

    def _open(self) -> None:
        self._files.open()

    @property
    def is_open(self) -> bool:
        """Whether the lock is held, and measurements are written down."""
        return self._files.journal is not None

    @property
    def path(self) -> Path:
        """Where the file is; another one may take its place."""
        return self._files.path

    # ------------------------------------------------------------------ any thread

    def event(self, index: int, event: wire.RunEvent) -> None:
        """Write down an event, the `index`-th of the Run."""
        journal = self._files.journal
        if journal is not None:
            journal.event(index, event)

    def take(self, rows: Sequence[Row], upto: int) -> None:
        """Take derived rows; with them, all entries up to number `upto` are accounted for."""
        if not self._closed:
            self._upto = max(self._upto, upto)
            self._changes.append(Laid(rows, upto))

    def rewind(self, step: int) -> None:
        """Learn that rows after `step` are void; the Run has dropped them already."""
        if self._closed:
            return
        self._changes.append(Cut(self._rewinds + 1, step, _counts(self._run)))
        self._rewinds += 1  # after the change is there: see `_news`
        journal = self._files.journal
        if journal is not None:
            journal.rewind(self._files.base.rewinds + self._rewinds, self._upto, step)

    # ------------------------------------------------------------------ the folding thread

    def fold(self) -> None:
        """Write what is new, in one transaction; soon again, if that fails."""
        if self._process != os.getpid():
            return  # a fork, which has the lock as it was then, and shares the files
        with self._folding:
            if self._closed or not self._files.outage.is_due:
                return
            over = self._run.status not in ACTIVE
            summary = self._dirty and (over or time.monotonic() > self._summary_at)
            self._try(lambda: self._fold(summary=summary))

    def close(self) -> None:
        """Fold for the last time, complete the file and let go of it."""
        if self._process != os.getpid():
            return
        with self._folding:
            if self._closed:
                return
            done = any(
                self._try(lambda: self._fold(summary=True, last=True))
                for _ in range(_LAST_ATTEMPTS)
            )
            self._closed = True
            self._try(lambda: self._files.close(complete=done))

    def _try(self, work: Callable[[], None]) -> bool:
        """Do it; tell what goes wrong, and see that it is tried again."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - no disk may stop a training
            self._files.failed(error)
            self._files.outage.bound(self._changes)
            return False
        return True

    # ------------------------------------------------------------------ one fold

    def _fold(self, *, summary: bool, last: bool = False) -> None:
        files = self._files
        in_place = files.find_place()
        journal, storage = files.open()
        if self._replaced != files.replaced:
            self._tensors, self._replaced = 0, files.replaced
        if journal.trouble is not None:
            files.outage.journal_failed(journal.trouble)
        # Packing settles the Run: what that brings in is among the changes then.
        packed = self._pack() if summary else None
        changes, version, tensors = self._news()
        batch = self._batch(storage, changes)
        batch.tensors, batch.summary = tensors, packed
        rewinds = int(batch.meta.get("rewinds", storage.folded.rewinds))
        batch.meta.update(
            self._state.look(
                news=last or bool(batch.events),
                # Told in the transaction that cuts, so that nobody takes old rows for new ones.
                generation=files.generation + max(0, rewinds - files.base.rewinds),
            )
        )
        beat = self._run.status in ACTIVE and time.monotonic() - self._beat > HEARTBEAT
        if batch.weighs or beat or storage.differs(batch.meta):
            batch.meta["updated"] = time.time()
            storage.write(batch)
            self._beat = time.monotonic()
        self._dirty = not packed and (self._dirty or bool(batch.changes))
        for _ in changes:
            self._changes.popleft()
        self._tensors = version
        journal.rotate(storage.folded)
        if in_place:
            files.outage.worked(batch.rows)

    def _news(self) -> tuple[list[Laid | Cut], int, list[Tensor]]:
        """What is to be written: rows and cuts, then the tensors as they are after those.

        A Run that is rewound meanwhile has dropped tensors of its own: what it has then must not
        be written without the cut, which would take them out of the file again, nor after it.
        """
        while True:
            rewinds = self._rewinds
            changes = list(self._changes)
            version, tensors = self._run.tensors_since(self._tensors)
            if rewinds == self._rewinds:
                return changes, version, tensors

    def _batch(self, storage: Storage, changes: Sequence[Laid | Cut]) -> Batch:
        """Number changes as the file does, and leave out what it has.

        A write that failed may have been done all the same.
        """
        base, folded = self._files.base, storage.folded
        batch = Batch(first_event=storage.events, events=self._run.events_since(storage.events))
        for change in changes:
            if isinstance(change, Laid) and base.seq + change.upto > folded.seq:
                batch.changes.append(change)
                batch.meta["folded_seq"] = base.seq + change.upto
            elif isinstance(change, Cut) and base.rewinds + change.number > folded.rewinds:
                batch.changes.append(change)
                batch.meta["rewinds"] = base.rewinds + change.number
        if "run_id" not in storage.meta:
            batch.meta.update(birth())
        return batch

    def _pack(self) -> bytes:
        began = time.monotonic()
        packed = self._run.pack(SUMMARY_BYTES, tensors=False)
        now = time.monotonic()
        self._summary_at = now + max(SUMMARY_EVERY, (now - began) / _SUMMARY_SHARE)
        return packed


def _counts(run: Run) -> dict[str, int]:
    keys = {spec["id"]: spec["key"] for spec in run.series_since(0)}
    return {keys[number]: rows for number, rows in run.row_counts().items()}

"""The open files of a recorder, journal and database: made, found again, replaced.

It raises what opening raises; what is written, and when, is the recorder's matter.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nbmonitor.run import Run
from nbmonitor.runfile import records, rescue, schema
from nbmonitor.runfile.journal import Journal
from nbmonitor.runfile.outage import Outage
from nbmonitor.runfile.records import Folded, Payload
from nbmonitor.runfile.ring import Shape
from nbmonitor.runfile.storage import Storage

Entry = Callable[[int, Payload], None]
Numbers = Callable[[int, Shape, Sequence[Any]], bool]


class Files:
    """Journal and database of one run.

    Parameters
    ----------
    run
        Whose record it is; `run.path` goes along with the file.
    path
        Of the database.
    held
        Values of each series that the database has already.
    bind
        Given what writes down an entry, and one of numbers alone, whenever that changes.

    Attributes
    ----------
    base : Folded
        Where a process before this one ended: what is numbered here comes after it.
    generation : int
        Likewise, of the file's history.
    replaced : int
        How often a file without the old one's tensors took its place.
    """

    def __init__(
        self, run: Run, path: Path, held: Mapping[str, int], bind: Callable[[Entry, Numbers], None]
    ) -> None:
        self.path, self._run, self._held, self._bind = path, run, dict(held), bind
        self.outage = Outage(run, lambda: self.path)
        self.journal: Journal | None = None
        self.storage: Storage | None = None
        self.base = Folded()
        self.generation = self.replaced = 0
        self._joined = self._moved = False
        self._inode = 0

    def open(self) -> tuple[Journal, Storage]:
        """Open what is not open; the journal first: from then on nothing is lost."""
        if self.journal is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            left = records.need(records.records(self.path))
            self.journal = Journal(self.path)
            if not self._joined:
                self._begin_after(left)
            self.journal.base = self.base.seq
            ring = self.journal.ring
            self._bind(self.journal.entry, refuse if ring is None else ring.write)
        if self.storage is None:
            if self._inode and not self._has_file:
                # Deleted in the moment when it was not open.
                self._forget()
                self.outage.replaced(self.path, self.path, "was deleted", "from here on")
            self.storage = Storage(self.path, self._run, self._held)
            self._inode = self.path.stat().st_ino
            if not self._joined:
                self._joined = True
                self._begin_after(self.storage.folded)
                self.generation = int(self.storage.meta.get("generation") or 0)
        self._run.path = self.path
        return self.journal, self.storage

    def _begin_after(self, ended: Folded) -> None:
        """Number on from there, so that what the file has is known from what is new."""
        self.base = Folded(max(self.base.seq, ended.seq), 0, max(self.base.rewinds, ended.rewinds))
        if self.journal is not None:
            self.journal.base = self.base.seq

    def failed(self, error: Exception) -> None:
        """Tell what went wrong, and get ready for another attempt."""
        trouble = self.outage.failed(error)
        if trouble.kind == "damaged":
            self._replace("is damaged")
        elif trouble.kind == "foreign":
            self._replace("can't be gone on with")
        elif trouble.kind in {"io", "other", "readonly"} and self._in_place:
            # Whatever is wrong may be with the connection.
            self._disconnect()

    def close(self, *, complete: bool) -> None:
        """Let go of the files; `complete` if the database has everything."""
        self._bind(ignore, refuse)
        storage, self.storage = self.storage, None
        journal, self.journal = self.journal, None
        try:
            if storage is not None:
                if complete:
                    storage.finish()
                storage.close()
        finally:
            if journal is not None:
                # What could not be written waits there for whoever opens the file.
                journal.close(keep=not complete)

    def _disconnect(self) -> None:
        storage, self.storage = self.storage, None
        if storage is not None:
            self._held = dict(storage.counts)
            storage.close()

    def _forget(self) -> None:
        self._held = {}
        self.replaced += 1

    # ------------------------------------------------------------------ deleted, moved, damaged

    @property
    def _has_file(self) -> bool:
        try:
            return self.path.stat().st_ino == self._inode
        except OSError:
            return False

    @property
    def _in_place(self) -> bool:
        """Whether what is open is what has the names; also as long as nothing is open."""
        if self.storage is None or self.journal is None:
            return True
        return self.journal.in_place and self._has_file

    def find_place(self) -> bool:
        """Save what has lost its name; say whether all is well then."""
        journal, storage = self.journal, self.storage
        if journal is None or storage is None or self._in_place:
            return True
        if self._has_file:
            self._let_go_of_journal()
            return True
        if journal.linked and not journal.in_place:
            # Where file systems make up numbers of files, this is no news.
            if not self._moved and not rescue.is_there(self.path):
                self._moved = True
                self.outage.moved()
            return True
        old, new = self.path, rescue.beside(self.path)
        try:
            rescue.copy(storage.db, new)
        except Exception as error:  # noqa: BLE001 - the deleted file is still open, and still good
            self.outage.failed(error)
            return False
        self._disconnect()
        self.outage.replaced(old, new, "was deleted", "with everything it held")
        self._go_to(new)
        return True

    def _replace(self, why: str) -> None:
        """Go on in another file, with what can be read of this one."""
        old, new = self.path, rescue.beside(self.path)
        storage, self.storage = self.storage, None
        rows = 0
        try:
            db = storage.db if storage else schema.connect(old)
            with contextlib.closing(db):
                rows = rescue.salvage(db, storage.tables.series if storage else [], new)
        except Exception:  # noqa: BLE001 - it is tried once: what can't be read is lost
            new = rescue.beside(new)
        self._forget()
        self.outage.replaced(old, new, why, f"with {rows:,} rows saved from it")
        self._go_to(new)

    def _let_go_of_journal(self) -> None:
        self._bind(ignore, refuse)
        journal, self.journal = self.journal, None
        if journal is not None:
            journal.close()

    def _go_to(self, path: Path) -> None:
        """Take another path; the next `open` opens what is there."""
        self._let_go_of_journal()
        self.path = self._run.path = path
        self._inode = 0
        if "run_file" in self._run.config:
            self._run.config = {**self._run.config, "run_file": str(path)}


def ignore(seq: int, payload: Payload) -> None:
    """Stand in for a journal where there is none."""


def refuse(seq: int, shape: Shape, numbers: Sequence[Any]) -> bool:  # noqa: ARG001 - as `ignore`
    """Stand in for a ring where there is none."""
    return False

"""The journal of a run file: what was measured, out of the process before its step ends.

Records (`records.py`) go into one of four files in turn. When all that a file holds is in the
database, it is emptied and used again. What is nothing but numbers goes into a fifth (`ring.py`)
where there is room. It knows no database: `rotate` is told what that has.
"""

from __future__ import annotations

import marshal
import os
import threading
import time
import weakref
from pathlib import Path
from typing import Any

from nbmonitor import wire
from nbmonitor.runfile.paths import journal_paths, lock
from nbmonitor.runfile.records import (
    FORMAT,
    MARK,
    Folded,
    Payload,
    Record,
    Records,
    encode,
    locate,
    need,
    read,
    records,
)
from nbmonitor.runfile.ring import Ring
from nbmonitor.runfile.segment import MAPPED_BYTES, Appended, Mapped, Segment, Sink, mappable

_dump = marshal.dump
# A file is left for another one when it holds this much, so that its memory stays warm.
_TURN = 32 * 1024
# Seconds after which no thread can be about to write to a file that was left.
_REST = 0.2
_FIXED = 2


class Journal:
    """The journal of one run file, being written.

    Parameters
    ----------
    path
        The run file.

    Attributes
    ----------
    ring : Ring or None
        Where entries of nothing but numbers may be written down, by one thread at a time.
    trouble : OSError or None
        Why nothing can be written down; set by whatever thread met it.

    Raises
    ------
    BlockingIOError
        If another writer has this run file.
    OSError
        If the files can't be made.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._base = path, 0
        self.trouble: OSError | None = None
        self._lock = threading.Lock()
        self._segments: list[Segment] = []
        self._out: Sink | None = None
        self.ring: Ring | None = None
        # By number of a segment that was left: its bytes, and what a database must have before
        # it is emptied.
        self._needs: dict[int, tuple[int, Folded]] = {}
        mapped = mappable(path.parent)
        self._open(mapped=mapped)
        if mapped:
            self.ring = _ring(journal_paths(path)[-1])
        self._use(next((s for s in self._segments if not s.used), self._segments[-1]))
        # A forked process shares the files and must not touch them.
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_Forgetting(self))

    def _open(self, *, mapped: bool) -> None:
        descriptors: list[int] = []
        try:
            for file in journal_paths(self._path)[:-1]:
                descriptors.append(os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666))
                if len(descriptors) == 1:
                    lock(descriptors[0], self._path)
            for number, descriptor in enumerate(descriptors):
                # The last two take what comes when the others are full: they grow.
                fixed = mapped and number < _FIXED
                fits = os.fstat(descriptor).st_size <= MAPPED_BYTES
                self._segments.append(
                    Mapped(descriptor) if fixed and fits else _sound(Appended(descriptor, MARK))
                )
        except BaseException:
            # What is made of a descriptor has a share in the lock, and lets go of it.
            for segment in self._segments:
                segment.close()
            for descriptor in descriptors[len(self._segments) :]:
                os.close(descriptor)
            raise
        self._lead = descriptors[0]
        self._inode = os.fstat(self._lead).st_ino

    def _use(self, segment: Segment) -> None:
        self._active, self._out = segment, segment.sink
        self._turned = time.monotonic()
        self._needs.pop(self._segments.index(segment), None)

    @property
    def base(self) -> int:
        """Added to the numbers of entries: the last number of a process before this one."""
        return self._base

    @base.setter
    def base(self, seq: int) -> None:
        self._base = seq
        if self.ring is not None:
            self.ring.base = seq

    # ------------------------------------------------------------------ any thread

    def entry(self, seq: int, payload: Payload) -> None:
        """Write down a measurement. Two calls into C, no lock: this is all a step pays."""
        # Looked up once: a record and its mark belong into one file.
        out: Any = self._out
        try:
            _dump((self._base + seq, payload), out, FORMAT)
            _dump(None, out, FORMAT)
        except Exception:  # noqa: BLE001 - whatever it is, a training doesn't end for it
            self._otherwise((self.base + seq, payload))

    def event(self, index: int, event: wire.RunEvent) -> None:
        """Write down an event."""
        self._otherwise(("event", index, dict(event)))

    def rewind(self, number: int, seq: int, step: int) -> None:
        """Write down that rows after `step` are void; `seq` without the base."""
        self._otherwise(("rewind", number, self.base + seq, step))

    def _otherwise(self, record: Record) -> None:
        """Write a record wherever there is room for it."""
        if self._out is None:
            return
        try:
            data = encode(record) + MARK
            with self._lock:
                self._append(data)
        except Exception as error:  # noqa: BLE001 - as in `entry`
            self.trouble = error if isinstance(error, OSError) else OSError(repr(error))
            self._out, self._turned = None, time.monotonic()

    def _append(self, data: bytes) -> None:
        free = [s for s in self._segments if s is not self._active and not s.used]
        problem: OSError | None = None
        for segment in (self._active, *free, *self._segments[_FIXED:]):
            try:
                segment.sink.write(data)
            except ValueError:  # a mapping without room
                continue
            except OSError as error:
                problem = error
                continue
            self._use(segment)
            return
        raise problem or OSError("the journal is full")

    # ------------------------------------------------------------------ the folding thread

    def rotate(self, folded: Folded) -> None:
        """Empty what the database has, and go on in an empty file where that is of use.

        Raises
        ------
        OSError
            If a file can't be emptied.
        """
        if self.ring is not None:
            self.ring.folded(folded.seq)
        rested = time.monotonic() - self._turned > _REST
        left = [n for n, s in enumerate(self._segments) if s.used and not self._in_use(s)]
        for number in left if rested else []:
            segment = self._segments[number]
            if self._needs.get(number, (-1,))[0] != segment.used:
                used = segment.used
                held = need(record for record, _ in locate(segment.read(), unmarked=True))
                self._needs[number] = used, held
        with self._lock:
            for number in left:
                segment = self._segments[number]
                used, wanted = self._needs.get(number, (-1, Folded()))
                if used >= 0 and folded.has(wanted) and not self._in_use(segment):
                    segment.reset(used)
                    del self._needs[number]
            free = [s for s in self._segments if s is not self._active and not s.used]
            free = free or [s for s in self._segments if not s.used]
            stuck = self._out is None or self._active in self._segments[_FIXED:]
            if free and (stuck or self._active.used > _TURN):
                self.trouble = None
                self._use(free[0])

    def _in_use(self, segment: Segment) -> bool:
        return segment is self._active and self._out is not None

    @property
    def in_place(self) -> bool:
        """Whether the files are still where they were made."""
        try:
            return journal_paths(self._path)[0].stat().st_ino == self._inode
        except OSError:
            return False

    @property
    def linked(self) -> bool:
        """Whether the files have a name anywhere: a directory that was moved keeps them."""
        return bool(self._segments) and os.fstat(self._lead).st_nlink > 0

    @property
    def used(self) -> int:
        """Bytes that wait for being folded, or for being emptied."""
        return sum(segment.used for segment in self._segments)

    def close(self, *, keep: bool = False) -> None:
        """Let go of the files, and remove them unless they are to be kept."""
        with self._lock:
            self._out = None
            in_place = self.in_place
            segments, self._segments = self._segments, []
            # The one with the lock goes last.
            for file in reversed(journal_paths(self._path)):
                if in_place and not keep:
                    file.unlink(missing_ok=True)
            for segment in segments:
                segment.close()
            self._let_go_of_ring()

    def _let_go_of_ring(self) -> None:
        ring, self.ring = self.ring, None
        if ring is not None:
            ring.close()

    def forget(self) -> None:
        """Never write again; the files are another process's, and so is the lock on them."""
        self._out, self._lock = None, threading.Lock()
        segments, self._segments = self._segments, []
        for segment in segments:
            segment.close()
        self._let_go_of_ring()


def _ring(path: Path) -> Ring | None:
    """Open the ring; where there is no room for one, all goes the general way."""
    descriptor = -1
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        return Ring(descriptor)
    except (OSError, ValueError):
        if descriptor >= 0:
            os.close(descriptor)
        return None


def _sound(segment: Appended) -> Appended:
    """Take away half a record at the end, so that others can follow."""
    if segment.used:
        ends = [end for _, end in locate(segment.read())]
        # Cut before the last mark, or in its place, and set it anew.
        segment.cut(ends[-1] if ends else 0)
        if ends:
            segment.write(MARK + MARK)
    return segment


class _Forgetting:
    """What a forked child does with the journal of its parent."""

    def __init__(self, journal: Journal) -> None:
        self._journal = weakref.ref(journal)

    def __call__(self) -> None:
        journal = self._journal()
        if journal is not None:
            journal.forget()


__all__ = ["Folded", "Journal", "Payload", "Records", "need", "read", "records"]

"""The journal of a run file: what was measured, out of the process before its step ends.

A record is one object in the `marshal` format (version 2), followed by the mark `None`. A
record with nothing after it is torn, because each is written whole before the next begins:
what a process leaves that is killed at any instant is read up to there. Records are

    (seq, payload)                    a measurement
    ("event", index, event)           an event, the `index`-th of the Run
    ("rewind", number, seq, step)     rows after `step` are void; it came after entry `seq`

They go into one of three files in turn. When all that a file holds is in the database, it is
emptied and used again. It knows no database: `rotate` is told what that has.
"""

from __future__ import annotations

import io
import marshal
import os
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbmonitor import wire
from nbmonitor.runfile.paths import journal_paths, lock
from nbmonitor.runfile.segment import MAPPED_BYTES, Appended, Mapped, Segment, Sink, mappable

# Written by every Python, read by every Python; later ones look up each object twice.
_FORMAT = 2
_dump, _dumps = marshal.dump, marshal.dumps
# A file is left for another one when it holds this much, so that its memory stays warm.
_TURN = 32 * 1024
# Seconds after which no thread can be about to write to a file that was left.
_REST = 0.2
_MARK = _dumps(None, _FORMAT)

Payload = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Folded:
    """What a database has of a journal: entries up to a number, a count of events and rewinds."""

    seq: int = 0
    events: int = 0
    rewinds: int = 0

    def has(self, other: Folded) -> bool:
        """Whether all that `other` has is here too."""
        return (
            self.seq >= other.seq and self.events >= other.events and self.rewinds >= other.rewinds
        )


@dataclass(slots=True)
class Records:
    """What a journal holds, in order and each once."""

    entries: list[tuple[int, Payload]] = field(default_factory=list)
    events: list[tuple[int, wire.RunEvent]] = field(default_factory=list)
    # After which entry, back to which step.
    rewinds: list[tuple[int, int]] = field(default_factory=list)


def parse(data: bytes) -> Iterator[tuple[Any, ...]]:
    """Read the records at the front of `data`, up to the first that is torn."""
    return (record for record, _ in _parse(data))


def _parse(data: bytes) -> Iterator[tuple[tuple[Any, ...], int]]:
    """Read records, each with the place where what follows it begins."""
    stream = io.BytesIO(data)
    before: Any = None
    while True:
        try:
            end = stream.tell()
            found = marshal.load(stream)  # noqa: S302 - our own file, and nothing is executed
        except Exception:  # noqa: BLE001 - what is torn may look like anything
            return
        if isinstance(before, tuple) and before:
            yield before, end
        before = found


def need(found: Iterable[tuple[Any, ...]]) -> Folded:
    """Sum up what a database must have to make records superfluous."""
    seq = events = rewinds = 0
    for record in found:
        if record[0] == "event":
            events = max(events, record[1] + 1)
        elif record[0] == "rewind":
            rewinds = max(rewinds, record[1])
        else:
            seq = max(seq, record[0])
    return Folded(seq, events, rewinds)


def records(path: Path) -> Iterator[tuple[Any, ...]]:
    """Read whatever the journal of the run file at `path` holds, file by file."""
    for file in journal_paths(path):
        try:
            data = file.read_bytes()
        except OSError:
            continue
        yield from parse(data)


def read(path: str | Path) -> Records:
    """Read the journal of the run file at `path`; no journal reads as an empty one.

    Whoever reads beside a living writer reads the journal first and the database second: what
    is missing here is there then.
    """
    entries: dict[int, Payload] = {}
    events: dict[int, wire.RunEvent] = {}
    rewinds: dict[int, tuple[int, int]] = {}
    for record in records(Path(path)):
        if record[0] == "event":
            events[record[1]] = record[2]
        elif record[0] == "rewind":
            rewinds[record[1]] = record[2:]
        else:
            entries[record[0]] = record[1]
    return Records(sorted(entries.items()), sorted(events.items()), _values(rewinds))


def _values(numbered: dict[int, tuple[int, int]]) -> list[tuple[int, int]]:
    return [value for _, value in sorted(numbered.items())]


class Journal:
    """The journal of one run file, being written.

    Parameters
    ----------
    path
        The run file.

    Attributes
    ----------
    base : int
        Added to the numbers of entries: the last number of a process before this one.
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
        self._path, self.base = path, 0
        self.trouble: OSError | None = None
        self._lock = threading.Lock()
        self._segments: list[Segment] = []
        self._out: Sink | None = None
        # By number of a segment that was left: what a database must have before it is emptied.
        self._needs: dict[int, Folded] = {}
        self._open(mapped=mappable(path.parent))
        self._use(next((s for s in self._segments if not s.used), self._segments[-1]))
        # A forked process shares the files and must not touch them.
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_Forgetting(self))

    def _open(self, *, mapped: bool) -> None:
        descriptors: list[int] = []
        try:
            for file in journal_paths(self._path):
                descriptors.append(os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666))
                if len(descriptors) == 1:
                    lock(descriptors[0], self._path)
            for number, descriptor in enumerate(descriptors):
                # The last takes what comes when the others are full: it grows.
                fixed = mapped and number < len(descriptors) - 1
                fits = os.fstat(descriptor).st_size <= MAPPED_BYTES
                self._segments.append(
                    Mapped(descriptor) if fixed and fits else _sound(Appended(descriptor))
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

    # ------------------------------------------------------------------ any thread

    def entry(self, seq: int, payload: Payload) -> None:
        """Write down a measurement. Two calls into C, no lock: this is all a step pays."""
        # Looked up once: a record and its mark belong into one file.
        out: Any = self._out
        try:
            _dump((self.base + seq, payload), out, _FORMAT)
            _dump(None, out, _FORMAT)
        except Exception:  # noqa: BLE001 - whatever it is, a training doesn't end for it
            self._otherwise((self.base + seq, payload))

    def event(self, index: int, event: wire.RunEvent) -> None:
        """Write down an event."""
        self._otherwise(("event", index, dict(event)))

    def rewind(self, number: int, seq: int, step: int) -> None:
        """Write down that rows after `step` are void; `seq` without the base."""
        self._otherwise(("rewind", number, self.base + seq, step))

    def _otherwise(self, record: tuple[Any, ...]) -> None:
        """Write a record wherever there is room for it."""
        if self._out is None:
            return
        try:
            data = _bytes(record) + _MARK
            with self._lock:
                self._append(data)
        except Exception as error:  # noqa: BLE001 - as in `entry`
            self.trouble = error if isinstance(error, OSError) else OSError(repr(error))
            self._out, self._turned = None, time.monotonic()

    def _append(self, data: bytes) -> None:
        free = [s for s in self._segments if s is not self._active and not s.used]
        problem: OSError | None = None
        for segment in (self._active, *free, self._segments[-1]):
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
        rested = time.monotonic() - self._turned > _REST
        left = [n for n, s in enumerate(self._segments) if s.used and not self._in_use(s)]
        for number in left if rested else []:
            if number not in self._needs:
                self._needs[number] = need(parse(self._segments[number].read()))
        with self._lock:
            for number in left:
                segment = self._segments[number]
                wanted = self._needs.get(number)
                if wanted and folded.has(wanted) and not self._in_use(segment):
                    segment.reset()
                    del self._needs[number]
            free = [s for s in self._segments if s is not self._active and not s.used]
            free = free or [s for s in self._segments if not s.used]
            stuck = self._out is None or self._active is self._segments[-1]
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

    def forget(self) -> None:
        """Never write again; the files are another process's, and so is the lock on them."""
        self._out, self._lock = None, threading.Lock()
        segments, self._segments = self._segments, []
        for segment in segments:
            segment.close()


def _sound(segment: Appended) -> Appended:
    """Take away half a record at the end, so that others can follow."""
    if segment.used:
        ends = [end for _, end in _parse(segment.read())]
        segment.cut(ends[-1] if ends else 0)
        if ends:
            segment.write(_MARK)
    return segment


class _Forgetting:
    """What a forked child does with the journal of its parent."""

    def __init__(self, journal: Journal) -> None:
        self._journal = weakref.ref(journal)

    def __call__(self) -> None:
        journal = self._journal()
        if journal is not None:
            journal.forget()


def _bytes(record: tuple[Any, ...]) -> bytes:
    try:
        return _dumps(record, _FORMAT)
    except ValueError:  # an object of a library in a message or a payload
        return _dumps(plain(record), _FORMAT)


def plain(value: Any) -> Any:
    """Make of anything what `marshal` knows: numbers stay numbers, the rest becomes text."""
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    if isinstance(value, list | set | frozenset):
        return list(map(plain, value))
    if value is None or type(value) in {bool, int, float, str, bytes}:
        return value
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return float(value) if isinstance(value, float) else str(value)

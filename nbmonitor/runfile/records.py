"""The records of a journal: how they are written as bytes, and read back.

A record is one object in the `marshal` format (version 2), followed by the mark `None`. A
record with nothing after it is torn, because each is written whole before the next begins:
what a process leaves that is killed at any instant is read up to there. Records are

    (seq, payload)                    a measurement
    ("event", index, event)           an event, the `index`-th of the Run
    ("rewind", number, seq, step)     rows after `step` are void; it came after entry `seq`

Measurements of nothing but numbers may stand in a ring instead (`ring.py`).
"""

from __future__ import annotations

import io
import marshal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nbmonitor import wire
from nbmonitor.runfile import ring
from nbmonitor.runfile.paths import journal_paths

# Written by every Python, read by every Python; later ones look up each object twice.
FORMAT = 2
MARK = marshal.dumps(None, FORMAT)

Payload = tuple[Any, ...]
Record = tuple[Any, ...]


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


def parse(data: bytes) -> Iterator[Record]:
    """Read the records at the front of `data`, up to the first that is torn."""
    return (record for record, _ in locate(data))


def locate(data: bytes, *, unmarked: bool = False) -> Iterator[tuple[Record, int]]:
    """Read records, each with the place where what follows it begins.

    With `unmarked`, one counts at the end that nothing follows: its writer may not be done.
    """
    stream = io.BytesIO(data)
    before: Any = None
    while True:
        end = stream.tell()
        try:
            found = marshal.load(stream)  # noqa: S302 - our own file, and nothing is executed
        except Exception:  # noqa: BLE001 - what is torn may look like anything
            break
        if isinstance(before, tuple) and before:
            yield before, end
        before = found
    if unmarked and isinstance(before, tuple) and before:
        yield before, end


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
    files = journal_paths(path)
    for file in files:
        try:
            data = file.read_bytes()
        except OSError:
            continue
        yield from ring.rows(data) if file == files[-1] else parse(data)


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


def encode(record: Record) -> bytes:
    """Write a record, without its mark."""
    try:
        return marshal.dumps(record, FORMAT)
    except ValueError:  # an object of a library in a message or a payload
        return marshal.dumps(plain(record), FORMAT)


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

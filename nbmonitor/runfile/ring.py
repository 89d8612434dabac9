"""Steps in a ring of rows in memory: the journal's short way for a step of nothing but numbers.

A row is doubles in a file that is mapped: no object is made, and nothing encoded. The entry with
number n goes into row n modulo `ROWS`, over an entry that the database has; while it has not, the
ring takes nothing and the entry goes the journal's general way. A row is whole when its first
and its last cell are the entry's number, which are written first and last. So nothing is ever
emptied: what is in the database is told by its number.

Which numbers these are stands once in the file's head, as a *form*: names of probes and of what
they measured. Cells of a row: number of the entry, number of the form, bits of what is None, the
numbers, number of the entry.
"""

from __future__ import annotations

import io
import marshal
import math
import mmap
import os
from collections.abc import Iterator, Sequence
from typing import Any

HEAD = 4096
ROWS, WIDTH = 256, 32
SIZE = HEAD + ROWS * WIDTH * 8
# Written by every Python, read by every Python.
_FORMAT = 2
_BEFORE, _CELL = 3, 8
# Names of probes with names of what each measured; None ends a probe's.
Shape = list[str | None]


class Ring:
    """A ring being written, by one thread at a time.

    Parameters
    ----------
    descriptor
        Of its file, which this takes over.

    Attributes
    ----------
    base : int
        As in `Journal`.

    Raises
    ------
    OSError
        If there is no room for it.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self.base = descriptor, 0
        os.posix_fallocate(descriptor, 0, SIZE)
        self._map = mmap.mmap(descriptor, SIZE)
        found = [*_forms(bytes(self._map[:HEAD]))]
        self._known: list[Shape] = [shape for shape, _, _ in found]
        self._end = found[-1][2] if found else 0
        self._cells = memoryview(self._map)[HEAD:].cast("d")  # (ROWS * WIDTH,)
        # Touches every page: the first write to one costs ten times the next.
        for at in range(0, ROWS * WIDTH, mmap.PAGESIZE // _CELL):
            self._cells[at] = self._cells[at]
        self._left = max((seq for seq, _ in rows(bytes(self._map))), default=0)
        # Entries up to this number find a row that is free; none until the database is known.
        self._limit = -1
        self._shape: Shape | None = None
        self._form = 0

    def write(self, seq: int, shape: Shape, numbers: Sequence[Any]) -> bool:
        """Write an entry down; False if it has to go another way.

        Parameters
        ----------
        seq
            Its number, without the base.
        shape
            Whose numbers come after those that every step has.
        numbers
            Numbers of Python's own, or None.
        """
        try:
            seq += self.base
            if seq > self._limit or (shape != self._shape and not self._take_shape(shape, numbers)):
                return False
            cells, at = self._cells, seq % ROWS * WIDTH
            bits = _bits(numbers) if None in numbers else 0
            cells[at], cells[at + 1], cells[at + 2] = seq, self._form, bits
            at += _BEFORE
            for number in numbers:
                cells[at] = 0.0 if number is None else number
                at += 1
            cells[at] = seq
        except Exception:  # noqa: BLE001 - whatever it is, the general way can tell
            return False
        return True

    def _take_shape(self, shape: Shape, numbers: Sequence[Any]) -> bool:
        """Go on with another form; it is in the head before a row tells of it."""
        if len(numbers) + _BEFORE + 1 > WIDTH:
            return False
        if shape not in self._known:
            whole = [type(number) is int for number in numbers]
            data = marshal.dumps([shape, whole], _FORMAT)
            if self._end + len(data) >= HEAD:
                return False
            self._map[self._end : self._end + len(data)] = data
            self._end += len(data)
            self._known.append(shape)
        self._form = self._known.index(shape)
        self._shape = shape
        return True

    def folded(self, seq: int) -> None:
        """Hear that the database has all entries up to a number."""
        if seq >= self._left:
            self._limit = seq + ROWS

    def close(self) -> None:
        """Let go of the file; a thread that is about to write is told that it can't."""
        self._limit = -1
        self._cells.release()
        self._map.close()
        os.close(self._descriptor)


def rows(data: bytes) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Read the entries in a ring's file, in no order: number, and the payload of a step."""
    forms = [(shape, whole) for shape, whole, _ in _forms(data[:HEAD])]
    cells = memoryview(data[HEAD : HEAD + (len(data) - HEAD) // _CELL * _CELL]).cast("d")
    for at in range(0, len(cells) - WIDTH + 1, WIDTH):
        try:
            row = _row(cells[at : at + WIDTH], forms)
        except (ValueError, OverflowError, IndexError):  # damaged: no number, or of no form
            continue
        if row is not None:
            yield row


def _row(
    cells: memoryview[Any], forms: list[tuple[Shape, list[bool]]]
) -> tuple[int, tuple[Any, ...]] | None:
    """Read one row of `WIDTH` cells; None if it is empty or torn."""
    seq, form = int(cells[0]), int(cells[1])
    if seq <= 0 or form < 0:
        return None
    shape, whole = forms[form]
    if cells[_BEFORE + len(whole)] != seq:  # torn
        return None
    bits = int(cells[2])
    numbers = [
        None if bits >> place & 1 else _number(cells[_BEFORE + place], whole=is_whole)
        for place, is_whole in enumerate(whole)
    ]
    return seq, _payload(shape, numbers)


def _forms(head: bytes) -> Iterator[tuple[Shape, list[bool], int]]:
    """Read the forms in a head, each with the place where the next one begins."""
    stream = io.BytesIO(head)
    while True:
        try:
            shape, whole = marshal.load(stream)  # noqa: S302 - our own file, and nothing is executed
        except Exception:  # noqa: BLE001 - what is torn, and the zeros at the end, may look like anything
            return
        yield shape, whole, stream.tell()


def _payload(shape: Shape, numbers: list[Any]) -> tuple[Any, ...]:
    taken: dict[str, dict[str, Any]] = {}
    measured = iter(numbers[len(numbers) - _count(shape) :])
    name = None
    for word in shape:
        if name is None:
            name = str(word)
            taken[name] = {}
        elif word is None:
            name = None
        else:
            taken[name][word] = next(measured)
    return ("step", *numbers[: len(numbers) - _count(shape)], taken)


def _count(shape: Shape) -> int:
    """Return how many numbers a shape tells of: its words less a name and an end a probe."""
    return len(shape) - 2 * shape.count(None)


def _number(value: float, *, whole: bool) -> float:
    return int(value) if whole and math.isfinite(value) and value.is_integer() else value


def _bits(numbers: Sequence[Any]) -> int:
    return sum(1 << place for place, number in enumerate(numbers) if number is None)

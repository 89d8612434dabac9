"""Reels: tensors of which every value over the run is kept, and not only the newest.

Memory is bounded: where the rows of a reel lie densest, every other one goes. It knows no Run
and no file; of what is in a tensor it knows only which other one it is a difference to.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from nbmonitor.packing import shares
from nbmonitor.parameters import blob
from nbmonitor.record import Tensor

# A thousand snapshots of 5,000 tokens and 24 heat maps take about 90 MB.
MEMORY = 96 * 2**20
# Part of the memory that is filled again after thinning, so that it is rarely done.
_AFTER = 7 / 8
# What a value takes beside its array, in bytes: its meta, and what keeps it.
_BESIDE = 1024
# The newest of each reel stay: they may be on their way to a file or a page.
_RECENT = 32


class Film(Protocol):
    """Reads reels from the run file, in full."""

    def steps(self, key: str) -> list[int]:
        """Steps that the file has of a reel, ascending."""

    def read(self, key: str, step: int) -> Tensor | None:
        """Read one of them."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What is known of one value of a reel: its step, what it takes, and the step it stands on."""

    step: int
    nbytes: int
    base: int | None


def is_reel(tensor: Tensor) -> bool:
    """Whether every value of this tensor is kept."""
    return bool(tensor[3].get("reel"))


def is_for_page(tensor: Tensor) -> bool:
    """Whether this tensor travels to a page."""
    return tensor[3].get("page") is not False


def base_of(tensor: Tensor) -> int | None:
    """Step of the value that this one is a difference to; None when it stands alone."""
    _, _, array, meta = tensor
    if "base" in meta or not meta.get("blob"):
        base = meta.get("base")
    else:
        base = blob.header(array.tobytes())["base"]
    return None if base is None else int(base)


class Reels:
    """The reels of one Run.

    Parameters
    ----------
    memory
        Bytes that they may take together.
    """

    def __init__(self, memory: int = MEMORY) -> None:
        self._memory = memory
        self._held: dict[str, dict[int, tuple[int, Tensor, Frame]]] = {}
        self._steps: dict[str, list[int]] = {}
        self._bytes: Counter[str] = Counter()
        self._latest: dict[str, int] = {}

    @property
    def keys(self) -> list[str]:
        """Keys of all reels, in order of appearance."""
        return list(self._held)

    @property
    def nbytes(self) -> int:
        """Bytes that they take, about: arrays, and what comes with each."""
        return sum(self._bytes.values())

    @property
    def version(self) -> int:
        """Version of the newest value that was put; -1 while there is none."""
        return max(self._latest.values(), default=-1)

    def put(self, version: int, tensor: Tensor) -> None:
        """Take a value; one of the same key and step is replaced."""
        key, step, array, _ = tensor
        frames = self._held.setdefault(key, {})
        steps = self._steps.setdefault(key, [])
        old = frames.get(step)
        if old is None:
            insort(steps, step)
        else:
            self._bytes[key] -= old[2].nbytes
        frame = Frame(step, array.nbytes + _BESIDE, base_of(tensor))
        frames[step] = version, tensor, frame
        self._bytes[key] += frame.nbytes
        self._latest[key] = version
        if self.nbytes > self._memory:
            self._thin()

    def _thin(self) -> None:
        for key, kept in keep(self.frames(), int(_AFTER * self._memory)).items():
            frames = self._held[key]
            self._held[key] = {step: frames[step] for step in kept}
            self._steps[key] = list(kept)
            self._bytes[key] = sum(each[2].nbytes for each in self._held[key].values())

    def frames(self) -> dict[str, list[Frame]]:
        """What is known of every value, by key, in order of steps."""
        return {
            key: [self._held[key][step][2] for step in steps] for key, steps in self._steps.items()
        }

    def cut(self, step: int) -> int:
        """Drop what comes after `step`; return how much that was."""
        dropped = 0
        for key, steps in self._steps.items():
            end = bisect_left(steps, step + 1)
            for late in steps[end:]:
                self._bytes[key] -= self._held[key].pop(late)[2].nbytes
            dropped += len(steps) - end
            del steps[end:]
        return dropped

    def steps(self, key: str) -> list[int]:
        """Steps that there are values of, ascending."""
        return list(self._steps.get(key, ()))

    def get(self, key: str, step: int) -> Tensor | None:
        """Return the value at a step, if it is held."""
        found = self._held.get(key, {}).get(step)
        return None if found is None else found[1]

    def newest(self, key: str) -> tuple[int, Tensor] | None:
        """Return version and value of the last step."""
        steps = self._steps.get(key)
        return self._held[key][steps[-1]][:2] if steps else None

    def since(self, version: int) -> list[tuple[int, Tensor]]:
        """Values put after `version`, each with its own, in order of steps."""
        return [
            (frames[step][0], frames[step][1])
            for key, frames in self._held.items()
            if self._latest[key] > version
            for step in self._steps[key]
            if frames[step][0] > version
        ]

    def lacking(self, key: str, had: Mapping[int, int]) -> list[tuple[int, Tensor, Frame]]:
        """Version, value and frame of what a reader lacks who has these versions by step."""
        frames = self._held.get(key, {})
        return [
            frames[step] for step in self._steps.get(key, ()) if frames[step][0] > had.get(step, -1)
        ]

    def versions(self, key: str, steps: Iterable[int]) -> dict[int, int]:
        """Versions of the values at these steps, as far as they are held."""
        frames = self._held.get(key, {})
        return {step: frames[step][0] for step in steps if step in frames}


def keep(reels: Mapping[str, Sequence[Frame]], room: int) -> dict[str, list[int]]:
    """Choose the steps of each reel that fit into `room` bytes together.

    Reels that need less than an equal share leave the rest to the others.
    """
    sizes = [sum(frame.nbytes for frame in frames) for frames in reels.values()]
    share = shares(sizes, room) if sizes else room
    return {key: _thinned(frames, share) for key, frames in reels.items()}


def _thinned(frames: Sequence[Frame], room: int) -> list[int]:
    """Leave out frames where they lie densest until the rest fits.

    Distances are those of the square roots of steps: the beginning, where most happens, stays
    denser than the rest, and is thinned first all the same. The first and the newest frames stay,
    and so does whatever another frame stands on.
    """
    excess = sum(frame.nbytes for frame in frames) - room
    count = len(frames)
    before, after = list(range(-1, count - 1)), list(range(1, count + 1))
    stand = Counter(frame.base for frame in frames if frame.base is not None)
    gone = [False] * count
    places = {frame.step: place for place, frame in enumerate(frames)}
    roots = [math.sqrt(max(0, frame.step)) for frame in frames]

    def free(place: int) -> bool:
        return 0 < place < count - _RECENT and not gone[place] and not stand[frames[place].step]

    def gap(place: int) -> tuple[float, int]:
        return roots[after[place]] - roots[before[place]], place

    heap = [gap(place) for place in range(count) if free(place)]
    heapq.heapify(heap)
    while excess > 0 and heap:
        distance, place = heapq.heappop(heap)
        if not free(place) or distance != gap(place)[0]:
            continue  # it was put in again, with the distance that it has now
        gone[place] = True
        excess -= frames[place].nbytes
        left, right = before[place], after[place]
        after[left], before[right] = right, left
        base = frames[place].base
        touched = [left, right]
        if base is not None:
            stand[base] -= 1
            touched += [places[base]] if base in places else []
        for near in touched:
            if free(near):
                heapq.heappush(heap, gap(near))
    return [frame.step for frame, out in zip(frames, gone, strict=True) if not out]


def spread(count: int) -> list[int]:
    """Order `count` places so that each beginning of the order is even: last, first, middles."""
    if count <= 1:
        return list(range(count))
    out, gaps = [count - 1, 0], [(0, count - 1)]
    for low, high in gaps:
        middle = (low + high) // 2
        if middle != low:
            out.append(middle)
            gaps += [(middle, high), (low, middle)]
    return out

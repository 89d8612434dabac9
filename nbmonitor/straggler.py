"""Which of several ranks holds the others up: a rule on their times over a window.

Pure: numbers in, a finding out. It knows no process, no store and no series.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

WINDOW = 30.0
# To be named, a rank must be this much slower than the median of the others…
SLOWER = 1.15
# …and no longer is when it is less than this.
_FREE = 1.08
# …in this share of the window's looks, so that one hiccup names nobody…
_SHARE = 0.7
# …after so many looks and steps. Slow steps stretch the window until it holds that many.
_LOOKS = 5
_STEPS = 10


@dataclass(frozen=True, slots=True)
class Pace:
    """Steps, and seconds spent on them, between two looks at a rank."""

    steps: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Finding:
    """The slowest rank of a window; `named` if it is clear enough to say so.

    Attributes
    ----------
    mean, median : float
        Seconds a step: its own, and the median of the others.
    window : float
        Seconds that the looks span.
    """

    rank: int
    mean: float
    median: float
    window: float
    steps: int
    named: bool

    @property
    def slowdown(self) -> float:
        """How many times the others' median."""
        return self.mean / self.median if self.median > 0 else 1.0


class Straggler:
    """Looks at all ranks once in a while and remembers a window of it."""

    def __init__(self, window: float = WINDOW) -> None:
        self._window = window
        self._looks: deque[tuple[float, Mapping[int, Pace]]] = deque()
        self._pending: dict[int, Pace] = {}
        self._named: int | None = None

    def look(self, now: float, paces: Mapping[int, Pace]) -> Finding | None:
        """Take what each rank did since the look before; `now` in seconds of any clock.

        A look counts when every rank in it has made a step, so that slow steps, which end
        between two looks for one rank and after them for another, are compared all the same.
        """
        pending = self._pending
        for rank, pace in paces.items():
            before = pending.get(rank, Pace(0, 0.0))
            pending[rank] = Pace(before.steps + pace.steps, before.seconds + pace.seconds)
        for gone in pending.keys() - paces.keys():
            del pending[gone]
        if len(pending) > 1 and all(pace.steps > 0 for pace in pending.values()):
            self._looks.append((now, pending))
            self._pending = {}
        looks = self._looks
        while len(looks) > _STEPS and now - looks[0][0] > self._window:
            looks.popleft()
        found = self._finding()
        self._named = found.rank if found is not None and found.named else None
        return found

    def _finding(self) -> Finding | None:
        steps: dict[int, int] = {}
        seconds: dict[int, float] = {}
        for _, paces in self._looks:
            for rank, pace in paces.items():
                steps[rank] = steps.get(rank, 0) + pace.steps
                seconds[rank] = seconds.get(rank, 0.0) + pace.seconds
        if len(steps) < 2:
            return None
        means = {rank: seconds[rank] / steps[rank] for rank in steps}
        slowest = max(means, key=lambda rank: means[rank])
        others = median(mean for rank, mean in means.items() if rank != slowest)
        window = self._looks[-1][0] - self._looks[0][0]
        found = Finding(slowest, means[slowest], others, window, steps[slowest], named=False)
        needed = _FREE if slowest == self._named else SLOWER
        enough = len(self._looks) >= _LOOKS and steps[slowest] >= _STEPS
        if not enough or found.slowdown < needed or self._share(slowest) < _SHARE:
            return found
        return Finding(slowest, means[slowest], others, window, steps[slowest], named=True)

    def _share(self, rank: int) -> float:
        """In which part of the looks at `rank` it was slower than the others' median."""
        seen = slower = 0
        for _, paces in self._looks:
            others = [p.seconds / p.steps for r, p in paces.items() if r != rank]
            if rank in paces and others:
                seen += 1
                slower += paces[rank].seconds / paces[rank].steps > median(others)
        return slower / seen if seen else 0.0

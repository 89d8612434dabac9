"""How often the parameters are looked at: often while much happens, and too seldom to be felt.

Every step to 100, every ten to 1,000, every hundred after; more seldom where a look takes more
than its share of the training's time, on whatever threads it is spent.
"""

from __future__ import annotations

import math
import threading

# Part of the training's time that all of it may take together.
SHARE = 0.01
_STAGES = ((100, 1), (1000, 10))
_LATER = 100
# Of the last few costs, the least counts; of the very first, most is loading code.
_COSTS, _COLD = 2, 0.2


class Cadence:
    """Decides at which steps to look, and keeps the accounts.

    Parameters
    ----------
    steps
        Steps between two looks; None: few at first, then more.
    share
        Part of the training's time that looks may take; None: `SHARE`.

    Attributes
    ----------
    every : int
        Steps between two looks, for now: they lie at its multiples.
    asked : int
        As many without regard to what they cost.
    taken : list of float
        Seconds that looks have taken, of the training's thread and of others.
    before : float
        Seconds of those that were pardoned.
    """

    def __init__(self, steps: int | None = None, share: float | None = None) -> None:
        self._steps, self._share = steps, share
        self._fixed = 0
        self._lock = threading.Lock()
        self.begin(0)

    def begin(self, step: int) -> None:
        """Hear that a training begins, or goes on, at a step."""
        self._credit = 0.0
        self._pace: float | None = None
        self._last, self._first = step, True
        self._costs: list[float] = []
        self._open: dict[int, float] = {}
        self.taken, self.before = [0.0, 0.0], 0.0
        self.every = self.asked = self._fixed or self._asked_at(step + 1)

    def fix(self, every: int) -> None:
        """Look every so many steps, whatever it costs: somebody wants it so."""
        self._fixed = self.every = self.asked = every

    def _asked_at(self, number: int) -> int:
        if self._steps is not None:
            return self._steps
        return next((every for end, every in _STAGES if number <= end), _LATER)

    # ------------------------------------------------------------------ time

    def passed(self, number: int, duration: float | None) -> None:
        """Hear that the training is at a step; `duration` is what the last one took, in s."""
        steps, self._last = number - self._last, number
        if duration is None or steps <= 0:
            return
        with self._lock:
            self._pace = duration if self._pace is None else 0.8 * self._pace + 0.2 * duration
            self._credit += self._part * duration * steps

    def paid(self, number: int, seconds: float, *, here: bool) -> None:
        """Book what a look at a step has taken, on the training's thread (`here`) or another."""
        with self._lock:
            self._credit -= seconds
            self.taken[not here] += seconds
            self._open[number] = self._open.get(number, 0.0) + seconds
            if not here:
                # The other thread comes last: this is all that it took.
                self._costs = [*self._costs[1 - _COSTS :], self._open.pop(number)]

    def pardon(self) -> None:
        """Forget what was spent so far: it was before the first step, or for its sake."""
        with self._lock:
            self._credit = 0.0
            self.before += sum(self.taken)
            self.taken = [0.0, 0.0]

    @property
    def _part(self) -> float:
        return SHARE if self._share is None else self._share

    @property
    def _cost(self) -> float:
        known = self._costs or list(self._open.values())
        return min(known, default=0.0) * (_COLD if len(self._costs) <= 1 else 1.0)

    # ------------------------------------------------------------------ decisions

    def due(self, number: int) -> bool:
        """Whether to look at a step that is a multiple of `every`."""
        if self._fixed:
            return number % self._fixed == 0
        if number % self._asked_at(number):
            return False
        with self._lock:
            if self._first:
                return True  # it tells what a look costs once all is loaded
            soon = self._part * (self._pace or 0.0) * max(0, number - self._last)
            # What is still at work is not in the accounts yet.
            return self._credit + soon >= self._cost * (1 + len(self._open))

    def affordable(self) -> bool:
        """Whether to look out of turn, at the price of the next looks in turn."""
        if self._fixed:
            return True
        with self._lock:
            return self._credit >= -self._cost

    def plan(self, number: int) -> int:
        """Find out when to look next, after a step; sets and returns `every`."""
        self._first = False
        if self._fixed:
            return self.every
        self.asked = self._asked_at(number + 1)
        with self._lock:
            wanted = 1
            if self._pace is not None and self._cost > 0:
                missing = self._cost * (1 + len(self._open)) - self._credit
                wanted = math.ceil(missing / max(self._part * self._pace, 1e-12))
        self.every = self.asked * _round(-(-max(1, wanted) // self.asked))
        return self.every


def _round(count: int) -> int:
    """Return the next of 1, 2, 5, 10, 20, 50 and so on."""
    power = 1
    while True:
        for digit in (1, 2, 5):
            if digit * power >= count:
                return digit * power
        power *= 10

"""How often a costly probe measures: as often as asked, and seldom enough not to be felt.

A measurement that takes a millisecond is nothing to steps of a second, and a tenth of steps of
ten milliseconds. So its price and the pace of the steps decide together, while both are measured.
"""

from __future__ import annotations

import math
import time

# Part of the training's time that one probe may take on its thread.
SHARE = 0.0025
_MOST = 1000


class Pace:
    """Steps between two measurements.

    Parameters
    ----------
    steps
        As many at least, and always a multiple of it.

    Attributes
    ----------
    steps : int
        As many for now.
    """

    def __init__(self, steps: int) -> None:
        self.steps = self._least = steps
        self._spent = 0.0
        self._costs: list[float] = []
        self._last: tuple[int, float] | None = None

    def begin(self, steps: int) -> int:
        """Hear that a training begins; return the steps to begin it with.

        `steps` is what the probe goes by, as in `measured`.
        """
        self._spent, self._costs, self._last = 0.0, [], None
        if steps == self.steps:
            self.steps = steps = self._least
        return steps

    def add(self, seconds: float) -> None:
        """Count a part of a measurement."""
        self._spent += seconds

    def measured(self, number: int, steps: int) -> int:
        """Hear that a measurement is done at a step; return the steps until the next one.

        `steps` is what the probe goes by: if that is another number than was told here, a viewer
        has set it, and it stays.
        """
        now = time.perf_counter()
        spent, self._spent = self._spent, 0.0
        # The first time is no measure: code is loaded, memory is taken.
        self._costs = [*self._costs[-1:], spent]
        last, self._last = self._last, (number, now)
        if steps != self.steps or last is None or number <= last[0]:
            return steps
        cost = min(self._costs)
        step = (now - last[1] - spent) / (number - last[0])
        wanted = math.ceil(cost / (SHARE * max(step, 1e-6) * self._least))
        self.steps = self._least * max(1, min(wanted, _MOST // self._least))
        return self.steps

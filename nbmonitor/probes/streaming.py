"""The streaming loss: an exponential average of every step's loss, unbiased from the first one.

With a = 2 / (window + 1): m ← (1 - a)·m + a·loss and w ← (1 - a)·w + a, from zero; the average
is m / w (Kingma and Ba 2015, §3, for the division). It is the mean of all losses so far, the
newer ones weighing more. A loss that is no number is left out, so that it spoils one step only.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping

from nbmonitor.probe import Context, Measured, Probe, Series, Step

KEY = "train/loss_ema"
_MARKS = 20_000


class StreamingLoss(Probe):
    """The smoothed training loss.

    Parameters
    ----------
    window
        Steps that it looks back on: it weighs losses as old as that by e⁻² of the newest.

    Raises
    ------
    ValueError
        If `window` is less than 1.
    """

    name = "streaming"
    cost = "nothing on the training thread"
    series = (Series(KEY, "streaming loss (exponential average)"),)

    def __init__(self, window: int = 300) -> None:
        if window < 1:
            msg = f"window is {window}; a number of steps, at least 1, is needed"
            raise ValueError(msg)
        self.window = window
        self._weight = 2.0 / (window + 1)
        self._mean = self._mass = 0.0
        # (step, m, w) after recent steps: a resumed run goes on from its step.
        self._marks: deque[tuple[int, float, float]] = deque(maxlen=_MARKS)
        self._resumed: float | None = None

    def on_begin(self, context: Context) -> Measured:
        """Tell `derive`, which is in order with the steps, where the run starts."""
        del context
        return {"begin": 1.0}

    def resume(self, last: Mapping[str, float]) -> None:
        """Go on from what a run file holds; how many losses that was is known by the step."""
        self._resumed = last.get(KEY)

    def derive(self, step: Step, host: Measured) -> Measured:
        """Take one step's loss."""
        if "begin" in host:
            self._start(step.number)
            return {}
        if step.loss is None or not math.isfinite(step.loss):
            return {}
        if self._resumed is not None:
            before = max(1, step.number - 1)
            self._mass = 1.0 - (1.0 - self._weight) ** before
            self._mean, self._resumed = self._resumed * self._mass, None
        self._mean += self._weight * (step.loss - self._mean)
        self._mass += self._weight * (1.0 - self._mass)
        self._marks.append((step.number, self._mean, self._mass))
        return {KEY: self._mean / self._mass}

    def _start(self, step: int) -> None:
        """Begin with nothing, or with what the average was at the step that is resumed."""
        if self._resumed is not None:
            self._marks.clear()
            return
        while self._marks and self._marks[-1][0] > step:
            self._marks.pop()
        if not step:
            self._marks.clear()
        _, self._mean, self._mass = self._marks[-1] if self._marks else (0, 0.0, 0.0)


PROBE = StreamingLoss

"""The training loss: single values far outside, and a level that has gone up for good."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from nbmonitor.changes import larger, median, spread, wander
from nbmonitor.lookback import Lookback, Numbers
from nbmonitor.rule import Finding, Rule

KEY = "train/loss"
_FIRST = 20


class Spike(Rule):
    """A loss far above what its last hundred values let expect."""

    name = "loss_spike"
    keys = (KEY,)
    every = 1
    calm = 30
    # Values that the limit is made from, how many it needs, and how often it is made anew.
    window, needed, refresh = 100, 32, 16
    # Robust standard deviations; times the distance of the 98th percentile, for losses with
    # heavy tails; and share of the loss at the start, below which a jump is of no consequence.
    deviations, tails, share = 8.0, 3.0, 0.1

    def begin(self, seen: Lookback) -> None:
        """Forget the limit."""
        del seen
        self._limit = math.inf
        self._usual = 0.0
        self._due = self.needed
        self._start: float | None = None

    def look(self, seen: Lookback) -> Iterator[Finding]:
        """Compare the newest value with the limit of before."""
        track = seen.tracks[KEY]
        step, value, _ = track.last
        if value > self._limit and math.isfinite(value):
            rows = min(track.rows - 1, self.window)
            yield self.finding(
                "Loss spike",
                f"train/loss is {value:.4g} at step {step}; the median of the {rows} before is "
                f"{self._usual:.4g}, and {self._limit:.4g} is the most that their spread explains.",
                "Look at the rows of this step. If it comes again: clip gradients "
                "(max_grad_norm=1), lower the learning rate, or drop those rows.",
                key=KEY,
                panel="loss",
                window=(step, step),
                # Distribution-free: the chance that one more of the same is the largest.
                confidence=1 - 1 / (rows + 1),
                value=value,
            )
        if track.rows >= self._due:
            self._due = track.rows + self.refresh
            self._set_limit(seen.finite(KEY, self.window)[1])

    def skips(self, seen: Lookback, values: Mapping[str, Sequence[float]], start: int) -> int:
        """Skip to the first value above the limit, or to where the limit is made anew."""
        far = (n for n, value in enumerate(values[KEY][start:]) if value > self._limit)
        return min(next(far, self.refresh), max(0, self._due - seen.rows(KEY) - 1))

    def _set_limit(self, values: Numbers) -> None:
        if len(values) < self.needed:
            return
        ordered = np.sort(values)
        usual = median(values)
        if self._start is None:
            self._start = median(values[:_FIRST])
        # Losses above 0 scatter by factors, not by differences.
        scaled = np.log(ordered) if ordered[0] > 0 else ordered
        middle, wide = median(scaled), spread(scaled)
        # A spike that is still in the window has little say in what the next may be.
        tail = min(float(scaled[math.ceil(0.98 * len(scaled)) - 1]) - middle, 5 * wide)
        limit = middle + max(self.deviations * wide, self.tails * tail)
        if ordered[0] > 0:
            limit = math.exp(min(limit, 700.0))
        self._usual = usual
        self._limit = max(limit, usual + self.share * max(abs(self._start), abs(usual)))


class Divergence(Rule):
    """A level of the loss that has given back half of what was won, and stays there."""

    name = "divergence"
    keys = (KEY,)
    every = 10
    calm = 4
    recent = 20
    # Of the descent from the start to the best level; in noise of single values, times what their
    # correlation adds. (The median of twenty independent ones has 0.28 of their noise.)
    share, noises = 0.5, 3.0

    def begin(self, seen: Lookback) -> None:
        """Forget the levels."""
        del seen
        self._best: Numbers = np.empty(0)
        self._level = math.inf
        self._start = -math.inf
        self._at = 0
        self._looks = 0

    def look(self, seen: Lookback) -> Iterator[Finding]:
        """Compare the level of now with the best that there was."""
        rows = seen.finite(KEY)
        last = rows[:, -self.recent :]
        if last.shape[1] < self.recent:
            return
        level = median(last[1])
        self._looks += 1
        if self._looks <= 2:
            self._start = max(self._start, median(rows[1, :_FIRST]))
        rise, descent = level - self._level, max(0.0, self._start - self._level)
        needed = self.share * (0.5 if self.opened else 1.0)
        if rise > needed * descent and self._looks > 2:
            before = rows[1, rows[0] <= self._at]
            if len(before) < self.recent:
                before = rows[1, : -self.recent]
            noise, strays = wander(before)
            noise *= self.noises * strays
            sure = larger(last[1], self._best)
            if rise > max(noise, 0.05 * abs(self._level)) and sure > 0.999:
                above = level > self._start
                yield self._tell(last, (level, rise, sure), above=above)
        if level < self._level:
            self._level, self._best, self._at = level, last[1].copy(), int(last[0, -1])

    def _tell(self, last: Numbers, found: tuple[float, float, float], *, above: bool) -> Finding:
        level, rise, sure = found
        where = "above where it began" if above else "more than half of what was won is lost"
        return self.finding(
            "The loss diverges",
            f"The median of the last {self.recent} losses is {level:.4g}, {rise:.3g} above the "
            f"best level ({self._level:.4g}, up to step {self._at}; it began at "
            f"{self._start:.4g}): {where}.",
            f"Stop, go back to the last checkpoint before step {self._at}, and go on with a third "
            "to a tenth of the learning rate, with warm-up and gradient clipping.",
            severity="critical" if above else "warning",
            key=KEY,
            panel="loss",
            window=(self._at, last[0, -1]),
            confidence=sure,
            value=level,
        )


RULES = (Divergence, Spike)

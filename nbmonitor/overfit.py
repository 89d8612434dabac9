"""Overfitting: the training loss falls on while the loss on held-out data has turned upward.

Pure: levels at evaluations in, a finding out. Shared by the rule and by the phases.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nbmonitor.changes import Numbers, jitter, larger, median, rising

# So many evaluations in a row lie above the best one…
_AFTER = 3
# …by more than this share of it, and by this many times their noise.
_MARGIN = 0.02
_NOISES = 2.0


@dataclass(frozen=True, slots=True)
class Turn:
    """Where the held-out loss turned.

    Attributes
    ----------
    best_step, best
        Of the best evaluation.
    now
        The newest.
    train_then, train_now
        Median training loss before the best evaluation and before the newest.
    """

    best_step: int
    best: float
    now: float
    train_then: float
    train_now: float
    confidence: float


class Generalisation:
    """Held-out losses of one series, each with the training losses since the one before."""

    def __init__(self) -> None:
        self._steps: list[int] = []
        self._held: list[float] = []
        self._train: list[Numbers] = []

    def add(self, step: int, held_out: float, train: Numbers) -> None:
        """Take an evaluation and the training losses (n,) that led to it."""
        self._steps.append(step)
        self._held.append(held_out)
        self._train.append(train.copy())
        if len(self._held) > 64:  # the best one and the recent past are all that counts
            best = min(range(len(self._held)), key=self._held.__getitem__)
            drop = 1 if best == 0 else 0
            for kept in (self._steps, self._held, self._train):
                del kept[drop]

    def turn(self, *, standing: bool = False) -> Turn | None:
        """Say where it turned, if it did; one that is `standing` needs half the margin."""
        held = np.array(self._held)
        if len(held) < _AFTER + 1:
            return None
        best = int(held.argmin())
        after = held[best + 1 :]
        if len(after) < _AFTER:
            return None
        noise = jitter(held[: best + 1]) if best >= 4 else 0.0
        part = 0.5 if standing else 1.0
        margin = part * max(_MARGIN * abs(held[best]), _NOISES * min(noise, 0.1 * abs(held[best])))
        recent = after[-_AFTER:]
        if (recent <= held[best] + margin).any() or rising(held[best:]) < 0.9:
            return None
        then, now = self._train[best], self._train[-1]
        falls = larger(then, now)
        if not len(then) or not len(now) or falls < 0.95:
            return None
        return Turn(
            self._steps[best],
            float(held[best]),
            float(held[-1]),
            median(then),
            median(now),
            min(falls, rising(held[best:])),
        )

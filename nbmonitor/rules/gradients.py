"""The gradient norm before clipping: far too large, or nothing left of it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from nbmonitor.changes import larger, median
from nbmonitor.lookback import Lookback
from nbmonitor.rule import Finding, Rule

KEY = "train/grad_norm"


class Explosion(Rule):
    """Gradients many times as large as they use to be, for several steps."""

    name = "gradient_explosion"
    keys = (KEY,)
    every = 5
    calm = 4
    recent, needed = 5, 30
    times, graver = 10.0, 1000.0

    def begin(self, seen: Lookback) -> None:
        """Forget what was usual."""
        del seen
        self._usual = math.inf

    def look(self, seen: Lookback) -> Iterator[Finding]:
        """Compare the last few with the two hundred and fifty before."""
        rows = seen.finite(KEY)
        if rows.shape[1] < self.recent + self.needed:
            return
        last, before = rows[1, -self.recent :], rows[1, : -self.recent]
        now = median(last)
        if not self.opened:
            self._usual = median(before)
            # Where the norm has been anything like it before, it is this training's way.
            ordered = np.sort(before)
            most = 2 * float(ordered[math.ceil(0.98 * len(ordered)) - 1])
            if now <= max(self.times * self._usual, most):
                return
        elif now <= 0.5 * self.times * self._usual:
            return
        yield self.finding(
            "Gradients explode",
            f"The median gradient norm of the last {self.recent} steps is {now:.3g}; "
            f"{self._usual:.3g} was usual ({now / (self._usual or math.nan):.3g} times).",
            "Clip gradients (max_grad_norm=1), lower the learning rate or lengthen the warm-up; "
            "the per-layer norms show where it begins.",
            severity="critical" if now > self.graver * self._usual else "warning",
            key=KEY,
            panel="grad_norm",
            window=(rows[0, -self.recent], rows[0, -1]),
            confidence=larger(last, before),
            value=now,
        )


class Vanishing(Rule):
    """Gradients of nothing, while there is loss left to learn from."""

    name = "gradient_vanishing"
    keys = (KEY,)
    also = ("train/loss",)
    every = 10
    recent = 20
    # Below this, fp32 arithmetic on weights of usual size changes nothing.
    nothing = 1e-7
    # Share of the first norms; and of the first loss that must be left.
    share, left = 1e-3, 0.3

    def begin(self, seen: Lookback) -> None:
        """Forget the first norms."""
        del seen
        self._first = 0.0
        self._first_loss = math.nan

    def look(self, seen: Lookback) -> Iterator[Finding]:
        """Compare the last norms with zero and with the first."""
        rows = seen.finite(KEY, 64)
        if rows.shape[1] < self.recent:
            return
        if not self._first:
            self._first = median(rows[1])
            self._first_loss = median(seen.finite("train/loss", 64)[1])
        now = median(rows[1, -self.recent :])
        loss = median(seen.finite("train/loss", self.recent)[1])
        more = 2.0 if self.opened else 1.0
        absolute = now < self.nothing * more and not abs(loss) < 1e-3
        relative = now < self.share * self._first * more and loss > self.left * self._first_loss
        if not absolute and not relative:
            return
        yield self.finding(
            "Gradients vanish",
            f"The median gradient norm of the last {self.recent} steps is {now:.3g} "
            f"({self._first:.3g} at the start), with a loss of {loss:.4g}: the weights hardly "
            "change any more.",
            "Check that parameters require gradients and reach the loss; that the loss is not "
            "masked away (all labels -100); precision, dead activations and initialisation.",
            key=KEY,
            panel="grad_norm",
            window=(rows[0, -self.recent], rows[0, -1]),
            confidence=1.0 if now == 0 else None,
            value=now,
        )


RULES = (Explosion, Vanishing)

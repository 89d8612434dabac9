"""Held-out loss against training loss."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nbmonitor.lookback import KEEP, Lookback
from nbmonitor.overfit import Generalisation
from nbmonitor.rule import Finding, Rule

TRAIN = "train/loss"


class Overfitting(Rule):
    """The training loss falls, the held-out loss has risen for several evaluations."""

    name = "overfitting"
    keys = ("eval/loss", "eval/*_loss", "fixed_eval/cross_entropy")
    also = (TRAIN,)
    every = 1
    calm = 2

    def begin(self, seen: Lookback) -> None:
        """Forget all evaluations."""
        del seen
        self._gaps: dict[str, tuple[int, int, Generalisation]] = {}

    def look(self, seen: Lookback) -> Iterator[Finding]:
        """Take in what evaluations are new, and look at each series of them."""
        done = seen.rows(TRAIN)
        for pattern in self.keys:
            for key in seen.matching(pattern):
                rows, before, gap = self._gaps.get(key) or (0, 0, Generalisation())
                track = seen.tracks[key]
                if track.rows > rows and np.isfinite(track.last[1]):
                    fresh = seen.finite(TRAIN, max(1, min(KEEP, done - before)))
                    gap.add(track.last[0], track.last[1], fresh[1])
                    before = done
                self._gaps[key] = (track.rows, before, gap)
                found = self._find(seen, key, gap)
                if found is not None:
                    yield found
                    return  # one series tells as much as all

    def _find(self, seen: Lookback, key: str, gap: Generalisation) -> Finding | None:
        turn = gap.turn(standing=self.name in self.opened)
        if turn is None:
            return None
        return self.finding(
            "Overfitting",
            f"{key} rose from {turn.best:.4g} (step {turn.best_step}) to {turn.now:.4g}, while "
            f"the median training loss fell from {turn.train_then:.4g} to {turn.train_now:.4g}.",
            f"Stop, and use the checkpoint nearest to step {turn.best_step}. To get further: more "
            "or more varied data, fewer epochs, weight decay or dropout, a smaller adapter rank.",
            key=key,
            panel="fixed_loss" if key.startswith("fixed_eval") else "eval_loss",
            window=(turn.best_step, seen.step),
            confidence=turn.confidence,
            value=turn.now,
        )


RULES = (Overfitting,)

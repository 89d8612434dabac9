"""NaN and infinity in what is trained on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from nbmonitor.lookback import Lookback
from nbmonitor.rule import Finding, Rule

_WINDOW = 20
# fp16 looks for its loss scale by steps that overflow and are skipped: a few in a row are normal.
_SCALING = 10
_MANY = 1 << 30

_LOSSES = ("train/loss", "eval/loss", "fixed_eval/cross_entropy")
_IDS = {
    "train/loss": "nonfinite_loss",
    "eval/loss": "nonfinite_eval_loss",
    "fixed_eval/cross_entropy": "nonfinite_fixed_loss",
    "train/grad_norm": "nonfinite_gradient",
}
_TITLES = {
    "train/loss": "The loss",
    "eval/loss": "The held-out loss",
    "fixed_eval/cross_entropy": "The fixed set's cross entropy",
    "train/grad_norm": "The gradient norm",
}
_PANELS = {
    "train/loss": "loss",
    "eval/loss": "eval_loss",
    "fixed_eval/cross_entropy": "fixed_loss",
    "train/grad_norm": "grad_norm",
}


class NonFinite(Rule):
    """A loss or a gradient norm that is no number any more."""

    name = "nonfinite"
    keys = (*_LOSSES, "train/grad_norm")
    every = 1
    calm = _WINDOW

    def look(self, seen: Lookback) -> Iterator[Finding]:
        """Look at the newest values only; count back when one is bad."""
        for key in self.keys:
            track = seen.tracks.get(key)
            if track is not None and not math.isfinite(track.last[1]):
                yield from self._tell(seen, key)
                if key == "train/loss" and "nonfinite_gradient" not in self.opened:
                    return  # its gradients are no news

    def skips(self, seen: Lookback, values: Mapping[str, Sequence[float]], start: int) -> int:
        """Skip to the first value that is none."""
        del seen
        good = [
            next((n for n, value in enumerate(column[start:]) if not math.isfinite(value)), _MANY)
            for key in self.keys
            if (column := values.get(key)) is not None
        ]
        return min(good, default=0)

    def _tell(self, seen: Lookback, key: str) -> Iterator[Finding]:
        rows = seen.tail(key, _WINDOW)
        bad = ~np.isfinite(rows[1])  # (n,)
        gradient = key == "train/grad_norm"
        if gradient and "fp16" in str(seen.config.get("precision", "")):
            # The unbroken stretch at the end.
            stretch = len(bad) if bad.all() else int(bad[::-1].argmin())
            if stretch < _SCALING:
                return
        first = int(rows[0, int(bad.argmax())])
        last = int(rows[0, -1])
        said = "NaN" if math.isnan(rows[1, -1]) else "infinite"
        yield self.finding(
            f"{_TITLES[key]} is {said}",
            f"{key} is {rows[1, -1]} at step {last}; not finite in {int(bad.sum())} of the last "
            f"{len(bad)} values, since step {first}.",
            "Stop. Go back to the last checkpoint before this step, with a tenth of the learning "
            "rate, gradient clipping, and bf16 or fp32 in place of fp16; look at the rows of "
            f"step {first} for empty or broken examples.",
            severity="critical",
            id=_IDS[key],
            key=key,
            panel=_PANELS[key],
            window=(first, last),
            confidence=1.0,
        )


RULES = (NonFinite,)

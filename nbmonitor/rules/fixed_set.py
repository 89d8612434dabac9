"""The fixed evaluation set: answers that get no better, confidence that outgrows accuracy."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from nbmonitor.lookback import Lookback
from nbmonitor.rule import Finding, Rule
from nbmonitor.trend import trend

MATCH = "fixed_eval/exact_match"
ENTROPY = "fixed_eval/cross_entropy"
ECE = "fixed_eval/ece"
STATE = "fixed_eval/state"


def _state(seen: Lookback) -> Mapping[str, Any]:
    """What the fixed evaluation says of itself, if it is of the newest evaluation."""
    meta = seen.meta(STATE) or {}
    track = seen.tracks.get(MATCH) or seen.tracks.get(ENTROPY)
    return meta if track is not None and meta.get("step") == track.last[0] else {}


class FixedPlateau(Rule):
    """The exact match has stopped rising, and the cross entropy falls no more either."""

    name = "fixed_plateau"
    keys = (MATCH, ENTROPY)
    every = 1
    calm = 1
    rest = 0
    # A change over the window that counts as none: of the match, and as a share of the entropy.
    small, small_entropy = 0.02, 0.01
    # A match from which on there is little left to gain.
    done = 0.95

    def look(self, seen: Lookback) -> Iterator[Finding]:
        """Ask the fixed evaluation for its own trends; without them, make the same test here."""
        state = _state(seen)
        trends = state.get("trend") or self._trends(seen)
        key = MATCH if seen.rows(MATCH) else ENTROPY
        found = trends.get(key.split("/")[1]) or {}
        entropy = trends.get("cross_entropy") or {}
        if found.get("state") != "plateau" or entropy.get("state") == "improving":
            return
        now, since, p = seen.last(key), found.get("since"), found.get("p")
        if now is not None:
            since = seen.step if since is None else int(since)
            yield self._tell(seen, key, (now, since, str(found.get("test", "")), p), state)

    def _trends(self, seen: Lookback) -> dict[str, Any]:
        out = {}
        for key, rising in ((MATCH, True), (ENTROPY, False)):
            rows = seen.finite(key, 64)
            if rows.shape[1]:
                small = self.small if rising else self.small_entropy * abs(float(rows[1, -1]))
                steps, values = rows[0].astype(int).tolist(), rows[1].tolist()
                out[key.split("/")[1]] = trend(steps, values, rising=rising, small=small)
        return out

    def _tell(
        self,
        seen: Lookback,
        key: str,
        found: tuple[float, int, str, float | None],
        state: Mapping[str, Any],
    ) -> Finding:
        now, since, said, p = found
        best = state.get("best") or {}
        total = seen.total_steps
        late = bool(total) and seen.step > 0.7 * total
        good = key == MATCH and now >= self.done
        checkpoint = best.get("checkpoint")
        use = f"use {checkpoint}" if checkpoint else "use the best checkpoint"
        return self.finding(
            "The fixed set has reached a plateau",
            f"{key} is {now:.4g} at step {seen.step}, without gain since step {since} "
            f"({said}; p = {'unknown' if p is None else f'{p:.2g}'}).",
            f"Stop and {use}; to get further: data for the weakest patterns, or a lower "
            "learning rate.",
            severity="info" if late or good else "warning",
            key=key,
            panel="fixed_match" if key == MATCH else "fixed_loss",
            window=(since, seen.step),
            value=now,
        )


class CalibrationDrift(Rule):
    """An expected calibration error well above its best, twice in a row."""

    name = "calibration_drift"
    keys = (ECE,)
    also = (MATCH, ENTROPY, "fixed_eval/teacher_forced_match")
    every = 1
    calm = 2
    rest = 0
    # Over the best, and at least so much in itself; evaluations in a row.
    share, least, needed = 0.2, 0.02, 2
    # Of the cross entropy over its best, too, for a warning.
    risen = 0.02

    def begin(self, seen: Lookback) -> None:
        """Forget the best."""
        del seen
        self._best: tuple[float, int, float | None] | None = None
        self._lowest = math.inf
        self._over = 0

    def look(self, seen: Lookback) -> Iterator[Finding]:
        """Compare with the best so far, and with what became of the cross entropy."""
        step, now, _ = seen.tracks[ECE].last
        entropy = seen.last(ENTROPY)
        if self._best is None or now < self._best[0]:
            self._best = (now, step, entropy)
        best, at, then = self._best
        if entropy is not None and math.isfinite(entropy):
            self._lowest = min(self._lowest, entropy)
        part = 0.5 if self.opened else 1.0
        over = now > best * (1 + part * self.share) and now > best + part * self.least
        self._over = self._over + 1 if over else 0
        if self._over < self.needed:
            return
        # A model that knows nothing is well calibrated, and loses that when it begins to learn:
        # only a cross entropy above its own best as well makes it a fault.
        worse = entropy is not None and entropy > self._lowest * (1 + self.risen)
        rise = f"{100 * (now / best - 1):.0f} % above" if best > 0 else "up from"
        told = "is not measured"
        if entropy is not None and then is not None:
            told = f"went from {then:.4g} to {entropy:.4g}"
        yield self.finding(
            "Calibration drifts",
            f"ECE is {now:.3g} at step {step}, {rise} its best ({best:.3g} at step {at}), in "
            f"{self._over} evaluations in a row; the cross entropy {told} meanwhile.",
            "Confidence outgrows accuracy: stop near the best checkpoint, finish with half the "
            "learning rate, or scale the temperature afterwards.",
            severity="warning" if worse else "info",
            key=ECE,
            panel="reliability",
            window=(at, step),
            value=now,
        )


RULES = (CalibrationDrift, FixedPlateau)

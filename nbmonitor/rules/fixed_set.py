"""The fixed evaluation set: answers that get no better, confidence that outgrows accuracy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nbmonitor.changes import line, rising
from nbmonitor.lookback import Lookback
from nbmonitor.rule import Finding, Rule

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
    """No significant gain of the exact match (or the cross entropy) over several evaluations."""

    name = "fixed_plateau"
    keys = (MATCH, ENTROPY)
    every = 1
    calm = 1
    rest = 0
    window = 6
    # A match from which on there is little left to gain.
    done = 0.95

    def look(self, seen: Lookback) -> Iterator[Finding]:
        """Ask the fixed evaluation for its own test; without one, make it here."""
        state = _state(seen)
        key = MATCH if seen.rows(MATCH) else ENTROPY
        trend = (state.get("trend") or {}).get(key.split("/")[1])
        rows = seen.finite(key, 64)
        if not rows.shape[1]:
            return
        now = float(rows[1, -1])
        if trend:
            if trend.get("state") != "plateau":
                return
            since, p, test = trend.get("since"), trend.get("p"), trend.get("test", "")
            since = int(rows[0, 0] if since is None else since)
            confidence = None
            said = f"{test}, p = {p:.2g}" if p is not None and test else str(test)
        else:
            recent = rows[1, -self.window :]
            if len(recent) < self.window:
                return
            gains = recent if key == MATCH else -recent
            slope = line(rows[0, -self.window :], gains)
            # Neither a trend by rank nor a line that would gain a tenth of what is missing.
            missing = max(0.02, 1 - now) if key == MATCH else abs(now)
            gain = (slope.slope + slope.error) * (rows[0, -1] - rows[0, -self.window])
            sure = rising(gains)
            if sure > 0.9 or gain > 0.1 * missing:
                return
            since, confidence = int(rows[0, -self.window]), 1 - sure if sure < 0.5 else None
            said = f"Mann–Kendall test for a gain: p = {1 - sure:.2g}"
        best = state.get("best") or {}
        yield self._tell(seen, key, (now, since, said, confidence), best)

    def _tell(
        self,
        seen: Lookback,
        key: str,
        found: tuple[float, int, str, float | None],
        best: Mapping[str, Any],
    ) -> Finding:
        now, since, said, confidence = found
        total = seen.total_steps
        late = bool(total) and seen.step > 0.7 * total
        good = key == MATCH and now >= self.done
        checkpoint = best.get("checkpoint")
        use = f"use {checkpoint}" if checkpoint else "use the best checkpoint"
        return self.finding(
            "The fixed set has reached a plateau",
            f"{key} is {now:.4g} at step {seen.step} and has not gained significantly since step "
            f"{since} ({said}).",
            f"Stop and {use}; to get further: data for the weakest patterns, or a lower "
            "learning rate.",
            severity="info" if late or good else "warning",
            key=key,
            panel="fixed_match" if key == MATCH else "fixed_loss",
            window=(since, seen.step),
            confidence=confidence,
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

    def begin(self, seen: Lookback) -> None:
        """Forget the best."""
        del seen
        self._best: tuple[float, int, float | None] | None = None
        self._entropy: float | None = None
        self._over = 0

    def look(self, seen: Lookback) -> Iterator[Finding]:
        """Compare with the best so far, and with what became of the cross entropy."""
        step, now, _ = seen.tracks[ECE].last
        entropy = seen.last(ENTROPY)
        if self._best is None or now < self._best[0]:
            self._best = (now, step, entropy)
        best, at, then = self._best
        part = 0.5 if self.opened else 1.0
        over = now > best * (1 + part * self.share) and now > best + part * self.least
        self._over = self._over + 1 if over else 0
        if self._over < self.needed:
            return
        # A model that knows nothing is well calibrated, and loses that when it begins to learn:
        # only a cross entropy that has risen as well is a loss.
        worse = entropy is not None and then is not None and entropy > then
        rise = f"{100 * (now / best - 1):.0f} % above" if best > 0 else "up from"
        told = "is not measured"
        if entropy is not None and then is not None:
            told = f"went from {then:.4g} to {entropy:.4g}"
        yield self.finding(
            "Calibration drifts",
            f"ECE is {now:.3g} at step {step}, {rise} its best ({best:.3g} at step {at}), for the "
            f"{self._over}th evaluation in a row; the cross entropy {told} meanwhile.",
            "Confidence outgrows accuracy: stop near the best checkpoint, finish with half the "
            "learning rate, or scale the temperature afterwards.",
            severity="warning" if worse else "info",
            key=ECE,
            panel="reliability",
            window=(at, step),
            value=now,
        )


RULES = (CalibrationDrift, FixedPlateau)

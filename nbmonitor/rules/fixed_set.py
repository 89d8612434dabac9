"""The fixed evaluation set: answers that get no better, confidence that outgrows accuracy."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from nbmonitor.calibration import Baseline, baseline, drift
from nbmonitor.lookback import Lookback
from nbmonitor.rule import Finding, Rule
from nbmonitor.trend import trends

MATCH = "fixed_eval/exact_match"
ENTROPY = "fixed_eval/cross_entropy"
ECE = "fixed_eval/ece"
STATE = "fixed_eval/state"


def _state(seen: Lookback) -> Mapping[str, Any]:
    """What the fixed evaluation says of itself, if it is of the newest evaluation."""
    meta = seen.meta(STATE) or {}
    track = seen.tracks.get(MATCH) or seen.tracks.get(ENTROPY)
    return meta if track is not None and meta.get("step") == track.last[0] else {}


def _history(seen: Lookback, *keys: str) -> list[tuple[Any, ...]]:
    """Step and values of every evaluation, None where one has no such number."""
    columns = []
    for key in keys:
        rows = seen.finite(key)
        columns.append(dict(zip(rows[0].astype(int).tolist(), rows[1].tolist(), strict=True)))
    steps = sorted(set().union(*columns))
    return [(step, *(column.get(step) for column in columns)) for step in steps]


class FixedPlateau(Rule):
    """The exact match has stopped rising, and the cross entropy falls no more either."""

    name = "fixed_plateau"
    keys = (MATCH, ENTROPY)
    every = 1
    calm = 1
    rest = 0
    # A match from which on there is little left to gain.
    done = 0.95

    def look(self, seen: Lookback) -> Iterator[Finding]:
        """Ask the fixed evaluation for its own trends; without them, make the same test here."""
        state = _state(seen)
        judged = state.get("trend")
        if not judged:
            steps, matches, losses = zip(*_history(seen, MATCH, ENTROPY), strict=True)
            judged = trends(steps, matches, losses)
        key = MATCH if seen.rows(MATCH) else ENTROPY
        found = judged.get(key.split("/")[1]) or {}
        entropy = judged.get("cross_entropy") or {}
        if found.get("state") != "plateau" or entropy.get("state") == "improving":
            return
        now, since, p = seen.last(key), found.get("since"), found.get("p")
        if now is not None:
            since = seen.step if since is None else int(since)
            yield self._tell(seen, key, (now, since, str(found.get("test", "")), p), state)

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
    """An expected calibration error well above its best, twice in a row.

    What "its best" is and how much is "well above" is what the fixed evaluation says, so that
    the alert and the panel show the same numbers.
    """

    name = "calibration_drift"
    keys = (ECE,)
    also = (MATCH, ENTROPY, "fixed_eval/teacher_forced_match")
    every = 1
    calm = 2
    rest = 0
    # Evaluations in a row; and a cross entropy so much over its best, for a warning.
    needed, risen = 2, 0.02

    def begin(self, seen: Lookback) -> None:
        """Forget the best."""
        del seen
        self._lowest = math.inf
        self._over = 0

    def look(self, seen: Lookback) -> Iterator[Finding]:
        """Compare with the baseline, and with what became of the cross entropy."""
        step, now, _ = seen.tracks[ECE].last
        entropy = seen.last(ENTROPY)
        if entropy is None or not math.isfinite(entropy):
            return
        self._lowest = min(self._lowest, entropy)
        state = _state(seen)
        if state:
            given = state.get("calibrated")
            best = Baseline(**given) if given else None
        else:
            best = baseline(_history(seen, ENTROPY, ECE))
        found = drift(now, best, state.get("tokens"), 0.5 if self.opened else 1.0)
        self._over = 0 if found is None else self._over + 1
        if best is None or found is None or self._over < self.needed:
            return
        # A model that knows nothing is well calibrated, and loses that when it begins to learn:
        # only a cross entropy above its own best as well makes it a fault.
        worse = entropy > self._lowest * (1 + self.risen)
        rise = "up from" if found["rise"] is None else f"{100 * found['rise']:.0f} % above"
        yield self.finding(
            "Calibration drifts",
            f"ECE is {now:.3g} at step {step}, {rise} its best ({best.ece:.3g} at step "
            f"{best.step}, of the evaluations that predicted as well), in {self._over} "
            "evaluations in a row; the cross entropy went from "
            f"{best.cross_entropy:.4g} to {entropy:.4g} meanwhile.",
            "Confidence outgrows accuracy: stop near the best checkpoint, finish with half the "
            "learning rate, or scale the temperature afterwards.",
            severity="warning" if worse else "info",
            key=ECE,
            panel="reliability",
            window=(best.step, step),
            value=now,
        )


RULES = (CalibrationDrift, FixedPlateau)

"""Whether the weights that are to learn move at all: adapters, and layer groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nbmonitor.lookback import Lookback
from nbmonitor.rule import Finding, Rule

RATE = "train/learning_rate"
TRUTH = "lora/truth"
_DRIFT = "lora/*/*/*/drift"
_DELTA = "lora/*/*/*/delta_b"


class AdapterNotLearning(Rule):
    """LoRA adapters that are where they began, though there was a learning rate."""

    name = "adapter"
    keys = (_DRIFT, _DELTA)
    also = (RATE,)
    keep = 4
    every = 1
    calm = 1
    rest = 0
    # Steps after which a weight with a gradient has moved.
    needed = 10

    def begin(self, seen: Lookback) -> None:
        """Forget where it began."""
        del seen
        self._first: int | None = None

    def look(self, seen: Lookback) -> Iterator[Finding]:
        """Take the verdict of the adapters' own probe; without one, look for any drift."""
        if self._first is None:
            self._first = seen.step
        told = (seen.meta(TRUTH) or {}).get("adapters") or ()
        for adapter in told:
            verdict = adapter.get("verdict") or {}
            if verdict.get("state") in {"not learning", "partly"}:
                name = str(adapter.get("name", ""))
                yield self._from(verdict, seen, name if len(told) > 1 else "")
        if told or seen.step - self._first < self.needed:
            return
        keys = [*seen.matching(_DRIFT), *seen.matching(_DELTA)]
        moved = [key for key in keys if seen.last(key)]
        rate = seen.last(RATE)
        if keys and not moved and rate != 0:
            yield self.finding(
                "The adapter does not learn",
                f"None of {len(keys)} readings differs from the start after "
                f"{seen.step - self._first} steps; the learning rate is "
                f"{'unknown' if rate is None else f'{rate:.3g}'}.",
                "Stop. Check that the adapter is active and trainable "
                "(model.print_trainable_parameters()), that target_modules match, and that the "
                "optimiser was made after the adapter.",
                severity="critical",
                key=keys[0],
                panel="lora_truth",
                window=(self._first, seen.step),
                confidence=1.0,
                value=0.0,
            )

    def _from(self, verdict: Mapping[str, Any], seen: Lookback, name: str) -> Finding:
        reasons = [r for r in verdict.get("reasons") or () if isinstance(r, Mapping)]
        partly = verdict["state"] == "partly"
        said = "; ".join(str(r.get("text") or r.get("title", "")).rstrip(".") for r in reasons)
        actions = [str(r["action"]) for r in reasons if r.get("action")]
        who = f"adapter {name}" if name else "the adapter"
        title = f"Part of {who} does not learn" if partly else f"{who} does not learn"
        return self.finding(
            title[0].upper() + title[1:],
            f"{said or 'the adapter is where it began'}.",
            " ".join(dict.fromkeys(actions)) or "Stop, and check what is trainable.",
            severity="warning" if partly else "critical",
            id=f"adapter_{name}" if name else "adapter",
            panel="lora_truth",
            window=(self._first or 0, seen.step),
            confidence=1.0,
        )


class WeightsStill(Rule):
    """No layer group changes, reading after reading, though there is a learning rate."""

    name = "weights_still"
    keys = ("update/*/ratio",)
    also = (RATE,)
    keep = 8
    every = 1
    calm = 1
    readings = 3

    def look(self, seen: Lookback) -> Iterator[Finding]:
        """Look at the last readings of all groups."""
        keys = seen.matching(self.keys[0])
        if not keys or not seen.last(RATE):
            return
        first = 0
        for key in keys:
            rows = seen.tail(key, self.readings)
            if rows.shape[1] < self.readings or rows[1].any():
                return
            first = int(rows[0, 0])
        yield self.finding(
            "The weights do not change",
            f"All {len(keys)} layer groups changed by exactly 0 in the last {self.readings} "
            f"readings, with a learning rate of {seen.last(RATE):.3g}.",
            "Stop. Check that the optimiser holds this model's parameters, that they require "
            "gradients, and that steps are not skipped (an fp16 loss scale that overflows).",
            severity="critical",
            key=keys[0],
            panel="updates",
            window=(first, seen.step),
            confidence=1.0,
            value=0.0,
        )


RULES = (AdapterNotLearning, WeightsStill)

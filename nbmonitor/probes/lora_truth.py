"""LoRA truth: how far each adapter has come since the training began, and whether it learns.

‖A - A₀‖, ‖B - B₀‖, ‖ΔW‖ / ‖W‖ and the effective rank of ΔW = scaling·(BA - B₀A₀), all from r x r
Gram matrices (`nbmonitor/spectrum.py`): ΔW itself is never formed. The first steps are looked at
one by one, because what keeps an adapter from learning shows there; `nbmonitor/adapter_verdict.py`
judges. DoRA's magnitude is not part of ΔW. In a resumed training, the start is that of the resume.
"""

from __future__ import annotations

import json
import math
import sys
from typing import Any

import numpy as np

from nbmonitor import adapter_reading, adapter_report, adapter_verdict, adapters
from nbmonitor.adapter_reading import Found, Group
from nbmonitor.adapter_report import Change
from nbmonitor.adapter_verdict import PATIENCE, Evidence
from nbmonitor.probe import Context, Measured, Panel, Probe, Series, Step

KEY = "lora/truth"
METRICS = ("delta_a", "delta_b", "relative", "effective_rank")
_LABELS = ("‖A - A₀‖", "‖B - B₀‖", "‖ΔW‖ / ‖W‖", "effective rank of ΔW")
# Steps at most that are looked at one by one, while the learning rate is still zero.
_EARLY = 50


class LoraTruth(Probe):
    """Drift and effective rank of every adapted module, and a verdict on every adapter."""

    name = "lora_truth"
    every = 50
    cost = (
        "two r x r products a module, at the first 5 steps and every 50; no device sync but at "
        "the start, which also reads ‖W‖; keeps a copy of A, and of B where it is not 0"
    )
    series = tuple(
        Series(f"lora/*/*/*/{metric}", label, "ratio" if metric == "relative" else "")
        for metric, label in zip(METRICS, _LABELS, strict=True)
    )
    panels = (
        Panel(
            "lora_truth", "LoRA truth", "adapters",
            (KEY, *(f"lora/*/*/*/{metric}" for metric in METRICS)),
            tab="quality", order=70, span=12, options={"metrics": list(METRICS)},
        ),
    )  # fmt: skip

    def __init__(self) -> None:
        self._context = Context()
        self._groups: list[Group] = []
        self._unmatched = "{}"
        self._reasons: dict[str, str] = {}
        self._calm = self._looked = self._early = 0
        self._measured_at: int | None = None
        # On the host: steps seen with a learning rate above zero, and the best gradients.
        self._steps = 0
        self._gradients: dict[str, str] = {}

    def absent(self, context: Context) -> str:
        """Look for adapters, without importing peft if nothing else has."""
        return adapters.absent(context.model, "LoRA truth")

    # ------------------------------------------------------------------ training thread

    def on_begin(self, context: Context) -> Measured | None:
        """Remember where the adapters start; one sync a device, and one for the weights' norms."""
        self._context, self._reasons = context, {}
        self._measured_at = None
        found = adapters.pairs(context.model)
        readable = [p for p in found if not adapters.unreadable(*p.weights())]
        for pair in found:
            reason = adapters.unreadable(*pair.weights())
            if reason:
                self._reasons |= {f"{pair.key}/{metric}": reason for metric in METRICS}
        held = adapter_reading.held_by(context.optimizer, found)
        self._groups = [Group(group, held) for group in adapters.by_device(readable)]
        for group in self._groups:
            self._reasons |= group.reasons
        paths = {a: [p.path for p in found if p.adapter == a] for a in {p.adapter for p in found}}
        missed = {a: adapters.unmatched(context.model, a, paths[a]) for a in paths}
        self._unmatched = json.dumps(missed)
        if not self._early:
            self._calm = self.every
        self._looked, self._early, self.every = 0, _EARLY, 1
        return {"begin": 1.0, **self._measure()}

    def on_gradients(self, step: Step) -> Measured | None:
        """Take the norms of the gradients of A and B."""
        del step
        return self._collected("gradients")

    def on_step(self, step: Step) -> Measured | None:
        """Measure; after the first steps, calm down."""
        if self._early:
            self._early -= 1
            self._looked += step.learning_rate != 0
            if self._looked >= PATIENCE:
                self._early = 0
            if not self._early:
                self.every = self._calm
        self._measured_at = step.number
        return self._measure()

    def on_end(self, step: Step) -> Measured | None:
        """Measure the end, unless its step has been; give the copies back."""
        done = self._measured_at == step.number
        measured = None if done else {"end": 1.0, **self._measure()}
        self._groups = []
        if self._early:
            self._early, self.every = 0, self._calm
        return measured

    def _measure(self) -> Measured:
        return {"unmatched": self._unmatched, **self._collected("measure")}

    def _collected(self, what: str) -> dict[str, Any]:
        out: dict[str, Any] = {}
        with sys.modules["torch"].no_grad():
            for index, group in enumerate(self._groups):
                found = getattr(group, what)()
                out |= {f"{kind}/{index}": value for kind, value in found.items()}
        return out

    # ------------------------------------------------------------------ on the host

    def derive(self, step: Step, host: Measured) -> Measured:
        """Turn Gram matrices into series, and what was seen into a verdict."""
        if "begin" in host:
            self._steps, self._gradients = 0, {}
        elif "end" not in host and step.learning_rate != 0:
            self._steps += 1
        out: dict[str, float] = {}
        changes: dict[str, list[Change]] = {}
        evidence: dict[str, list[Evidence]] = {}
        for found in adapter_reading.read(host):
            self._take(found, out, changes, evidence)
        if changes:
            self._tell(step, json.loads(host["unmatched"]), changes, evidence)
        return out

    def _take(
        self,
        found: Found,
        out: dict[str, float],
        changes: dict[str, list[Change]],
        evidence: dict[str, list[Evidence]],
    ) -> None:
        """Enter one module."""
        values = {"delta_a": found.delta_a, "delta_b": found.delta_b}
        if found.weight > 0:
            values["relative"] = found.delta / found.weight
        if found.delta != 0:
            values["effective_rank"] = found.rank
        out.update({f"{found.key}/{metric}": value for metric, value in values.items()})
        _, adapter, layer, part = found.key.split("/")
        changes.setdefault(adapter, []).append(
            Change(layer, found.kind, found.delta, found.weight, found.rank)
        )
        evidence.setdefault(adapter, []).append(
            Evidence(
                f"{part} of layer {layer}" if layer != "-" else part,
                moved=found.delta > 0,
                trains_a=found.trains_a,
                trains_b=found.trains_b,
                active=found.active,
                held=found.held,
                gradient=self._gradient(found),
                b_zero=found.b_zero,
                dtype=found.dtype,
            )
        )

    def _gradient(self, found: Found) -> str:
        """Say the best that was seen of a module's gradient; "nan" only while it is so."""
        best = self._gradients.get(found.key, "unseen")
        if not found.looked:
            return best
        norm = found.gradient
        if norm is not None and not math.isfinite(norm):
            return "nan"
        now = "none" if norm is None else "some" if norm else "zero"
        order = ("unseen", "none", "zero", "some")
        self._gradients[found.key] = max(best, now, key=order.index)
        return self._gradients[found.key]

    def _tell(
        self,
        step: Step,
        unmatched: dict[str, list[str]],
        changes: dict[str, list[Change]],
        evidence: dict[str, list[Evidence]],
    ) -> None:
        told = []
        for adapter, found in changes.items():
            rows = adapter_report.layers(found)
            verdict = adapter_verdict.judge(
                evidence[adapter], self._steps, step.learning_rate, unmatched.get(adapter, ())
            )
            top = adapter_report.top(rows)
            told.append({"name": adapter, "layers": rows, "top": top, "verdict": verdict})
        meta = {"adapters": told, "step": step.number}
        self._context.put(KEY, step.number, np.zeros(0, np.uint8), meta)

    def unavailable(self) -> dict[str, str]:
        """Say which weights were out of reach at the start."""
        return self._reasons


PROBE = LoraTruth

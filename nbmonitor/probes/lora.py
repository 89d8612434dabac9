"""LoRA: how large each adapter's matrices and its effective update are, layer by layer.

The update `scaling·B·A` is as large as the weight it changes, so it is never formed. From two
r x r Gram matrices, ‖BA‖² = sum((BᵀB) ∘ (AAᵀ)); and its drift, with the rank doubled, from
BA - B₀A₀ = [B-B₀, B₀]·[A; A-A₀], which loses no digits however small the drift is. Products are
taken in float32: six digits, or three where a GPU is allowed TF32. Where the matrices are is
`nbmonitor/adapters.py`'s matter.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from nbmonitor import adapters
from nbmonitor.adapters import Pair
from nbmonitor.probe import Context, Measured, Panel, Probe, Series, Step

METRICS = ("delta_norm", "a_norm", "b_norm", "drift")
_FEATURE = "LoRA norms"


class Lora(Probe):
    """Norms of A, B and the effective update, and how far it is from where the run began."""

    name = "lora"
    every = 50
    cost = "four small matrix products a module, every 50 steps; no device sync but at the start"
    series = tuple(
        Series(f"lora/*/*/*/{metric}", label)
        for metric, label in zip(
            METRICS, ("‖scaling·B·A‖", "‖A‖", "‖B‖", "‖update - update at start‖"), strict=True
        )
    )
    panels = (
        Panel(
            "lora",
            "LoRA norms",
            "layers",
            tuple(f"lora/*/*/*/{metric}" for metric in METRICS),
            order=310,
            options={"metrics": list(METRICS)},
        ),
    )

    def __init__(self) -> None:
        self._pairs: list[Pair] = []
        self._reasons: dict[str, str] = {}
        self._measured_at: int | None = None

    def absent(self, context: Context) -> str:
        """Look for adapters, without importing peft if nothing else has."""
        return adapters.absent(context.model, _FEATURE)

    # ------------------------------------------------------------------ training thread

    def on_begin(self, context: Context) -> Measured | None:
        """Remember where the adapters start; one sync tells which of them start at zero."""
        self._pairs = adapters.pairs(context.model)
        self._measured_at = None
        readable = [p for p in self._pairs if not adapters.unreadable(*p.weights())]
        for group in adapters.by_device(readable):
            weights = [pair.weights() for pair in group]
            moved = adapters.norms([b for _, b in weights]).tolist()
            for pair, (a, b), norm in zip(group, weights, moved, strict=True):
                # With B₀ = 0 the drift is the update itself, and nothing need be kept.
                pair.start = (a.clone(), b.clone()) if norm else None
        return self._measure()

    def on_step(self, step: Step) -> Measured | None:
        """Measure."""
        self._measured_at = step.number
        return self._measure()

    def on_end(self, step: Step) -> Measured | None:
        """Measure the end, unless its step has been."""
        return None if self._measured_at == step.number else self._measure()

    def _measure(self) -> Measured:
        """A few stacked vectors a device; names and scalings stay on the host."""
        reasons: dict[str, str] = {}
        readable = []
        for pair in self._pairs:
            reason = adapters.unreadable(*pair.weights())
            if reason:
                reasons |= {f"{pair.key}/{metric}": reason for metric in METRICS}
            else:
                readable.append(pair)
        self._reasons = reasons
        out: dict[str, Any] = {}
        torch = sys.modules["torch"]
        with torch.no_grad():
            for index, group in enumerate(adapters.by_device(readable)):
                weights = [pair.weights() for pair in group]
                out[f"pairs/{index}"] = tuple((p.key, p.scaling) for p in group)
                out[f"a/{index}"] = adapters.norms([a for a, _ in weights])  # (pairs,)
                out[f"b/{index}"] = adapters.norms([b for _, b in weights])  # (pairs,)
                squares = [
                    adapters.square(*adapters.factors(a, b, p.experts))
                    for p, (a, b) in zip(group, weights, strict=True)
                ]
                out[f"delta/{index}"] = torch.stack(squares)  # (pairs,)
                drifts = [
                    same if p.start is None else adapters.square(*adapters.change(p, a, b))
                    for p, (a, b), same in zip(group, weights, squares, strict=True)
                ]
                out[f"drift/{index}"] = torch.stack(drifts)  # (pairs,)
        return out

    # ------------------------------------------------------------------ on the host

    def derive(self, step: Step, host: Measured) -> Measured:
        """Spread the vectors over the series; products are still squared and unscaled."""
        del step
        out: dict[str, float] = {}
        for name, pairs in host.items():
            kind, _, index = name.partition("/")
            if kind != "pairs":
                continue
            scaling = np.array([scale for _, scale in pairs])
            values = {
                "a_norm": host[f"a/{index}"],
                "b_norm": host[f"b/{index}"],
                "delta_norm": scaling * _root(host[f"delta/{index}"]),
                "drift": scaling * _root(host[f"drift/{index}"]),
            }
            for metric, vector in values.items():
                for (key, _), value in zip(pairs, vector, strict=True):
                    out[f"{key}/{metric}"] = float(value)
        return out

    def unavailable(self) -> Mapping[str, str]:
        """Say which weights were out of reach at the last measurement."""
        return self._reasons


def _root(squares: Any) -> Any:
    # Rounding can leave a square of almost nothing below zero; NaN stays NaN.
    return np.sqrt(np.maximum(np.asarray(squares, np.float64), 0.0))


PROBE = Lora

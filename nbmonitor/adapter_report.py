"""What the modules of one adapter have come to, layer by layer: numbers for people. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

KINDS = ("q", "k", "v", "qkv", "o", "mlp", "other")
_TOP = 5


@dataclass(frozen=True, slots=True)
class Change:
    """How far one module has come: ‖ΔW‖, ‖W‖ (NaN if unknown) and the update's effective rank."""

    layer: str
    kind: str
    delta: float
    weight: float
    rank: float


def layers(changes: Iterable[Change]) -> list[dict[str, Any]]:
    """Sum up each layer, in order of the layers.

    Returns
    -------
    list
        By layer: Σ‖ΔW‖ of each kind of projection (None where it has no adapter), `relative`
        (‖ΔW‖ / ‖W‖ of all adapted weights of the layer together) and the mean `effective_rank`
        of the modules that have moved.
    """
    found: dict[str, list[Change]] = {}
    for change in changes:
        found.setdefault(change.layer, []).append(change)
    return [_layer(name, found[name]) for name in sorted(found, key=_natural)]


def top(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the layers that have moved most: at most five, by Σ‖ΔW‖, none that hasn't moved."""
    sums = [(row["layer"], sum(row[k] for k in KINDS if row.get(k) is not None)) for row in rows]
    moved = [(name, delta) for name, delta in sums if delta > 0]
    moved.sort(key=lambda entry: -entry[1])
    return [{"layer": name, "delta": brief(delta)} for name, delta in moved[:_TOP]]


def brief(value: float) -> float | None:
    """Six digits of a number; None, which JSON can hold, for what is none."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _layer(name: str, changes: list[Change]) -> dict[str, Any]:
    row: dict[str, Any] = {"layer": name}
    for kind in KINDS:
        deltas = [change.delta for change in changes if change.kind == kind]
        if deltas or kind not in {"qkv", "other"}:
            row[kind] = brief(math.fsum(deltas)) if deltas else None
    moved = math.sqrt(math.fsum(c.delta**2 for c in changes))
    weight = math.sqrt(math.fsum(c.weight**2 for c in changes))
    row["relative"] = brief(moved / weight) if weight > 0 else None
    ranks = [change.rank for change in changes if change.rank > 0]
    row["effective_rank"] = brief(math.fsum(ranks) / len(ranks)) if ranks else None
    return row


def _natural(name: str) -> tuple[Any, ...]:
    parts = re.split(r"(\d+)", name)
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts)

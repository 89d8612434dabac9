"""LoRA: how large each adapter's matrices and its effective update are, layer by layer.

The update `scaling·B·A` is as large as the weight it changes, so it is never formed. From two
r x r Gram matrices, ‖BA‖² = sum((BᵀB) ∘ (AAᵀ)); and its drift, with the rank doubled, from
BA - B₀A₀ = [B-B₀, B₀]·[A; A-A₀], which loses no digits however small the drift is. Products are
taken in float32: six digits, or three where a GPU is allowed TF32.

The only importer of peft. DoRA's magnitude is not part of these norms; rsLoRA's scaling is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nbmonitor.extras import available, missing
from nbmonitor.naming import name_modules
from nbmonitor.probe import Context, Measured, Panel, Probe, Series, Step

METRICS = ("delta_norm", "a_norm", "b_norm", "drift")
_NONE = "no LoRA adapters in this model (peft): nothing to measure"
_FEATURE = "LoRA norms"


@dataclass(slots=True)
class _Pair:
    """A and B of one adapter in one module; `start` is (A₀, B₀), or None where B₀ is 0."""

    key: str
    module: Any
    adapter: str
    start: tuple[Any, Any] | None = None

    def weights(self) -> tuple[Any, Any]:
        """A (r, in) and B (out, r), or with more axes, as they are now."""
        module, name = self.module, self.adapter
        if name in module.lora_A:
            return module.lora_A[name].weight.detach(), module.lora_B[name].weight.detach()
        a, b = module.lora_embedding_A[name], module.lora_embedding_B[name]
        return a.detach(), b.detach()

    @property
    def experts(self) -> int:
        return int(getattr(self.module, "num_experts", 1) or 1)

    @property
    def scaling(self) -> float:
        return abs(float(self.module.scaling[self.adapter]))


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
        self._pairs: list[_Pair] = []
        self._reasons: dict[str, str] = {}
        self._measured_at: int | None = None

    def absent(self, context: Context) -> str:
        """Look for adapters, without importing peft if nothing else has."""
        if not available("peft"):
            return missing("peft", extra="lora", feature=_FEATURE)
        # A model can hold peft's layers only once peft is loaded.
        if context.model is None or "peft" not in sys.modules:
            return _NONE
        pairs = _pairs(context.model)
        if not pairs:
            return _NONE
        reasons = [_unreadable(*pair.weights()) for pair in pairs]
        return f"no LoRA weight can be read: {reasons[0]}" if all(reasons) else ""

    # ------------------------------------------------------------------ training thread

    def on_begin(self, context: Context) -> Measured | None:
        """Remember where the adapters start; one sync tells which of them start at zero."""
        self._pairs = _pairs(context.model)
        self._measured_at = None
        readable = [p for p in self._pairs if not _unreadable(*p.weights())]
        for group in _by_device(readable):
            weights = [pair.weights() for pair in group]
            moved = _norms([b for _, b in weights]).tolist()
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
            reason = _unreadable(*pair.weights())
            if reason:
                reasons |= {f"{pair.key}/{metric}": reason for metric in METRICS}
            else:
                readable.append(pair)
        self._reasons = reasons
        out: dict[str, Any] = {}
        torch = sys.modules["torch"]
        with torch.no_grad():
            for index, group in enumerate(_by_device(readable)):
                weights = [pair.weights() for pair in group]
                out[f"pairs/{index}"] = tuple((p.key, p.scaling) for p in group)
                out[f"a/{index}"] = _norms([a for a, _ in weights])  # (pairs,)
                out[f"b/{index}"] = _norms([b for _, b in weights])  # (pairs,)
                squares = [
                    _square(*_factors(a, b, p.experts))
                    for p, (a, b) in zip(group, weights, strict=True)
                ]
                out[f"delta/{index}"] = torch.stack(squares)  # (pairs,)
                drifts = [
                    same if p.start is None else _drift(p, a, b)
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


def _pairs(model: Any) -> list[_Pair]:
    """Every adapter of every LoRA module, named `lora/<adapter>/<layer>/<module>`."""
    from peft.tuners.lora.layer import LoraLayer

    # An expert tensor is a parameter of its module: peft wraps that once for each of them.
    found = {
        ".".join(filter(None, (path, getattr(module, "parameter_name", "")))): module
        for path, module in model.named_modules()
        if isinstance(module, LoraLayer)
    }
    names = name_modules(found)
    out = []
    for path, module in found.items():
        layer, part = names[path]
        for adapter in module.scaling:
            if adapter in module.lora_A or adapter in module.lora_embedding_A:
                key = "/".join(x.replace("/", "_") for x in (adapter, layer, part))
                out.append(_Pair(f"lora/{key}", module, adapter))
    return out


def _unreadable(a: Any, b: Any) -> str:
    """Why the norms of a pair can't be taken without moving weights, or ""."""
    if a.device.type == "meta" or b.device.type == "meta":
        return "its weights are on the meta device (offloaded between forward passes)"
    if hasattr(a, "to_local"):
        return "its weights are sharded (FSDP): each process holds a part"
    if a.numel() == 0 or b.numel() == 0:
        return "its weights are sharded (DeepSpeed ZeRO-3): this process holds none now"
    if a.dim() > 2 and a.shape[0] != b.shape[1]:
        return "a grouped convolution: its update is no product of two matrices"
    return ""


def _by_device(pairs: list[_Pair]) -> Iterator[list[_Pair]]:
    """Group what can be handed to one `foreach`."""
    groups: dict[Any, list[_Pair]] = {}
    for pair in pairs:
        groups.setdefault(pair.weights()[0].device, []).append(pair)
    yield from groups.values()


def _norms(tensors: list[Any]) -> Any:
    """L2 norms, (tensors,), summed in float32 also for bfloat16."""
    torch = sys.modules["torch"]
    return torch.stack(torch._foreach_norm(tensors, 2, torch.float32))  # noqa: SLF001


def _factors(a: Any, b: Any, experts: int) -> tuple[Any, Any]:
    """A (experts, r, in) and B (experts, out, r) in float32, in peft's order of experts."""
    a, b = a.float(), b.float()
    if experts > 1:
        split_b = b.reshape(b.shape[0], -1, experts)  # (out, r, experts)
        return a.reshape(experts, -1, a.shape[-1]), split_b.permute(2, 0, 1)
    return a.reshape(1, a.shape[0], -1), b.reshape(1, b.shape[0], -1)


def _square(a: Any, b: Any) -> Any:
    """‖BA‖² summed over experts, 0-d."""
    return ((b.mT @ b) * (a @ a.mT)).sum()


def _drift(pair: _Pair, a: Any, b: Any) -> Any:
    """‖BA - B₀A₀‖² summed over experts, 0-d."""
    torch = sys.modules["torch"]
    assert pair.start is not None
    start_a, start_b = (w.to(a.device) for w in pair.start)
    new_a, new_b = _factors(a, b, pair.experts)
    old_a, old_b = _factors(start_a, start_b, pair.experts)
    rows = torch.cat([new_a, new_a - old_a], -2)  # (experts, 2 r, in)
    columns = torch.cat([new_b - old_b, old_b], -1)  # (experts, out, 2 r)
    return _square(rows, columns)


PROBE = Lora

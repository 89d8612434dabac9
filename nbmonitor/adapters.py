"""LoRA adapters of a model: their matrices, their names, and products of matrices.

The only importer of peft, which it imports only where a model can hold its layers. It measures
nothing by itself. DoRA's magnitude is not part of A and B; rsLoRA's scaling is in `scaling`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from nbmonitor.extras import available, missing
from nbmonitor.naming import name_modules

_NONE = "no LoRA adapters in this model (peft): nothing to measure"

# Kinds of projections by the last word of a module's path, as models call them.
_KINDS = (
    ("q", r"q|q_proj|query|wq|q_lin|q_a_proj|q_b_proj"),
    ("k", r"k|k_proj|key|wk|k_lin"),
    ("v", r"v|v_proj|value|wv|v_lin"),
    ("qkv", r"qkv|qkv_proj|c_attn|query_key_value|Wqkv|in_proj"),
    ("o", r"o|o_proj|out_proj|out_lin"),
    ("mlp", r"(gate|up|down|gate_up)_proj|fc\d|c_fc|w[123o]|wi(_\d)?|lin[12]"),
    ("mlp", r"dense_h_to_4h|dense_4h_to_h|linear_fc\d"),
)
_ATTENTION = re.compile(r"attn|attention", re.IGNORECASE)
_MLP = re.compile(r"mlp|ffn|intermediate|feed_?forward|expert", re.IGNORECASE)


def kind_of(path: str) -> str:
    """Say what a module projects: q, k, v, qkv (fused), o, mlp or other, by its path."""
    last = path.rpartition(".")[2]
    for kind, pattern in _KINDS:
        if re.fullmatch(pattern, last):
            return kind
    if _ATTENTION.search(path):
        return "o" if last in {"dense", "c_proj", "proj"} else "other"
    if _MLP.search(path) or path.endswith("output.dense"):
        return "mlp"
    return "other"


@dataclass(slots=True)
class Pair:
    """A and B of one adapter in one module; `start` is (A₀, B₀), once kept."""

    key: str
    path: str
    layer: str
    part: str
    module: Any
    adapter: str
    start: tuple[Any, Any] | None = None

    def parameters(self) -> tuple[Any, Any]:
        """A (r, in) and B (out, r), or with more axes, as the optimiser holds them."""
        module, name = self.module, self.adapter
        if name in module.lora_A:
            return module.lora_A[name].weight, module.lora_B[name].weight
        return module.lora_embedding_A[name], module.lora_embedding_B[name]

    def weights(self) -> tuple[Any, Any]:
        """A and B as they are now, without their graph."""
        a, b = self.parameters()
        return a.detach(), b.detach()

    @property
    def experts(self) -> int:
        """Number of experts that share the matrices; 1 but for fused mixtures."""
        return int(getattr(self.module, "num_experts", 1) or 1)

    @property
    def scaling(self) -> float:
        """What the product B·A is multiplied by."""
        return abs(float(self.module.scaling[self.adapter]))

    @property
    def active(self) -> bool:
        """Whether the forward pass uses this adapter, and not merged into the weight."""
        module = self.module
        used = self.adapter in getattr(module, "active_adapters", [self.adapter])
        return bool(used and not module.disable_adapters and not module.merged)


def absent(model: Any, feature: str) -> str:
    """Why a model has no LoRA that can be read, without importing peft if nothing else has."""
    if not available("peft"):
        return missing("peft", extra="lora", feature=feature)
    # A model can hold peft's layers only once peft is loaded.
    if model is None or "peft" not in sys.modules:
        return _NONE
    found = pairs(model)
    if not found:
        return _NONE
    reasons = [unreadable(*pair.weights()) for pair in found]
    return f"no LoRA weight can be read: {reasons[0]}" if all(reasons) else ""


def pairs(model: Any) -> list[Pair]:
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
                out.append(Pair(f"lora/{key}", path, layer, part, module, adapter))
    return out


def unmatched(model: Any, adapter: str, paths: Iterable[str]) -> list[str]:
    """Target modules and parameters of an adapter that no module at `paths` answers to."""
    config = getattr(model, "peft_config", {}).get(adapter)
    wanted: list[str] = []
    for name in ("target_modules", "target_parameters"):
        targets = getattr(config, name, None)
        if targets and not isinstance(targets, str):  # a string is one expression: peft tells
            wanted += [str(target) for target in targets]
    there = list(paths)
    return sorted(w for w in wanted if not any(f".{path}".endswith(f".{w}") for path in there))


def unreadable(a: Any, b: Any) -> str:
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


def base_weight(pair: Pair) -> Any:
    """Return the weight that a pair changes, dequantised where peft can do that.

    Raises
    ------
    LookupError
        If it can't be read here; says why.
    """
    from peft.utils.integrations import dequantize_module_weight

    layer = pair.module.get_base_layer()
    name = getattr(pair.module, "parameter_name", "")
    try:
        weight = getattr(layer, name) if name else dequantize_module_weight(layer)
    except Exception as error:  # each library of quantised weights raises what it likes
        msg = f"its base weight can't be read: {type(error).__name__}: {error}"
        raise LookupError(msg) from error
    weight = weight.detach()
    if weight.device.type == "meta":
        msg = "its base weight is on the meta device (offloaded between forward passes)"
        raise LookupError(msg)
    if hasattr(weight, "to_local") or weight.numel() == 0:
        msg = "its base weight is sharded: this process holds a part of it"
        raise LookupError(msg)
    if not weight.is_floating_point():
        kind = str(weight.dtype).removeprefix("torch.")
        msg = f"its base weight is quantised ({kind}) in a way that peft can't undo"
        raise LookupError(msg)
    return weight


def by_device(found: list[Pair]) -> Iterator[list[Pair]]:
    """Group what can be handed to one `foreach`."""
    groups: dict[Any, list[Pair]] = {}
    for pair in found:
        groups.setdefault(pair.weights()[0].device, []).append(pair)
    yield from groups.values()


def norms(tensors: list[Any]) -> Any:
    """L2 norms, (tensors,), summed in float32 also for bfloat16."""
    torch = sys.modules["torch"]
    return torch.stack(torch._foreach_norm(tensors, 2, torch.float32))  # noqa: SLF001 - no public one takes a dtype


def factors(a: Any, b: Any, experts: int) -> tuple[Any, Any]:
    """A (experts, r, in) and B (experts, out, r) in float32, in peft's order of experts."""
    a, b = a.float(), b.float()
    if experts > 1:
        split_b = b.reshape(b.shape[0], -1, experts)  # (out, r, experts)
        return a.reshape(experts, -1, a.shape[-1]), split_b.permute(2, 0, 1)
    return a.reshape(1, a.shape[0], -1), b.reshape(1, b.shape[0], -1)


def change(pair: Pair, a: Any, b: Any) -> tuple[Any, Any]:
    """Rows (experts, 2 r, in) and columns (experts, out, 2 r) whose product is BA - B₀A₀.

    BA - B₀A₀ = [B-B₀, B₀]·[A; A-A₀], which loses no digits however small the change is.
    """
    torch = sys.modules["torch"]
    assert pair.start is not None
    start_a, start_b = (w.to(a.device) for w in pair.start)
    new_a, new_b = factors(a, b, pair.experts)
    old_a, old_b = factors(start_a, start_b, pair.experts)
    return torch.cat([new_a, new_a - old_a], -2), torch.cat([new_b - old_b, old_b], -1)


def square(a: Any, b: Any) -> Any:
    """‖BA‖² summed over experts, 0-d."""
    return ((b.mT @ b) * (a @ a.mT)).sum()

"""Gradient norms and the size of updates, by group of parameters.

A group is a layer's attention, its MLP or its norms, or what is outside of layers
(`nbmonitor/groups.py`). Norms are summed in float32. What the optimiser sees has been clipped:
where the norm before clipping is known, all groups are scaled up to it, which undoes clipping by
the norm exactly. ‖update‖ / ‖weight‖ is an estimate from up to 2,048 elements of each tensor
(about 2 % off), and exact where a tensor has no more than that.
"""

from __future__ import annotations

import math
import sys
import time
from typing import Any

import numpy as np

from nbmonitor.groups import group_parameters
from nbmonitor.pace import Pace
from nbmonitor.probe import Context, Measured, Panel, Probe, Series, Step
from nbmonitor.sampling import stride

SAMPLES = 2048
# On a CPU, a float32 sum of more than this many squares loses digits that one wants to see.
_PIECE = 1 << 18
_CLIPPED = 1.001
_NONE = "no gradients were seen: in a loop of your own, watch(model, optimizer) shows them"
_NOTHING = "no parameter has a gradient here (DeepSpeed and the like keep them to themselves)"
_SHARDED = "gradients are sharded (FSDP): each process holds a part"


class Gradients(Probe):
    """Norms of gradients before clipping, and ‖update‖ / ‖weight‖ of single steps.

    Attributes
    ----------
    absence
        Why there is nothing to be seen; "" while all is well.
    """

    name = "gradients"
    every = 10
    cost = (
        "one pass over the gradients and three over samples of weights, every 10 steps, or more "
        "seldom where that would be more than 0.25 % of the training; no sync"
    )
    series = (
        Series("grad/*/norm", "gradient norm"),
        Series("update/*/ratio", "‖update‖ / ‖weight‖ of a step (estimate)", "ratio"),
    )
    panels = (
        Panel(
            "gradients", "Gradient norms", "layers", ("grad/*/norm",), tab="quality", order=80,
            options={"metrics": ["norm"], "empty": "waiting for the first gradients"},
        ),
        Panel(
            "updates", "Update / weight", "layers", ("update/*/ratio",), tab="quality", order=90,
            options={"metrics": ["ratio"], "empty": "waiting for the first update"},
        ),
    )  # fmt: skip

    def __init__(self) -> None:
        self.absence = ""
        self._parameters: list[tuple[Any, int]] = []
        self._names = ""
        self._before: list[tuple[list[Any], list[Any], bytes, bytes]] = []
        self._seen = False
        self._pace = Pace(self.every)

    def absent(self, context: Context) -> str:
        """Say that there has to be a model."""
        return "" if hasattr(context.model, "named_parameters") else "no model to be read"

    # ------------------------------------------------------------------ training thread

    def on_begin(self, context: Context) -> Measured | None:
        """Group the parameters, frozen ones too: they may thaw."""
        groups = getattr(context.optimizer, "param_groups", [])
        held = [p for group in groups for p in group["params"]]
        found = group_parameters(context.model, held)
        names = list(dict.fromkeys(group for _, group in found))
        number = {name: at for at, name in enumerate(names)}
        self._parameters = [(p, number[group]) for p, group in found]
        self._names = "\n".join(names)
        self._before = []
        self.every = self._pace.begin(self.every)
        self._seen, self.absence = False, ""
        return None

    def on_gradients(self, step: Step) -> Measured | None:
        """Take norms of gradients, and samples of the weights that are about to move."""
        del step
        began = time.perf_counter()
        self._seen = True
        live = [(p, p.grad, at) for p, at in self._parameters if p.grad is not None]
        dense = [(p, g, at) for p, g, at in live if _readable(g)]
        if not dense:
            self.absence = _SHARDED if live else _NOTHING
            return None
        self.absence = ""
        out: dict[str, Any] = {"names": self._names, "whole": len(live) == len(dense)}
        self._before = []
        torch = sys.modules["torch"]
        for index, (home, group) in enumerate(_by_device(dense).items()):
            pieces: list[Any] = []
            ids: list[int] = []
            for _, gradient, at in group:
                cut = gradient.reshape(-1).split(_PIECE) if home.type == "cpu" else (gradient,)
                pieces += cut
                ids += [at] * len(cut)
            norms = torch._foreach_norm(pieces, 2, torch.float32)  # noqa: SLF001 - no public one takes a dtype
            out[f"grad/{index}"] = torch.stack(norms)  # (pieces,)
            out[f"grad_ids/{index}"] = np.array(ids, np.int32).tobytes()
            self._sample([(p, at) for p, _, at in group])
        self._pace.add(time.perf_counter() - began)
        return out

    def _sample(self, group: list[tuple[Any, int]]) -> None:
        """Keep samples of weights of one device."""
        views = [_samples(p.detach()) for p, _ in group]
        # A sampled element stands for this many.
        parts = [p.numel() / max(1, v.numel()) for (p, _), v in zip(group, views, strict=True)]
        ids = np.array([at for _, at in group], np.int32).tobytes()
        clones = [view.clone() for view in views]
        self._before.append((views, clones, ids, np.array(parts, np.float64).tobytes()))

    def on_step(self, step: Step) -> Measured | None:
        """Compare the samples with what the optimiser made of them."""
        began = time.perf_counter()
        if not self._seen:
            self.absence = _NONE
        if not self._before:
            return None
        torch = sys.modules["torch"]
        out: dict[str, Any] = {"names": self._names}
        for index, (views, clones, ids, parts) in enumerate(self._before):
            moved = torch._foreach_sub(views, clones)  # noqa: SLF001 - one kernel for all tensors
            both = torch._foreach_norm([*moved, *clones], 2, torch.float32)  # noqa: SLF001 - as above
            out[f"update/{index}"] = torch.stack(both)  # (2 tensors,)
            out[f"update_ids/{index}"], out[f"update_parts/{index}"] = ids, parts
        self._before = []
        self._pace.add(time.perf_counter() - began)
        self.every = self._pace.measured(step.number, self.every)
        return out

    # ------------------------------------------------------------------ on the host

    def derive(self, step: Step, host: Measured) -> Measured:
        """Sum up the squares of each group."""
        names = host["names"].split("\n")
        return {**_norms_of(names, step.grad_norm, host), **_ratios_of(names, host)}


def _readable(gradient: Any) -> bool:
    return not (gradient.is_sparse or gradient.is_meta or hasattr(gradient, "to_local"))


def _by_device(found: list[tuple[Any, Any, int]]) -> dict[Any, list[tuple[Any, Any, int]]]:
    groups: dict[Any, list[tuple[Any, Any, int]]] = {}
    for entry in found:
        groups.setdefault(entry[1].device, []).append(entry)
    return groups


def _samples(weight: Any) -> Any:
    """Evenly spaced elements of a tensor, (at most 2,048,), from all of its columns."""
    if not weight.is_contiguous():
        # Its elements in the order of memory: a copy would not move with it.
        weight = weight.permute(sorted(range(weight.dim()), key=lambda d: -weight.stride(d)))
        if not weight.is_contiguous():
            return weight.new_empty(0)
    width = weight.shape[-1] if weight.dim() else 1
    return weight.reshape(-1)[:: stride(weight.numel(), SAMPLES, width)]


def _norms_of(names: list[str], carried: float | None, host: Measured) -> dict[str, float]:
    squares = np.zeros(len(names))
    seen = np.zeros(len(names), bool)
    for key, values in host.items():
        kind, _, index = key.partition("/")
        if kind == "grad":
            ids = np.frombuffer(host[f"grad_ids/{index}"], np.int32)
            np.add.at(squares, ids, np.square(np.asarray(values, np.float64)))
            seen[ids] = True
    if not seen.any():
        return {}
    norms = np.sqrt(squares)
    if carried is not None and not math.isfinite(carried):
        # Clipping by such a norm has made zeros or NaN of everything: the zeros tell nothing.
        seen &= ~np.isfinite(norms)
    elif carried is not None and host["whole"]:
        total = math.sqrt(float(squares.sum()))
        if total > 0 and carried / total > _CLIPPED:
            norms *= carried / total
    return {f"grad/{names[at]}/norm": float(norms[at]) for at in np.flatnonzero(seen)}


def _ratios_of(names: list[str], host: Measured) -> dict[str, float]:
    moved, weight = np.zeros(len(names)), np.zeros(len(names))
    for key, values in host.items():
        kind, _, index = key.partition("/")
        if kind == "update":
            ids = np.frombuffer(host[f"update_ids/{index}"], np.int32)
            parts = np.frombuffer(host[f"update_parts/{index}"], np.float64)
            both = np.square(np.asarray(values, np.float64)).reshape(2, -1) * parts
            np.add.at(moved, ids, both[0])
            np.add.at(weight, ids, both[1])
    # Where all weights are zero there is nothing to compare with.
    return {
        f"update/{names[at]}/ratio": math.sqrt(moved[at] / weight[at])
        for at in np.flatnonzero(weight != 0)
    }


PROBE = Gradients

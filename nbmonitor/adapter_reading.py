"""One reading of the adapters on a device: taken on the training thread, understood on the host.

What is taken is a few flat vectors a device: no sync. What describes them (names, sizes, flags)
travels as bytes and text beside them, so that whoever finds it in a journal needs no model.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nbmonitor import adapters, spectrum
from nbmonitor.adapters import Pair
from nbmonitor.probe import Measured

_TRAINS_A, _TRAINS_B, _ACTIVE, _HELD = 1, 2, 4, 8
# Of a larger weight on a CPU, this many elements are read: every so-many-eth row.
_WHOLE = 1 << 21
_PIECE = 1 << 20
# One difference of so many matrices at a time, so that the copies stay small.
_SLICE = 32


@dataclass(frozen=True, slots=True)
class Found:
    """What one reading tells of one module.

    Attributes
    ----------
    delta, weight, rank
        ‖ΔW‖, ‖W‖ (NaN if it can't be read) and the effective rank of ΔW.
    gradient
        ‖(∇A, ∇B)‖; None where there is none.
    looked
        Whether this reading looked at gradients.
    """

    key: str
    kind: str
    dtype: str
    delta_a: float
    delta_b: float
    delta: float
    weight: float
    rank: float
    b_zero: bool
    trains_a: bool
    trains_b: bool
    active: bool
    held: bool
    gradient: float | None
    looked: bool


def held_by(optimizer: Any, pairs: Sequence[Pair]) -> frozenset[int] | None:
    """Tell which matrices an optimiser holds, by `id`; None if that can't be told.

    An optimiser that holds copies (DeepSpeed, sharded) holds nothing of the model at all.
    """
    groups = getattr(optimizer, "param_groups", None)
    if not groups:
        return None
    held = {id(p) for group in groups for p in group["params"]}
    model = {id(p) for pair in pairs for p in pair.parameters()}
    trains = any(p.requires_grad for pair in pairs for p in pair.parameters())
    sharded = any(p.numel() == 0 or hasattr(p, "to_local") for g in groups for p in g["params"])
    copies = type(optimizer).__module__.startswith("deepspeed")
    return None if sharded or copies or not trains else frozenset(held & model)


class Group:
    """The pairs of one device, as they were at the start.

    Parameters
    ----------
    pairs
        On one device; their `start` is set here, by one sync.
    held
        As `held_by` tells.

    Attributes
    ----------
    reasons
        By series, why it can't be measured.
    """

    def __init__(self, pairs: list[Pair], held: frozenset[int] | None) -> None:
        self._pairs, self._held = pairs, held
        self.reasons: dict[str, str] = {}
        weights = [pair.weights() for pair in pairs]
        moved = adapters.norms([b for _, b in weights]).tolist()
        for pair, (a, b), norm in zip(pairs, weights, moved, strict=True):
            # With B₀ = 0 the change is the update itself; of B nothing need be kept.
            pair.start = (a.clone(), b.clone() if norm else None)
        self._single = [p for p in pairs if p.start is not None and p.start[1] is None]
        self._weights = np.array(self._base(), np.float64).tobytes()
        lines = [
            "\t".join((p.key, adapters.kind_of(p.path), str(a.dtype).removeprefix("torch.")))
            for p, (a, _) in zip(pairs, weights, strict=True)
        ]
        self._lines = "\n".join(lines)
        # Products on a GPU that is allowed TF32 have its ten bits.
        torch = sys.modules["torch"]
        coarse = weights[0][0].device.type == "cuda" and torch.backends.cuda.matmul.allow_tf32
        self._precision = 2.0**-10 if coarse else 2.0**-23

    def _base(self) -> list[float]:
        out = []
        for pair in self._pairs:
            try:
                out.append(_norm(adapters.base_weight(pair)))
            except LookupError as reason:
                self.reasons[f"{pair.key}/relative"] = str(reason)
                out.append(float("nan"))
        return out

    def gradients(self) -> dict[str, Any]:
        """Norms of all gradients that are there, and to which pair each belongs."""
        found, ids = [], []
        for at, pair in enumerate(self._pairs):
            for weight in pair.parameters():
                gradient = weight.grad
                if gradient is not None and not hasattr(gradient, "to_local"):
                    found.append(gradient)
                    ids.append(at)
        out: dict[str, Any] = {"gradient_ids": np.array(ids, np.int32).tobytes()}
        if found:
            out["gradients"] = adapters.norms(found)  # (gradients,)
        return out

    def measure(self) -> dict[str, Any]:
        """Gram matrices of what changed, one after another, and what describes them."""
        grams, shapes, flags, scalings = [], [], [], []
        for pair in self._pairs:
            a, b = pair.weights()
            single = pair.start is not None and pair.start[1] is None
            if single:
                rows, columns = adapters.factors(a, b, pair.experts)
            else:
                rows, columns = adapters.change(pair, a, b)
            grams += [(rows @ rows.mT).reshape(-1), (columns.mT @ columns).reshape(-1)]
            shapes.append((rows.shape[0], rows.shape[1], int(single)))
            scalings.append(pair.scaling)
            flags.append(self._flags(pair))
        out: dict[str, Any] = {
            "pairs": self._lines,
            "weights": self._weights,
            "shapes": np.array(shapes, np.int32).tobytes(),
            "flags": np.array(flags, np.uint8).tobytes(),
            "scalings": np.array(scalings, np.float64).tobytes(),
            "precision": self._precision,
            "grams": _compact(sys.modules["torch"].cat(grams)),  # (sum of 2 experts k²,)
        }
        if self._single:
            out["delta_a"] = _compact(self._drifts())  # (single,)
        return out

    def _drifts(self) -> Any:
        """‖A - A₀‖ where the Gram matrices don't hold it, (single,)."""
        torch = sys.modules["torch"]
        now = [pair.weights()[0] for pair in self._single]
        start = [pair.start[0] for pair in self._single if pair.start is not None]
        if now[0].device.type == "cpu":
            # One buffer for all: fresh memory for every difference costs more than the rest.
            size = max(a.numel() for a in now)
            room = now[0].new_empty(size, dtype=torch.float32)
            return torch.stack([_distance(a, old, room) for a, old in zip(now, start, strict=True)])
        parts = []
        for at in range(0, len(now), _SLICE):
            old = [s.to(a.device) for s, a in zip(start[at : at + _SLICE], now[at:], strict=False)]
            moved = torch._foreach_sub(now[at : at + _SLICE], old)  # noqa: SLF001 - one kernel for all
            parts.append(adapters.norms(list(moved)))
        return torch.cat(parts)

    def _flags(self, pair: Pair) -> int:
        a, b = pair.parameters()
        held = self._held is None or id(a) in self._held or id(b) in self._held
        return (
            _TRAINS_A * bool(a.requires_grad)
            | _TRAINS_B * bool(b.requires_grad)
            | _ACTIVE * pair.active
            | _HELD * held
        )


def _distance(now: Any, start: Any, room: Any) -> Any:
    """‖now - start‖, 0-d, by way of a buffer that is at least as large."""
    torch = sys.modules["torch"]
    moved = room[: now.numel()].view_as(now)
    return torch.linalg.vector_norm(torch.sub(now, start, out=moved))


def _compact(vector: Any) -> Any:
    """Bytes of what is on the host already: a journal writes them as they are."""
    return vector.numpy().tobytes() if vector.device.type == "cpu" else vector


def _norm(weight: Any) -> float:
    """‖W‖, from evenly spaced rows where there are very many elements on a CPU."""
    torch = sys.modules["torch"]
    part = 1.0
    if weight.device.type == "cpu":
        stride = max(1, weight.numel() // _WHOLE)
        whole, weight = weight.numel(), weight[:: min(stride, weight.shape[0])]
        part = whole / weight.numel()
    pieces = list(weight.reshape(-1).split(_PIECE))
    norms = adapters.norms(pieces) if weight.device.type == "cpu" else adapters.norms([weight])
    return float(torch.linalg.vector_norm(norms.double())) * math.sqrt(part)


def read(host: Measured) -> Iterator[Found]:
    """Understand what `Group.measure` and `Group.gradients` have taken, module by module."""
    for name in list(host):
        kind, _, index = name.partition("/")
        if kind == "pairs":
            yield from _read({k.partition("/")[0]: v for k, v in host.items() if _of(k, index)})


def _of(name: str, index: str) -> bool:
    return name.partition("/")[2] == index


def _read(host: Measured) -> Iterator[Found]:
    lines = [line.split("\t") for line in host["pairs"].split("\n")]
    shapes = np.frombuffer(host["shapes"], np.int32).reshape(-1, 3).tolist()
    grams = _grams(_floats(host["grams"]), shapes)
    values = _singular(grams, host["precision"])
    singles = iter(_floats(host.get("delta_a", b"")).tolist())
    scalings = np.frombuffer(host["scalings"], np.float64).tolist()
    weights = np.frombuffer(host["weights"], np.float64).tolist()
    gradients = _gradients(host, len(lines))
    for at, ((key, kind, dtype), (_, size, single), flags) in enumerate(
        zip(lines, shapes, host["flags"], strict=True)
    ):
        rows, columns = grams[at]
        half = size // 2
        square = float((rows * columns).sum())  # ‖CR‖² = tr(RRᵀ·CᵀC)
        if single:
            delta_a, delta_b = next(singles), _trace(columns)
        else:
            # [A; A-A₀] and [B-B₀, B₀]: the changes are the last and the first half.
            delta_a, delta_b = _trace(rows[:, half:, half:]), _trace(columns[:, :half, :half])
        yield Found(
            key,
            kind,
            dtype,
            delta_a,
            delta_b,
            float(np.sqrt(np.maximum(square, 0.0))) * scalings[at],
            weights[at],
            float(spectrum.effective_rank(values[at]).mean()),
            bool(single) and delta_b == 0,
            bool(flags & _TRAINS_A),
            bool(flags & _TRAINS_B),
            bool(flags & _ACTIVE),
            bool(flags & _HELD),
            gradients[at],
            "gradient_ids" in host,
        )


def _floats(value: Any) -> Any:
    return np.frombuffer(value, np.float32) if isinstance(value, bytes) else np.asarray(value)


def _trace(grams: Any) -> float:
    return float(np.sqrt(np.maximum(np.trace(grams, axis1=-2, axis2=-1).sum(), 0.0)))


def _grams(flat: Any, shapes: list[list[int]]) -> list[tuple[Any, Any]]:
    """Cut a vector into the Gram matrices of rows and columns, each (experts, k, k)."""
    out, at = [], 0
    for experts, size, _ in shapes:
        count = experts * size * size
        both = flat[at : at + 2 * count].reshape(2, experts, size, size).astype(np.float64)
        out.append((both[0], both[1]))
        at += 2 * count
    return out


def _singular(grams: list[tuple[Any, Any]], precision: float) -> list[Any]:
    """Singular values, (experts, k) each; matrices of one size at once, which is much faster."""
    sizes: dict[tuple[int, ...], list[int]] = {}
    for at, (rows, _) in enumerate(grams):
        sizes.setdefault(rows.shape, []).append(at)
    out: list[Any] = [None] * len(grams)
    for places in sizes.values():
        rows = np.stack([grams[at][0] for at in places])
        columns = np.stack([grams[at][1] for at in places])
        for at, values in zip(
            places, spectrum.singular_values(rows, columns, precision), strict=True
        ):
            out[at] = values
    return out


def _gradients(host: Measured, count: int) -> list[float | None]:
    """‖(∇A, ∇B)‖ by pair; None where there is no gradient."""
    if "gradients" not in host:
        return [None] * count
    ids = np.frombuffer(host["gradient_ids"], np.int32)
    squares = np.zeros(count)
    np.add.at(squares, ids, np.square(np.asarray(host["gradients"], np.float64)))
    there = set(ids.tolist())
    return [float(np.sqrt(squares[at])) if at in there else None for at in range(count)]

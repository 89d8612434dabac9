"""Read a model on the training thread: a few small tensors, no sync, no copy to the host.

Large parameters are gone over once; of all of them an evenly spaced sample is copied, and the
rows of embeddings that are followed. Frozen ones are read once and remembered while nobody has
written to them. Everything else is done by `Moment.host`, elsewhere.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from nbmonitor.parameters.carrier import mark, to_host
from nbmonitor.parameters.plan import Plan
from nbmonitor.parameters.reading import Raw, Reading, complete
from nbmonitor.parameters.rows import take_rows
from nbmonitor.parameters.samples import Samples, take
from nbmonitor.parameters.sweep import Sweep
from nbmonitor.parameters.units import Sampler, Units

_REASONS = {
    "meta": "its weights are on the meta device (offloaded between forward passes)",
    "fsdp": "its weights are sharded (FSDP): each process holds a part",
    "zero": "its weights are sharded (DeepSpeed ZeRO-3): this process holds none now",
}

# Tensors with their matrices' ids.
Numbered = list[tuple[int, Any]]


@dataclass(slots=True)
class Moment:
    """What was read of a model at one step, still where the model is.

    Parameters
    ----------
    plan
        For which it was read.
    unread
        Why a matrix could not be read, by id.
    still
        Ids of frozen matrices of which nothing had to be read again.
    versions
        Of frozen matrices, what tells that nobody has written to them.
    rows, swept, heat, weights
        On the device: rows of embeddings; pieces and heat maps of large tensors, each with ids
        of matrices; samples of all.
    before, gradients
        Samples of the weights in the moment before, and of gradients.
    events
        What to wait for before any of it is touched.
    units
        Sampled units, where they were taken.
    """

    plan: Plan
    unread: dict[int, str] = field(default_factory=dict)
    still: tuple[int, ...] = ()
    versions: dict[int, tuple[int, int]] = field(default_factory=dict)
    rows: dict[str, Any] = field(default_factory=dict)
    swept: list[tuple[tuple[int, ...], Any]] = field(default_factory=list)
    heat: list[tuple[tuple[int, ...], Any]] = field(default_factory=list)
    weights: Samples = field(default_factory=Samples)
    before: Samples | None = None
    gradients: Samples | None = None
    events: list[Any] = field(default_factory=list)
    units: Units | None = None

    @property
    def bytes(self) -> int:
        """What is kept on the devices until `host` was called."""
        held = [*self.rows.values(), *(tensor for _, tensor in (*self.swept, *self.heat))]
        for samples in (self.weights, self.gradients):
            held += [vector for _, _, vector in samples.vectors] if samples else []
        if self.units is not None:
            held += [vector for _, vector in self.units.vectors]
        return sum(tensor.numel() * tensor.element_size() for tensor in held)

    def host(self) -> Reading:
        """Bring everything to the host and complete it; to be called once, on any thread."""
        rows = to_host(list(self.rows.values()), self.events)
        swept = to_host([tensor for _, tensor in self.swept], self.events)
        heat = to_host([tensor for _, tensor in self.heat], self.events)
        raw = Raw(
            rows=dict(zip(self.rows, rows, strict=True)),
            swept=[(ids, array) for (ids, _), array in zip(self.swept, swept, strict=True)],
            heat=[(ids, array) for (ids, _), array in zip(self.heat, heat, strict=True)],
            weights=self.weights.host(),
            before=self.before.host() if self.before else {},
            gradients=self.gradients.host() if self.gradients else {},
            still=self.still,
            versions=self.versions,
        )
        self.rows, self.swept, self.heat = {}, [], []
        reading = complete(self.plan, raw, self.unread)
        reading.units = self.units.host(self.events) if self.units else None
        # Whoever still holds the moment before keeps no room for it.
        for done in (self.before, self.gradients):
            if done is not None:
                done.release()
        self.before = self.gradients = None
        return reading


def read_gradients(model: Any, plan: Plan) -> Samples:
    """Copy samples of the gradients, before the optimiser's step uses or clears them.

    Raises
    ------
    ValueError
        If the plan is for another model.
    """
    plan.check(model)
    found = [
        (matrix.id, gradient)
        for matrix in plan.chosen
        if (gradient := getattr(plan.tensor(matrix), "grad", None)) is not None
        and not unreadable(gradient)
    ]
    samples = Samples()
    for device, group in _by_device(found):
        samples.vectors += take(group, plan.sampled)
        samples.events.append(mark(device))
    return samples


def read(
    model: Any,
    plan: Plan,
    previous: Moment | None = None,
    gradients: Samples | None = None,
    sampler: Sampler | None = None,
) -> Moment:
    """Read the model as it is now.

    Parameters
    ----------
    model
        For which the plan was made.
    previous
        The moment read before: what changed is told against it. None: that is unknown.
    gradients
        As `read_gradients` took them in this step. None: unknown.
    sampler
        Takes units as well, if given.

    Raises
    ------
    ValueError
        If the plan is for another model.
    """
    plan.check(model)
    before = previous.weights if previous else None
    moment = Moment(plan, before=before, gradients=gradients)
    there: Numbered = []
    for matrix in plan.chosen:
        tensor = plan.tensor(matrix)
        reason = unreadable(tensor, matrix.shape)
        if reason:
            moment.unread[matrix.id] = reason
        else:
            there.append((matrix.id, tensor))
    moment.versions = {n: v for n, t in there if (v := _version(t)) is not None}
    moment.still = plan.unchanged(moment.versions)
    found = [(n, t) for n, t in there if n not in moment.still]
    with sys.modules["torch"].no_grad():
        moment.rows = take_rows(plan, dict(there))
        for device, group in _by_device(found):
            moment.weights.vectors += take(group, plan.sampled)
            _sweep(moment, device, group)
        if sampler is not None:
            moment.units = sampler.take(there, moment.versions)
    homes = {tensor.device for _, tensor in there}
    moment.events = moment.weights.events = [mark(device) for device in homes]
    return moment


def unreadable(tensor: Any, shape: tuple[int, ...] | None = None) -> str:
    """Why a tensor can't be read here without moving weights, or ""."""
    reason = ""
    if tensor is None:
        reason = "it is not there any more"
    elif tensor.device.type == "meta":
        reason = _REASONS["meta"]
    elif hasattr(tensor, "to_local"):
        reason = _REASONS["fsdp"]
    elif tensor.numel() == 0:
        reason = _REASONS["zero"]
    elif _peculiar(tensor):
        reason = f"its weights are kept in a way of their own ({type(tensor.data).__name__})"
    elif shape is not None and tuple(tensor.shape) != shape:
        reason = f"its shape has changed from {shape} to {tuple(tensor.shape)}"
    elif not tensor.is_floating_point():
        kind = str(tensor.dtype).removeprefix("torch.")
        reason = f"its weights are {kind}: quantised, or no plain numbers"
    return reason


def _peculiar(tensor: Any) -> bool:
    """Whether it is sparse, or a subclass that does its own arithmetic (quantised ones do)."""
    torch = sys.modules["torch"]
    return tensor.layout != torch.strided or type(tensor.data) is not torch.Tensor


def _version(tensor: Any) -> tuple[int, int] | None:
    """What changes when a frozen tensor is written to; None for what trains."""
    if tensor.requires_grad or tensor.is_inference():
        return None
    return tensor.data_ptr(), tensor._version  # noqa: SLF001 - torch has no other name for it


def _by_device(found: Numbered) -> Iterator[tuple[Any, Numbered]]:
    groups: dict[Any, Numbered] = {}
    for number, tensor in found:
        groups.setdefault(tensor.device, []).append((number, tensor))
    yield from groups.items()


def _sweep(moment: Moment, device: Any, group: Numbered) -> None:
    """Go over what is too large to be told from its sample."""
    plan = moment.plan
    large = [(number, tensor) for number, tensor in group if tensor.numel() > plan.sampled(number)]
    heat = {number: plan.heat[number] for number, _ in large if number in plan.heat}
    sweep = Sweep(device, plan.options.heat_of, sum(h * w for h, w in heat.values()))
    for number, tensor in large:
        sweep.add(number, tensor, heat.get(number))
    told = sweep.close()  # (4, pieces)
    if told is not None:
        moment.swept.append((tuple(sweep.owners), told))
    if heat:
        moment.heat.append((tuple(heat), sweep.cells))

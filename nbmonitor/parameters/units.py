"""Sampled units: of each matrix some outputs, and of each some of its inputs, copied.

The same every time, so that two samples tell how a unit moved. A unit is a row; of transformers'
Conv1D and of whatever else keeps its weights the other way round, a column. Nothing here waits
for a device. What is told of them is for `nbmonitor/parameters/since.py`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from nbmonitor.parameters.carrier import to_host
from nbmonitor.parameters.choice import LARGE
from nbmonitor.parameters.classify import Matrix
from nbmonitor.parameters.plan import Plan
from nbmonitor.parameters.streams import readers

MOST_UNITS = 64
# Of what is compared, inputs are the examples; a quarter of them tells the length of a unit.
MOST_INPUTS, OTHER_INPUTS = 1024, 256
# Elements of one moment: 12 MB in float32, which two of them are held in (the start, and now).
# float16 would do for neither: it has not the range of bfloat16, nor can it tell a small step.
_ROOM = 3 << 20
# Where everything of a large model is read, its snapshots take nearly all they may without these.
_LITTLE = 200_000
# Units below which rather their inputs are thinned.
_FEW = 8
_EXPERTS = 8


@dataclass(frozen=True, slots=True)
class Layout:
    """How the outputs of a weight lie.

    Parameters
    ----------
    groups
        Blocks of outputs that stand below each other: experts; else 1.
    outputs, inputs
        Of each.
    turned
        Whether inputs come before outputs.
    """

    groups: int
    outputs: int
    inputs: int
    turned: bool = False

    @classmethod
    def of(cls, matrix: Matrix, owner: Any) -> Layout:
        """Find it by the shape and the type of the module that owns it."""
        shape = matrix.shape
        if matrix.kind == "expert" and len(shape) == 3:
            turned = bool(getattr(owner, "is_transposed", False))
            outputs, inputs = (shape[2], shape[1]) if turned else (shape[1], shape[2])
            return cls(shape[0], outputs, inputs, turned)
        # Conv1D says so by its fields, a transposed convolution by a flag.
        turned = isinstance(getattr(owner, "nf", None), int) or bool(
            getattr(owner, "transposed", False)
        )
        outputs = shape[1] if turned else shape[0]
        return cls(1, outputs, matrix.elements // max(1, outputs), turned)

    def view(self, tensor: Any) -> Any:
        """See a weight as (groups, outputs, ...), without a copy."""
        first = 1 if self.groups > 1 else 0
        seen = tensor.transpose(first, first + 1) if self.turned else tensor
        return seen if self.groups > 1 else seen.unsqueeze(0)


@dataclass(frozen=True, slots=True)
class Grid:
    """Which units and inputs of a weight are sampled."""

    layout: Layout
    groups: range
    outputs: range
    inputs: range

    @classmethod
    def of(cls, layout: Layout, units: int, inputs: int) -> Grid:
        """Spread so many units and inputs evenly."""
        groups = _spread(layout.groups, min(_EXPERTS, units))
        # Odd distances: even ones would meet the same few places of every head.
        outputs = _spread(layout.outputs, max(1, units // len(groups)), odd=True)
        return cls(layout, groups, outputs, _spread(layout.inputs, inputs))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Groups, outputs and inputs of the sample."""
        return len(self.groups), len(self.outputs), len(self.inputs)

    @property
    def count(self) -> int:
        """Elements of the sample."""
        groups, outputs, inputs = self.shape
        return groups * outputs * inputs

    def take(self, tensor: Any) -> Any:
        """See the sample of a weight, (groups, outputs, inputs); small copies for convolutions."""
        some = self.layout.view(tensor)[_slice(self.groups), _slice(self.outputs)]
        return some.flatten(2)[:, :, _slice(self.inputs)]

    def number(self, place: int) -> int:
        """Return which unit of the weight the sample's unit at a place is."""
        group, output = divmod(place, len(self.outputs))
        return self.groups[group] * self.layout.outputs + self.outputs[output]


@dataclass(slots=True)
class Units:
    """The sample of one moment, on the devices: (ids, one vector) for each device and type.

    `seconds` is what it took to take it.
    """

    vectors: list[tuple[tuple[int, ...], Any]] = field(default_factory=list)
    grids: Mapping[int, Grid] = field(default_factory=dict)
    seconds: float = 0.0

    def host(self, events: Sequence[Any]) -> dict[int, NDArray[Any]]:
        """Bring it to the host, once: (units, inputs) by id."""
        out: dict[int, NDArray[Any]] = {}
        arrays = to_host([vector for _, vector in self.vectors], events)
        for (ids, _), array in zip(self.vectors, arrays, strict=True):
            at = 0
            for number in ids:
                grid = self.grids[number]
                out[number] = array[at : at + grid.count].reshape(-1, len(grid.inputs))
                at += grid.count
        self.vectors = []
        return out


class Sampler:
    """Takes the units of one model.

    Parameters
    ----------
    plan
        What is read of it.
    room
        Elements of all samples together, at most; None: 3 million, or 200,000 where more than 500
        million parameters are read.

    Attributes
    ----------
    grids
        What is sampled, by id of the matrix: those with two dimensions and more. Not the tokens:
        of these, many more rows are read anyway.
    readers
        Ids of those that read the same stream, sampled at the same of its coordinates.
    """

    def __init__(self, plan: Plan, room: int | None = None) -> None:
        layouts = {
            m.id: Layout.of(m, plan.owners[m.id][0])
            for m in plan.chosen
            if len(m.shape) >= 2 and m.elements and m is not plan.tokens
        }
        self.readers = readers(plan.chosen, {n: each.inputs for n, each in layouts.items()})
        if room is None:
            room = _LITTLE if sum(m.elements for m in plan.chosen) > LARGE else _ROOM
        self.grids = _fitting(layouts, set(self.readers), room)
        # Of frozen matrices, how they were when they were last taken.
        self._seen: dict[int, tuple[int, int]] = {}

    def take(
        self, found: Sequence[tuple[int, Any]], versions: Mapping[int, tuple[int, int]]
    ) -> Units:
        """Copy the sample.

        Parameters
        ----------
        found
            (id, tensor) of all that can be read.
        versions
            Of frozen matrices, what tells that nobody has written to them: then they are left
            out, but for the first time.
        """
        began = time.perf_counter()
        wanted: dict[tuple[Any, Any], list[tuple[int, Any]]] = {}
        for number, tensor in found:
            if number not in self.grids:
                continue
            version = versions.get(number)
            if version is not None and self._seen.get(number) == version:
                continue
            wanted.setdefault((tensor.device, tensor.dtype), []).append((number, tensor.detach()))
        self._seen |= {n: v for n, v in versions.items() if n in self.grids}
        units = Units(grids=self.grids)
        for (device, dtype), group in wanted.items():
            units.vectors.append((tuple(n for n, _ in group), self._copy(group, device, dtype)))
        units.seconds = time.perf_counter() - began
        return units

    def _copy(self, group: Sequence[tuple[int, Any]], device: Any, dtype: Any) -> Any:
        counts = [self.grids[number].count for number, _ in group]
        vector = sys.modules["torch"].empty(sum(counts), device=device, dtype=dtype)
        for (number, tensor), part in zip(group, vector.split(counts), strict=True):
            grid = self.grids[number]
            part.view(grid.shape).copy_(grid.take(tensor))
        return vector  # (elements of the sample,)


def _fitting(layouts: Mapping[int, Layout], wide: set[int], room: int) -> dict[int, Grid]:
    """As many units of each as there is room for; where those are few, fewer inputs."""
    units, inputs = MOST_UNITS, MOST_INPUTS
    while True:
        grids = {
            n: Grid.of(layout, units, inputs if n in wide else min(inputs, OTHER_INPUTS))
            for n, layout in layouts.items()
        }
        total = sum(grid.count for grid in grids.values())
        if total <= room or (units == inputs == 1):
            return grids
        if units > _FEW or inputs == 1:
            units = max(1, min(units - 1, units * room // total))
        else:
            inputs = max(1, min(inputs - 1, inputs * room // total))


def _spread(count: int, most: int, *, odd: bool = False) -> range:
    """At most so many of `count`, at even distances, as far from one end as from the other."""
    step = max(1, -(-count // most))
    step += odd and step > 1 and not step % 2
    return range((count - 1) % step // 2, count, step)


def _slice(places: range) -> slice:
    return slice(places.start, places.stop, places.step)

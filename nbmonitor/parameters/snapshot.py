"""What one snapshot of parameters holds: into blobs while training, and out of them for a person.

Parts and meta are those that `probes/parameters.py` puts as `parameters/meta` (JSON),
`parameters/snapshot` and `parameters/sketch` (reels of blobs). It measures nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nbmonitor import table
from nbmonitor.parameters.blob import Blob, Part
from nbmonitor.parameters.change import COLUMNS, SIMILARITY, similarity_ids, unit_rows
from nbmonitor.parameters.coder import Quantised
from nbmonitor.record import Tensor

if TYPE_CHECKING:
    import pandas as pd

META = "parameters/meta"
SNAPSHOT = "parameters/snapshot"
SKETCH = "parameters/sketch"
# Of int16, uint8 and int8: steps finer than a pixel of a view, a shade of a map, the noise of a
# sketch; each bit more costs 1,000 snapshots 2 to 20 MB.
VIEW_BITS, HEAT_BITS, SKETCH_BITS = 12, 7, 6

# What of a matrix stands in a table beside its numbers.
_WHAT = ("name", "kind", "role", "layer")

Floats = NDArray[np.float32]


def snapshot_parts(
    *,
    stats: NDArray[Any],
    heat: Mapping[int, NDArray[Any]] | None = None,
    tokens: NDArray[Any] | None = None,
    norms: NDArray[Any] | None = None,
    moved: NDArray[Any] | None = None,
    since: NDArray[Any] | None = None,
    frequency: NDArray[Any] | None = None,
    positions: NDArray[Any] | None = None,
) -> dict[str, Quantised | NDArray[Any]]:
    """Name the parts of a `parameters/snapshot`, for `Coder.encode`; what is None is left out.

    Parameters
    ----------
    stats
        (matrices, statistics), NaN where unknown.
    heat
        Pooled map (h, w) by id of its matrix.
    tokens, positions
        Views (n, 3) and (m, 3).
    norms, moved, since, frequency
        (n,): length of each token's row, how far it went since the snapshot before and since the
        start, share in the batches as it is shown.
    """
    out: dict[str, Quantised | NDArray[Any]] = {}
    if tokens is not None:
        out["tokens/view"] = Quantised(tokens, "int16", VIEW_BITS)
    rows = {"norm": norms, "moved": moved, "since": since, "frequency": frequency}
    for name, values in rows.items():
        if values is not None:
            out[f"tokens/{name}"] = Quantised(values, "uint8")
    if positions is not None:
        out["positions/view"] = Quantised(positions, "int16", VIEW_BITS)
    for number, values in (heat or {}).items():
        out[f"heat/{number}"] = Quantised(values, "uint8", HEAT_BITS)
    out["stats"] = np.asarray(stats, np.float32)
    return out


def sketch_parts(values: NDArray[Any]) -> dict[str, Quantised | NDArray[Any]]:
    """Name the parts of a `parameters/sketch`: (n, K), as `sketch.sketch` makes it."""
    return {"tokens/sketch": Quantised(values, "int8", SKETCH_BITS)}


@dataclass(frozen=True)
class Snapshot:
    """The parameters of a model at one step.

    Parameters
    ----------
    step
        Optimiser steps done.
    tokens
        (n, 3) float32, the token embeddings' principal components as they were shown live: each
        snapshot has its own axes, turned to lie near those before. (0, 3) where there are none.
    token_ids
        (n,) int64, which rows of the embedding they are.
    texts
        What these tokens stand for.
    norms, moved, since, frequency
        (n,) float32 or None: length of each row; how far it went since the snapshot before, and
        since the one at `start` (None in the first); its share in the batches so far, on the
        logarithmic scale of the display.
    positions
        (m, 3) float32 or None, position embeddings, likewise.
    heatmaps
        (h, w) float32 by name of the matrix: root mean square of each block (or the largest
        absolute value, where the run was told to).
    statistics
        (matrices, statistics) float32, NaN where unknown; `stats` has it as a table.
    explained
        Shares of the tokens' variance along the three axes.
    errors
        By name of the part, the most by which quantisation may have changed a value.
    reason
        Why it was taken: "cadence", "evaluation", "checkpoint", "begin" or "end".
    meta
        `parameters/meta`: matrices, layers, kinds, units.
    start
        The step that `since`, `units` and `similarity` are told against: the first snapshot's,
        or after a resume in another process that of its first. None where nothing is.
    similarity, similarity_ids
        (k, k) float32 or None, linear CKA of the updates since the start of k matrices that read
        the residual stream, in [0, 1]; and their ids, (k,) int64.
    unit_statistics
        Rows of `units`.
    """

    step: int
    tokens: Floats
    token_ids: NDArray[np.int64]
    texts: list[str]
    norms: Floats | None
    moved: Floats | None
    frequency: Floats | None
    positions: Floats | None
    heatmaps: dict[str, Floats]
    statistics: Floats
    explained: tuple[float, ...] = ()
    errors: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict, repr=False)
    since: Floats | None = None
    start: int | None = None
    similarity: Floats | None = None
    similarity_ids: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    unit_statistics: Sequence[Mapping[str, Any]] = field(default=(), repr=False)

    @cached_property
    def units(self) -> pd.DataFrame:
        """What sampled units tell of each matrix, a row a matrix; empty where none were looked at.

        Beside name, kind, role and layer: `since`, how far it went since the start in shares of
        its length; `sampled` units, of which so many are `dead` and `exploding`; the `largest`,
        in lengths of the median one; and `unit`, the number of the worst.
        """
        return table.records(self.unit_statistics, [*_WHAT, *COLUMNS])

    @cached_property
    def stats(self) -> pd.DataFrame:
        """The statistics as a table: a row a matrix, with name, kind, role and layer."""
        names = self.meta.get("statistics", [])
        rows = [
            {**{key: matrix.get(key) for key in _WHAT}, **dict(zip(names, values, strict=False))}
            for matrix, values in zip(
                self.meta.get("matrices", []), self.statistics.tolist(), strict=False
            )
        ]
        return table.records(rows, [*_WHAT, *names])


def read_meta(tensor: Tensor | None) -> dict[str, Any]:
    """Read `parameters/meta`; {} where there is none."""
    if tensor is None or not tensor[2].size:
        return {}
    found: dict[str, Any] = json.loads(tensor[2].tobytes())
    return found


def snapshot(
    blob: Blob, meta: Mapping[str, Any], about: Mapping[str, Any], change: Blob | None = None
) -> Snapshot:
    """Make a snapshot of its blob.

    Parameters
    ----------
    blob
        Of `parameters/snapshot`.
    meta
        Of `parameters/meta`.
    about
        The meta of the blob's tensor.
    change
        The `parameters/change` of the same step, where there is one.
    """
    tokens = meta.get("tokens") or {}
    view = _values(blob, "tokens/view")
    count = 0 if view is None else len(view)
    names = {matrix["id"]: str(matrix["name"]) for matrix in meta.get("matrices", [])}
    stats = _values(blob, "stats")
    start = about.get("since") if change is None else change.extra.get("start")
    return Snapshot(
        step=blob.step,
        tokens=np.zeros((0, 3), np.float32) if view is None else view,
        token_ids=np.array(tokens.get("ids", range(count))[:count], np.int64),
        texts=[str(text) for text in tokens.get("texts", [])[:count]],
        norms=_values(blob, "tokens/norm"),
        moved=_values(blob, "tokens/moved"),
        frequency=_values(blob, "tokens/frequency"),
        positions=_values(blob, "positions/view"),
        heatmaps={
            names.get(number, str(number)): part.values for number, part in heat_parts(blob).items()
        },
        statistics=np.zeros((0, 0), np.float32) if stats is None else stats,
        explained=tuple(float(share) for share in about.get("explained") or ()),
        errors={name: part.error for name, part in blob.parts.items() if part.error},
        reason=str(about.get("reason", "")),
        meta=meta,
        since=_values(blob, "tokens/since"),
        start=None if start is None else int(start),
        similarity=None if change is None else _values(change, SIMILARITY),
        similarity_ids=np.array(similarity_ids(change) if change else [], np.int64),
        unit_statistics=unit_rows(change, meta.get("matrices", []), _WHAT),
    )


def heat_parts(blob: Blob) -> dict[int, Part]:
    """Heat maps of a blob by id of their matrix."""
    return {
        int(name.removeprefix("heat/")): part
        for name, part in blob.parts.items()
        if name.startswith("heat/")
    }


def _values(blob: Blob, name: str) -> Floats | None:
    part = blob.parts.get(name)
    return None if part is None else part.values


__all__: Sequence[str] = [
    "META", "SKETCH", "SNAPSHOT", "Snapshot", "heat_parts", "read_meta", "sketch_parts", "snapshot",
    "snapshot_parts",
]  # fmt: skip

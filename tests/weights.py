"""A made-up model's parameters that drift, as the probe would put them: what tests share."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np

from nbmonitor.parameters import blob
from nbmonitor.parameters.change import (
    CHANGE,
    COLUMNS,
    Similarity,
    change_header,
    change_meta,
    change_parts,
)
from nbmonitor.parameters.coder import Coder
from nbmonitor.parameters.projection import Projector
from nbmonitor.parameters.sketch import directions, sketch
from nbmonitor.parameters.snapshot import (
    META,
    SKETCH,
    SNAPSHOT,
    sketch_parts,
    snapshot_parts,
)
from nbmonitor.run import Run

STATISTICS = [
    "mean", "std", "min", "max", "l2", "sparsity", "grad_l2", "grad_max", "change_l2", "change_max",
]  # fmt: skip


class Weights:
    """Rows, maps and statistics that change a little from moment to moment.

    Attributes
    ----------
    truth : dict
        By step, what was measured: rows (n, d), heat (h, w) by matrix, stats, moved;
        since the start: since, units (matrices, 6) two in three of them NaN, similarity
        (k, k) of those that are not, but for the last.
    """

    def __init__(
        self,
        run: Run,
        *,
        tokens: int = 200,
        width: int = 24,
        maps: int = 3,
        side: int = 32,
        matrices: int = 5,
        keep: bool = True,
    ) -> None:
        self._run, self._rng, self._keep = run, np.random.default_rng(0), keep
        rng = self._rng
        self.rows = rng.normal(size=(tokens, width)).astype("f4") * 0.02
        self.pull = (rng.normal(size=(tokens, 3)) @ rng.normal(size=(3, width))).astype("f4") * 0.01
        self.heat = {i: rng.uniform(0.02, 0.08, (side, side)) for i in range(maps)}
        self.stats = rng.normal(size=(matrices, len(STATISTICS))).astype("f4")
        self.truth: dict[int, dict[str, Any]] = {}
        self._projector, self._towards = Projector(), directions(width)
        self._snapshots, self._sketches = Coder(), Coder()
        self._index = 0
        self._before: np.ndarray | None = None
        kinds = ["attention", "mlp"]
        self.meta = {
            "version": 1,
            "model": "Made",
            "tokens": {
                "key": "wte.weight", "count": tokens, "vocabulary": 10 * tokens, "width": width,
                "ids": list(range(0, 3 * tokens, 3)), "texts": [f"tok{i} é" for i in range(tokens)],
            },
            "matrices": [
                {"id": i, "name": f"h.{i}.weight", "label": f"h.{i}", "kind": kinds[i % 2],
                 "role": "qkv", "layer": i, "heat": [side, side] if i < maps else None}
                for i in range(matrices)
            ],
            "statistics": STATISTICS,
        }  # fmt: skip
        text = json.dumps(self.meta, ensure_ascii=False).encode()
        run.put(META, 0, np.frombuffer(text, np.uint8), {})

    def drift(self, share: float = 0.02) -> None:
        """Let everything change."""
        rng = self._rng
        self.rows = self.rows + (
            rng.normal(size=self.rows.shape).astype("f4") * 0.02 * share + self.pull * share
        )
        self.heat = {
            i: values * (1 + rng.normal(size=values.shape) * share / 8 + share / 8)
            for i, values in self.heat.items()
        }
        self.stats = self.stats * np.float32(1 + share / 10)

    def snapshot(self, step: int) -> None:
        """Put a snapshot and a sketch of what there is."""
        view = self._projector.project(self.rows)
        moved = None
        if self._before is not None:
            moved = np.linalg.norm(self.rows - self._before, axis=1)
        self._before = self.rows
        if not self._index:
            self._start, self._first = self.rows, step
        since = np.linalg.norm(self.rows - self._start, axis=1) if self._index else None
        units, similar = self._changes()
        parts = snapshot_parts(
            stats=self.stats,
            heat=self.heat,
            tokens=view.coordinates,
            norms=np.linalg.norm(self.rows, axis=1),
            moved=moved,
            since=since,
            frequency=np.log1p(np.arange(len(self.rows))),
            positions=view.coordinates[:7],
        )
        if self._keep:
            self.truth[step] = {
                "rows": self.rows, "heat": self.heat, "stats": self.stats, "moved": moved,
                "view": view, "since": since, "units": units, "similarity": similar.values,
            }  # fmt: skip
        coded = self._snapshots.encode(step, parts, {"reason": "cadence"})
        about = coded.meta(index=self._index, reason="cadence", explained=list(view.explained))
        about |= {"basis": "live"} | ({"since": self._first} if since is not None else {})
        self._run.put(SNAPSHOT, step, coded.array, about)
        data = blob.encode(
            step, change_parts(units, similar), extra=change_header(self._first, similar)
        )
        meta = {"reel": True, "blob": blob.VERSION, "base": None, **change_meta(self._first)}
        self._run.put(CHANGE, step, np.frombuffer(data, np.uint8), meta)
        values = sketch(self.rows, self._towards)
        coded = self._sketches.encode(step, sketch_parts(values), {"width": self.rows.shape[1]})
        self._run.put(SKETCH, step, coded.array, coded.meta(page=False))
        self._index += 1

    def _changes(self) -> tuple[np.ndarray, Similarity]:
        """What is told of changes since the start: numbers, not of these weights."""
        units = np.full((len(self.stats), len(COLUMNS)), np.nan, np.float32)
        sampled = range(0, len(self.stats), 3)
        for at in sampled:
            units[at] = [self._rng.uniform(0, 0.1), 64, at % 2, 0, self._rng.uniform(1, 3), 2303]
        ids = tuple(sampled)[:-1][:24] if self._index else ()
        if len(ids) < 2:
            return units, Similarity(frozen=ids)
        values = self._rng.uniform(0, 1, (len(ids), len(ids))).astype("f4")
        return units, Similarity(ids, (values + values.T) / 2, 0.05, units=32, coordinates=768)

    def rewind(self, step: int) -> None:
        """Go back, as after a checkpoint."""
        self._run.rewind(step)
        self._snapshots.rewind(step)
        self._sketches.rewind(step)

    def train(self, steps: Iterable[int], share: float = 0.02) -> None:
        """Drift and take a snapshot at each of these steps."""
        for step in steps:
            self.drift(share)
            self.snapshot(step)

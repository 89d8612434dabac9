"""A made-up model's parameters that drift, as the probe would put them: what tests share."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np

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
        By step, what was measured: rows (n, d), heat (h, w) by matrix, stats, moved.
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
        parts = snapshot_parts(
            stats=self.stats,
            heat=self.heat,
            tokens=view.coordinates,
            norms=np.linalg.norm(self.rows, axis=1),
            moved=moved,
            frequency=np.log1p(np.arange(len(self.rows))),
            positions=view.coordinates[:7],
        )
        if self._keep:
            self.truth[step] = {
                "rows": self.rows, "heat": self.heat, "stats": self.stats, "moved": moved,
                "view": view,
            }  # fmt: skip
        coded = self._snapshots.encode(step, parts, {"reason": "cadence"})
        about = coded.meta(index=self._index, reason="cadence", explained=list(view.explained))
        self._run.put(SNAPSHOT, step, coded.array, {**about, "basis": "live"})
        values = sketch(self.rows, self._towards)
        coded = self._sketches.encode(step, sketch_parts(values), {"width": self.rows.shape[1]})
        self._run.put(SKETCH, step, coded.array, coded.meta(page=False))
        self._index += 1

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

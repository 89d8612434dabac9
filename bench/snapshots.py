"""Snapshots of parameters: what a thousand of a GPT-2's size take on the disk and to make.

The weights are made up and move as Adam moves them: with the learning rate of a warmup and a
cosine, in part steadily along a few directions, in part as noise that adds up. That a snapshot
is taken at every step up to 100, every 10 up to 1,000 and every 100 after is the default.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.figure import Figure
from nbmonitor.panels import spec
from nbmonitor.parameters import blob, onebasis
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
from nbmonitor.parameters.snapshot import SKETCH, SNAPSHOT, sketch_parts, snapshot_parts
from nbmonitor.probes.parameters import PROBE
from nbmonitor.run import Run
from nbmonitor.runfile import Recorder, reader
from nbmonitor.wire import PanelSpec

TOKENS, POSITIONS, WIDTH, MAPS, SIDE, MATRICES = 5_000, 1_024, 256, 24, 64, 148
STEPS = [*range(1, 101), *range(110, 1_001, 10), *range(1_100, 82_001, 100)]
_RATE, _WARMUP = 6e-4, 2_000
# Of the learning rate: what a weight goes a step in one direction, and here and there.
_PULL, _NOISE = 0.004, 0.3
# Weights that one cell of a map stands for: those of 768 x 2304 in 64 x 64.
_BLOCK = 432
_START = 0.02

Floats = NDArray[np.float32]


def _rate(step: int) -> float:
    if step < _WARMUP:
        return _RATE * step / _WARMUP
    return _RATE * (0.1 + 0.45 * (1 + math.cos(math.pi * step / STEPS[-1])))


class _Model:
    """Rows of an embedding, maps and statistics that change as in a training."""

    def __init__(self) -> None:
        rng = self._rng = np.random.default_rng(0)
        self.rows = self._normal(TOKENS, WIDTH) * np.float32(_START)
        self.positions = self._normal(POSITIONS, WIDTH) * np.float32(_START)
        self._pulls = [self._low_rank(len(rows)) for rows in (self.rows, self.positions)]
        shape = (MAPS, SIDE, SIDE)
        lines = rng.lognormal(0, 0.15, (MAPS, SIDE, 1)) * rng.lognormal(0, 0.15, (MAPS, 1, SIDE))
        self.heat = _START * lines * rng.lognormal(0, 0.03, shape)
        self._growth = rng.lognormal(0, 0.5, shape) * lines
        self.stats = rng.lognormal(0, 1, (MATRICES, 10)).astype(np.float32)
        self.frequency = np.sort(rng.pareto(1, TOKENS) + 1)
        self.moved, self._start = np.zeros(TOKENS), self.rows
        # Of every third parameter, units are sampled; half of these are compared.
        self.units = np.full((MATRICES, len(COLUMNS)), np.nan, np.float32)
        self.units[::3] = rng.lognormal(0, 0.3, self.units[::3].shape)
        self.alike = rng.uniform(0.1, 0.9, (MAPS, MAPS)).astype(np.float32)

    @property
    def since(self) -> NDArray[np.float64]:
        """How far each token's row went since the start, (n,)."""
        return np.asarray(np.linalg.norm(self.rows - self._start, axis=1))

    def _normal(self, *shape: int) -> Floats:
        return self._rng.standard_normal(shape, np.float32)

    def _low_rank(self, count: int) -> Floats:
        made: Floats = self._normal(count, 8) @ self._normal(8, WIDTH) / np.float32(math.sqrt(8))
        return made

    def go(self, start: int, end: int) -> None:
        """Train from one step to another."""
        rate, steps = _rate(end), end - start
        noise, pull = rate * _NOISE * math.sqrt(steps), rate * _PULL * steps
        before = self.rows
        self.rows, self.positions = (
            rows + self._normal(*rows.shape) * np.float32(noise) + towards * np.float32(pull)
            for rows, towards in zip((self.rows, self.positions), self._pulls, strict=True)
        )
        self.moved = np.linalg.norm(self.rows - before, axis=1)
        # A root mean square grows by what is new in it, and takes a share of each weight's noise.
        chance = self._normal(*self.heat.shape) * (noise / math.sqrt(_BLOCK))
        self.heat = np.sqrt(self.heat**2 + noise**2) + pull * self._growth + chance
        jitter = np.full(10, 1e-4)
        jitter[6:] = 0.2  # gradients and changes
        self.units = self.units * (1 + self._normal(*self.units.shape) * np.float32(0.01))
        self.alike = np.clip(self.alike + self._normal(MAPS, MAPS) * np.float32(0.02), 0, 1)
        self.stats = (self.stats * (1 + self._normal(MATRICES, 10) * jitter)).astype(np.float32)


class _Filmed:
    """What the probe's worker does with each moment, timed."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._projectors = Projector(), Projector(seed=1)
        self._coders = {SNAPSHOT: Coder(), SKETCH: Coder()}
        self._towards = directions(WIDTH)
        self.seconds: list[float] = []
        self.bytes: Counter[str] = Counter()
        self.keys = 0

    def take(self, step: int, model: _Model) -> None:
        began = time.process_time()
        view = self._projectors[0].project(model.rows)
        places = self._projectors[1].project(model.positions)
        parts = snapshot_parts(
            stats=model.stats,
            heat=dict(enumerate(model.heat)),
            tokens=view.coordinates,
            norms=np.linalg.norm(model.rows, axis=1),
            moved=model.moved,
            since=model.since,
            frequency=np.log1p(model.frequency),
            positions=places.coordinates,
        )
        made = {SNAPSHOT: parts, SKETCH: sketch_parts(sketch(model.rows, self._towards))}
        coded = {key: self._coders[key].encode(step, given) for key, given in made.items()}
        similar = Similarity(tuple(range(MAPS)), model.alike, 0.05)
        change = blob.encode(
            step, change_parts(model.units, similar), extra=change_header(0, similar)
        )
        self.seconds.append(time.process_time() - began)
        for key, each in coded.items():
            self.bytes[key] += len(each.data)
            about = each.meta(page=key == SNAPSHOT, explained=list(view.explained))
            self._run.put(key, step, each.array, about)
        self.bytes[CHANGE] += len(change)
        about = {"reel": True, "blob": blob.VERSION, "base": None, **change_meta(0)}
        self._run.put(CHANGE, step, np.frombuffer(change, np.uint8), about)
        self.keys += coded[SNAPSHOT].base is None


def _panels() -> list[PanelSpec]:
    return [spec(panel) for panel in PROBE.panels]


def film(path: Path, about: bytes | None = None) -> tuple[_Filmed, Run]:
    """Write the run to a file; `about` is its `parameters/meta`, which only a page needs."""
    run = Run("a thousand snapshots")
    recorder = run.journal = Recorder(run, path, _panels)
    run.film = reader.Frames(path)
    run.set_status("running")
    if about is not None:
        run.put("parameters/meta", 0, np.frombuffer(about, np.uint8), {})
    model, filmed, last = _Model(), _Filmed(run), 0
    for place, step in enumerate(STEPS):
        model.go(last, step)
        filmed.take(step, model)
        run.append(step, {"train/loss": 1.0 / step})
        last = step
        if place % 5 == 0:
            recorder.fold()
    run.set_status("finished")
    run.journal = None
    recorder.close()
    return filmed, run


def _timed(run: Run, path: Path) -> Iterator[Figure]:
    began = time.perf_counter()
    opened = Run()
    reader.load(opened, path)
    loaded = time.perf_counter() - began
    note = f"{len(opened.snapshots())} snapshots; at most {opened.reel_memory >> 20} MB in memory"
    yield Figure("the same: the file into memory", loaded, "s", note=note)
    began = time.perf_counter()
    for step in STEPS[::50]:
        opened.snapshot(step)
    each = (time.perf_counter() - began) / len(STEPS[::50])
    yield Figure("the same: run.snapshot(step)", each * 1e3, "ms", note="anywhere in the run")
    began = time.perf_counter()
    tensors = onebasis.view_tensors(run.reel_steps, run.frame)
    turned = time.perf_counter() - began
    size = sum(array.nbytes for _, _, array, _ in tensors) / 1e6
    note = f"{onebasis.MOST} of them, {size:.1f} MB; fit {tensors[0][3]['fit']:.2f}"
    yield Figure("the same: seen in one basis", turned, "s", note=note)
    packed = len(run.pack()) * 4 / 3e3
    yield Figure("the same: saved widget state (base64)", packed, "KB")


def measure() -> list[Figure]:
    """Make a thousand snapshots and put them into a run file; read them back."""
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "run.sqlite"
        filmed, run = film(path)
        size = path.stat().st_size / 1e6
        more = list(_timed(run, path))
    parts = ", ".join(f"{key} {total / 1e6:.1f} MB" for key, total in filmed.bytes.items())
    seconds = sorted(filmed.seconds)
    middle, high = (seconds[len(seconds) * share // 100] * 1e3 for share in (50, 95))
    what = f"{len(STEPS):,} snapshots of {TOKENS:,} points + {MAPS} maps {SIDE} x {SIDE}"
    note = f"rows {WIDTH} wide; 95 % below {high:.0f} ms; on a thread of its own"
    return [
        Figure(f"{what}: run file", size, "MB", 100, note=f"{parts}; {filmed.keys} keys"),
        Figure("the same: CPU for one, projection to blob", middle, "ms", note=note),
        *more,
    ]

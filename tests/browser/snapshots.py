"""Snapshots of parameters that nobody measured: two clouds that come apart, and growing layers."""

from __future__ import annotations

import json

import numpy as np

from nbmonitor.parameters.blob import encode
from nbmonitor.parameters.part import quantise
from nbmonitor.run import Run

ROLES = (("attention", "qkv"), ("attention", "output"), ("mlp", "up"), ("mlp", "down"))
STATISTICS = ("mean", "std", "min", "max", "l2", "sparsity")
STATISTICS += ("grad_l2", "grad_max", "change_l2", "change_max")
SIDE = 64


def describe(tokens: int, layers: int) -> bytes:
    """The tensor `parameters/meta` of a made-up model."""
    matrices = [("wte", "embedding", "token", None)]
    matrices += [(f"h.{k} {r}", kind, r, k) for k in range(layers) for kind, r in ROLES]
    told = {
        "version": 1,
        "model": "made up",
        "tokens": {
            "key": "wte",
            "count": tokens,
            "vocabulary": 50257,
            "width": 64,
            "ids": list(range(tokens)),
            "texts": [f"token{i}" for i in range(tokens)],
            "strata": [3] * tokens,
            "strata_names": ["special", "digit", "punctuation", "word"],
            "tied": True,
        },
        "positions": None,
        "matrices": [
            {"id": i, "name": name, "label": name, "kind": kind, "role": role, "layer": layer}
            | {"stack": "h", "shape": [64, 64], "heat": [SIDE, SIDE]}
            for i, (name, kind, role, layer) in enumerate(matrices)
        ],
        "layers": [{"index": k, "stack": "h", "label": f"layer {k}"} for k in range(layers)],
        "kinds": ["embedding", "attention", "mlp", "other"],
        "statistics": STATISTICS,
        "units": {},
        "heat_of": "rms",
        "absent": {},
    }
    return json.dumps(told).encode()


def snapshot(step: int, part: float, tokens: int, layers: int) -> bytes:
    """One snapshot; `part`, 0 to 1, says how far apart the clouds are."""
    random = np.random.default_rng(0)
    side = np.where(np.arange(tokens) % 2, 1.0, -1.0)
    view = random.normal(0, 0.5, (tokens, 3))  # (tokens, 3)
    view[:, 0] += 2 * part * side
    norm = np.linalg.norm(view, axis=1)  # (tokens,)
    parts = {
        "tokens/view": quantise(view, np.int16),
        "tokens/norm": quantise(norm, np.uint8),
        "stats": np.full((1 + layers * len(ROLES), 10), np.nan, np.float32),
    }
    wave = np.sin(np.linspace(0, 9, SIDE))[None, :] ** 2  # (1, SIDE)
    for i in range(1 + layers * len(ROLES)):
        heat = 0.2 + 0.1 * random.random((SIDE, SIDE)) + part * wave * (i % 4)  # (SIDE, SIDE)
        parts[f"heat/{i}"] = quantise(heat, np.uint8)
    return encode(step, parts)


def put(run: Run, step: int, part: float, *, tokens: int = 2000, layers: int = 6) -> None:
    """Put one snapshot into a run, with the description before the first."""
    if run.tensor("parameters/meta") is None:
        told = np.frombuffer(describe(tokens, layers), np.uint8)
        run.put("parameters/meta", step, told, {})
    data = np.frombuffer(snapshot(step, part, tokens, layers), np.uint8)
    about = {"reel": True, "index": step, "blob": 1, "reason": "cadence", "basis": "live"}
    run.put("parameters/snapshot", step, data, {**about, "explained": [0.5, 0.2, 0.1]})

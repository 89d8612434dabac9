"""Groups of tokens in the width of the embedding: k-means on sketches, by scikit-learn.

The only importer of scikit-learn, which is optional: without it the tensor says what would bring
it, and a page makes do with groups of its three-dimensional view. Nothing is imported until
clusters are made, on a thread that has the time.
"""

from __future__ import annotations

import functools
import importlib
import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbmonitor import extras
from nbmonitor.parameters.onebasis import Frames, Steps
from nbmonitor.parameters.snapshot import SKETCH
from nbmonitor.parameters.unpacked import Unpacked
from nbmonitor.record import Tensor

KEY = "parameters/clusters"
# As many as a palette has hues to tell apart, and as a page looks for by itself.
_MOST, _LEAST, _EACH = 8, 2, 20
_STARTS, _SEED = 4, 0
_NAMES = 5
_NOWHERE = -1


def cluster_tensors(steps: Steps, frame: Frames) -> list[Tensor]:
    """Make `parameters/clusters` of the newest snapshot: JSON.

    Parameters
    ----------
    steps, frame
        `run.reel_steps` and `run.frame`.

    Returns
    -------
    list
        One tensor for `run.put`, [] as long as no tokens were sketched. Its JSON has `step`,
        `method`, `count`, `labels` (a cluster for each token, -1 for a row that is no number),
        `clusters` (each `label`, `size`, and `tokens`: places of the five tokens nearest its
        centre), and `absent`: why there are none.
    """
    sketched = steps(SKETCH)
    if not sketched:
        return []
    blob = Unpacked(functools.partial(frame, SKETCH)).at(sketched[-1])
    part = blob.parts["tokens/sketch"]
    told: dict[str, Any] = {
        "step": sketched[-1],
        "method": "k-means (scikit-learn) of the token embedding's "
        f"{part.stored.shape[1]}-dimensional sketch",
        "count": 0,
        "labels": [],
        "clusters": [],
        "absent": "",
    }
    values = part.values  # (n, K)
    # What is no number is stored as zeros.
    known: NDArray[np.bool_] = np.ones(len(values), np.bool_)  # (n,)
    if part.nonfinite:
        known = np.asarray(values.any(1), np.bool_)
    try:
        told |= _grouped(values, known)
    except ImportError as error:
        told["absent"] = str(error)
    except Exception as error:  # noqa: BLE001 - whatever fails there, snapshots are as good as before
        told["absent"] = f"scikit-learn failed: {type(error).__name__}: {error}"
    text = json.dumps(told, separators=(",", ":"))
    return [(KEY, sketched[-1], np.frombuffer(text.encode(), np.uint8), {"latest": True})]


def count(points: int) -> int:
    """How many clusters to look for: √(n/20), at least 2 and at most 8."""
    return max(_LEAST, min(_MOST, round(math.sqrt(points / _EACH))))


def _grouped(values: NDArray[np.float32], known: NDArray[np.bool_]) -> dict[str, Any]:
    """Say which tokens go together, and which are in the middle of each group."""
    extras.require("sklearn", "clusters", "k-means of the embedding")
    points = values[known]  # (k, K)
    # Fewer places than clusters are no clusters.
    groups = min(count(len(points)), len(np.unique(points, axis=0)))
    if groups < _LEAST:
        return {"absent": "the tokens' rows are all alike, or no numbers"}
    module = importlib.import_module("sklearn.cluster")
    # Several threads beside those of a training wait for each other most of the time: 110 ms for
    # what one does in 5. Of OpenMP, the limit is this thread's alone.
    with importlib.import_module("threadpoolctl").threadpool_limits(1, "openmp"):
        found = module.KMeans(groups, n_init=_STARTS, random_state=_SEED).fit(points)
    labels = np.full(len(values), _NOWHERE)
    labels[known] = found.labels_
    places = np.flatnonzero(known)
    clusters = []
    for label, centre in enumerate(found.cluster_centers_):
        own = np.flatnonzero(found.labels_ == label)
        distances = np.square(points[own] - centre).sum(1)
        nearest = own[np.argsort(distances, kind="stable")[:_NAMES]]
        clusters.append({"label": label, "size": len(own), "tokens": places[nearest].tolist()})
    return {"count": groups, "labels": labels.tolist(), "clusters": clusters}

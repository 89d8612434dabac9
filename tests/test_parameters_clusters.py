"""Clusters of tokens: those that are there are found, and what is missing is said."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from test_parameters_probe import watched

from nbmonitor.parameters import blob, cadence, clusters
from nbmonitor.parameters.blob import quantise
from nbmonitor.parameters.snapshot import SKETCH


def made(values, step=7):
    """Clusters of one sketch (n, K), as JSON."""
    part = quantise(values, "int8", bits=6)
    array = np.frombuffer(blob.encode(step, {"tokens/sketch": part}), np.uint8)
    tensor = (SKETCH, step, array, {"reel": True, "blob": 1, "base": None})
    (found,) = clusters.cluster_tensors(lambda _key: [step], lambda _key, _step: tensor)
    key, at, data, meta = found
    assert (key, at, meta["latest"]) == (clusters.KEY, step, True)
    return json.loads(data.tobytes())


def groups(size=100, width=16):
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(4, width))
    truth = np.repeat(np.arange(4), size)
    return truth, (centres[truth] + 0.1 * rng.normal(size=(4 * size, width))).astype("f4")


def test_groups_are_found_with_what_is_in_their_middle():
    pytest.importorskip("sklearn")
    truth, values = groups()
    told = made(values)
    assert (told["step"], told["count"], told["absent"]) == (7, 4, "")
    assert told["method"] == "k-means (scikit-learn) of the token embedding's 16-dimensional sketch"
    labels = np.array(told["labels"])
    # Each group is one of those that were made, whatever its number.
    pairs = {(int(a), int(b)) for a, b in zip(truth, labels, strict=True)}
    assert len(pairs) == 4
    assert [each["label"] for each in told["clusters"]] == [0, 1, 2, 3]
    for each in told["clusters"]:
        own = np.flatnonzero(labels == each["label"])
        assert each["size"] == len(own) == 100
        distances = np.linalg.norm(values[own] - values[own].mean(0), axis=1)
        assert len(set(each["tokens"])) == 5
        # What is stored has 6 bits: of the hundred, they are among the nearest.
        assert set(each["tokens"]) <= set(own[np.argsort(distances)[:25]].tolist())
    assert made(values) == told


def test_rows_that_are_no_numbers_belong_nowhere():
    pytest.importorskip("sklearn")
    _, values = groups()
    values[17] = np.nan
    told = made(values)
    assert told["labels"][17] == -1
    assert sum(each["size"] for each in told["clusters"]) == len(values) - 1


def test_rows_that_are_all_alike_are_no_clusters():
    pytest.importorskip("sklearn")
    told = made(np.ones((50, 8), "f4"))
    assert "all alike" in told["absent"]
    assert told["clusters"] == told["labels"] == []


def test_without_scikit_learn_it_says_what_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    told = made(groups()[1])
    assert 'pip install "nbmonitor[clusters]"' in told["absent"]
    assert (told["labels"], told["clusters"], told["count"]) == ([], [], 0)


def test_a_failure_there_costs_the_clusters_and_nothing_else(monkeypatch):
    def fail(*_args):
        msg = "no such luck"
        raise RuntimeError(msg)

    monkeypatch.setattr(clusters, "_grouped", fail)
    assert made(groups()[1])["absent"] == "scikit-learn failed: RuntimeError: no such luck"


def test_how_many():
    assert [clusters.count(n) for n in (0, 10, 80, 320, 1280, 5000)] == [2, 2, 2, 4, 8, 8]
    assert clusters.cluster_tensors(lambda _key: [], lambda _key, _step: None) == []


def test_they_are_made_at_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(cadence, "SHARE", 1e9)
    trainer, monitor = watched(tmp_path, 3)
    trainer.train()
    told = json.loads(monitor.run.tensor(clusters.KEY)[2].tobytes())
    assert told["step"] == 3
    assert bool(told["absent"]) != (len(told["labels"]) == 64)
    assert not monitor.run.events("probe_error")
    monitor.close()


def test_nothing_is_imported_before_it_is_needed():
    code = (
        "import sys, nbmonitor, nbmonitor.parameters.clusters; assert 'sklearn' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

"""Products in pieces are the products, and wake no thread of OpenBLAS."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nbmonitor.parameters.product import product

_SHAPES = [
    (0, 5, 3), (1, 1, 1), (7, 0, 3), (500, 96, 32), (5000, 768, 8), (768, 5000, 8), (8, 5000, 8),
    (300, 2048, 300), (1001, 129, 65), (3, 100_000, 3), (2, 3, 200_000),
]  # fmt: skip


@pytest.mark.parametrize("shape", _SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("turned", [False, True])
def test_a_product_is_what_it_is(shape, dtype, turned):
    n, m, k = shape
    rng = np.random.default_rng(0)
    a = rng.normal(size=(m, n) if turned else (n, m)).astype(dtype)
    a = a.T if turned else a
    b = rng.normal(size=(m, k)).astype(dtype)
    got = product(a, b)
    assert got.dtype == dtype
    assert got.shape == (n, k)
    wanted = a.astype(np.float64) @ b.astype(np.float64)
    size = np.finfo(dtype).eps * 8 * max(1.0, m**0.5) * 4
    assert np.allclose(got, wanted, rtol=0, atol=size)


def test_parts_of_larger_arrays_are_multiplied_as_they_are():
    a = np.arange(4_000_000, dtype=np.float64).reshape(2000, 2000) % 7
    found = product(a[1:1501:3, 5:905:2], a[:450, 9:100])
    assert np.array_equal(found, a[1:1501:3, 5:905:2] @ a[:450, 9:100])


_SPUN = """
import os, sys, time
import numpy as np
from nbmonitor.parameters.product import product
from nbmonitor.parameters.projection import Projector
from nbmonitor.parameters.similarity import linear_cka
from nbmonitor.parameters.sketch import directions, sketch

def others():
    own, total = os.getpid(), 0.0
    for task in os.listdir("/proc/self/task"):
        if int(task) != own:
            with open(f"/proc/self/task/{task}/schedstat") as file:
                total += int(file.read().split()[0]) / 1e6
    return total

rng = np.random.default_rng(0)
rows = rng.normal(size=(2000, 96)).astype(np.float32)
features = [rng.normal(size=(24, 2048)).astype(np.float32) for _ in range(12)]
towards = directions(96)
if sys.argv[1] == "plain":
    product = lambda a, b: a @ b
    features[0] @ features[0].T; rows @ rows.T
before = others()
projector = Projector()
for _ in range(5):
    projector.project(rows)
    sketch(rows, towards)
    linear_cka(features)
    product(rows, rows.T)
time.sleep(0.2)
print(others() - before)
"""


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core has no other threads")
@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="no times of threads here")
def test_no_other_thread_is_woken():
    """By the time that all threads but the first have spent on a processor."""
    spent = {}
    for kind in ("ours", "plain"):
        done = subprocess.run(
            [sys.executable, "-c", _SPUN, kind], capture_output=True, text=True, check=True,
            env={**os.environ, "OMP_NUM_THREADS": "2"},
        )  # fmt: skip
        spent[kind] = float(done.stdout)
    assert spent["plain"] > 5, "no thread of OpenBLAS was there to be woken"
    assert spent["ours"] < 0.5

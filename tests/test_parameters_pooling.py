"""Heat maps and statistics of one pass, against numpy, whatever the shape and the type."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nbmonitor.parameters import sweep as sweeping
from nbmonitor.parameters.pooling import finish, folded, heat_shape, pool
from nbmonitor.parameters.statistics import sparsity, tell_large, tell_small
from nbmonitor.parameters.sweep import Sweep

CPU = torch.device("cpu")


def reference(values, heat, of):
    """Blocks of `numpy.array_split`, one by one."""
    matrix = values.astype(np.float64).reshape(folded(values.shape))
    measure = {"rms": lambda b: np.sqrt(np.square(b).mean()), "max": lambda b: np.abs(b).max()}[of]
    return np.array(
        [
            [measure(block) for block in np.array_split(band, heat[1], 1)]
            for band in np.array_split(matrix, heat[0], 0)
        ]
    )


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((), (1, 1)),
        ((7,), (1, 7)),
        ((3, 5), (3, 5)),
        ((4, 64, 16), (256, 16)),
        ((8, 3, 5, 5), (8, 75)),
    ],
)
def test_folding(shape, expected):
    assert folded(shape) == expected


@pytest.mark.parametrize("of", ["rms", "max"])
@pytest.mark.parametrize("shape", [(64, 64), (130, 67), (5, 200), (4, 20, 30), (9, 3, 3, 3)])
@pytest.mark.parametrize("piece", [50, 400, 1 << 18])
def test_sweep(shape, of, piece, monkeypatch):
    monkeypatch.setattr(sweeping, "_PIECE", piece)
    torch.manual_seed(1)
    tensor = torch.randn(shape) + 0.3
    values, heat = tensor.numpy(), heat_shape(shape, 16)
    sweep = Sweep(CPU, of, 10_000)
    sweep.add(3, tensor, heat)
    sweep.add(4, tensor, None)
    told = sweep.close().numpy().astype(np.float64)
    ((number, raw),) = sweep.heat
    assert number == 3
    cells = finish(raw.numpy(), shape, of)
    np.testing.assert_allclose(cells, reference(values, heat, of), rtol=1e-5)
    np.testing.assert_allclose(pool(values, heat, of), reference(values, heat, of), rtol=1e-6)
    for number in (3, 4):
        mine = told[:, np.array(sweep.owners) == number]
        found = tell_large(mine, values.size, values.reshape(-1))
        np.testing.assert_allclose(found, tell_small(values.reshape(-1)), rtol=2e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_types(dtype):
    tensor = (torch.randn(300, 70) * 100).to(dtype)  # squares would leave float16
    values = tensor.double().numpy()
    sweep = Sweep(CPU, "rms", 10_000)
    sweep.add(0, tensor, (16, 16))
    told = sweep.close().numpy().astype(np.float64)
    np.testing.assert_allclose(np.sqrt(np.square(told[3]).sum()), np.linalg.norm(values), rtol=1e-5)
    cells = finish(sweep.heat[0][1].numpy(), values.shape, "rms")
    np.testing.assert_allclose(cells, reference(values, (16, 16), "rms"), rtol=1e-5)


def test_a_transposed_weight(monkeypatch):
    monkeypatch.setattr(sweeping, "_PIECE", 100)
    tensor = torch.randn(40, 30).t()
    for of in ("rms", "max"):
        sweep = Sweep(CPU, of, 10_000)
        sweep.add(0, tensor, (8, 8))
        sweep.add(1, tensor, None)
        told = sweep.close().numpy()
        norms = [np.linalg.norm(told[3][np.array(sweep.owners) == n]) for n in (0, 1)]
        np.testing.assert_allclose(norms, np.linalg.norm(tensor.numpy()), rtol=1e-5)
        cells = finish(sweep.heat[0][1].numpy(), (30, 40), of)
        np.testing.assert_allclose(cells, reference(tensor.numpy(), (8, 8), of), rtol=1e-5)


def test_norms_of_many_elements_keep_their_digits():
    """All rounded the same way, which is the worst that can be."""
    tensor = torch.full((6000, 1000), 0.1)
    sweep = Sweep(CPU, "rms", 10_000)
    sweep.add(0, tensor, (64, 64))
    sweep.add(1, tensor, None)
    told = sweep.close().numpy().astype(np.float64)
    truth = np.linalg.norm(tensor.double().numpy())
    for number in (0, 1):
        mine = told[:, np.array(sweep.owners) == number]
        assert np.sqrt(np.square(mine[3]).sum()) == pytest.approx(truth, rel=2e-5)
        assert mine[0].sum() == pytest.approx(600_000, rel=1e-6)
    assert abs(float(tensor.norm()) / truth - 1) > 1e-4  # what one norm of them all would say


def test_a_row_longer_than_a_piece(monkeypatch):
    monkeypatch.setattr(sweeping, "_PIECE", 64)
    tensor = torch.randn(3, 1000)
    sweep = Sweep(CPU, "max", 10_000)
    sweep.add(0, tensor, (3, 64))
    sweep.add(1, tensor[:1], None)
    told = sweep.close().numpy()
    assert told[2].max() == tensor.max()
    assert sweep.heat[0][1].shape == (3, 64)


def test_nothing_to_sweep():
    assert Sweep(CPU, "rms").close() is None


def test_what_is_not_finite_is_told():
    tensor = torch.randn(100, 100)
    tensor[3, 4] = float("nan")
    sweep = Sweep(CPU, "rms", 10_000)
    sweep.add(0, tensor, (8, 8))
    told = sweep.close().numpy().astype(np.float64)
    stats = tell_large(told, tensor.numel(), tensor.numpy().reshape(-1))
    assert np.isnan(stats).all()
    cells = finish(sweep.heat[0][1].numpy(), (100, 100), "rms")
    assert np.isnan(cells).sum() == 1


def test_sparsity():
    values = np.ones(1000, np.float32)
    values[:250] = 1e-5
    assert sparsity(values) == 0.25
    assert sparsity(values * np.float32(1e-4)) == 0.25
    assert sparsity(np.zeros(3, np.float32)) == 1.0
    assert np.isnan(sparsity(np.array([1.0, np.inf])))

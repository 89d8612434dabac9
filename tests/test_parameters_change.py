"""What changed since the start, against numpy: similarity, health of units, and their bytes."""

from __future__ import annotations

import numpy as np
import pytest

from nbmonitor.parameters import blob, change
from nbmonitor.parameters.change import COLUMNS, Similarity
from nbmonitor.parameters.health import judge, sizes
from nbmonitor.parameters.similarity import chance, compare, linear_cka


def cka_of_kernels(x, y):
    """The definition: HSIC of centred linear kernels (p, p), in float64."""
    x, y = x.T.astype(np.float64), y.T.astype(np.float64)  # (p, f)
    centre = np.eye(len(x)) - 1 / len(x)
    k, m = (centre @ (z @ z.T) @ centre for z in (x, y))
    return (k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum())


def sets(p=90, seed=0):
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(12, p)).astype(np.float32)
    turned = np.linalg.qr(rng.normal(size=(12, 12)))[0].astype(np.float32) @ base
    mixed = (base + rng.normal(size=(12, p)) + 3).astype(np.float32)
    other = rng.normal(size=(20, p)).astype(np.float32)
    return [base, 1e-6 * turned, mixed, other]


def test_cka_is_that_of_its_definition():
    found = sets()
    got = linear_cka(found)
    wanted = np.array([[cka_of_kernels(x, y) for y in found] for x in found])
    np.testing.assert_allclose(got, wanted, atol=2e-5)
    # Neither a rotation of the units nor a smaller learning rate makes it another update.
    assert got[0, 1] == pytest.approx(1, abs=1e-5)
    assert got[0, 3] < 0.3 < got[0, 2] < 0.9


def test_chance_is_what_unrelated_updates_show():
    rng = np.random.default_rng(3)
    for units, coordinates in ((32, 256), (64, 768)):
        found = [rng.normal(size=(units, coordinates)) for _ in range(6)]
        off = linear_cka(found)[np.triu_indices(6, 1)]
        assert off.mean() == pytest.approx(chance(units, coordinates), rel=0.03)


def test_frozen_and_broken_matrices_are_left_out_and_named():
    x, turned, mixed, other = sets()
    updates = {3: x, 4: turned, 9: mixed * np.float32("nan"), 11: other * 0, 12: other * 1e-9}
    found = compare(updates, dict.fromkeys(updates, 1.0))
    assert found.ids == (3, 4)
    assert (found.frozen, found.broken) == ((11, 12), (9,))
    assert found.values.shape == (2, 2)
    assert (found.units, found.coordinates) == (12, 90)
    nothing = compare({1: x, 2: x * 0}, {1: 1.0, 2: 1.0})
    assert nothing.ids == ()
    assert nothing.frozen == (2,)


def test_many_matrices_are_compared_by_fewer_units():
    rng = np.random.default_rng(0)
    updates = {n: rng.normal(size=(64, 128)).astype(np.float32) for n in range(40)}
    found = compare(updates, dict.fromkeys(updates, 1.0))
    assert found.units == 768 // 40
    assert found.values[0, 1] == pytest.approx(found.chance, abs=0.06)
    few = compare({n: updates[n] for n in (0, 1, 2)}, dict.fromkeys(updates, 1.0))
    assert few.units == 128 // 4
    np.testing.assert_allclose(np.diag(found.values), 1, atol=1e-5)


def units(count=40, inputs=50, seed=1):
    rng = np.random.default_rng(seed)
    start = rng.normal(size=(count, inputs))
    return start, start + 1e-2 * rng.normal(size=(count, inputs))


def told(start, now, **options):
    row, worst = judge(sizes(now), sizes(start), sizes(now - start), **options)
    return dict(zip(COLUMNS, row.tolist(), strict=True)), worst


def test_healthy_units():
    start, now = units()
    row, worst = told(start, now)
    assert row["since"] == pytest.approx(np.linalg.norm(now - start) / np.linalg.norm(start))
    assert (row["sampled"], row["dead"], row["exploding"]) == (40, 0, 0)
    norms = np.linalg.norm(now, axis=1)
    assert row["largest"] == pytest.approx(norms.max() / np.median(norms))
    assert worst == norms.argmax()


def test_dead_units():
    start, now = units()
    now[7] = start[7]
    row, worst = told(start, now)
    assert (row["dead"], row["exploding"], worst) == (1, 0, 7)
    now[5] = 0
    assert told(start, now)[0]["dead"] == 2
    # A table's row whose token never came is no dead unit; nor is anything where nothing moved.
    row, worst = told(start, now, idle=True)
    assert np.isnan(row["dead"])
    assert worst not in {5, 7}
    assert told(start, start)[0]["dead"] == told(start, start)[0]["since"] == 0


def test_exploding_units():
    start, now = units()
    now[3] *= 40
    row, worst = told(start, now)
    assert (row["exploding"], row["dead"], worst) == (1, 0, 3)
    assert row["largest"] == pytest.approx(40, rel=0.5)
    # Large from the start, or all of them grown alike: nothing explodes.
    start[3] *= 30
    assert told(start, now)[0]["exploding"] == 0
    assert told(units()[0], 50 * units()[0])[0]["exploding"] == 0
    now[9, 2] = np.inf
    row, worst = told(start, now)
    assert (row["exploding"], worst) == (1, 9)
    assert np.isfinite(row["largest"])
    row, _ = told(start, start * np.nan)
    assert row["exploding"] == 40
    assert np.isnan([row["since"], row["largest"]]).all()


def test_units_that_begin_as_zeros():
    """As the second matrix of an adapter does: neither dead nor exploding, and no ratio."""
    now = 1e-3 * units()[1]
    row, _ = told(0 * now, 0 * now)
    assert (row["since"], row["dead"], row["exploding"]) == (0, 0, 0)
    row, _ = told(0 * now, now)
    assert np.isnan(row["since"])
    assert (row["dead"], row["exploding"]) == (0, 0)


def test_the_bytes():
    rows = np.full((4, len(COLUMNS)), np.nan, np.float32)
    rows[1] = [0.25, 64, 0, 1, 3, 2303]
    similar = Similarity((1, 3), np.array([[1, 0.3], [0.3, 1]], np.float32), 0.04, (5,), (6,))
    data = blob.encode(
        20, change.change_parts(rows, similar), None, change.change_header(0, similar)
    )
    read = blob.decode(data)
    np.testing.assert_array_equal(read.parts["units"].values, rows)
    shades = read.parts["similarity"]
    assert shades.stored.dtype == np.uint8
    assert np.abs(shades.values - similar.values).max() <= shades.error == 0.5 / 255
    assert change.similarity_ids(read) == [1, 3]
    head = {"start": 0, "chance": 0.04, "threshold": 1e-6, "frozen": [5], "broken": [6]}
    assert head.items() <= read.extra.items()
    matrices = [{"name": name, "kind": "mlp"} for name in "abcd"]
    (row,) = change.unit_rows(read, matrices, ("name",))
    assert row == {"name": "b", "since": 0.25, "sampled": 64, "dead": 0, "exploding": 1,
                   "largest": 3, "unit": 2303}  # fmt: skip
    none = blob.decode(blob.encode(0, change.change_parts(rows, Similarity())))
    assert "similarity" not in none.parts
    assert change.similarity_ids(none) == change.unit_rows(None, matrices, ()) == []

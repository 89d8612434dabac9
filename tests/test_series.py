"""Columns against a plain list of rows: nothing lost, extremes kept, memory bounded."""

import numpy as np
import pytest

from nbmonitor.series import CHUNK, FOLD, MAX_BUCKETS, Column, bucketed, merged
from nbmonitor.wire import NAN, NEG_INF, POS_INF


def filled(values, dtype="float64", stride=1):
    column = Column(dtype)
    for step, value in enumerate(values):
        column.append(step * stride, value)
    return column


@pytest.mark.parametrize("rows", [0, 1, 63, 64, 65, CHUNK, CHUNK + 1, 3 * CHUNK + 17])
@pytest.mark.parametrize("start", [0, 1, 50, CHUNK, CHUNK + 1, 20_000])
def test_exact_rows_come_back_from_any_row_on(rows, start):
    values = np.random.default_rng(0).normal(size=rows)
    column = filled(values, stride=3)

    x, y = column.exact(start)

    np.testing.assert_array_equal(y, values[start:])
    np.testing.assert_array_equal(x, 3 * np.arange(rows)[start:])
    assert column.rows == rows
    assert column.last == (values[-1] if rows else None)


def test_even_steps_cost_no_memory_and_uneven_ones_are_kept():
    even, uneven = Column("float32"), Column("float32")
    uneven_steps = np.cumsum(np.random.default_rng(1).integers(1, 5, 2 * CHUNK))
    for at in range(2 * CHUNK):
        even.append(10 * at, 1.0)
        uneven.append(float(uneven_steps[at]), 1.0)
    even.append(0, 0.0)
    uneven.append(1e6, 0.0)

    assert even.foldable == 2 * CHUNK * 4
    assert uneven.foldable == 2 * CHUNK * (4 + 8)
    np.testing.assert_array_equal(uneven.exact()[0][:-1], uneven_steps)


def test_a_single_spike_and_non_finite_values_survive_folding_and_merging():
    values = np.zeros(MAX_BUCKETS * FOLD * 2 + CHUNK)
    values[1234], values[70_000], values[70_001] = 1e4, np.nan, -np.inf
    values[500_000] = -77.0
    column = filled(values)
    while column.foldable:
        column.fold_oldest()

    summary = column.summary
    assert summary is not None
    assert len(summary.x) <= MAX_BUCKETS + CHUNK // FOLD
    assert summary.values[1].max() == np.float32(1e4)
    assert summary.values[0].min() == -77.0
    assert np.bitwise_or.reduce(summary.marks) == NAN | NEG_INF
    assert column.folded + len(column.exact()[0]) == column.rows == len(values)
    assert np.all(np.diff(summary.x) > 0)


def test_buckets_agree_with_a_naive_count():
    rng = np.random.default_rng(2)
    values = rng.normal(size=1000)
    values[[5, 6, 500]] = np.nan, np.inf, -np.inf
    got = bucketed(np.arange(1000.0), values, 64)

    for index in range(len(got.x)):
        part = values[index * 64 : (index + 1) * 64]
        finite = part[np.isfinite(part)]
        low, high, mean, last = got.values[:, index]
        assert low == np.float32(finite.min())
        assert high == np.float32(finite.max())
        assert mean == pytest.approx(finite.mean(), rel=1e-5)
        assert last == np.float32(part[-1])
        assert got.counts[index] == len(part)
        assert bool(got.marks[index] & NAN) == bool(np.isnan(part).any())
        assert bool(got.marks[index] & POS_INF) == bool(np.isposinf(part).any())


def test_merging_weights_means_by_their_counts():
    got = merged(bucketed(np.arange(7.0), np.array([1, 1, 1, 1, 9, 9, 9.0]), 4), 2)

    assert got.values[2, 0] == pytest.approx((4 * 1 + 3 * 9) / 7)
    assert got.counts.tolist() == [7]
    assert got.x.tolist() == [6.0]


@pytest.mark.parametrize("keep", [0, 10, CHUNK - 1, CHUNK, 2 * CHUNK + 5, 99_999])
def test_truncate_keeps_rows_up_to_a_step_and_appending_goes_on(keep):
    rows = 2 * CHUNK + 100
    column = filled(range(rows))

    dropped = column.truncate(keep)
    column.append(keep + 1, -1.0)

    left = min(keep + 1, rows)
    assert dropped == rows - left
    _, y = column.exact()
    np.testing.assert_array_equal(y[:-1], np.arange(left))
    assert y[-1] == -1.0
    assert column.rows == left + 1


def test_range_ignores_what_is_not_finite():
    column = filled([1.0, np.nan, -5.0, np.inf, 3.0])
    assert column.range == (-5.0, 3.0)
    assert filled([np.nan]).range == (None, None)
    assert filled([]).range == (None, None)


@pytest.mark.parametrize("sizes", [[1, 1, 1], [63, 1, 1], [64, 64], [5000], [4096, 1], [10_000, 3]])
def test_extending_is_appending_row_by_row(sizes):
    values = np.random.default_rng(3).normal(size=sum(sizes))
    together, apart = Column(), Column()
    at = 0
    for size in sizes:
        steps = np.arange(at, at + size, dtype=np.float64)
        sealed = together.extend(steps, values[at : at + size])
        assert sealed == any([apart.append(x, values[int(x)]) for x in steps])  # noqa: C419
        at += size

    np.testing.assert_array_equal(together.exact()[0], apart.exact()[0])
    np.testing.assert_array_equal(together.exact()[1], apart.exact()[1])
    assert (together.rows, together.foldable) == (apart.rows, apart.foldable)

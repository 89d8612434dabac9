"""What rules look at: statistics against independent formulas, and the rows they look back on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from curves import STARTED

from nbmonitor import changes
from nbmonitor.lookback import KEEP, Lookback, Track, fits

# ---------------------------------------------------------------------- statistics


@pytest.mark.parametrize("count", [1, 2, 5, 20, 101])
def test_medians(count):
    values = np.random.default_rng(count).normal(size=count)
    assert changes.median(values) == pytest.approx(np.median(values), rel=1e-12)
    wide = np.median(np.abs(values - np.median(values))) * 1.4826
    assert changes.spread(values) == pytest.approx(wide, rel=1e-12)


def test_spreads_are_standard_deviations_of_normal_noise():
    values = np.random.default_rng(0).normal(3, 0.7, 20_000)
    assert changes.spread(values) == pytest.approx(0.7, rel=0.03)
    slope = values + np.linspace(0, 50, 20_000)
    assert changes.jitter(slope) == pytest.approx(0.7, rel=0.03)
    wide, strays = changes.wander(slope)
    assert wide == pytest.approx(0.7, rel=0.03)
    assert strays == pytest.approx(1.0, abs=0.05)


def test_wandering_noise_is_told():
    chance = np.random.default_rng(1)
    values, now = [], 0.0
    for _ in range(20_000):
        now = 0.8 * now + chance.normal()
        values.append(now)
    # sqrt((1 + 0.8) / (1 - 0.8)) = 3
    assert changes.wander(np.array(values))[1] == pytest.approx(3.0, rel=0.05)


@pytest.mark.parametrize("ties", [False, True])
def test_rank_sum_is_that_of_all_pairs(ties):
    """U by counting pairs, its variance by simulation of the permutation distribution."""
    chance = np.random.default_rng(5)
    ours, theirs = chance.normal(0.4, 1, 14), chance.normal(0, 1, 11)
    if ties:
        ours, theirs = np.round(ours), np.round(theirs)
    wins = sum((a > b) + 0.5 * (a == b) for a in ours for b in theirs)
    both = np.concatenate([ours, theirs])
    simulated = []
    for _ in range(4000):
        mixed = chance.permutation(both)
        simulated.append(
            (
                (mixed[:14, None] > mixed[None, 14:]) + 0.5 * (mixed[:14, None] == mixed[None, 14:])
            ).sum()
        )
    sure = np.mean(np.array(simulated) < wins) + 0.5 * np.mean(np.array(simulated) == wins)
    assert changes.larger(ours, theirs) == pytest.approx(sure, abs=0.02)
    assert changes.larger(theirs, ours) == pytest.approx(1 - changes.larger(ours, theirs), abs=1e-9)


def test_rank_sum_of_equal_or_no_values_knows_nothing():
    assert changes.larger(np.ones(9), np.ones(5)) == 0.5
    assert changes.larger(np.empty(0), np.ones(5)) == 0.5


def test_mann_kendall_by_hand():
    # S = 10, var = 5·4·15/18 = 16.67, z = 9 / 4.0825
    assert changes.rising(np.arange(5.0)) == pytest.approx(
        changes.normal_below(9 / math.sqrt(300 / 18))
    )
    assert changes.rising(-np.arange(5.0)) == pytest.approx(1 - changes.rising(np.arange(5.0)))
    assert changes.rising(np.ones(8)) == 0.5
    assert changes.rising(np.array([1.0, 2.0])) == 0.5
    assert changes.normal_below(1.959963985) == pytest.approx(0.975, abs=1e-9)


def test_lines_are_least_squares():
    chance = np.random.default_rng(2)
    x = np.sort(chance.uniform(0, 100, 40))
    y = 3 - 0.2 * x + chance.normal(0, 0.5, 40)
    (slope, offset), covariance = np.polyfit(x, y, 1, cov=True)
    found = changes.line(x, y)
    assert found.slope == pytest.approx(slope, rel=1e-9)
    assert found.start == pytest.approx(offset + slope * x[0], rel=1e-9)
    assert found.end == pytest.approx(offset + slope * x[-1], rel=1e-9)
    assert found.error == pytest.approx(math.sqrt(covariance[0, 0]), rel=1e-6)
    with pytest.raises(ValueError, match="needs 3"):
        changes.line(x[:2], y[:2])


def test_breaks_are_the_best_of_all_splits():
    chance = np.random.default_rng(3)
    x = np.arange(50.0) * 20 + 1e6
    y = np.where(np.arange(50) < 31, 5 - 0.1 * np.arange(50), 2.0) + chance.normal(0, 0.05, 50)

    def rest(a: Any, b: Any) -> float:
        return float(((b - np.polyval(np.polyfit(a - a[0], b, 1), a - a[0])) ** 2).sum())

    sums = {k: rest(x[:k], y[:k]) + rest(x[k:], y[k:]) for k in range(4, 47)}
    best = min(sums, key=sums.__getitem__)
    index, statistic = changes.broken(x, y)
    assert index == best
    assert abs(index - 31) <= 2
    expected = (rest(x, y) - sums[best]) / (sums[best] / 46)
    assert statistic == pytest.approx(expected, rel=1e-5)


def test_a_line_with_noise_is_seldom_broken():
    """At its own critical value (15.5) about one in a hundred; the phases ask for twice that."""
    chance = np.random.default_rng(4)
    x = np.arange(40.0)
    found = [changes.broken(x, 3 - 0.02 * x + chance.normal(0, 1, 40))[1] for _ in range(2000)]
    assert np.mean(np.array(found) > 31) < 0.002
    assert changes.broken(x[:5], x[:5]) == (0, 0.0)


# ---------------------------------------------------------------------- looking back


def test_a_track_keeps_its_last_rows():
    track = Track(keep=16)
    for step in range(1, 101):
        track.extend([(step, step / 2, STARTED + step)])
        kept = track.tail(5)
        assert kept[0].tolist() == list(range(max(1, step - 4), step + 1))
    assert track.rows == 100
    assert track.tail(1000).shape == (3, 16)
    assert track.tail(16)[:, -1].tolist() == [100, 50.0, STARTED + 100]
    assert Track().tail(3).shape == (3, 0)


def test_a_track_takes_many_rows_between_two_looks():
    track = Track()
    for step in range(5 * KEEP + 3):
        track.extend([(step, 1.0, 0.0)])
    assert track.tail(KEEP)[0].tolist() == list(range(4 * KEEP + 3, 5 * KEEP + 3))


@pytest.mark.parametrize(
    ("key", "pattern", "fit"),
    [
        ("train/loss", "train/loss", True),
        ("train/loss", "train/los", False),
        ("gpu/0/power", "gpu/*/power", True),
        ("gpu/0/a/power", "gpu/*/power", False),
        ("eval/a_loss", "eval/*_loss", True),
    ],
)
def test_patterns(key, pattern, fit):
    assert fits(key, pattern) is fit


def test_values_that_are_no_numbers_are_left_out():
    seen = Lookback(tracks={"a": Track()})
    for step, value in enumerate([1.0, math.nan, math.inf, 2.0]):
        seen.tracks["a"].extend([(step, value, 0.0)])
    assert seen.finite("a")[1].tolist() == [1.0, 2.0]
    assert seen.tail("a").shape == (3, 4)
    assert seen.last("b") is None
    assert seen.rows("b") == 0
    assert seen.tail("b").shape == (3, 0)

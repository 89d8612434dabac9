"""The trend of a measure: the test against counting all orders, the states, best and nearest."""

import itertools
import math

import numpy as np
import pytest

from nbmonitor.best import Result, best, nearest
from nbmonitor.trend import mann_kendall, theil_sen, trend, trends


def score(values):
    return sum(np.sign(b - a) for a, b in itertools.combinations(values, 2))


@pytest.mark.parametrize("n", [2, 3, 5, 6])
def test_without_ties_the_probability_is_that_of_all_orders(n):
    scores = [score(order) for order in itertools.permutations(range(n))]
    chance = np.random.default_rng(n)
    for _ in range(20):
        values = chance.normal(size=n).tolist()
        s, p = mann_kendall(values)
        assert s == score(values)
        assert p == pytest.approx(np.mean(np.abs(scores) >= abs(s)))


def test_with_ties_it_is_the_corrected_normal_approximation():
    values = [1, 1, 2, 3, 3, 3, 4, 5]
    s, p = mann_kendall(values)
    n = len(values)
    variance = (n * (n - 1) * (2 * n + 5) - 2 * 1 * 9 - 3 * 2 * 11) / 18
    z = (score(values) - 1) / math.sqrt(variance)
    assert s == score(values)
    assert p == pytest.approx(2 * (1 - 0.5 * (1 + math.erf(z / math.sqrt(2)))))
    assert mann_kendall([2, 2, 2, 2]) == (0, 1.0)


def test_theil_sen_is_the_median_of_slopes():
    chance = np.random.default_rng(0)
    steps, values = np.arange(0, 90, 10.0), chance.normal(size=9)
    slopes = [
        (values[j] - values[i]) / (steps[j] - steps[i]) for i in range(9) for j in range(i + 1, 9)
    ]
    assert theil_sen(steps, values) == pytest.approx(np.median(slopes))
    assert theil_sen([1, 1], [0, 5]) == 0


def told(values, *, rising=True, small=0.02):
    return trend([100 * (i + 1) for i in range(len(values))], values, rising=rising, small=small)


def test_states():
    assert told([0.1, 0.2, 0.3, 0.4])["state"] == "too early"
    up = told([0.1, 0.2, 0.3, 0.4, 0.5])
    assert (up["state"], up["since"]) == ("improving", 100)
    assert up["p"] == pytest.approx(2 / 120)
    assert "Mann-Kendall over the last 5" in up["test"]
    assert told([0.1, 0.2, 0.3, 0.4, 0.5], rising=False)["state"] == "regressing"
    assert told([5, 4, 3, 2, 1], rising=False)["state"] == "improving"
    assert told([0.1, 0.6, 0.2, 0.9, 0.1, 0.7])["state"] == "too early"  # neither up nor flat
    assert told([])["state"] == "too early"
    assert told([None, math.nan, 0.5, None])["since"] is None


def test_a_plateau_begins_where_the_rise_ended():
    rise = [0.1, 0.3, 0.5, 0.7, 0.8]
    flat = [0.815, 0.81, 0.82, 0.815, 0.812, 0.818, 0.814, 0.816, 0.813, 0.817]
    found = told(rise + flat)
    assert found["state"] == "plateau"
    assert found["since"] in {500, 600}


@pytest.mark.parametrize(
    ("values", "rising"),
    [
        ([0.2, 0.5, 0.7, 0.8, 0.806, 0.802, 0.807, 0.804], True),
        ([0.1, 0.2, 0.2, 0.5, 0.7, 0.8, 0.806, 0.802, 0.807, 0.804], True),
        ([2.4, 1.9, 1.3, 0.9, 0.899, 0.905, 0.897, 0.9], False),
        ([0.9, 0.7, 0.5, 0.4, 0.404, 0.4, 0.397, 0.399], True),  # what has fallen, too
    ],
)
def test_a_rise_that_is_over_is_a_plateau(values, rising):
    s, p = mann_kendall(values[-8:])
    assert p < 0.05, s  # over the whole window there is a trend
    found = told(values, rising=rising)
    assert (found["state"], found["since"]) == ("plateau", 100 * (len(values) - 4))
    assert "over the last 5" in found["test"]
    assert "bend" in found["test"]


def test_what_still_rises_is_no_plateau_for_being_slow():
    # Under the limit in five evaluations, but ever on; and flat, but for the newest.
    slow = [0.30, 0.304, 0.309, 0.313, 0.316, 0.321, 0.324, 0.329]
    assert told(slow)["state"] == "improving"
    late = [0.2, 0.5, 0.7, 0.8, 0.802, 0.801, 0.804, 0.86]
    assert told(late)["state"] == "improving"


def test_a_straight_rise_with_noise_is_seldom_called_over():
    chance = np.random.default_rng(5)
    rates = []
    for change, noise in ((0.03, 0.005), (0.05, 0.01), (0.1, 0.02)):
        line = 0.3 + change * np.arange(8) / 7
        states = [told((line + noise * chance.normal(size=8)).tolist()) for _ in range(300)]
        over = [s for s in states if "bend" in s["test"]]
        rates.append(len(over) / 300)
    assert max(rates) < 0.06, rates


def test_what_rose_and_stopped_is_seldom_called_improving():
    chance = np.random.default_rng(6)
    course = np.array([0.3, 0.4, 0.5, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6])
    states = [told((course + 0.005 * chance.normal(size=9)).tolist())["state"] for _ in range(300)]
    assert states.count("improving") < 15
    assert states.count("plateau") > 250


def judged(matches, losses, examples=None):
    steps = [100 * (i + 1) for i in range(len(matches))]
    return trends(steps, matches, losses, examples)["exact_match"]["state"]


FALLING = [9.0, 8.1, 7.2, 6.3, 5.4, 4.5, 3.6, 2.7]
UNDECIDED = [9.0, 9.0, 8.9, 9.05, 8.4, 8.6, 8.2, 8.5]
FLAT = [2.0, 2.01, 1.99, 2.0, 2.0, 2.01, 2.0, 2.0]
HOVER = [0.0, 0.02, 0.01, 0.02, 0.02, 0.03, 0.02, 0.02]
RISEN = [0.0, 0.4, 0.41, 0.4, 0.41, 0.4, 0.41, 0.4]


@pytest.mark.parametrize(
    ("matches", "losses", "examples", "state"),
    [
        (HOVER, FALLING, 100, "too early"),
        (HOVER, UNDECIDED, 100, "too early"),
        (HOVER[:6], FLAT[:6], 100, "too early"),  # it may not have begun
        (HOVER, FLAT, 100, "plateau"),  # but not for ever
        (HOVER[:6], [9.0, *FLAT[1:6]], 100, "plateau"),  # learnt, all but to answer
        (HOVER, FALLING[::-1], 100, "plateau"),
        (RISEN, UNDECIDED, 100, "plateau"),
        (RISEN, UNDECIDED, None, "plateau"),
        ([0.0, *[0.15] * 7], UNDECIDED, 20, "too early"),  # 3 of 20 are chance
        ([0.98] * 8, UNDECIDED, 100, "plateau"),  # nothing is left to learn
        (HOVER[:6], [None] * 6, 100, "too early"),
        (HOVER, [None] * 8, 100, "plateau"),
    ],
)
def test_what_was_not_learnt_yet_is_no_plateau(matches, losses, examples, state):
    assert judged(matches, losses, examples) == state


def test_a_turn_is_seen_in_the_newest():
    found = told([0.2, 0.4, 0.6, 0.8, 0.9, 0.85, 0.8, 0.7, 0.6])
    assert found["state"] == "regressing"
    assert found["since"] >= 400


def test_a_share_that_never_began_to_rise_is_no_plateau():
    assert told([0.0] * 9)["state"] == "too early"
    assert told([1.0] * 9) | {"test": ""} == {
        "state": "plateau",
        "since": 100,
        "p": 1.0,
        "test": "",
    }


def test_noise_is_rarely_called_a_trend():
    chance = np.random.default_rng(3)
    states = [told((0.5 + 0.1 * chance.normal(size=8)).tolist())["state"] for _ in range(400)]
    wrong = sum(state in {"improving", "regressing"} for state in states) / 400
    # Twice 5 %: what the long window leaves open the short one is asked.
    assert wrong < 0.1


def test_the_best_is_the_highest_match_and_then_the_lowest_loss():
    a, b, c = Result(1, 0.5, 2.0, None), Result(2, 0.7, 1.5, None), Result(3, 0.7, 1.4, None)
    assert best([a, b, c]) is c
    assert best([Result(1, None, 2.0, None), Result(2, None, 1.0, None)]).step == 2
    assert best([Result(1, 0.5, math.nan, None), Result(2, 0.5, 3.0, None)]).step == 2
    assert best([Result(1, None, None, None)]) is None
    assert best([]) is None


def test_the_nearest_checkpoint_is_one_that_is_there(tmp_path):
    def saved(step):
        return {"step": step, "data": {"name": f"checkpoint-{step}", "directory": str(tmp_path)}}

    for step in (100, 300):
        (tmp_path / f"checkpoint-{step}").mkdir()
    events = [saved(100), saved(200), saved(300)]
    assert nearest(210, events)["checkpoint"] == "checkpoint-300"
    assert nearest(120, events)["checkpoint_step"] == 100
    assert nearest(200, events)["checkpoint"] == "checkpoint-300"  # as near: the later
    assert nearest(1, []) is None
    assert nearest(1, [saved(900)]) is None

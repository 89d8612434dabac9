"""Patterns, length bins, and the confidence interval of a share."""

import re

import numpy as np
import pytest

from nbmonitor.fixed_set import load
from nbmonitor.intervals import Z95, wilson
from nbmonitor.patterns import BINS, DEFAULTS, Grid, Patterns, length_bin


def name(prompt, rules=None, **fields):
    return Patterns(rules).name(load([{"prompt": prompt, "answer": "x", **fields}])[0])


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("What is the capital of France?", "factual"),
        ("Who wrote Hamlet?", "factual"),
        ("Name the largest planet.", "factual"),
        ("Why does ice float on water?", "reasoning"),
        ("If all cats are mammals then is Tom a mammal? Explain.", "reasoning"),
        ("Compare the two arguments.", "reasoning"),
        ("Write a short poem about the sea.", "creative"),
        ("Tell me a story with a dragon.", "creative"),
        ("Write a Python function that reverses a list.", "coding"),
        ("```js\nlet a = 1\n``` What does it print?", "coding"),
        ("What is 12 + 7?", "math"),
        ("Calculate the area of a circle.", "math"),
        ("Solve for x: 2x = 6", "math"),
        ("How many apples are left?", "math"),
        ("Guten Tag", "other"),
    ],
)
def test_default_rules(prompt, expected):
    assert name(prompt) == expected


def test_the_field_of_a_record_goes_first():
    assert name("What is 1 + 1?", pattern="sums / easy*") == "sums-easy"
    assert name("What is 1 + 1?", "kind", kind="mine") == "mine"
    assert name("What is 1 + 1?", "kind") == "other"


def test_own_rules():
    rules = {"up": r"^A", "long": lambda record: len(record["prompt"]) > 5, "b": re.compile("b")}
    assert [name(p, rules) for p in ("apple", "bananas", "b", "c")] == ["up", "long", "b", "other"]
    assert name("What is 1 + 1?", rules, pattern="no") == "long"
    assert name("a", lambda record: record["answer"]) == "x"
    assert name("a", lambda record: None) == "other"


def test_wrong_rules():
    with pytest.raises(TypeError, match="a mapping of names"):
        Patterns([1])
    with pytest.raises(TypeError, match="'a' is a regular expression or a function"):
        Patterns({"a": 3})
    with pytest.raises(ValueError, match="'a' is no regular expression"):
        Patterns({"a": "("})


def test_bins():
    edges = [0, 99, 100, 299, 300, 499, 500, 999, 1000, 1999, 2000, 10**6]
    assert [length_bin(n) for n in edges] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert len(BINS) == 6


def test_grid():
    grid = Grid(["zoo", "math", "coding", "math", "math"], [5, 5, 150, 99, 100])
    assert grid.names == ["coding", "math", "zoo"]
    counts = grid.count([True, True, False, False, True])
    assert counts.shape == (3, 6, 2)
    assert counts[1, :2].tolist() == [[2, 1], [1, 1]]
    meta = grid.describe(counts)
    assert set(meta["cells"]) == {"0,1", "1,0", "1,1", "2,0"}
    assert [(row["seen"], row["correct"]) for row in meta["rows"]] == [(1, 0), (3, 2), (1, 1)]
    assert [column["seen"] for column in meta["columns"]] == [3, 2, 0, 0, 0, 0]
    assert (meta["total"]["seen"], meta["total"]["correct"]) == (5, 3)
    low, high = wilson(1, 2)
    assert meta["cells"]["1,0"] == {"low": low, "high": high}
    assert set(DEFAULTS) == {"factual", "reasoning", "creative", "coding", "math"}


@pytest.mark.parametrize(
    ("correct", "seen"), [(0, 1), (1, 1), (3, 7), (0, 50), (812, 1000), (7, 7)]
)
def test_wilson_limits_are_where_the_score_test_says_five_percent(correct, seen):
    """Its definition: the p at which |correct/seen - p| is 1.96 standard errors of p."""
    low, high = wilson(correct, seen)
    assert 0 <= low <= correct / seen <= high <= 1
    grid = np.linspace(0, 1, 200_001)
    inside = grid[np.abs(correct / seen - grid) <= Z95 * np.sqrt(grid * (1 - grid) / seen)]
    assert (low, high) == pytest.approx((inside.min(), inside.max()), abs=1e-5)


def test_wilson_of_nothing():
    assert wilson(0, 0) == (0.0, 1.0)

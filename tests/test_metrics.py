"""Logged things to floats, with a reason for everything that is none."""

import math

import numpy as np
import pytest
import torch
from transformers.integrations.integration_utils import rewrite_logs

from nbmonitor.metrics import as_float, clean, rewrite_key


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (1, 1.0),
        (True, 1.0),
        (np.float32(0.5), 0.5),
        (np.array(3), 3.0),
        (np.array([[2.0]]), 2.0),
        (torch.tensor(1.5), 1.5),
        (torch.tensor([4], dtype=torch.int64), 4.0),
        (torch.tensor(2.0, requires_grad=True), 2.0),
        (torch.tensor(1.0, dtype=torch.bfloat16), 1.0),
        (float("inf"), math.inf),
    ],
)
def test_single_numbers_of_any_kind_become_floats(given, expected):
    assert as_float(given) == expected


def test_nan_stays_nan():
    assert math.isnan(as_float(torch.tensor(float("nan"))))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("warmup", "str 'warmup'"),
        (None, "NoneType"),
        ([1.0], "list"),
        (torch.zeros(3), r"shape \(3,\)"),
        (np.zeros(2), "ndarray"),
        (1j, "complex"),
        ("x" * 500, "…"),
    ],
)
def test_everything_else_says_what_it_is_and_what_is_allowed(given, said):
    with pytest.raises(TypeError, match=said) as caught:
        as_float(given)
    assert "numbers" in str(caught.value)


def test_keys_are_renamed_as_transformers_does():
    logged = {"loss": 1, "eval_loss": 2, "eval_a_loss": 3, "test_f1": 4, "grad_norm": 5}
    assert {rewrite_key(k): v for k, v in logged.items()} == rewrite_logs(logged)


def test_keys_with_an_area_keep_it():
    assert rewrite_key("rewards/chosen") == "rewards/chosen"


def test_clean_parts_numbers_from_reasons():
    numeric, refused = clean({"loss": 1.0, "phase": "a", 3: 2.0})
    assert numeric == {"train/loss": 1.0, "train/3": 2.0}
    assert list(refused) == ["train/phase"]

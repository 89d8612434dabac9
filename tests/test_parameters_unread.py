"""Weights that can't be read, and those that lie in an unusual way."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from parameter_truth import blocks, make, step, truth
from tiny import tiny_model
from torch import nn

from nbmonitor.parameters.moment import read, read_gradients
from nbmonitor.parameters.plan import Plan


def test_what_cannot_be_read_says_why():
    model = make("foreign")
    plan = Plan(model)
    model.a.weight = nn.Parameter(torch.empty(300, 200, device="meta"))
    model.b = nn.Parameter(torch.zeros(2, 2))
    reading = read(model, plan).host()
    names = {plan.matrices[n].name: reason for n, reason in reading.unread.items()}
    assert "offloaded" in names["a.weight"]
    assert "shape" in names["b"]
    assert np.isnan(reading.stats[0]).all()
    assert reading.stats[plan.matrices[-1].id, 0] is not None
    told = {m["name"]: m.get("absent", "") for m in plan.meta(reading.unread)["matrices"]}
    assert "offloaded" in told["a.weight"]
    assert told["c"] == ""
    assert plan.stale(model)
    with pytest.raises(ValueError, match="make a new"):
        read(make("foreign"), plan)
    with pytest.raises(ValueError, match="another model"):
        read_gradients(make("foreign"), plan)


def test_weights_that_are_no_numbers():
    model = make("foreign")
    model.q = nn.Parameter(torch.zeros(4, 4, dtype=torch.uint8), requires_grad=False)
    plan = Plan(model)
    reading = read(model, plan).host()
    assert "uint8" in reading.unread[next(m.id for m in plan.matrices if m.name == "q")]


class Quantised(torch.Tensor):
    """Stands for subclasses that keep their numbers elsewhere."""


def test_weights_of_their_own_kind():
    model = make("foreign")
    plan = Plan(model)
    model.a.weight = nn.Parameter(torch.randn(300, 200).as_subclass(Quantised))
    model.b = nn.Parameter(torch.randn(3, 4, 5, 6).to_sparse())
    reading = read(model, plan).host()
    reasons = {plan.matrices[n].name: reason for n, reason in reading.unread.items()}
    assert "Quantised" in reasons["a.weight"]
    assert "b" in reasons


def test_sparse_gradients_are_unknown():
    model = nn.Sequential(nn.Embedding(50, 8, sparse=True), nn.Linear(8, 2))
    plan = Plan(model)
    model(torch.tensor([1, 2])).sum().backward()
    reading = read(model, plan, None, read_gradients(model, plan)).host()
    assert np.isnan(reading.stats[0, 6])
    assert np.isfinite(reading.stats[1, 6])


def test_a_weight_that_is_one_number_over_and_over():
    model = make("foreign")
    model.a.weight = nn.Parameter(torch.ones(1).expand(300, 200), requires_grad=False)
    plan = Plan(model)
    told = read(model, plan).host().stats
    at = next(m.id for m in plan.matrices if m.name == "a.weight")
    assert told[at, :5].tolist() == pytest.approx([1, 0, 1, 1, 60_000**0.5], abs=1e-3)


def test_a_convolution_with_channels_last():
    model = make("cnn").to(memory_format=torch.channels_last)
    plan = Plan(model)
    assert not model.conv2.weight.is_contiguous()
    gradients, before = step(model)
    reading = read(model, plan, None, read_gradients(model, plan)).host()
    matrix = next(m for m in plan.matrices if m.name == "conv2.weight")
    expected = truth(matrix, model, gradients[matrix.name], before[matrix.name])
    np.testing.assert_allclose(reading.stats[matrix.id, :5], expected[:5], rtol=1e-4)
    assert reading.stats[matrix.id, 6] == pytest.approx(expected[6], rel=0.03)
    x = model.conv2.weight.detach().numpy()
    wanted = blocks(np.ascontiguousarray(x), plan.heat[matrix.id])
    np.testing.assert_allclose(reading.heat[matrix.id], wanted, rtol=1e-4)


def test_nan_is_told():
    model = make("foreign")
    plan = Plan(model)
    with torch.no_grad():
        model.a.weight[3, 3] = float("nan")
        model.b[0] = float("inf")
    reading = read(model, plan).host()
    assert {plan.matrices[n].name for n in reading.nonfinite} == {"a.weight", "b"}


def test_offloaded_embeddings():
    model = tiny_model("gpt2")
    plan = Plan(model)
    model.transformer.wte.weight = nn.Parameter(torch.empty(64, 16, device="meta"))
    reading = read(model, plan).host()
    assert reading.tokens is None
    assert reading.norms is None
    assert reading.positions is not None


def test_half_precision():
    model = tiny_model("llama").to(torch.bfloat16)
    plan = Plan(model)
    first = read(model, plan)
    earlier = first.host()
    assert earlier.tokens.dtype == np.float32
    table = model.model.embed_tokens.weight.detach().float().numpy()
    np.testing.assert_array_equal(earlier.tokens, table[plan.vocabulary.ids])
    x = model.lm_head.weight.detach().float().numpy()
    at = next(m.id for m in plan.matrices if m.name == "lm_head.weight")
    assert earlier.stats[at, 4] == pytest.approx(np.linalg.norm(x), rel=1e-5)

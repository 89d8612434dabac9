"""What is read of a large model, and which matrices get a heat map."""

from __future__ import annotations

import itertools

import torch
import transformers
from tiny import tiny_model

from nbmonitor.parameters import choice
from nbmonitor.parameters.plan import Options, Plan
from nbmonitor.parameters.samples import budget


def test_large_models_are_read_in_part(monkeypatch):
    monkeypatch.setattr(choice, "LARGE", 1000)
    model = tiny_model("gpt2", layers=7)
    plan = Plan(model)
    assert {m.layer for m in plan.chosen} == {None, 0, 3, 6}
    assert {plan.matrices[n].layer for n in plan.heat} <= {None, 0, 3, 6}
    skipped = [m for m in plan.meta()["matrices"] if m["layer"] == 2]
    assert all("500 million" in m["absent"] for m in skipped)
    assert len(Plan(model, None, Options(everything=True)).chosen) == len(plan.matrices)
    assert len(Plan(tiny_model("t5", layers=5)).chosen) < len(plan.matrices)


def test_adapters_of_a_large_model_are_all_read(monkeypatch):
    monkeypatch.setattr(choice, "LARGE", 10_000)
    model = tiny_model("gpt2", layers=7, hidden=32)
    model.requires_grad_(False)
    model.transformer.h[2].ln_1.requires_grad_(True)
    assert {m.layer for m in Plan(model).chosen} == {None, 0, 2, 3, 6}


def test_small_models_are_read_whole():
    model = tiny_model("gpt2", layers=7)
    assert len(Plan(model).chosen) == len(Plan(model).matrices)


def test_heat_maps_are_spread_over_the_depth():
    plan = Plan(tiny_model("gpt2", layers=12))
    layers = {plan.matrices[n].layer for n in plan.heat}
    assert len(plan.heat) == 24
    assert {0, 11} <= layers
    gaps = sorted(layers - {None})
    assert max(b - a for a, b in itertools.pairwise(gaps)) <= 3
    assert len(Plan(tiny_model("gpt2", layers=12), None, Options(heatmaps=None)).heat) == 50
    assert Plan(tiny_model("gpt2"), None, Options(heatmaps=0)).heat == {}


def test_samples_stay_within_their_budget():
    assert budget([10, 20], 16384) == 16384
    assert sum(min(n, budget([10**6] * 1000, 16384)) for n in [10**6] * 1000) <= 1_000_000
    assert budget([10**6] * 10**6, 16384) == 256


def test_real_shapes_of_large_models():
    with torch.device("meta"):
        model = transformers.GPT2LMHeadModel(
            transformers.GPT2Config(n_layer=48, n_embd=1600, n_head=25)
        )
    plan = Plan(model)
    assert {m.layer for m in plan.chosen} == {None, 0, 24, 47}
    elements = sum(m.elements for m in plan.chosen)
    assert elements < 180e6
    assert plan.positions.shape == (1024, 1600)
    assert plan.meta()["positions"]["count"] == 512


def test_a_model_without_parameters():
    plan = Plan(torch.nn.ReLU())
    assert "no parameters" in plan.absent["model"]
    assert plan.meta()["matrices"] == []

"""What is read of a model, against numpy, and what reading must not do."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
import torch
from parameter_truth import blocks, make, step, truth
from tiny import tiny_model
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from nbmonitor.parameters import moment as reading_module
from nbmonitor.parameters import rows as rows_module
from nbmonitor.parameters.moment import read, read_gradients
from nbmonitor.parameters.plan import Options, Plan
from nbmonitor.parameters.statistics import STATISTICS

ARCHITECTURES = ("gpt2", "llama", "mixtral", "bert", "t5", "vit")


@pytest.mark.parametrize("kind", [*ARCHITECTURES, "cnn", "foreign"])
def test_statistics_and_heat(kind):
    model = make(kind)
    plan = Plan(model)
    first = read(model, plan)
    reading = first.host()
    assert np.isnan(reading.stats[:, 6:]).all()
    gradients, before = step(model)
    samples = read_gradients(model, plan)
    model.zero_grad()
    second = read(model, plan, first, samples).host()
    assert second.stats.shape == (len(plan.matrices), len(STATISTICS))
    assert second.unread == {}
    assert second.nonfinite == ()
    for matrix in plan.matrices:
        expected = truth(matrix, model, gradients[matrix.name], before[matrix.name])
        got = second.stats[matrix.id]
        if matrix.elements <= plan.sampled(matrix.id):
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6, err_msg=matrix.name)
        else:
            np.testing.assert_allclose(got[:5], expected[:5], rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(got[[6, 8]], np.array(expected)[[6, 8]], rtol=0.03)
            assert abs(got[5] - expected[5]) < 0.003
            assert (got[[7, 9]] <= np.array(expected)[[7, 9]] * (1 + 1e-5)).all()
    parameters = {n: p.detach().numpy() for n, p in model.named_parameters()}
    assert set(second.heat) == set(plan.heat)
    for number, cells in second.heat.items():
        wanted = blocks(parameters[plan.matrices[number].name], plan.heat[number])
        np.testing.assert_allclose(cells, wanted, rtol=1e-4)


def test_a_large_weight_and_its_estimates():
    model = nn.ModuleDict({"linear": nn.Linear(700, 900)})
    plan = Plan(model)
    first = read(model, plan)
    gradients, before = step(model)
    second = read(model, plan, first, read_gradients(model, plan)).host()
    matrix = plan.matrices[0]
    expected = truth(matrix, model, gradients[matrix.name], before[matrix.name])
    np.testing.assert_allclose(second.stats[0, :5], expected[:5], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(second.stats[0, [6, 8]], np.array(expected)[[6, 8]], rtol=0.03)


def test_a_gradient_that_few_rows_have():
    """Of a token embedding, one row in a hundred: its sample must be large enough for that."""
    torch.manual_seed(0)
    model = nn.ModuleDict({"table": nn.Embedding(20_000, 64), "linear": nn.Linear(64, 8)})
    plan = Plan(model)
    gradient = torch.zeros(20_000, 64)
    gradient[torch.randperm(20_000)[:200]] = torch.randn(200, 64)
    model["table"].weight.grad = gradient
    reading = read(model, plan, None, read_gradients(model, plan)).host()
    assert reading.stats[0, 6] == pytest.approx(float(gradient.norm()), rel=0.12)


def test_rows_of_embeddings():
    model = tiny_model("gpt2")
    plan = Plan(model, None, Options(tokens=20))
    first = read(model, plan)
    earlier = first.host()
    table = model.transformer.wte.weight.detach().numpy().copy()
    ids = plan.vocabulary.ids
    np.testing.assert_array_equal(earlier.tokens, table[ids])
    np.testing.assert_allclose(earlier.norms, np.linalg.norm(table[ids], axis=1), rtol=1e-6)
    np.testing.assert_array_equal(earlier.positions, model.transformer.wpe.weight.detach().numpy())
    step(model)
    now = read(model, plan, first).host()
    later = model.transformer.wte.weight.detach().numpy()
    wanted = np.linalg.norm(later[ids] - table[ids], axis=1)
    np.testing.assert_allclose(now.moved(earlier), wanted, rtol=1e-4)
    assert not now.estimated
    assert earlier.moved(None) is None
    np.testing.assert_array_equal(earlier.tokens, table[ids])  # a copy, not the weights


def test_wide_tables(monkeypatch):
    """Rows in half precision, how far they went from columns in full."""
    monkeypatch.setattr(rows_module, "_BYTES", 1000)
    model = tiny_model("gpt2", hidden=600)
    plan = Plan(model)
    first = read(model, plan)
    earlier = first.host()
    assert earlier.tokens.dtype == np.float16
    table = model.transformer.wte.weight.detach().numpy().copy()
    np.testing.assert_allclose(earlier.tokens, table, atol=1e-4)
    step(model, 1e-6)  # less than float16 can tell
    earlier.forget()
    assert earlier.tokens is None
    now = read(model, plan, first).host()
    assert now.estimated
    later = model.transformer.wte.weight.detach().numpy()
    wanted = np.linalg.norm(later.astype(np.float64) - table, axis=1)
    np.testing.assert_allclose(now.moved(earlier), wanted, rtol=0.2)
    assert now.moved(earlier).mean() == pytest.approx(wanted.mean(), rel=0.03)


def test_largest_magnitudes():
    model = make("cnn")
    plan = Plan(model, None, Options(heat_of="max", heat_size=4))
    reading = read(model, plan).host()
    for number, cells in reading.heat.items():
        weight = dict(model.named_parameters())[plan.matrices[number].name]
        assert cells.shape == plan.heat[number]
        assert cells.max() == pytest.approx(float(weight.detach().abs().max()))
    assert plan.meta()["heat_of"] == "max"


class Watch(TorchDispatchMode):
    """Notes what would make a device wait."""

    def __init__(self):
        super().__init__()
        self.waits = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = str(func)
        if "_local_scalar_dense" in name or "is_nonzero" in name or "_to_copy" in name:
            self.waits.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("kind", ["gpt2", "mixtral", "cnn"])
def test_reading_waits_for_nothing(kind):
    model = make(kind)
    plan = Plan(model)
    read(model, plan)  # the ids of rows go to the device once
    step(model)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    state = torch.get_rng_state()
    with Watch() as watch:
        gradients = read_gradients(model, plan)
        moment = read(model, plan, None, gradients)
    assert watch.waits == []
    assert (torch.get_rng_state() == state).all()
    for name, p in model.named_parameters():
        assert torch.equal(p, before[name])
    assert 0 < moment.bytes < 10 * sum(p.numel() for p in model.parameters()) + 1000
    out = []
    thread = threading.Thread(target=lambda: out.append(moment.host()))
    thread.start()
    thread.join()
    assert moment.bytes <= sum(len(v) for _, _, v in moment.weights.vectors)
    assert out[0].stats.shape[0] == len(plan.matrices)


def test_a_moment_keeps_no_other_alive():
    model = make("gpt2")
    plan = Plan(model)
    first = read(model, plan)
    first.host()
    second = read(model, plan, first)
    reading = second.host()
    assert np.isfinite(reading.stats[:, 8:]).all()
    assert second.before is None
    # The first has been used up: without it there is no change to be told.
    third = read(model, plan, first).host()
    assert np.isnan(third.stats[:, 8:]).all()


def test_frozen_weights_are_read_once(monkeypatch):
    model = make("gpt2")
    model.requires_grad_(False)
    model.transformer.h[1].requires_grad_(True)
    plan = Plan(model)
    first = read(model, plan)
    earlier = first.host()
    swept = []
    take = reading_module.take
    monkeypatch.setattr(
        reading_module, "take", lambda f, most: (swept.extend(n for n, _ in f), take(f, most))[1]
    )
    second = read(model, plan, first)
    assert {plan.matrices[n].layer for n in swept} == {1}
    now = second.host()
    np.testing.assert_array_equal(now.stats[:, :6], earlier.stats[:, :6])
    assert (now.stats[:, 8:] == 0).all()
    assert set(now.heat) == set(earlier.heat)
    frozen = {m["name"] for m in plan.meta()["matrices"] if m.get("frozen")}
    assert "transformer.wte.weight" in frozen
    with torch.no_grad():
        model.transformer.wpe.weight.mul_(2)
    third = read(model, plan, second).host()
    at = next(m.id for m in plan.matrices if m.name == "transformer.wpe.weight")
    assert third.stats[at, 4] == pytest.approx(2 * earlier.stats[at, 4])


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
def test_adapters():
    peft = pytest.importorskip("peft")
    model = peft.get_peft_model(tiny_model("llama"), peft.LoraConfig(r=4))
    plan = Plan(model)
    first = read(model, plan)
    first.host()
    second = read(model, plan, first).host()
    kinds = {m.kind for m in plan.matrices}
    assert "lora" in kinds
    assert np.isfinite(second.stats[:, :6]).all()
    # What trains gets its heat map before what is frozen does.
    lora = {m.id for m in plan.matrices if m.kind == "lora"}
    assert lora <= set(plan.heat)


def test_meta_is_json():
    for kind in ARCHITECTURES:
        plan = Plan(make(kind))
        meta = json.loads(json.dumps(plan.meta()))
        assert meta["version"] == 1
        assert [m["id"] for m in meta["matrices"]] == list(range(len(plan.matrices)))
        assert set(meta["units"]) == set(meta["statistics"])
        assert (meta["tokens"] is None) == (kind == "vit")
        assert (meta["positions"] is None) == (kind in {"llama", "mixtral", "t5"})
        assert {m["kind"] for m in meta["matrices"]} <= set(meta["kinds"])

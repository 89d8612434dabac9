"""What is read of a model, against numpy, and what reading must not do."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
import torch
from tiny import tiny_model
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from nbmonitor.parameters import moment as reading_module
from nbmonitor.parameters import rows as rows_module
from nbmonitor.parameters.moment import read, read_gradients
from nbmonitor.parameters.plan import Options, Plan
from nbmonitor.parameters.pooling import folded
from nbmonitor.parameters.statistics import STATISTICS

ARCHITECTURES = ("gpt2", "llama", "mixtral", "bert", "t5", "vit")


class Net(nn.Module):
    """A CNN, with a convolution too large for its sample."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3)
        self.conv2 = nn.Conv2d(16, 200, 3)
        self.bn = nn.BatchNorm2d(200)
        self.fc = nn.Linear(200, 4)


class Foreign(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(200, 300)
        self.b = nn.Parameter(torch.randn(3, 4, 5, 6))
        self.c = nn.Parameter(torch.tensor(2.0))


def make(kind):
    torch.manual_seed(0)
    made = {"cnn": Net, "foreign": Foreign}
    return made[kind]() if kind in made else tiny_model(kind)


def truth(matrix, model, gradient, before):
    x = dict(model.named_parameters())[matrix.name].detach().numpy().astype(np.float64)
    rms = np.sqrt(np.square(x).mean())
    change = x - before
    return [
        x.mean(), x.std(), x.min(), x.max(), np.sqrt(np.square(x).sum()),
        (np.abs(x) <= 1e-3 * rms).mean(), np.linalg.norm(gradient), np.abs(gradient).max(),
        np.linalg.norm(change), np.abs(change).max(),
    ]  # fmt: skip


def blocks(x, heat):
    matrix = x.astype(np.float64).reshape(folded(x.shape))
    return np.array(
        [
            [np.sqrt(np.square(cell).mean()) for cell in np.array_split(band, heat[1], 1)]
            for band in np.array_split(matrix, heat[0], 0)
        ]
    )


def step(model, size=1e-2):
    """A step of gradient descent; gradients and weights before it, by name."""
    generator = torch.Generator().manual_seed(5)
    for p in model.parameters():
        p.grad = torch.randn(p.shape, generator=generator)
    gradients = {n: p.grad.numpy().astype(np.float64) for n, p in model.named_parameters()}
    before = {n: p.detach().numpy().astype(np.float64) for n, p in model.named_parameters()}
    with torch.no_grad():
        for p in model.parameters():
            p.sub_(size * p.grad)
    return gradients, before


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

"""Drift, relative size and effective rank of adapters agree with direct formulas in float64."""

from __future__ import annotations

import json
import math
import time

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from test_lora import adapted, host, shake
from tiny import tiny_model

from nbmonitor import adapters
from nbmonitor.adapter_report import Change, layers, top
from nbmonitor.probe import Context, Step
from nbmonitor.probes.lora_truth import METRICS, LoraTruth
from nbmonitor.spectrum import effective_rank, singular_values

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")


def rank_of(matrix):
    """Effective rank by its definition, in float64, of the matrix itself."""
    values = torch.linalg.svdvals(matrix.double())
    shares = values / values.sum()
    shares = shares[shares > 1e-12]
    return float(torch.exp(-(shares * shares.log()).sum()))


def fresh(**options):
    return get_peft_model(tiny_model(), LoraConfig(r=4, target_modules=["q_proj"], **options))


class Taken:
    """A probe by hand, and what it put."""

    def __init__(self, model, optimizer=None):
        self.told = {}
        self.probe = LoraTruth()
        context = Context(model=model, optimizer=optimizer)
        context.put = lambda key, step, array, meta: self.told.update({key: (step, array, meta)})
        assert self.probe.absent(context) == ""
        self.first = self.probe.derive(Step(0, 0.0), host(self.probe.on_begin(context)))

    def measure(self, number=1, rate=1e-3):
        step = Step(number, 0.0, learning_rate=rate)
        measured = {**self.probe.on_gradients(step), **self.probe.on_step(step)}
        return self.probe.derive(step, host(measured))

    def adapter(self, at=0):
        meta = self.told["lora/truth"][2]
        json.dumps(meta, allow_nan=False)
        return meta["adapters"][at]

    @property
    def verdict(self):
        return self.adapter()["verdict"]

    @property
    def titles(self):
        return [reason["title"] for reason in self.verdict["reasons"]]


# ------------------------------------------------------------------ spectrum


@pytest.mark.parametrize("shape", [(5, 30, 20), (1, 9, 9), (16, 400, 100)])
def test_effective_rank_of_products_against_their_singular_values(shape):
    torch.manual_seed(0)
    rank, tall, wide = shape
    for decay in (1.0, 0.5, 0.1):
        b = torch.randn(tall, rank) * decay ** torch.arange(rank)
        a = torch.randn(rank, wide)
        values = singular_values((a @ a.T).numpy(), (b.T @ b).numpy())
        exact = torch.linalg.svdvals(b.double() @ a.double())[:rank].flip(0).numpy()
        assert values == pytest.approx(exact, abs=2e-3 * exact.max())
        assert effective_rank(values) == pytest.approx(rank_of(b.double() @ a.double()), rel=0.01)


def test_effective_rank_of_edge_cases():
    assert effective_rank([0.0, 0.0]) == 0
    assert effective_rank([0.0, 3.0]) == pytest.approx(1)
    assert effective_rank([2.0, 2.0, 2.0]) == pytest.approx(3)
    assert math.isnan(effective_rank([1.0, math.nan]))
    spoilt = np.stack([np.eye(2), np.full((2, 2), math.inf)])
    values = singular_values(spoilt, spoilt)
    assert values[0] == pytest.approx([1, 1])
    assert np.isnan(values[1]).all()


def test_a_rank_of_one_is_one_in_spite_of_rounding():
    torch.manual_seed(0)
    a = torch.randn(16, 512)
    b = torch.randn(512, 1) @ torch.randn(1, 16)
    values = singular_values((a @ a.T).numpy(), (b.T @ b).numpy())
    assert effective_rank(values) == pytest.approx(1, abs=1e-6)


# ------------------------------------------------------------------ readings


@pytest.mark.parametrize(
    ("kind", "modules", "options"),
    [
        ("llama", ("q_proj", "v_proj", "gate_proj"), {}),
        ("llama", ("q_proj",), {"use_rslora": True}),
        ("llama", ("embed_tokens", "q_proj", "lm_head"), {}),
        ("llama", ("q_proj",), {"init_lora_weights": "pissa"}),
        ("gpt2", ("c_attn", "c_proj"), {"fan_in_fan_out": True}),
        ("t5", ("q", "wo"), {}),
        ("mixtral", ("q_proj",), {"target_parameters": ["mlp.experts.down_proj"]}),
    ],
)
@pytest.mark.parametrize(("from_zero", "scale"), [(True, 0.05), (False, 0.05), (False, 1e-4)])
def test_readings_against_float64(kind, modules, options, from_zero, scale):
    config = LoraConfig(r=4, lora_alpha=8, target_modules=list(modules), **options)
    model = get_peft_model(tiny_model(kind), config)
    if not from_zero:
        shake(model)
    pairs = {p.key: p for p in adapters.pairs(model)}

    def state(pair):
        a, b = (w.double() for w in pair.weights())
        rows, columns = (
            (a.reshape(pair.experts, -1, a.shape[-1]), None)
            if pair.experts > 1
            else (a[None], b[None])
        )
        if columns is None:
            columns = b.reshape(b.shape[0], -1, pair.experts).permute(2, 0, 1)
        return a, b, float(pair.module.scaling["default"]) * (columns @ rows)

    before = {key: state(pair) for key, pair in pairs.items()}
    taken = Taken(model)
    assert not any(v for k, v in taken.first.items() if "effective" not in k)
    shake(model, scale)
    got = taken.measure()
    for key, pair in pairs.items():
        (a, b, update), (a0, b0, update0) = state(pair), before[key]
        # The weights' own rounding limits what can be said of a small step.
        loose = 1e-4 if scale > 1e-3 else 2e-3
        assert got[f"{key}/delta_a"] == pytest.approx(float((a - a0).norm()), rel=loose)
        assert got[f"{key}/delta_b"] == pytest.approx(float((b - b0).norm()), rel=loose)
        moved = update - update0
        weight = float(adapters.base_weight(pair).double().norm())
        assert got[f"{key}/relative"] == pytest.approx(float(moved.norm()) / weight, rel=loose)
        ranks = [rank_of(part) for part in moved]
        assert got[f"{key}/effective_rank"] == pytest.approx(np.mean(ranks), rel=0.02)
    assert len(got) == 4 * len(pairs)


def test_layers_are_summed_up():
    changes = [
        Change("10", "q", 3.0, 10.0, 2.0), Change("10", "v", 4.0, 10.0, 4.0),
        Change("2", "mlp", 1.0, math.nan, 1.0), Change("2", "mlp", 1.5, 1.0, 0.0),
        Change("-", "other", 0.0, 1.0, 0.0),
    ]  # fmt: skip
    rows = layers(changes)
    assert [row["layer"] for row in rows] == ["2", "10", "-"]
    assert rows[0] == {
        "layer": "2", "q": None, "k": None, "v": None, "o": None, "mlp": 2.5,
        "relative": None, "effective_rank": 1.0,
    }  # fmt: skip
    assert rows[1]["relative"] == pytest.approx(5 / math.sqrt(200), rel=1e-5)
    assert (rows[1]["q"], rows[1]["k"], rows[1]["effective_rank"]) == (3.0, None, 3.0)
    assert top(rows) == [{"layer": "10", "delta": 7.0}, {"layer": "2", "delta": 2.5}]
    many = layers([Change(str(n), "q", float(n), 1.0, 1.0) for n in range(9)])
    assert [entry["layer"] for entry in top(many)] == ["8", "7", "6", "5", "4"]


def test_kinds_of_modules():
    paths = {
        "model.layers.0.self_attn.q_proj": "q", "transformer.h.0.attn.c_attn": "qkv",
        "transformer.h.0.attn.c_proj": "o", "transformer.h.0.mlp.c_proj": "mlp",
        "bert.encoder.layer.0.attention.output.dense": "o",
        "bert.encoder.layer.0.output.dense": "mlp", "model.layers.0.mlp.up_proj": "mlp",
        "encoder.block.0.layer.0.SelfAttention.v": "v", "lm_head": "other",
        "decoder.block.0.layer.2.DenseReluDense.wo": "mlp", "model.layers.3.mlp.experts": "mlp",
    }  # fmt: skip
    assert {path: adapters.kind_of(path) for path in paths} == paths


def test_large_weights_are_read_in_part():
    model = torch.nn.ModuleDict({"0": torch.nn.Linear(2048, 4096, bias=False)})
    model = get_peft_model(model, LoraConfig(r=2, target_modules=["0"], init_lora_weights=False))
    taken = Taken(model)
    shake(model)
    (pair,) = adapters.pairs(model)
    exact = float(pair.module.get_base_layer().weight.detach().double().norm())
    drift = taken.measure()
    delta = taken.adapter()["layers"][0]["other"]
    assert delta / drift[f"{pair.key}/relative"] == pytest.approx(exact, rel=0.01)


def test_a_base_weight_that_cannot_be_read_has_a_reason():
    model = adapted(modules=("q_proj",))
    layer = model.base_model.model.model.layers[0].self_attn.q_proj.base_layer
    layer.weight = torch.nn.Parameter(layer.weight.to(torch.uint8), requires_grad=False)
    taken = Taken(model)
    shake(model)
    got = taken.measure()
    key = "lora/default/0/q_proj"
    assert "quantised (uint8)" in taken.probe.unavailable()[f"{key}/relative"]
    assert f"{key}/relative" not in got
    assert got[f"{key}/delta_b"] > 0
    assert "lora/default/1/q_proj/relative" in got


# ------------------------------------------------------------------ manners


@pytest.mark.parametrize("every", [50, 7])
def test_calm_after_the_first_steps_at_the_cadence_that_was_chosen(every, monkeypatch):
    monkeypatch.setattr(LoraTruth, "every", every)
    taken = Taken(fresh())
    probe = taken.probe
    for step in range(1, 4):
        taken.measure(step, rate=0.0)
    for step in range(4, 9):
        assert probe.every == 1
        taken.measure(step)
    assert probe.every == every
    assert probe.on_end(Step(8, 0.0)) is None
    probe.on_begin(Context(model=fresh()))
    assert probe.every == 1
    assert probe.on_end(Step(9, 0.0))
    assert probe.every == every


def test_nothing_waits_for_a_device(monkeypatch):
    taken = Taken(adapted())

    def sync(*_):
        pytest.fail("a value was read on the training thread")

    for name in ("item", "tolist", "cpu", "__bool__", "__float__"):
        monkeypatch.setattr(torch.Tensor, name, sync)
    taken.probe.on_gradients(Step(1, 0.0))
    assert taken.probe.on_step(Step(1, 0.0))


def test_a_fresh_probe_derives_what_a_journal_holds():
    model = adapted()
    taken = Taken(model)
    shake(model)
    step = Step(1, 0.0, learning_rate=0.1)
    measured = host(taken.probe.on_step(step))
    plain = {k: v.tolist() if hasattr(v, "tolist") else v for k, v in measured.items()}
    assert LoraTruth().derive(step, plain) == taken.probe.derive(step, measured)


def test_without_adapters():
    assert "no LoRA adapters" in LoraTruth().absent(Context(model=tiny_model()))
    assert {s.key.rpartition("/")[2] for s in LoraTruth.series} == set(METRICS)


def test_cost_of_a_reading():
    model = adapted("llama", ("q_proj", "k_proj", "v_proj", "o_proj"))
    taken = Taken(model)
    spent = []
    for number in range(20):
        start = time.thread_time_ns()
        taken.probe.on_step(Step(number, 0.0))
        spent.append(time.thread_time_ns() - start)
    each = float(np.median(spent)) / 1000 / 8
    print(f"LoRA truth: {each:.0f} µs a module and reading")
    assert each < 1000

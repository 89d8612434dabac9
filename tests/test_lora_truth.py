"""Drift, relative size and effective rank agree with float64; a run that doesn't learn is told."""

from __future__ import annotations

import json
import math
import time

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from test_lora import adapted, host, shake
from tiny import RandomText, tiny_model, tiny_trainer

from nbmonitor import TrainingMonitor, adapters
from nbmonitor.adapter_report import Change, layers, top
from nbmonitor.adapter_verdict import Evidence, judge
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


# ------------------------------------------------------------------ does it learn?


def trained(tmp_path, model, **arguments):
    """The verdict after a few real steps, and the steps at which it was measured."""
    trainer = tiny_trainer(tmp_path, model=model, max_steps=8, data=RandomText(16), **arguments)
    monitor = TrainingMonitor(trainer, run_dir=tmp_path / "runs")
    trainer.train()
    monitor.run.settle()
    errors = monitor.run.events("probe_error")
    assert not errors, errors
    told = monitor.run.tensor("lora/truth")[3]
    keys = [k for k in monitor.run.keys if k.endswith("/relative")]
    steps = monitor.run.points(keys[0])[0].tolist() if keys else []
    monitor.close()
    return told["adapters"][0], steps


def fresh(**options):
    return get_peft_model(tiny_model(), LoraConfig(r=4, target_modules=["q_proj"], **options))


def test_a_healthy_adapter_learns_and_the_first_steps_are_looked_at(tmp_path):
    told, steps = trained(tmp_path, fresh(), learning_rate=1e-2)
    assert told["verdict"] == {"state": "learning", "reasons": []}
    assert steps == [0, 1, 2, 3, 4, 5, 8]
    assert [row["layer"] for row in told["layers"]] == ["0", "1"]
    assert all(row["q"] > 0 and row["relative"] > 0 for row in told["layers"])
    assert all(1 <= row["effective_rank"] <= 4 for row in told["layers"])


def title(told):
    return [reason["title"] for reason in told["verdict"]["reasons"]]


def test_an_adapter_frozen_by_mistake(tmp_path):
    model = fresh()
    for name, weight in model.named_parameters():
        weight.requires_grad_("lora_" not in name and "norm" in name)
    told, _ = trained(tmp_path, model)
    assert told["verdict"]["state"] == "not learning"
    assert title(told) == ["Frozen"]
    assert "is_trainable=True" in told["verdict"]["reasons"][0]["action"]


def test_a_learning_rate_of_zero_is_not_blamed_on_the_adapter(tmp_path):
    told, _ = trained(tmp_path, fresh(), learning_rate=0.0)
    assert told["verdict"]["state"] == "too early"
    assert "learning rate is 0 now" in told["verdict"]["reasons"][0]["text"]


def test_labels_that_are_all_ignored_make_no_gradient(tmp_path):
    class Ignored(RandomText):
        def __getitem__(self, index):
            item = super().__getitem__(index)
            return item | {"labels": torch.full_like(item["labels"], -100)}

    trainer = tiny_trainer(tmp_path, model=fresh(), max_steps=8, data=Ignored(16))
    trainer.compute_loss = lambda model, inputs, **_: model(**inputs).logits.sum() * 0.0
    monitor = TrainingMonitor(trainer, run_dir=tmp_path / "runs")
    trainer.train()
    monitor.run.settle()
    verdict = monitor.run.tensor("lora/truth")[3]["adapters"][0]["verdict"]
    monitor.close()
    assert verdict["state"] == "not learning"
    assert [reason["title"] for reason in verdict["reasons"]] == ["Gradient is zero"]


def test_an_optimiser_made_before_the_adapter(tmp_path):
    base = tiny_model()
    optimizer = torch.optim.AdamW([p for n, p in base.named_parameters() if "norm" in n])
    model = get_peft_model(base, LoraConfig(r=4, target_modules=["q_proj"]))
    trainer = tiny_trainer(tmp_path, model=model, max_steps=4)
    trainer.optimizer = optimizer
    monitor = TrainingMonitor(trainer, run_dir=tmp_path / "runs")
    trainer.train()
    monitor.run.settle()
    verdict = monitor.run.tensor("lora/truth")[3]["adapters"][0]["verdict"]
    monitor.close()
    assert verdict["state"] == "not learning"
    assert verdict["reasons"][0]["title"] == "Not in the optimiser"


def test_a_module_that_is_cut_off_is_named():
    model = fresh()
    taken = Taken(model)
    cut = model.base_model.model.model.layers[1].self_attn.q_proj
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-2)
    ids = torch.randint(3, 64, (2, 8))
    for step in range(1, 7):
        optimizer.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        for weight in (cut.lora_A, cut.lora_B):
            weight["default"].weight.grad = None
        optimizer.step()
        taken.measure(step)
        if step == 1:
            assert taken.verdict["state"] == "learning"
            assert "1 of 2 modules (q_proj of layer 1)" in taken.verdict["reasons"][0]["text"]
    assert taken.verdict["state"] == "partly"
    assert taken.titles == ["No gradient"]
    assert "1 of 2 modules (q_proj of layer 1)" in taken.verdict["reasons"][0]["text"]


def test_updates_lost_to_rounding_in_bfloat16():
    model = get_peft_model(
        tiny_model(), LoraConfig(r=4, target_modules=["q_proj"], init_lora_weights=False)
    )
    for name, weight in model.named_parameters():
        if "lora_" in name:
            weight.data = torch.ones_like(weight).to(torch.bfloat16)
    taken = Taken(model)
    for step in range(1, 7):
        for name, weight in model.named_parameters():
            if "lora_" in name:
                weight.grad = torch.full_like(weight, 1e-5)
                weight.data -= weight.grad
        taken.measure(step)
    assert taken.verdict["state"] == "not learning"
    assert taken.titles == ["Updates lost to rounding"]


def test_targets_that_matched_nothing():
    model = get_peft_model(tiny_model(), LoraConfig(r=4, target_modules=["q_proj", "query"]))
    taken = Taken(model)
    shake(model)
    taken.measure()
    assert taken.verdict["state"] == "partly"
    assert "answers to query" in taken.verdict["reasons"][0]["text"]


def test_an_adapter_that_is_not_in_use():
    model = adapted()
    model.add_adapter("other", LoraConfig(r=2, target_modules=["q_proj"]))
    taken = Taken(model)
    taken.measure()
    assert taken.adapter(1)["name"] == "other"
    assert taken.adapter(1)["verdict"]["state"] == "not learning"
    assert taken.adapter(1)["verdict"]["reasons"][0]["title"] == "Adapter not in use"
    assert taken.verdict["state"] == "too early"


@pytest.mark.parametrize(
    ("evidence", "steps", "state", "titles"),
    [
        ([Evidence("a", moved=True)], 0, "learning", []),
        ([Evidence("a", moved=False)], 4, "too early", ["Too early to tell"]),
        ([Evidence("a", moved=False, gradient="none")], 4, "too early", ["Too early to tell"]),
        ([Evidence("a", moved=False, gradient="none")], 5, "not learning", ["No gradient"]),
        ([Evidence("a", moved=False, gradient="zero")], 5, "not learning", ["Gradient is zero"]),
        ([Evidence("a", moved=False, gradient="some", b_zero=True)], 5, "not learning",
         ["B still zero"]),
        ([Evidence("a", moved=False, gradient="some")], 5, "not learning", ["Stands still"]),
        ([Evidence("a", moved=True, gradient="nan")], 5, "not learning",
         ["Gradient is not a number"]),
        ([Evidence("a", moved=False, trains_b=False, b_zero=True)], 0, "not learning", ["Frozen"]),
        ([Evidence("a", moved=True, trains_a=False)], 0, "learning", []),
        ([Evidence("a", moved=True, dtype="float16")], 9, "learning", ["Weights in float16"]),
        ([Evidence("a", moved=True), Evidence("b", moved=False, held=False)], 9, "partly",
         ["Not in the optimiser"]),
        ([Evidence("a", moved=False), Evidence("b", moved=True)], 1, "learning",
         ["Too early to tell"]),
    ],
)  # fmt: skip
def test_verdicts(evidence, steps, state, titles):
    verdict = judge(evidence, steps)
    assert verdict["state"] == state
    assert [reason["title"] for reason in verdict["reasons"]] == titles
    assert all(reason["text"] for reason in verdict["reasons"])


def test_many_modules_are_not_all_named():
    seen = [Evidence(f"m{n}", moved=n > 9, held=n > 9) for n in range(20)]
    (reason,) = judge(seen, 9)["reasons"]
    assert "10 of 20 modules (m0, m1, m2, m3, m4, m5 and 4 more)" in reason["text"]


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

"""LoRA norms agree with the updates that peft itself would merge, for every kind of layer."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora.layer import LoraLayer
from tiny import tiny_model, tiny_trainer

from nbmonitor.naming import name_modules
from nbmonitor.probe import Context, Step
from nbmonitor.probes.lora import PROBE, Lora

# What peft asks transformers for in a way that transformers 5 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")


def host(measured):
    return {k: v.numpy() if hasattr(v, "numpy") else v for k, v in measured.items()}


def adapted(kind="llama", modules=("q_proj", "v_proj"), r=4, model=None, **options):
    config = LoraConfig(r=r, lora_alpha=8, target_modules=list(modules), **options)
    model = get_peft_model(tiny_model(kind) if model is None else model, config)
    shake(model)
    return model


def shake(model, scale=0.05):
    """Move every adapter away from its start."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_" in name and "magnitude" not in name:
                weight.add_(torch.randn_like(weight) * scale)


def measure(model, at_start=None):
    probe = Lora()
    assert probe.absent(Context(model=model)) == ""
    first = probe.derive(Step(0, 0.0), host(probe.on_begin(Context(model=model))))
    if at_start is None:
        return first
    at_start()
    return probe.derive(Step(50, 0.0), host(probe.on_step(Step(50, 0.0))))


def truth(model, adapter="default"):
    """‖ΔW‖ of every LoRA module by its path, from the update itself."""
    return {
        name: float(module.get_delta_weight(adapter).detach().double().norm())
        for name, module in model.named_modules()
        if isinstance(module, LoraLayer) and adapter in module.scaling
    }


def deltas(got, adapter="default", metric="delta_norm"):
    return [v for k, v in got.items() if k.startswith(f"lora/{adapter}/") and k.endswith(metric)]


def close(got, wanted):
    assert len(got) == len(wanted)
    assert sorted(got) == pytest.approx(sorted(wanted), rel=1e-5)


@pytest.mark.parametrize(
    ("kind", "modules", "options"),
    [
        ("llama", ("q_proj", "v_proj", "gate_proj"), {}),
        ("llama", ("q_proj",), {"use_rslora": True}),
        ("llama", ("q_proj",), {"use_dora": True}),
        ("llama", ("embed_tokens", "q_proj", "lm_head"), {}),
        ("gpt2", ("c_attn", "c_proj"), {"fan_in_fan_out": True}),
        ("bert", ("query", "dense"), {}),
        ("t5", ("q", "wo"), {}),
    ],
)
def test_update_norms_against_the_updates_themselves(kind, modules, options):
    model = adapted(kind, modules, **options)
    close(deltas(measure(model)), list(truth(model).values()))


def test_expert_tensors_of_a_mixture():
    model = adapted(
        "mixtral",
        ("q_proj",),
        target_parameters=["mlp.experts.gate_up_proj", "mlp.experts.down_proj"],
    )
    got = measure(model)
    close(deltas(got), list(truth(model).values()))
    assert "lora/default/1/gate_up_proj/delta_norm" in got
    assert "lora/default/1/down_proj/delta_norm" in got


def test_convolution():
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Conv2d(8, 4, 1))
    model = adapted(model=net, modules=("0", "1"))
    close(deltas(measure(model)), list(truth(model).values()))


def test_two_adapters_are_told_apart():
    model = adapted()
    model.add_adapter("other", LoraConfig(r=2, lora_alpha=32, target_modules=["q_proj"]))
    shake(model)
    got = measure(model)
    close(deltas(got), list(truth(model).values()))
    close(deltas(got, "other"), list(truth(model, "other").values()))
    assert "lora/other/0/q_proj/a_norm" in got
    assert "lora/other/0/v_proj/a_norm" not in got


def test_norms_of_a_and_b_in_bfloat16_are_summed_in_float32():
    model = adapted(modules=("embed_tokens", "q_proj")).to(torch.bfloat16)
    got = measure(model)
    layer = model.base_model.model.model.layers[0].self_attn.q_proj
    for name, weight in (("a_norm", layer.lora_A), ("b_norm", layer.lora_B)):
        exact = float(weight["default"].weight.detach().double().norm())
        assert got[f"lora/default/0/q_proj/{name}"] == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize("from_zero", [True, False])
@pytest.mark.parametrize("scale", [0.05, 1e-5])
def test_drift_is_the_distance_from_the_start_however_small(from_zero, scale):
    model = adapted()
    if from_zero:
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.zeros_(weight)
    module = model.base_model.model.model.layers[1].self_attn.q_proj

    def update():
        a, b = (m["default"].weight.detach().double() for m in (module.lora_A, module.lora_B))
        return module.scaling["default"] * (b @ a)

    before = update()
    got = measure(model, lambda: shake(model, scale))
    exact = float((update() - before).norm())
    tolerance = 1e-5 if scale > 1e-3 else 1e-3  # the weights themselves are float32
    assert got["lora/default/1/q_proj/drift"] == pytest.approx(exact, rel=tolerance)


def test_nothing_moved_is_no_drift():
    got = measure(adapted(), lambda: None)
    assert deltas(got, metric="drift") == [0.0] * 4


def test_not_a_number_is_told():
    model = adapted()

    def spoil():
        with torch.no_grad():
            model.base_model.model.model.layers[0].self_attn.q_proj.lora_A["default"].weight[
                0, 0
            ] = float("nan")

    got = measure(model, spoil)
    for metric in ("a_norm", "delta_norm", "drift"):
        assert np.isnan(got[f"lora/default/0/q_proj/{metric}"])
    assert np.isfinite(got["lora/default/1/q_proj/delta_norm"])


def test_offloaded_weights_have_a_reason_and_the_others_a_value():
    model = adapted()
    layer = model.base_model.model.model.layers[0].self_attn.q_proj
    layer.lora_A["default"].to("meta")
    probe = Lora()
    assert probe.absent(Context(model=model)) == ""
    got = probe.derive(Step(0, 0.0), host(probe.on_begin(Context(model=model))))
    assert "lora/default/0/q_proj/delta_norm" not in got
    assert "lora/default/0/v_proj/delta_norm" in got
    assert "meta device" in probe.unavailable()["lora/default/0/q_proj/delta_norm"]
    everything = adapted().to("meta")
    assert "meta device" in Lora().absent(Context(model=everything))


def test_one_transfer_of_a_few_vectors():
    probe = Lora()
    model = adapted()
    measured = probe.on_begin(Context(model=model))
    tensors = [v for v in measured.values() if hasattr(v, "dim")]
    assert len(tensors) == 4
    assert all(t.dim() == 1 and not t.requires_grad for t in tensors)


def test_models_without_adapters_and_without_peft(monkeypatch):
    none = "no LoRA adapters in this model (peft): nothing to measure"
    assert Lora().absent(Context(model=tiny_model())) == none
    assert Lora().absent(Context()) == none
    monkeypatch.setitem(sys.modules, "peft", None)
    assert 'pip install "nbmonitor[lora]"' in Lora().absent(Context(model=tiny_model()))


def test_peft_is_not_imported_to_say_that_there_are_no_adapters():
    code = (
        "import sys\nfrom nbmonitor.probe import Context\nfrom nbmonitor.probes.lora import Lora\n"
        "assert 'no LoRA adapters' in Lora().absent(Context(model=object()))\n"
        "assert 'peft' not in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_end_is_measured_once():
    model = adapted()
    probe = Lora()
    probe.on_begin(Context(model=model))
    probe.on_step(Step(50, 0.0))
    assert probe.on_end(Step(50, 0.0)) is None
    assert probe.on_end(Step(57, 0.0))


def test_a_real_training_moves_what_is_measured(tmp_path):
    model = get_peft_model(tiny_model(), LoraConfig(r=4, target_modules=["q_proj"]))
    trainer = tiny_trainer(tmp_path, model=model, learning_rate=1e-2)
    probe = Lora()
    first = probe.derive(Step(0, 0.0), host(probe.on_begin(Context(model=model))))
    trainer.train()
    last = probe.derive(Step(4, 0.0), host(probe.on_end(Step(4, 0.0))))
    assert deltas(first) == [0.0, 0.0]
    assert min(deltas(last)) > 0
    assert deltas(last, metric="drift") == deltas(last)
    close(deltas(last), list(truth(model).values()))


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (
            ["base_model.model.model.layers.11.self_attn.q_proj", "base_model.model.lm_head"],
            [("11", "q_proj"), ("-", "lm_head")],
        ),
        (
            [
                "transformer.h.0.attn.c_attn",
                "transformer.h.0.attn.c_proj",
                "transformer.h.0.mlp.c_proj",
            ],
            [("0", "c_attn"), ("0", "attn.c_proj"), ("0", "mlp.c_proj")],
        ),
        (
            [
                "bert.encoder.layer.0.attention.output.dense",
                "bert.encoder.layer.0.intermediate.dense",
                "bert.encoder.layer.0.output.dense",
            ],
            [
                ("0", "attention.output.dense"),
                ("0", "intermediate.dense"),
                ("0", "output.dense"),
            ],
        ),
        (
            [
                "encoder.block.0.layer.0.SelfAttention.q",
                "decoder.block.0.layer.0.SelfAttention.q",
                "decoder.block.0.layer.1.EncDecAttention.q",
            ],
            [("enc.0", "q"), ("dec.0", "SelfAttention.q"), ("dec.0", "EncDecAttention.q")],
        ),
        (
            ["text_model.encoder.layers.2.fc1", "vision_model.encoder.layers.2.fc1"],
            [("text_model.2", "fc1"), ("vision_model.2", "fc1")],
        ),
        (
            ["layers.0.experts.0.w1", "layers.0.experts.1.w1", "layers.0.mlp.base_layer"],
            [("0", "experts.0.w1"), ("0", "experts.1.w1"), ("0", "mlp")],
        ),
        (["a.x.0.q", "a.y.0.q", "b.z.0.q"], [("a.x.0", "q"), ("a.y.0", "q"), ("b.z.0", "q")]),
    ],
)
def test_names(paths, names):
    assert list(name_modules(paths).values()) == names


def test_cost_on_the_training_thread():
    model = adapted("llama", ("q_proj", "k_proj", "v_proj", "o_proj"))
    probe = Lora()
    probe.on_begin(Context(model=model))
    spent = []
    for number in range(30):
        start = time.thread_time_ns()
        probe.on_step(Step(number, 0.0))
        spent.append(time.thread_time_ns() - start)
    each = float(np.median(spent)) / 1000 / 8
    print(f"lora probe: {each:.0f} µs a module when it measures, {8 * each / 50:.1f} µs a step")
    assert each < 1000


def test_module_offers_the_probe():
    assert PROBE is Lora

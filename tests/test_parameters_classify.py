"""What a parameter is for: kinds, roles and layers of many architectures."""

from __future__ import annotations

import pytest
import torch
import transformers
from tiny import tiny_model
from torch import nn

from nbmonitor.parameters.classify import classify
from nbmonitor.parameters.roles import KINDS


def told(model):
    """Kind and role by name."""
    return {m.name: (m.kind, m.role) for m in classify(model).matrices}


def layered(model):
    return [(layer.stack, layer.index) for layer in classify(model).layers]


EXPECTED = {
    "gpt2": {
        "transformer.wte.weight": ("embedding", "token"),
        "transformer.wpe.weight": ("position", "absolute"),
        "transformer.h.1.ln_1.weight": ("norm", "scale"),
        "transformer.h.1.attn.c_attn.weight": ("attention", "qkv"),
        "transformer.h.1.attn.c_attn.bias": ("attention", "qkv"),
        "transformer.h.1.attn.c_proj.weight": ("attention", "o"),
        "transformer.h.1.mlp.c_fc.weight": ("mlp", "up"),
        "transformer.h.1.mlp.c_proj.weight": ("mlp", "down"),
        "transformer.ln_f.bias": ("norm", "shift"),
    },
    "llama": {
        "model.embed_tokens.weight": ("embedding", "token"),
        "model.layers.0.self_attn.q_proj.weight": ("attention", "q"),
        "model.layers.0.self_attn.k_proj.weight": ("attention", "k"),
        "model.layers.0.self_attn.v_proj.weight": ("attention", "v"),
        "model.layers.0.self_attn.o_proj.weight": ("attention", "o"),
        "model.layers.0.mlp.gate_proj.weight": ("mlp", "gate"),
        "model.layers.0.mlp.up_proj.weight": ("mlp", "up"),
        "model.layers.0.mlp.down_proj.weight": ("mlp", "down"),
        "model.norm.weight": ("norm", "scale"),
        "lm_head.weight": ("head", ""),
    },
    "qwen2": {
        "model.embed_tokens.weight": ("embedding", "token"),
        "model.layers.1.self_attn.q_proj.bias": ("attention", "q"),
        "model.layers.1.mlp.up_proj.weight": ("mlp", "up"),
        "model.layers.1.input_layernorm.weight": ("norm", "scale"),
        "lm_head.weight": ("head", ""),
    },
    "mixtral": {
        "model.layers.0.mlp.gate.weight": ("expert", "router"),
        "model.layers.0.mlp.experts.gate_up_proj": ("expert", "gate_up"),
        "model.layers.0.mlp.experts.down_proj": ("expert", "down"),
        "model.layers.0.self_attn.q_proj.weight": ("attention", "q"),
    },
    "bert": {
        "bert.embeddings.word_embeddings.weight": ("embedding", "token"),
        "bert.embeddings.position_embeddings.weight": ("position", "absolute"),
        "bert.embeddings.token_type_embeddings.weight": ("embedding", "type"),
        "bert.embeddings.LayerNorm.weight": ("norm", "scale"),
        "bert.encoder.layer.0.attention.self.query.weight": ("attention", "q"),
        "bert.encoder.layer.0.attention.output.dense.weight": ("attention", "o"),
        "bert.encoder.layer.0.intermediate.dense.weight": ("mlp", "up"),
        "bert.encoder.layer.0.output.dense.weight": ("mlp", "down"),
        "cls.predictions.transform.dense.weight": ("head", ""),
    },
    "t5": {
        "shared.weight": ("embedding", "token"),
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight": (
            "position", "relative",
        ),
        "encoder.block.1.layer.0.SelfAttention.q.weight": ("attention", "q"),
        "decoder.block.1.layer.1.EncDecAttention.o.weight": ("attention", "o"),
        "decoder.block.1.layer.2.DenseReluDense.wi.weight": ("mlp", "up"),
        "decoder.block.1.layer.2.DenseReluDense.wo.weight": ("mlp", "down"),
    },
    "vit": {
        "vit.embeddings.cls_token": ("embedding", "special"),
        "vit.embeddings.position_embeddings": ("position", "absolute"),
        "vit.embeddings.patch_embeddings.projection.weight": ("embedding", "patch"),
        "vit.layers.0.attention.q_proj.weight": ("attention", "q"),
        "vit.layers.0.mlp.fc1.weight": ("mlp", "up"),
        "classifier.weight": ("head", ""),
    },
}  # fmt: skip


def make(kind):
    if kind != "qwen2":
        return tiny_model(kind)
    config = transformers.Qwen2Config(
        vocab_size=64, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, tie_word_embeddings=False,
    )  # fmt: skip
    return transformers.Qwen2ForCausalLM(config)


@pytest.mark.parametrize("kind", EXPECTED)
def test_architectures(kind):
    model = make(kind)
    found = told(model)
    assert {name: found[name] for name in EXPECTED[kind]} == EXPECTED[kind]
    assert {kind for kind, _ in found.values()} <= set(KINDS)
    assert not [name for name, (kind, _) in found.items() if kind == "other"]


FAMILIES = {
    "Qwen2Moe": "ForCausalLM", "DeepseekV3": "ForCausalLM", "GptOss": "ForCausalLM",
    "GPTNeoX": "ForCausalLM", "OPT": "ForCausalLM", "Bloom": "ForCausalLM",
    "Roberta": "ForMaskedLM", "ModernBert": "ForMaskedLM", "Albert": "ForMaskedLM",
    "DebertaV2": "ForMaskedLM", "Bart": "ForConditionalGeneration",
    "Whisper": "ForConditionalGeneration", "Segformer": "ForImageClassification",
    "ConvNext": "ForImageClassification", "Swin": "ForImageClassification",
    "ResNet": "ForImageClassification",
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_families_as_they_are_shipped(family):
    """Full size, on the meta device: next to nothing of a model may be "other"."""
    with torch.device("meta"):
        config = getattr(transformers, f"{family}Config")()
        model = getattr(transformers, family + FAMILIES[family])(config)
    found = classify(model)
    elements = dict.fromkeys(KINDS, 0)
    for matrix in found.matrices:
        elements[matrix.kind] += matrix.elements
    total = sum(elements.values())
    assert elements["other"] < 0.06 * total
    if not family.startswith("ResNet"):
        blocks = sum(elements[k] for k in ("attention", "mlp", "expert", "convolution"))
        assert blocks + elements["embedding"] > 0.8 * total
    assert found.layers
    assert len({m.label for m in found.matrices}) == len(found.matrices)
    if FAMILIES[family] != "ForImageClassification":
        assert found.tokens is not None


def test_layers_and_stacks():
    assert layered(tiny_model("gpt2", layers=3)) == [("h", 0), ("h", 1), ("h", 2)]
    assert layered(tiny_model("t5")) == [
        ("encoder", 0), ("encoder", 1), ("decoder", 0), ("decoder", 1)
    ]  # fmt: skip
    found = classify(tiny_model("gpt2", layers=1))
    labels = {m.name: m.label for m in found.matrices}
    assert labels["transformer.h.0.attn.c_attn.weight"] == "h.0 attn.c_attn"
    assert labels["transformer.h.0.mlp.c_fc.bias"] == "h.0 mlp.c_fc.bias"
    assert found.layers[0].label == "layer 0"
    assert len(set(labels.values())) == len(labels)


def test_positions_are_those_of_the_tokens():
    """Also where a picture has more of them."""
    with torch.device("meta"):
        found = classify(transformers.CLIPModel(transformers.CLIPConfig()))
    assert found.tokens.name == "text_model.embeddings.token_embedding.weight"
    assert found.positions.name == "text_model.embeddings.position_embedding.weight"


def test_tied_weights_come_once():
    found = classify(tiny_model("gpt2"))
    assert found.tokens.tied == ("lm_head.weight",)
    assert "lm_head.weight" not in {m.name for m in found.matrices}
    assert [m.id for m in found.matrices] == list(range(len(found.matrices)))


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
def test_adapters():
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=2, target_modules=["q_proj", "down_proj"], use_dora=True)
    found = told(peft.get_peft_model(tiny_model("llama"), config))
    inner = "base_model.model.model.layers.0.self_attn.q_proj"
    assert found[f"{inner}.base_layer.weight"] == ("attention", "q")
    assert found[f"{inner}.lora_A.default.weight"] == ("lora", "A")
    assert found[f"{inner}.lora_B.default.weight"] == ("lora", "B")
    assert found[f"{inner}.lora_magnitude_vector.default.weight"] == ("lora", "magnitude")
    assert found["base_model.model.model.embed_tokens.weight"] == ("embedding", "token")
    assert found["base_model.model.lm_head.weight"] == ("head", "")
    tuned = peft.get_peft_model(
        tiny_model("llama"), peft.LoraConfig(r=2, modules_to_save=["embed_tokens", "lm_head"])
    )
    assert "modules_to_save" in classify(tuned).tokens.name


def test_convolutions():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 3)
            self.bn = nn.BatchNorm2d(4)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Conv2d(3, 4, 3)
            self.layer1 = nn.Sequential(Block(), Block())
            self.layer2 = nn.Sequential(Block(), Block())
            self.output = nn.Linear(4, 10)

    found = told(Net())
    assert found["stem.weight"] == ("convolution", "")
    assert found["layer1.0.conv.weight"] == ("convolution", "")
    assert found["layer2.1.bn.weight"] == ("norm", "scale")
    assert found["output.weight"] == ("head", "")
    assert layered(Net()) == [("layer1", 0), ("layer1", 1), ("layer2", 0), ("layer2", 1)]
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2))
    assert layered(plain) == [("model", 0), ("model", 1)]


def test_a_model_of_ones_own():
    """Told by use: no `get_input_embeddings`, a vocabulary that only the shapes know."""

    class CausalSelfAttention(nn.Module):
        def __init__(self):
            super().__init__()
            self.mixed = nn.Linear(8, 24)
            self.proj = nn.Linear(8, 8)

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = CausalSelfAttention()
            self.mlp = nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 8))
            self.norm = nn.LayerNorm(8)

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(100, 8)
            self.pos_emb = nn.Embedding(32, 8)
            self.blocks = nn.ModuleList([Block(), Block()])
            self.out = nn.Linear(8, 100)

    found = told(Own())
    assert found["table.weight"] == ("embedding", "token")
    assert found["pos_emb.weight"] == ("position", "absolute")
    assert found["blocks.1.one.mixed.weight"] == ("attention", "qkv")
    assert found["blocks.1.one.proj.weight"] == ("attention", "o")
    assert found["blocks.1.mlp.0.weight"] == ("mlp", "up")
    assert found["blocks.1.mlp.2.weight"] == ("mlp", "down")
    assert found["out.weight"] == ("head", "")


def test_what_nothing_tells_is_other():
    class Foreign(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(4, 4)
            self.b = nn.Parameter(torch.zeros(3))

    found = classify(Foreign())
    assert {m.kind for m in found.matrices} == {"other"}
    assert found.layers == ()
    assert found.tokens is None
    assert found.positions is None


def test_wrappers_say_nothing():
    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.module = tiny_model("gpt2", layers=1)

    found = classify(Wrapped())
    assert found.tokens.name == "module.transformer.wte.weight"
    labels = {m.label for m in found.matrices}
    assert "h.0 attn.c_attn" in labels

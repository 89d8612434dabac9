"""The loss of each token by a second forward pass: against float64, for every kind of model, without a trace."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tiny import VOCAB, tiny_model

from nbmonitor.capture.undisturbed import undisturbed
from nbmonitor.row_losses import keep, obstacle, row_losses


def test_looking_leaves_modes_generator_and_gradients() -> None:
    model = tiny_model("gpt2")
    model.train()
    model.transformer.h[0].eval()  # a part that the user has frozen
    before = [m.training for m in model.modules()]
    state = torch.get_rng_state()
    with undisturbed(model):
        assert not model.training
        assert not torch.is_grad_enabled()
        torch.rand(3)
    assert [m.training for m in model.modules()] == before
    assert torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None for p in model.parameters())


def reference(logits: torch.Tensor, labels: torch.Tensor) -> np.ndarray:
    """Minus the log of the softmax in float64; NaN where there is no label."""
    logits = logits.double()
    log = logits - torch.logsumexp(logits, -1, keepdim=True)
    picked = -log.gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return np.asarray(picked.masked_fill(labels == -100, math.nan).detach().numpy())


def batch(rows: int = 3, width: int = 10, seed: int = 0) -> dict[str, torch.Tensor]:
    chance = torch.Generator().manual_seed(seed)
    ids = torch.randint(3, VOCAB, (rows, width), generator=chance)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids.clone()}


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_causal_models_against_float64(kind: str, side: str) -> None:
    model = tiny_model(kind).eval()
    inputs = batch()
    gap = slice(0, 3) if side == "left" else slice(7, 10)
    inputs["input_ids"][1, gap] = 0
    inputs["attention_mask"][1, gap] = 0
    inputs["labels"][1, gap] = -100
    inputs["labels"][2] = -100  # nothing of this row is trained on
    kept = keep(inputs)
    assert kept is not None
    got = row_losses(model, kept)
    assert got.reason == ""
    given = {k: v for k, v in inputs.items() if k != "labels"}
    want = reference(model(**given).logits[:, :-1], inputs["labels"][:, 1:])  # (rows, width - 1)
    assert [len(t) for t in got.tokens] == [10, 7, 10]
    np.testing.assert_allclose(got.losses[0][1:], want[0], rtol=1e-4)
    part = want[1][3:] if side == "left" else want[1][:6]
    np.testing.assert_allclose(got.losses[1][1:], part, rtol=1e-4)
    assert np.isnan(got.losses[2]).all()
    assert all(np.isnan(losses[0]) or side == "left" for losses in got.losses)


def test_a_mixture_in_portions_is_the_same_as_in_one(monkeypatch: Any) -> None:
    model, inputs = tiny_model("llama").eval(), batch(7, 70)
    kept = keep(inputs)
    assert kept is not None
    whole = row_losses(model, kept)
    monkeypatch.setattr("nbmonitor.row_losses._LOGITS", 4 * VOCAB * 70 * 2)
    portions = row_losses(model, kept)
    for one, other in zip(whole.losses, portions.losses, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4)


def test_a_masked_model_is_not_shifted() -> None:
    model, inputs = tiny_model("bert").eval(), batch()
    inputs["labels"][:, ::2] = -100
    kept = keep(inputs)
    assert kept is not None
    got = row_losses(model, kept)
    want = reference(model(inputs["input_ids"]).logits, inputs["labels"])
    np.testing.assert_allclose(np.stack(got.losses), want, rtol=1e-4)


def test_an_encoder_decoder_is_told_by_its_answers() -> None:
    model, inputs = tiny_model("t5").eval(), batch()
    inputs["labels"] = inputs["labels"][:, :4].clone()
    inputs["labels"][0, 3] = -100
    kept = keep(inputs)
    assert kept is not None
    got = row_losses(model, kept)
    want = reference(model(**inputs).logits, inputs["labels"])
    assert [t.tolist() for t in got.tokens] == [
        [n for n in row if n != -100] for row in inputs["labels"].tolist()
    ]
    np.testing.assert_allclose(got.losses[0], want[0][:3], rtol=1e-4)
    np.testing.assert_allclose(np.stack(got.losses[1:]), want[1:], rtol=1e-4)


@pytest.mark.parametrize("classes", [1, 3])
def test_a_classifier_has_one_loss_a_row(classes: int) -> None:
    config = transformers.BertConfig(
        vocab_size=VOCAB, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, num_labels=classes,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.BertForSequenceClassification(config).eval()
    inputs = batch()
    inputs["labels"] = torch.tensor([0.5, 1.0, 2.0]) if classes == 1 else torch.tensor([0, 1, 2])
    kept = keep(inputs)
    assert kept is not None
    got = row_losses(model, kept)
    assert got.reason == ""
    logits = model(inputs["input_ids"]).logits
    if classes == 1:
        want = (logits[:, 0] - inputs["labels"]).square().detach().numpy()
    else:
        want = reference(logits, inputs["labels"])
    np.testing.assert_allclose([losses[-1] for losses in got.losses], want, rtol=1e-4)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
def test_adapters_are_looked_through() -> None:
    peft = pytest.importorskip("peft")
    model = peft.get_peft_model(tiny_model("llama"), peft.LoraConfig(task_type="CAUSAL_LM")).eval()
    inputs = batch(1)
    kept = keep(inputs | {"index": torch.tensor([41])})
    assert kept is not None
    got = row_losses(model, kept)
    assert got.reason == ""
    logits = model(input_ids=inputs["input_ids"]).logits
    want = reference(logits[:, :-1], inputs["labels"][:, 1:])
    np.testing.assert_allclose(got.losses[0][1:], want[0], rtol=1e-4)


def test_an_impossible_token_is_no_number() -> None:
    model, inputs = tiny_model("llama").eval(), batch(1)
    original = model.forward
    never = int(inputs["labels"][0, 4])

    def forward(*args: Any, **kwargs: Any) -> Any:
        out = original(*args, **kwargs)
        out.logits[..., never] = -math.inf
        return out

    model.forward = forward
    kept = keep(inputs)
    assert kept is not None
    got = row_losses(model, kept)
    assert got.losses[0][4] == math.inf


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"labels": None}, "no labels"),
        ({"pixel_values": torch.zeros(3, 2)}, "pixel_values"),
        ({"input_ids": torch.full((3, 10), VOCAB + 5)}, "cannot be run again"),
    ],
)
def test_rows_are_told_without_losses_when_there_are_none(change: dict[str, Any], why: str) -> None:
    kept = keep(batch() | change)
    assert kept is not None
    got = row_losses(tiny_model("llama"), kept)
    assert why in got.reason
    assert len(got.tokens) == 3
    assert all(np.isnan(losses).all() for losses in got.losses)


def test_spread_weights_are_not_run() -> None:
    with torch.device("meta"):
        model = torch.nn.Linear(2, 2)
    assert "memory" in obstacle(model)
    assert obstacle(None)

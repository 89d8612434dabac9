"""A model in the middle of its training is evaluated, and nothing of the training is changed."""

import random

import numpy as np
import pytest
import torch

from nbmonitor.capture.evaluation import Evaluation
from nbmonitor.capture.kind import kind_of, sharded
from nbmonitor.capture.undisturbed import undisturbed
from nbmonitor.encoding import Encoded
from tests.tiny import tiny_model

ROWS = [Encoded(i, [5, 6 + i, 7], [-100, 6 + i, 7], 1) for i in range(4)]


def evaluate(model, encoded=ROWS):
    with undisturbed(model):
        return Evaluation(model, "causal", 0).run(encoded)


def legacy():
    """The random state that everybody shares."""
    return np.random.get_state()[1].tolist()  # noqa: NPY002 - what others use


def test_nothing_of_the_training_is_disturbed():
    model = tiny_model("gpt2")
    model.train()
    model.transformer.h[0].eval()  # kept so by its user
    modes = [m.training for m in model.modules()]
    loss = model(input_ids=torch.tensor([[3, 4, 5]]), labels=torch.tensor([[3, 4, 5]])).loss
    loss.backward()
    grads = [p.grad.clone() for p in model.parameters()]
    hooks = [len(m._forward_pre_hooks) for m in model.modules()]
    states = random.getstate(), legacy(), torch.get_rng_state().tolist()
    with undisturbed(model):
        random.random(), np.random.rand(), torch.rand(3)  # noqa: NPY002 - what others use
        assert not torch.is_grad_enabled()
        Evaluation(model, "causal", 0).run(ROWS)
    assert states == (
        random.getstate(), legacy(), torch.get_rng_state().tolist()
    )  # fmt: skip
    assert [m.training for m in model.modules()] == modes
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), grads, strict=True))
    assert [len(m._forward_pre_hooks) for m in model.modules()] == hooks
    assert torch.is_grad_enabled()
    with pytest.raises(KeyboardInterrupt), undisturbed(model):
        raise KeyboardInterrupt
    assert [m.training for m in model.modules()] == modes


def test_inside_autocast_no_weight_is_left_without_its_gradient():
    """A cast weight that autocast kept from an evaluation would have no gradient."""
    model = tiny_model("llama")
    ids = torch.tensor([[3, 4, 5]])
    with torch.autocast("cpu", torch.bfloat16):
        evaluate(model)
        model(input_ids=ids, labels=ids).loss.backward()
    assert all(p.grad is not None for p in model.parameters())


def test_a_dynamic_position_buffer_still_trains_afterwards():
    model = tiny_model("llama", rope_scaling={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4},
                       max_position_embeddings=8)  # fmt: skip
    evaluate(model, [Encoded(0, list(range(3, 30)), list(range(3, 30)), None)])
    ids = torch.tensor([list(range(3, 40))])
    model(input_ids=ids, labels=ids).loss.backward()


def test_models_that_answer_no_prompt_say_so():
    assert kind_of(tiny_model("llama")) == ("causal", "")
    assert kind_of(tiny_model("t5")) == ("seq2seq", "")
    for kind, said in (("bert", "fills in masks"), ("vit", "predicts no tokens")):
        assert said in kind_of(tiny_model(kind))[1]
    assert "has no config" in kind_of(torch.nn.Linear(1, 1))[1]
    body = tiny_model("llama").model
    assert "predicts no tokens" in kind_of(body)[1]
    assert sharded(body) == ""
    next(body.parameters()).ds_id = 0
    assert "ZeRO-3" in sharded(body)

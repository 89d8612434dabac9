"""A run whose adapter doesn't learn is told so plainly, with the reason, within its first steps."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model
from test_lora import adapted, shake
from test_lora_truth import Taken, fresh
from tiny import RandomText, tiny_model, tiny_trainer

from nbmonitor import TrainingMonitor
from nbmonitor.adapter_verdict import Evidence, judge

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")


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

"""Faults of every kind, put into made-up and real trainings: all are found, and how soon is told."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from curves import Fault, Training, Values, alerts, watched
from tiny import RandomText, tiny_model, tiny_trainer

from nbmonitor import TrainingMonitor

# peft 0.21 uses a name that transformers 5 is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
AT = 400


def from_step(change: Callable[[int, Values], None], key: str = "train/loss") -> Fault:
    """From step `AT` on, where the row holds a series."""

    def fault(step: int, values: Values) -> None:
        if step >= AT and key in values:
            change(step, values)

    return fault


def put(**given: float) -> Callable[[int, Values], None]:
    """Set values, written with `__` for `/`."""

    def change(_step: int, values: Values) -> None:
        values.update({key.replace("__", "/"): value for key, value in given.items()})

    return change


def scaled(key: str, by: Callable[[int], float]) -> Callable[[int, Values], None]:
    def change(step: int, values: Values) -> None:
        values[key] *= by(step - AT)

    return change


def slow(step: int, values: Values) -> None:
    for key in ("tokens/per_second", "train/samples_per_second"):
        values[key] *= 0.5
    values["train/step_time"] *= 2


def hang(step: int, values: Values) -> None:
    if step == AT:
        values["train/step_time"] += 300


def one_spike(step: int, values: Values) -> None:
    if step == AT:
        values["train/loss"] += 3


@dataclass(frozen=True)
class Case:
    """A fault, the alert that has to come, and within how many steps."""

    id: str
    fault: Fault
    within: int
    severity: str = "warning"
    training: Training = Training(evals=50, seconds=1.0)  # noqa: RUF009 - only read
    at: int = AT


FIXED = Training(fixed=50, steps=1200)
CASES = [
    Case("nonfinite_loss", from_step(put(train__loss=math.nan)), 0, "critical"),
    Case("nonfinite_gradient", from_step(put(train__grad_norm=math.inf)), 0, "critical"),
    Case("divergence", from_step(scaled("train/loss", lambda n: 1 + n / 40)), 40, "warning"),
    Case("divergence", from_step(put(train__loss=11.0)), 20, "critical"),
    Case("loss_spike", from_step(one_spike), 0),
    Case("gradient_explosion", from_step(scaled("train/grad_norm", lambda n: 1.2 ** min(n, 60))), 25),
    Case("gradient_vanishing", from_step(scaled("train/grad_norm", lambda n: 1e-5)), 20),
    Case("learning_rate_zero", from_step(put(train__learning_rate=0.0)), 15, "critical"),
    Case("learning_rate_high", from_step(put(train__learning_rate=0.5)), 5, "critical"),
    Case("learning_rate_low", lambda _, v: scaled("train/learning_rate", lambda _n: 1e-6)(0, v)
         if "train/learning_rate" in v else None, 105, at=0),
    Case("learning_rate_update", from_step(put(update__0__ratio=0.5, update__1__ratio=0.4),
                                           "update/0/ratio"), 60),
    Case("adapter", lambda _, v: v.update({k: 0.0 for k in v if "/drift" in k}), 100, "critical",
         Training(adapters=4), at=0),
    Case("weights_still", from_step(lambda _, v: v.update(
        {k: 0.0 for k in v if k.startswith("update/")}), "update/0/ratio"), 30, "critical"),
    Case("padding_waste", from_step(put(tokens__padding_ratio=0.8)), 50),
    Case("throughput_drop", from_step(slow), 60),
    Case("stalled", from_step(hang), 0),
    Case("memory_limit_gpu_0", from_step(put(gpu__0__torch_allocated=73.7e9),
                                         "gpu/0/torch_allocated"), 15),
    Case("memory_limit_host", from_step(put(host__memory_used=62e9), "host/memory_used"), 15),
    Case("gpu_idle_0", from_step(put(gpu__0__utilization=8.0), "gpu/0/utilization"), 40),
    Case("gpu_throttled_0", from_step(put(gpu__0__temperature=91.0), "gpu/0/temperature"), 30),
    Case("gpu_throttled_0", from_step(put(gpu__0__temperature=84.0, gpu__0__power=250.0),
                                      "gpu/0/temperature"), 30),
    Case("overfitting", from_step(lambda s, v: v.update(
        {"eval/loss": 2.0 + (s - AT) / 400}), "eval/loss"), 200),
    Case("fixed_plateau", from_step(lambda _, v: v.update(
        {"fixed_eval/exact_match": 0.4, "fixed_eval/cross_entropy": 1.9}),
        "fixed_eval/exact_match"), 300, training=FIXED),
    Case("calibration_drift", from_step(lambda s, v: v.update(
        {"fixed_eval/ece": 0.08 + (s - AT) / 2000, "fixed_eval/cross_entropy": 2 + (s - AT) / 400}),
        "fixed_eval/ece"), 150, training=FIXED),
    Case("straggler", from_step(lambda _, v: v.update(
        {"ranks/straggler": 2.0, "ranks/slowdown": 1.6}), "host/cpu"), 45),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)
def test_a_fault_is_found(case):
    run, _ = watched(case.training, case.fault)
    found = [a for a in alerts(run) if a["id"] == case.id and a["step"] >= case.at - 1]
    assert found, f"{case.id} was not found; found: {[a['id'] for a in alerts(run)]}"
    first = found[0]
    delay = first["step"] - case.at
    print(f"{case.id}: {delay} steps, {first['severity']}")
    assert delay <= case.within
    order = ["info", "warning", "critical"]
    assert order.index(first["severity"]) >= order.index(case.severity)
    for part in ("title", "message", "action", "rule"):
        assert first[part], part
    assert first["window"][0] <= first["window"][1] <= first["step"] + 1
    assert first["confidence"] is None or 0.5 < first["confidence"] <= 1
    before = [a for a in alerts(run, "warning", "critical") if a["step"] < case.at - 1]
    assert not before, before
    # One cause, one alert (or, where a fault has two sides, two).
    raised = {a["id"] for a in alerts(run, "warning", "critical")}
    assert len(raised) <= 2, raised


# ---------------------------------------------------------------------- real trainings


def trained(tmp_path: Any, fault: Callable[[Any], None] | None = None, **options: Any) -> Any:
    """A real Trainer's run, with something done to the Trainer first."""
    trainer = tiny_trainer(tmp_path, **{"max_steps": 60, "learning_rate": 3e-3, **options})
    if fault is not None:
        fault(trainer)
    monitor = TrainingMonitor(trainer, run_dir=False)
    trainer.train()
    monitor.close()
    assert not monitor.run.events("probe_error")
    return monitor.run


def at_step(number: int, change: Callable[[Any], Any]) -> Callable[[Any], None]:
    """Change what the training step returns, from a step on."""

    def fault(trainer: Any) -> None:
        original = trainer.compute_loss

        def compute_loss(*args: Any, **kwargs: Any) -> Any:
            loss = original(*args, **kwargs)
            return change(loss) if trainer.state.global_step >= number - 1 else loss

        trainer.compute_loss = compute_loss

    return fault


def ids(run: Any) -> list[str]:
    return [alert["id"] for alert in alerts(run)]


def test_a_real_loss_of_nan_is_one_alert(tmp_path):
    run = trained(tmp_path, at_step(20, lambda loss: loss * math.nan))
    found = [a for a in alerts(run) if a["id"].startswith("nonfinite")]
    assert [a["id"] for a in found] == ["nonfinite_loss"]
    assert found[0]["window"][0] == 20
    assert found[0]["step"] == 20


def test_a_real_learning_rate_that_is_absurd(tmp_path):
    run = trained(tmp_path, learning_rate=1.0, lr_scheduler_type="constant")
    assert "learning_rate_high" in ids(run)


def test_a_real_learning_rate_of_zero(tmp_path):
    run = trained(tmp_path, learning_rate=0.0)
    (found,) = [a for a in alerts(run) if a["id"] == "learning_rate_zero"]
    assert found["step"] == 10
    assert "0 from the start" in found["message"]


def test_a_real_divergence(tmp_path):
    class Ascent(torch.optim.SGD):
        """Goes uphill after step 60."""

        done = 0

        def step(self, closure: Any = None) -> Any:
            self.done += 1
            if self.done > 60:
                for group in self.param_groups:
                    for parameter in group["params"]:
                        if parameter.grad is not None:
                            parameter.grad.mul_(-0.5)
            return super().step(closure)

    model = tiny_model()
    trainer = tiny_trainer(
        tmp_path, model=model, max_steps=150, max_grad_norm=1.0, lr_scheduler_type="constant"
    )
    trainer.optimizer = Ascent(model.parameters(), lr=0.3)
    monitor = TrainingMonitor(trainer, run_dir=False)
    trainer.train()
    monitor.close()
    (found,) = [a for a in alerts(monitor.run) if a["id"] == "divergence"][:1]
    assert 60 < found["step"] <= 110


def test_real_padding(tmp_path):
    class Padded(RandomText):
        """Mostly padding."""

        def __getitem__(self, index: int) -> dict[str, Any]:
            item = dict(super().__getitem__(index))
            for key, fill in (("input_ids", 0), ("labels", -100), ("attention_mask", 0)):
                tail = torch.full((64,), fill, dtype=item[key].dtype)
                item[key] = torch.cat([item[key], tail])
            return item

    assert "padding_waste" in ids(trained(tmp_path, data=Padded()))


def test_a_real_adapter_that_is_frozen(tmp_path):
    peft = pytest.importorskip("peft")
    model = peft.get_peft_model(
        tiny_model(), peft.LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")
    )
    for name, parameter in model.named_parameters():
        # The rest learns, the adapter doesn't: nothing else would show.
        parameter.requires_grad = "lora" not in name and "embed" in name
    run = trained(tmp_path, model=model, max_steps=120)
    assert "adapter" in ids(run)


def test_rules_hold_without_numbers_that_are_missing():
    """A training of which nothing but the loss is known."""
    chance = np.random.default_rng(0)

    def bare(step: int, values: Values) -> None:
        for key in list(values):
            if key != "train/loss":
                del values[key]
        if "train/loss" in values and step > 300:
            values["train/loss"] = 9 + float(chance.normal())

    class Bare(Training):
        def rows(self, fault: Fault | None = None) -> Any:
            wanted = Training(steps=self.steps)
            for step, values, time in wanted.rows():
                bare(step, values)
                if values:
                    yield step, values, time

    run, _ = watched(Bare(steps=600))
    assert "divergence" in ids(run)
    assert not run.events("probe_error")

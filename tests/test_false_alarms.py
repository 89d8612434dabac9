"""Healthy trainings of many kinds: hardly a warning in all of them together."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from curves import Fault, Training, alerts, watched
from tiny import VOCAB, tiny_model, tiny_trainer

from nbmonitor import Rule, TrainingMonitor
from nbmonitor.rules import discover

# peft 0.21 uses a name that transformers 5 is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")

SHAPES = ("power", "exponential", "log", "flat", "stairs", "late")
SCHEDULES = ("constant", "linear", "cosine", "restarts", "stable")
RUNS = 30


def healthy(seed: int) -> Training:
    """One of many: seed, shape, schedule, noise, length, precision and pace all vary."""
    shape = SHAPES[seed % 6]
    start, floor = ((4.0, 1.0), (2.2, 1.7), (11.0, 2.5))[seed % 3]
    return Training(
        seed=seed,
        steps=(400, 1000, 2000)[seed % 3],
        shape=shape,
        start=start,
        floor=floor,
        noise=(0.02, 0.05, 0.1, 0.15)[seed % 4],
        tails=("normal", "lognormal")[seed // 2 % 2],
        memory=(0.0, 0.0, 0.5, 0.8)[seed // 3 % 4],
        schedule=SCHEDULES[seed % 5],
        optimizer=("adamw_torch_fused", "sgd", "adafactor")[seed // 5 % 3],
        precision=("bf16 mixed", "fp16 mixed", "float32")[seed % 3],
        evals=50 if seed % 2 else 0,
        # A set whose match has come to rest is a plateau, and rightly called one.
        fixed=100 if shape in {"power", "log", "flat"} and seed % 3 else 0,
        seconds=(0.05, 0.5, 3.0)[seed % 3],
        uneven=(0.1, 0.4)[seed // 2 % 2],
        padding=(0.0, 0.2, 0.35)[seed // 2 % 3],
        gpu=bool(seed % 4),
        adapters=4 if seed % 2 else 0,
    )


def test_thirty_healthy_runs_raise_one_warning_at_most():
    told = []
    for seed in range(RUNS):
        run, _ = watched(healthy(seed))
        assert not run.events("probe_error")
        told += [(seed, a["step"], a["id"]) for a in alerts(run, "warning", "critical")]
    print(f"{len(told)} warnings in {RUNS} healthy runs: {told}")
    assert len(told) <= 1, told


def ill(step: int, values: dict[str, float]) -> None:
    """Spikes, single and in groups, a norm that overflows, a loss that is none, a long pause."""
    if "train/loss" in values:
        values["train/loss"] *= 3 if step % 97 == 0 or 500 < step < 506 else 1
        values["train/loss"] = math.nan if 700 < step < 703 else values["train/loss"]
        values["train/grad_norm"] = math.inf if step == 650 else values["train/grad_norm"]
        values["train/step_time"] += 400.0 if step == 850 else 0.0


def told(fault: Fault | None, bundle: int) -> list[Any]:
    training = healthy(7) if fault is None else Training(steps=1000, evals=50)
    run, _ = watched(training, fault, bundle=bundle)
    assert not run.events("probe_error")
    events = [e for e in run.events() if e["kind"] in {"alert", "phase"}]
    return [(e["kind"], e["step"], e["data"]) for e in events]


@pytest.mark.parametrize("fault", [None, ill])
def test_the_same_rows_in_other_bundles_tell_the_same(fault, monkeypatch):
    """What is found depends neither on when rows are settled nor on what is skipped."""
    first = told(fault, 1)
    assert {kind for kind, _, _ in first} == ({"phase"} if fault is None else {"alert", "phase"})
    assert told(fault, 13) == first
    assert told(fault, 400) == first
    for rule in discover():
        monkeypatch.setattr(type(rule), "skips", Rule.skips)
    assert told(fault, 400) == first
    if fault is not None:
        found = {data["id"] for kind, _, data in first if kind == "alert"}
        assert found >= {"loss_spike", "nonfinite_loss", "nonfinite_gradient", "stalled"}


# ---------------------------------------------------------------------- real trainings


class Copies(torch.utils.data.Dataset):
    """Something to learn: four tokens again and again, in one of many orders."""

    def __init__(self, rows: int, seed: int) -> None:
        chance = torch.Generator().manual_seed(seed)
        self.rows = [
            torch.randint(3, VOCAB, (4,), generator=chance).repeat(8)[: 24 + seed % 8]
            for _ in range(rows)
        ]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = self.rows[index]
        return {"input_ids": row, "labels": row, "attention_mask": torch.ones_like(row)}


REAL = [
    ("llama", "linear", 3e-3, {}),
    ("gpt2", "cosine", 2e-3, {"warmup_steps": 20}),
    ("llama", "constant", 1e-3, {"gradient_accumulation_steps": 2, "max_steps": 80}),
    ("mixtral", "constant_with_warmup", 2e-3, {"warmup_steps": 10, "max_steps": 80}),
    ("llama", "linear", 0.05, {"optim": "sgd"}),
    ("gpt2", "linear", 1e-2, {"optim": "adafactor", "max_steps": 80}),
    ("lora", "linear", 1e-2, {"max_steps": 80}),
]


def model_of(kind: str) -> Any:
    if kind != "lora":
        return tiny_model(kind)
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    return peft.get_peft_model(tiny_model(), config)


@pytest.mark.slow
def test_real_healthy_runs_raise_no_warning(tmp_path):
    told = []
    for seed, (kind, schedule, rate, more) in enumerate(REAL):
        options = {"max_steps": 120, "eval_strategy": "steps", "eval_steps": 20, **more}
        trainer = tiny_trainer(
            tmp_path / str(seed),
            model=model_of(kind),
            data=Copies(256, seed),
            eval_data=Copies(32, 100 + seed),
            learning_rate=rate,
            lr_scheduler_type=schedule,
            seed=seed,
            **options,
        )
        monitor = TrainingMonitor(trainer, run_dir=False)
        trainer.train()
        monitor.close()
        assert not monitor.run.events("probe_error")
        assert monitor.run.events("phase")[0]["data"]["name"] == "initialization"
        found = alerts(monitor.run, "warning", "critical")
        # Memory is the machine's own affair.
        found = [a for a in found if a["id"] != "memory_limit_host"]
        told += [(kind, schedule, a["step"], a["id"], a["message"]) for a in found]
    assert not told, told

"""Made-up trainings, as rows: many kinds of healthy ones, and a place to put a fault in."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nbmonitor.rulebook import Rulebook
from nbmonitor.run import Run

Values = dict[str, float]
# Changes the values of a step (or of a reading of the devices) from some step on.
Fault = Callable[[int, Values], None]
STARTED = 1_700_000_000.0


@dataclass(frozen=True, slots=True)
class Training:
    """How a made-up training goes; everything random comes from `seed`.

    `shape` is how the loss falls, `noise` its spread as a share of the descent, `tails` "normal"
    or "lognormal"; `evals` steps between evaluations, `fixed` between those of the fixed set.
    """

    seed: int = 0
    steps: int = 1000
    shape: str = "power"
    start: float = 4.0
    floor: float = 1.0
    noise: float = 0.04
    tails: str = "normal"
    memory: float = 0.0
    schedule: str = "linear"
    peak: float = 5e-5
    optimizer: str = "adamw_torch_fused"
    precision: str = "bf16 mixed"
    evals: int = 0
    fixed: int = 0
    seconds: float = 0.5
    uneven: float = 0.1
    padding: float = 0.2
    gpu: bool = True
    adapters: int = 0
    config: dict[str, Any] = field(default_factory=dict)

    def clean(self, at: float) -> float:
        """The loss without noise."""
        part = at / self.steps
        drop = self.start - self.floor
        shapes = {
            "power": 1 / math.sqrt(1 + 60 * part),
            "exponential": math.exp(-6 * part),
            "log": 1 - math.log1p(200 * part) / math.log(201),
            "late": 1 / (1 + math.exp(18 * (part - 0.2))),
            "flat": 1 - 0.3 * (1 - math.exp(-4 * part)),
            "stairs": 0.55 ** math.floor(4 * part) * (1 - 0.1 * ((4 * part) % 1)),
            "none": 0.0,
        }
        return self.floor + drop * shapes[self.shape]

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        part = step / self.steps
        warm = min(1.0, part / 0.05)
        shapes = {
            "constant": 1.0,
            "linear": warm * (1 - part),
            "cosine": warm * 0.5 * (1 + math.cos(math.pi * part)),
            "restarts": warm * 0.5 * (1 + math.cos(math.pi * ((3 * part) % 1))),
            "stable": warm * min(1.0, (1 - part) / 0.2),
        }
        return max(0.0, self.peak * shapes[self.schedule])

    def rows(self, fault: Fault | None = None) -> Iterator[tuple[int, Values, float]]:
        """Rows as the probes write them: every step, every second, every evaluation."""
        chance = np.random.default_rng(self.seed)
        now, ticked, wander = STARTED, STARTED, 0.0
        scale = self.noise * (self.start - self.floor)
        change = fault or (lambda _step, _values: None)
        drift = 0.0
        for step in range(1, self.steps + 1):
            draw = float(chance.normal())
            wander = self.memory * wander + math.sqrt(1 - self.memory**2) * draw
            clean = self.clean(step)
            loss = clean + scale * wander
            if self.tails == "lognormal":
                loss = clean * math.exp(2 * self.noise * wander - 2 * self.noise**2)
            if self.schedule == "restarts" and step > 50:
                loss += 0.04 * (self.start - self.floor) * self.rate(step) / self.peak
            length = math.exp(self.uneven * float(chance.normal()))
            duration = self.seconds * length * math.exp(0.05 * float(chance.normal()))
            duration *= 1 + 2 * (chance.random() < 0.01)
            norm = (0.3 + abs(clean) / abs(self.start)) * math.exp(0.25 * float(chance.normal()))
            values = {
                "train/loss": loss,
                "train/grad_norm": norm,
                "train/learning_rate": self.rate(step - 1),
                "train/epoch": step / self.steps * 3,
                "train/step_time": duration,
                "train/samples_per_second": 8 / duration,
                "tokens/per_second": 4000 * length / duration,
                "tokens/padding_ratio": float(np.clip(chance.normal(self.padding, 0.1), 0, 0.95)),
            }
            if self.precision.startswith("fp16") and (step < 4 or step % 400 == 0):
                values["train/grad_norm"] = math.inf
            if step % 10 == 0:
                move = self.rate(step) * 20 * math.exp(0.1 * float(chance.normal()))
                values |= {f"update/{name}/ratio": move for name in ("embedding", "0", "1")}
            if self.adapters and step % 50 == 0:
                drift += self.rate(step) * 500
                values |= {
                    f"lora/default/{i}/q_proj/drift": drift * (1 + 0.1 * i)
                    for i in range(self.adapters)
                }
            change(step, values)
            now += values["train/step_time"]
            while ticked + 1 <= now:
                ticked += 1
                readings = self.readings(chance)
                change(step, readings)
                yield step - 1, readings, ticked
            yield step, values, now
            for every, evaluate in ((self.evals, self.evaluation), (self.fixed, self.fixed_set)):
                if every and step % every == 0:
                    now += 5 * self.seconds
                    found = evaluate(step, chance)
                    change(step, found)
                    yield step, found, now

    def readings(self, chance: np.random.Generator) -> Values:
        """What the devices tell in a second."""
        out = {
            "host/cpu": float(chance.uniform(5, 60)),
            "host/memory_used": 20e9 + float(chance.normal(0, 2e8)),
            "host/memory_total": 64e9,
        }
        if self.gpu:
            out |= {
                "gpu/0/memory_used": 75e9,
                "gpu/0/memory_total": 80e9,
                "gpu/0/torch_allocated": 50e9 + float(chance.normal(0, 1e9)),
                "gpu/0/torch_reserved": 74e9,
                "gpu/0/utilization": float(np.clip(chance.normal(90, 12), 0, 100)),
                "gpu/0/temperature": float(chance.normal(66, 2)),
                "gpu/0/power": float(chance.normal(520, 40)),
            }
        return out

    def evaluation(self, step: int, chance: np.random.Generator) -> Values:
        """The held-out loss: a little above, with little noise."""
        return {"eval/loss": self.clean(step) * 1.03 * (1 + 0.003 * float(chance.normal()))}

    def fixed_set(self, step: int, chance: np.random.Generator) -> Values:
        """The fixed set: the match rises as the loss falls, of 300 records."""
        lowest = self.clean(self.steps)
        done = (self.start - self.clean(step)) / max(1e-9, self.start - lowest)
        match = 0.9 * min(1.0, max(0.0, done)) ** 2
        return {
            "fixed_eval/exact_match": float(chance.binomial(300, match)) / 300,
            "fixed_eval/cross_entropy": self.clean(step) * (1 + 0.004 * float(chance.normal())),
            "fixed_eval/ece": 0.06 + 0.02 * done + 0.004 * float(chance.normal()),
        }


def watched(
    training: Training, fault: Fault | None = None, bundle: int = 7, rules: Any = ()
) -> tuple[Run, Rulebook]:
    """Let the rules watch a made-up training, its rows in bundles."""
    run = Run()
    run.config = {
        "optimizer": training.optimizer,
        "precision": training.precision,
        "eval_strategy": "steps" if training.evals else "no",
        **training.config,
    }
    run.total_steps = training.steps
    run.set_status("running")
    book = Rulebook(run, rules)
    waiting: list[Any] = []
    for row in training.rows(fault):
        waiting.append(row)
        if len(waiting) == bundle:
            run.extend(waiting)
            book.watch(waiting)
            waiting = []
    if waiting:
        run.extend(waiting)
        book.watch(waiting)
    return run, book


def alerts(run: Run, *severities: str, state: str = "raised") -> list[dict[str, Any]]:
    """Alerts of a state, each with its step; of some severities, or of all."""
    found = [{**event["data"], "step": event["step"]} for event in run.events("alert")]
    return [
        a for a in found if a["state"] == state and (not severities or a["severity"] in severities)
    ]


def phases(run: Run) -> list[tuple[int, str]]:
    """Where each phase begins, and its name."""
    return [(event["data"]["from"], event["data"]["name"]) for event in run.events("phase")]

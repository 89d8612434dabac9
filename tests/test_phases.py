"""Phases: made-up trainings whose turns are known, and the fallback where too little is measured."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from curves import STARTED, Training, phases, watched
from tiny import tiny_trainer

from nbmonitor import TrainingMonitor
from nbmonitor.overfit import Generalisation
from nbmonitor.phases import Phases
from nbmonitor.rulebook import Rulebook
from nbmonitor.run import Run

NAMES = {
    "initialization", "rapid learning", "fine tuning", "convergence", "plateau", "divergence",
    "overfitting",
}  # fmt: skip


class Turning(Training):
    """Flat for 200 steps, a steep fall to 600, a slow one to 1500, flat from there."""

    def clean(self, at: float) -> float:
        points = [(0, 4.0), (200, 4.0), (600, 1.8), (1500, 1.2), (1e9, 1.2)]
        for (x0, y0), (x1, y1) in itertools.pairwise(points):
            if at <= x1:
                return y0 + (y1 - y0) * (at - x0) / (x1 - x0)
        raise AssertionError


def at(found: list[tuple[int, str]], step: int) -> str:
    """The phase at a step."""
    return [name for start, name in found if start <= step][-1]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("noise", [0.02, 0.06])
def test_turns_are_found_where_they_are(seed, noise):
    run, _ = watched(Turning(seed=seed, noise=noise, steps=2400, schedule="constant"))
    found = phases(run)
    assert [name for _, name in found] == [
        "initialization", "rapid learning", "fine tuning", "plateau",
    ], found  # fmt: skip
    starts = [start for start, _ in found]
    assert starts[0] == 0
    assert abs(starts[1] - 200) <= 80, found
    assert abs(starts[2] - 600) <= 250, found
    assert abs(starts[3] - 1500) <= 260, found


@pytest.mark.parametrize("seed", range(4))
def test_flat_with_weights_at_rest_is_convergence(seed):
    run, _ = watched(Turning(seed=seed, noise=0.03, steps=2000, schedule="cosine"))
    assert phases(run)[-1][1] == "convergence"
    message = run.events("phase")[-1]["data"]["message"]
    assert "weights move at" in message
    assert "of the most" in message


def test_a_flat_loss_without_motion_measured_goes_by_the_learning_rate():
    def bare(_step: int, values: dict[str, float]) -> None:
        for key in [key for key in values if key.startswith("update/")]:
            del values[key]

    run, _ = watched(Turning(steps=2400, noise=0.03, schedule="constant"), bare)
    assert phases(run)[-1][1] == "plateau"
    assert "learning rate stands at 100 %" in run.events("phase")[-1]["data"]["message"]


def test_a_rising_loss_is_divergence_and_comes_back():
    def fault(step: int, values: dict[str, float]) -> None:
        if "train/loss" in values and 800 <= step < 1000:
            values["train/loss"] += (step - 800) / 30

    run, _ = watched(Training(steps=2000, noise=0.03), fault)
    found = phases(run)
    assert at(found, 700) in {"rapid learning", "fine tuning"}
    assert "divergence" in [name for _, name in found]
    (start,) = [start for start, name in found if name == "divergence"]
    assert 780 <= start <= 920
    assert found[-1][1] != "divergence"


def test_held_out_loss_that_turns_is_overfitting():
    def fault(step: int, values: dict[str, float]) -> None:
        if "eval/loss" in values and step > 500:
            values["eval/loss"] = 1.7 + (step - 500) / 800

    run, _ = watched(Training(steps=1200, evals=50), fault)
    found = phases(run)
    assert found[-1][1] == "overfitting"
    assert 450 <= found[-1][0] <= 800


def test_a_model_that_never_learns_is_on_a_plateau():
    run, _ = watched(Training(shape="none", start=5.0, floor=4.0, noise=0.05, steps=800))
    assert [name for _, name in phases(run)] == ["initialization", "plateau"]
    assert "nothing is learned" in run.events("phase")[-1]["data"]["message"]


@pytest.mark.parametrize("seed", range(8))
def test_phases_do_not_flicker(seed):
    shapes = ["power", "exponential", "log", "flat"]
    training = Training(
        seed=seed, steps=3000, shape=shapes[seed % 4], noise=(0.03, 0.1)[seed // 4], memory=0.5
    )
    run, _ = watched(training)
    found = phases(run)
    assert 2 <= len(found) <= 5, found
    assert {name for _, name in found} <= NAMES
    starts = [start for start, _ in found]
    assert starts == sorted(set(starts))
    for event in run.events("phase"):
        data = event["data"]
        assert data["message"]
        assert data["from"] <= event["step"]
        assert data["confidence"] is None or 0 <= data["confidence"] <= 1


def few(steps: list[int]) -> Run:
    run = Run()
    run.set_status("running")
    book = Rulebook(run)
    for step in steps:
        book.watch([(step, {"train/loss": 4 - step / 5000}, STARTED + step)])
    return run


def test_few_losses_go_by_the_number_of_steps_and_say_so():
    run = few(list(range(250, 9000, 250)))
    found = phases(run)
    assert found[0][1] == "convergence"
    assert "by the number of steps alone" in run.events("phase")[0]["data"]["message"]
    # As many of each hundred steps as of each thousand: the seed's bounds.
    run = few(list(range(4, 81, 4)))
    assert phases(run) == [(0, "initialization")]
    run = few(list(range(40, 801, 40)))
    assert phases(run)[-1][1] == "rapid learning"


def test_a_loss_that_is_no_number_ends_nothing():
    def fault(step: int, values: dict[str, float]) -> None:
        if "train/loss" in values and step > 500:
            values["train/loss"] = math.nan

    run, _ = watched(Training(steps=800), fault)
    assert not run.events("probe_error")
    assert phases(run)[0] == (0, "initialization")


def test_a_resumed_run_goes_on_in_its_phase():
    first, _ = watched(Training(steps=1000))
    last = phases(first)[-1][1]
    book = Phases()
    book.begin(last)
    run = Run()
    run.lay_events(first.events_since(0))
    run.set_status("running")
    rules = Rulebook(run)
    rows: list[Any] = [(step, {"train/loss": 1.3}, STARTED + step) for step in range(1001, 1041)]
    rules.watch(rows)
    assert phases(run) == phases(first)


def test_generalisation_by_hand():
    import numpy as np

    gap = Generalisation()
    train = np.linspace(2.0, 1.9, 40)
    for step, held in enumerate([2.0, 1.8, 1.7, 1.8, 1.9, 2.0]):
        assert gap.turn() is None or step > 4
        gap.add(step * 100, held, train - 0.1 * step)
    turn = gap.turn()
    assert turn is not None
    assert (turn.best_step, turn.best, turn.now) == (200, 1.7, 2.0)
    # A held-out loss that rises with the training loss is no overfitting.
    both = Generalisation()
    for step, held in enumerate([2.0, 1.8, 1.7, 1.8, 1.9, 2.0]):
        both.add(step * 100, held, train + 0.1 * step)
    assert both.turn() is None


def test_a_real_training_has_phases(tmp_path):
    trainer = tiny_trainer(tmp_path, max_steps=120, learning_rate=5e-3)
    monitor = TrainingMonitor(trainer, run_dir=False)
    trainer.train()
    monitor.close()
    found = phases(monitor.run)
    assert found[0] == (0, "initialization")
    assert "rapid learning" in [name for _, name in found]

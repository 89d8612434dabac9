"""Ctrl-C is a clean stop: recorded, and saved where that is true and the user saves at all."""

import numpy as np
import pytest
from transformers import TrainerCallback

from tests.steering import training


@pytest.fixture
def train(tmp_path):
    yield from training(tmp_path)


def interrupt(monitor):
    raise KeyboardInterrupt


def test_an_interrupt_between_two_steps_saves_where_the_user_saves(train, tmp_path):
    whole, _ = train(output_dir=str(tmp_path / "whole"))
    saving = {"save_strategy": "steps", "save_steps": 100}
    first, _ = train({"s6": interrupt}, error=KeyboardInterrupt, **saving)
    assert first.run.status == "interrupted"
    assert [e["step"] for e in first.run.events("checkpoint")] == [5]
    second, _ = train(resume=True, **saving)
    expected = whole.run.points("train/loss")[1][5:]
    np.testing.assert_allclose(second.run.points("train/loss")[1][-3:], expected, rtol=1e-5)


def test_an_interrupt_saves_nothing_where_the_user_saves_nothing(train, tmp_path):
    train({"s6": interrupt}, error=KeyboardInterrupt)
    assert not list((tmp_path / "out").glob("checkpoint*"))


def test_an_interrupt_in_the_middle_of_an_optimizer_step_saves_nothing(train, tmp_path):
    def break_it(trainer):
        class Breaker(TrainerCallback):
            def on_optimizer_step(self, args, state, control, **kwargs):
                if state.global_step == 4:
                    raise KeyboardInterrupt

        trainer.add_callback(Breaker())

    saving = {"save_strategy": "steps", "save_steps": 100}
    monitor, _ = train(error=KeyboardInterrupt, before=break_it, **saving)
    assert monitor.run.status == "interrupted"
    assert not list((tmp_path / "out").glob("checkpoint*"))


def test_a_second_interrupt_ends_the_saving(train, tmp_path):
    def break_it(trainer):
        def slow(*args):
            raise KeyboardInterrupt

        trainer._save_optimizer_and_scheduler = slow

    saving = {"save_strategy": "steps", "save_steps": 100}
    monitor, _ = train({"s6": interrupt}, error=KeyboardInterrupt, before=break_it, **saving)
    assert monitor.run.status == "interrupted"
    assert [p.name for p in (tmp_path / "out").glob("*checkpoint*")] == ["incomplete-checkpoint-5"]

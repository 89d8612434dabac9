"""Controls on a real Trainer: each does what it says at the next step, and the training goes on."""

import threading
import time
import types

import numpy as np
import pytest
from transformers import TrainerCallback

from nbmonitor import TrainingMonitor, session
from tests.steering import answers, applied, available, click, training
from tests.tiny import RandomText


@pytest.fixture
def train(tmp_path):
    yield from training(tmp_path)


# ---------------------------------------------------------------------- pause, stop


def test_pause_holds_the_training_until_somebody_else_resumes_it(train):
    held, pumped = threading.Event(), []

    def resume_later(monitor):
        def other_thread():
            while monitor.run.status != "paused" or len(pumped) < 3:
                held.wait(0.005)
            pumped.append(monitor.run.step)
            monitor.resume()

        def pump(*, force=False):
            pumped.append(force)
            return type(monitor).pump(monitor, force=force)

        monitor.pump = pump
        click("pause")(monitor)
        threading.Thread(target=other_thread).start()

    monitor, _ = train({"s3": resume_later})

    assert applied(monitor) == [("pause", 3), ("resume", 3)]
    assert 3 in pumped
    assert True in pumped  # the page was looked after without regard to the usual pace
    states = [e["data"]["status"] for e in monitor.run.events("status")]
    assert states == ["running", "paused", "running", "finished"]
    sources = [e["data"]["source"] for e in monitor.run.events("control")]
    assert sources == ["page", "python"]
    assert monitor.run.points("train/loss")[0].tolist() == list(range(1, 9))


def test_a_pause_is_no_step_time_and_not_expected_again(train, monkeypatch):
    """An hour goes by in the pause and another in an evaluation that a viewer asks for."""
    hours = [0]
    clock = types.SimpleNamespace(
        time=time.time, perf_counter=lambda: time.perf_counter() + 3600 * hours[0]
    )
    monkeypatch.setattr(session, "time", clock)

    def ask(monitor):
        for name in ("pause", "evaluate"):
            click(name)(monitor)

        def an_hour_later(seconds):
            hours[0] += 1
            monitor.resume()

        monitor._session.steering.controls.wait = an_hour_later

    def slow(trainer):
        evaluate = trainer.evaluate

        def an_hour(**options):
            hours[0] += 1
            return evaluate(**options)

        trainer.evaluate = an_hour

    monitor, _ = train({"s4": ask}, eval_data=RandomText(8), before=slow)
    assert hours == [2]
    assert max(monitor.run.points("train/step_time")[1]) < 3600
    assert max(monitor.run.points("train/eta")[1]) < 3600


def test_interrupting_a_pause_ends_the_run_as_interrupted(train, monkeypatch):
    def pause(monitor):
        monitor.pause()
        monitor._session.steering.controls.wait = interrupt

    def interrupt(seconds):
        raise KeyboardInterrupt

    monitor, _ = train({"s2": pause}, error=KeyboardInterrupt)
    assert monitor.run.status == "interrupted"
    assert monitor.run.status_message == "interrupted at step 2"


def test_closing_the_monitor_ends_a_pause(train):
    def pause(monitor):
        monitor.pause()

        def close():
            while monitor.run.status != "paused":
                closed.wait(0.005)
            monitor.close()

        closed = threading.Event()
        threading.Thread(target=close).start()

    monitor, trainer = train({"s2": pause})
    assert trainer.state.global_step == 8
    assert monitor.run.status_message == "the monitor was closed"


@pytest.mark.parametrize("strategy", ["no", "epoch"])
def test_stop_ends_the_training_at_once_and_says_who_did_it(train, strategy):
    evaluated = {"eval_data": RandomText(8), "eval_strategy": strategy, "save_strategy": strategy}
    monitor, trainer = train({"s3": click("stop")}, **evaluated)
    assert trainer.state.global_step == 3
    assert monitor.run.status == "interrupted"
    assert monitor.run.status_message == "stopped by the viewer at step 3"
    assert not monitor.run.events("evaluate") + monitor.run.events("checkpoint")
    trainer.train()
    assert (trainer.state.global_step, monitor.run.status) == (8, "finished")


def test_stop_works_in_a_pause_and_nothing_follows_it(train):
    def pause_and_stop(monitor):
        for name in ("pause", "stop", "evaluate"):
            click(name)(monitor)

    monitor, trainer = train({"s3": pause_and_stop}, eval_data=RandomText(8))
    assert trainer.state.global_step == 3
    assert answers(monitor)[-1] == ("evaluate", "refused", "the run is being stopped")
    assert monitor.run.status == "interrupted"


def test_save_and_stop_leaves_a_checkpoint_that_goes_on_identically(train, tmp_path):
    whole, _ = train(output_dir=str(tmp_path / "whole"))
    first, trainer = train({"s4": lambda monitor: monitor.stop(save=True)})
    assert trainer.state.global_step == 4
    assert first.run.status_message == "stopped from Python at step 4"
    second, _ = train(resume=True)
    losses = [m.run.points("train/loss")[1] for m in (whole, first, second)]
    np.testing.assert_allclose(losses[0][:4], losses[1], rtol=1e-6)
    np.testing.assert_allclose(losses[0][4:], losses[2][-4:], rtol=1e-5)


# ---------------------------------------------------------------------- checkpoint, evaluate


def test_checkpoint_and_evaluation_happen_in_a_pause_too(train, tmp_path):
    seen = {}

    def pause(monitor):
        for name in ("pause", "checkpoint", "evaluate"):
            click(name)(monitor)

        def look():
            while len(applied(monitor)) < 3:
                wait.wait(0.005)
            seen["status"] = monitor.run.status
            seen["saved"] = (tmp_path / "out" / "checkpoint-3" / "trainer_state.json").is_file()
            monitor.resume()

        wait = threading.Event()
        threading.Thread(target=look).start()

    monitor, trainer = train({"s3": pause}, eval_data=RandomText(8))
    assert seen == {"status": "paused", "saved": True}
    assert [name for name, _ in applied(monitor)] == ["pause", "checkpoint", "evaluate", "resume"]
    assert monitor.run.points("eval/loss")[0].tolist() == [3]
    assert [e["step"] for e in monitor.run.events("checkpoint")] == [3]
    # What the Trainer had planned for that step was done all the same.
    assert [e["step"] for e in trainer.state.log_history if "loss" in e] == list(range(1, 9))


def test_an_evaluation_on_request_is_no_step_of_a_plateau(train):
    options = {
        "lr_scheduler_type": "reduce_lr_on_plateau",
        "lr_scheduler_kwargs": {"patience": 0, "factor": 0.1},
        "eval_strategy": "steps",
        "eval_steps": 100,
        "eval_data": RandomText(8),
        "metric_for_best_model": "loss",
        "greater_is_better": True,  # so that every evaluation but the first is worse
    }
    asked = {f"s{n}": click("evaluate", identity=str(n)) for n in (2, 3, 4)}
    monitor, _ = train(asked, **options)
    assert monitor.run.points("eval/loss")[0].tolist() == [2, 3, 4, 8]
    assert set(monitor.run.points("train/learning_rate")[1].tolist()) == {np.float64(5e-5)}


def test_without_anything_to_evaluate_it_is_refused(train):
    def ask(monitor):
        with pytest.raises(RuntimeError, match="evaluate is not possible: the Trainer has no eval"):
            monitor.evaluate()
        click("evaluate")(monitor)

    monitor, _ = train({"s2": ask})
    assert answers(monitor) == [("evaluate", "refused", "the Trainer has no eval_dataset")]
    assert not applied(monitor)


def test_an_evaluation_that_fails_is_reported_and_the_training_goes_on(train):
    def broken(prediction):
        raise ValueError("no such metric")  # noqa: TRY003

    def break_it(trainer):
        trainer.compute_metrics = broken

    monitor, trainer = train({"s2": click("evaluate")}, eval_data=RandomText(8), before=break_it)
    assert (trainer.state.global_step, monitor.run.status) == (8, "finished")
    assert answers(monitor) == [("evaluate", "failed", "ValueError: no such metric")]
    (alert,) = monitor.run.events("alert")
    assert "no such metric; the training goes on" in alert["data"]["message"]
    assert "in broken" in alert["data"]["traceback"]
    logged = [e["step"] for e in trainer.state.log_history if "loss" in e]
    assert logged == list(range(1, 9))


def test_a_checkpoint_that_fails_stops_nothing_and_leaves_no_trap(train, tmp_path):
    def break_it(trainer):
        def broken(*args):
            raise OSError("disk full")  # noqa: TRY003

        trainer._save_optimizer_and_scheduler = broken

    monitor, trainer = train({"s2": click("save_and_stop")}, before=break_it)
    assert (trainer.state.global_step, monitor.run.status) == (8, "finished")
    assert answers(monitor) == [("save_and_stop", "failed", "OSError: disk full")]
    names = [path.name for path in (tmp_path / "out").iterdir()]
    assert "incomplete-checkpoint-2" in names
    assert "checkpoint-2" not in names


# ---------------------------------------------------------------------- cadence


def test_logs_come_at_the_new_pace_for_this_run_only(train):
    monitor, trainer = train({"s3": click("cadence", {"logging_steps": 2})}, max_steps=9)
    logged = [e["step"] for e in trainer.state.log_history if "loss" in e]
    assert logged == [1, 2, 3, 4, 6, 8]
    assert trainer.args.logging_steps == 1
    assert "logs every 2 steps, not 1" in monitor.run.events("control")[0]["data"]["message"]


def test_logs_by_epoch_have_no_pace_in_steps(train):
    ask = {"s2": lambda monitor: monitor.set_cadence(3)}
    monitor, _ = train(ask, logging_strategy="epoch")
    ((_, state, message),) = answers(monitor)
    assert state == "refused"
    assert "logging_strategy" in message


def test_a_probe_measures_at_the_new_pace(train):
    def ask(monitor):
        monitor.set_cadence(probe="loss", every=3)
        monitor.set_cadence(probe="host", every=3)
        click("cadence", {"probe": "nobody", "every": 3})(monitor)

    monitor, _ = train({"s2": ask}, max_steps=10)
    assert monitor.run.points("train/loss")[0].tolist() == [1, 2, 3, 6, 9]
    states = [(state, message) for _, state, message in answers(monitor)]
    assert states[0] == ("applied", "probe loss every 3 steps, not 1")
    assert [state for state, _ in states[1:]] == ["refused"] * 2
    assert "no probe 'nobody' measures by steps here; these do: " in states[2][1]


# ---------------------------------------------------------------------- when not


def test_without_a_running_training_python_is_told(train):
    monitor = TrainingMonitor(run_dir=False)
    with pytest.raises(RuntimeError, match="pause is not possible: no training is running yet"):
        monitor.pause()
    monitor.close()
    monitor, _ = train()
    for method in ("pause", "resume", "stop", "checkpoint", "evaluate", "undo_learning_rate"):
        with pytest.raises(RuntimeError, match="the run is over: finished"):
            getattr(monitor, method)()


def test_bad_calls_from_python_say_what_is_allowed(train):
    def ask(monitor):
        with pytest.raises(TypeError, match="either a value or multiply"):
            monitor.set_learning_rate()
        with pytest.raises(ValueError, match="above 0, -1 was given"):
            monitor.set_learning_rate(-1)
        with pytest.raises(TypeError, match="either logging_steps"):
            monitor.set_cadence(probe="loss")
        with pytest.raises(ValueError, match="1 step or more"):
            monitor.set_cadence(0)
        with pytest.raises(RuntimeError, match="no change of the learning rate"):
            monitor.undo_learning_rate()
        with pytest.raises(RuntimeError, match="not paused"):
            monitor.resume()
        asked.append(True)

    asked = []
    train({"s2": ask})
    assert asked


def test_what_comes_too_late_is_refused(train):
    class Late(TrainerCallback):
        def on_train_end(self, args, state, control, **kwargs):
            click("pause")(late[0])

    late = []
    monitor, _ = train({"s1": late.append}, before=lambda trainer: trainer.add_callback(Late()))
    assert answers(monitor) == [("pause", "refused", "the run is over: finished")]


def test_one_process_of_several_is_not_steered(train, monkeypatch):
    def look(monitor):
        trainer = monitor._attached._trainer
        with monkeypatch.context() as patched:
            patched.setattr(type(trainer.args), "world_size", property(lambda _: 2))
            reasons.update(monitor._attached._steering.obstacles())

    reasons = {}
    train({"s2": look})
    assert "2 processes" in reasons["pause"]
    assert set(reasons) >= {"stop", "learning_rate", "evaluate"}


def test_the_page_is_told_what_is_possible(train):
    seen = {}
    monitor, _ = train({"s2": lambda m: seen.update(available(m))}, eval_data=RandomText(8))
    possible = {name for name, reason in seen.items() if not reason}
    assert possible == {
        "pause",
        "stop",
        "save_and_stop",
        "checkpoint",
        "evaluate",
        "learning_rate",
        "cadence",
    }
    assert set(available(monitor).values()) == {"the run is over: finished"}

"""Probes under the one guard: what is measured is recorded, what raises is switched off."""

import threading

import pytest

from nbmonitor.engine import Engine
from nbmonitor.probe import Batch, Context, Panel, Probe, Series, Step
from nbmonitor.run import Run


class Doubler(Probe):
    name = "doubler"
    every = 10
    series = (Series("d/*", unit="s"),)
    panels = (Panel("d", "Doubled", "line", ("d/*",), order=5),)

    def on_step(self, step):
        return {"raw": step.number}

    def derive(self, step, host):
        return {"d/twice": 2 * host["raw"]}

    def on_end(self, step):
        return {"raw": step.number}


class Faulty(Probe):
    name = "faulty"
    panels = (Panel("f", "Faulty", "line", ("f",)),)

    def __init__(self, hook, error=None):
        self.calls = 0
        error = error or RuntimeError("no such luck")

        def fail(*_):
            self.calls += 1
            raise error

        setattr(self, hook, fail)


def steps(engine, count):
    engine.begin(Context())
    for number in range(1, count + 1):
        engine.batch(Batch({}, 1))
        engine.step(Step(number, 0.0))
    engine.log(count, {"eval/loss": 1.0})
    engine.tick()
    engine.end(Step(count, 0.0))


def test_a_probe_runs_at_its_cadence_at_the_first_step_and_at_the_end():
    run = Run()
    steps(Engine(run, [Doubler()]), 25)

    assert run.points("d/twice")[0].tolist() == [1, 10, 20, 25]
    assert run.points("d/twice")[1].tolist() == [2, 20, 40, 50]
    assert run.series_since(0)[0]["unit"] == "s"


@pytest.mark.parametrize(
    "hook", ["absent", "on_begin", "on_batch", "on_step", "on_log", "on_tick", "on_end"]
)
def test_a_probe_that_raises_is_off_for_the_run_and_reported_once(hook):
    run, faulty = Run(), Faulty(hook)
    engine = Engine(run, [faulty, Doubler()])
    steps(engine, 3)

    assert faulty.calls == 1
    (event,) = run.events("probe_error")
    assert "no such luck" in event["data"]["message"]
    assert "Traceback" in event["data"]["traceback"]
    assert run.last("d/twice") == 6
    (panel,) = [p for p in engine.panels() if p["id"] == "f"]
    assert "switched off" in panel["absent"] or hook == "absent"


def test_a_probe_whose_derivation_raises_is_off_too():
    run = Run()
    probe = Doubler()
    probe.derive = lambda step, host: 1 / 0
    steps(Engine(run, [probe]), 12)

    assert run.keys == []
    assert len(run.events("probe_error")) == 1


def test_ctrl_c_inside_a_probe_goes_through():
    engine = Engine(Run(), [Faulty("on_step", KeyboardInterrupt())])
    engine.begin(Context())
    with pytest.raises(KeyboardInterrupt):
        engine.step(Step(1, 0.0))


def test_a_probe_off_in_one_run_gets_another_chance_in_the_next():
    run, faulty = Run(), Faulty("on_step")
    engine = Engine(run, [faulty])
    steps(engine, 3)
    steps(engine, 3)
    assert faulty.calls == 2


def test_an_absent_probe_is_never_asked_and_its_panel_says_why():
    class Absent(Faulty):
        name = "absent"

        def absent(self, context):
            return "no such thing here: install it"

    probe = Absent("on_step")
    engine = Engine(Run(), [probe])
    steps(engine, 3)

    assert probe.calls == 0
    assert engine.panels()[0]["absent"] == "no such thing here: install it"


def test_logged_values_that_are_no_numbers_are_noted_once_and_the_rest_is_kept():
    class Keep(Probe):
        name = "keep"

        def on_log(self, step, metrics):
            return metrics

    run = Run()
    engine = Engine(run, [Keep()])
    engine.begin(Context())
    for step in range(3):
        engine.log(step, {"loss": 1.0, "mode": "warmup", "list": [1, 2]})

    assert run.keys == ["train/loss"]
    notes = [e["data"]["message"] for e in run.events("note")]
    assert len(notes) == 2
    assert "'warmup'" in notes[0]


def test_ten_thousand_logged_keys_are_all_kept():
    class Keep(Probe):
        name = "keep"

        def on_log(self, step, metrics):
            return metrics

    run = Run()
    engine = Engine(run, [Keep()])
    engine.log(1, {f"custom/k{n}": float(n) for n in range(10_000)})
    assert len(run.keys) == 10_000
    assert run.last("custom/k9999") == 9999.0


def test_reading_the_run_brings_in_what_the_training_thread_left():
    run = Run()
    engine = Engine(run, [Doubler()])
    engine.begin(Context())
    engine.step(Step(1, 0.0))
    assert run.history()["d/twice"].tolist() == [2.0]


def test_settling_from_many_threads_keeps_the_order():
    run = Run()
    probe = Doubler()
    probe.every = 1
    engine = Engine(run, [probe])
    engine.begin(Context())
    readers = [
        threading.Thread(target=lambda: [engine.settle() for _ in range(300)]) for _ in range(3)
    ]
    for thread in readers:
        thread.start()
    for number in range(1, 2001):
        engine.step(Step(number, 0.0))
    for thread in readers:
        thread.join()
    assert run.points("d/twice")[0].tolist() == list(range(1, 2001))


def test_what_is_no_probe_is_refused_by_name():
    with pytest.raises(TypeError, match="Probe"):
        Engine(Run(), [42])
    with pytest.raises(ValueError, match="doubler"):
        Engine(Run(), [Doubler(), Doubler()])


def test_probes_hear_of_what_the_loop_evaluated_or_saved():
    class Listener(Probe):
        name = "listener"
        series = (Series("l/heard"),)

        def on_mark(self, step, reason):
            return {"l/heard": float(len(reason))}

    run = Run()
    engine = Engine(run, [Listener(), Faulty("on_mark")])
    engine.begin(Context(), step=3)
    engine.mark(Step(3, 0.0), "evaluation")
    engine.mark(Step(4, 0.0), "checkpoint")
    engine.settle(wait=True)
    assert run.points("l/heard")[1].tolist() == [len("evaluation"), len("checkpoint")]
    (error,) = run.events("probe_error")
    assert error["data"]["hook"] == "fail"


def test_a_context_says_where_the_run_begins():
    context = Context()
    Engine(Run(), []).begin(context, step=7)
    assert context.step == 7

"""The queue of controls: what is taken, what is refused and with which words."""

import math
import sys
import threading
import types

import pytest

from nbmonitor import TrainingMonitor, colab
from nbmonitor.controls import NAMES, Controls, check


@pytest.fixture
def controls():
    made = Controls()
    made.open()
    return made


def ask(name, value=None, identity="a"):
    return {"kind": "control", "id": identity, "name": name, "value": value}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("dance", None, "there are pause, resume"),
        (None, None, "no control None"),
        (["stop"], None, r"no control \['stop'\]"),
        ("pause", 3, "pause takes no value; 3 was given"),
        ("learning_rate", None, r'takes \{"multiply": x\} or \{"set": x\}; None was given'),
        ("learning_rate", {"multiply": 0}, "a number above 0, 0 was given"),
        ("learning_rate", {"multiply": -1}, "above 0"),
        ("learning_rate", {"set": math.nan}, "above 0, nan was given"),
        ("learning_rate", {"set": math.inf}, "above 0, inf was given"),
        ("learning_rate", {"set": "1e-3"}, "takes a number, str '1e-3' was given"),
        ("learning_rate", {"set": True}, "takes a number, bool True"),
        ("learning_rate", {"set": 1.0, "multiply": 2.0}, "or"),
        ("cadence", {"logging_steps": 0}, "1 step or more, 0 was given"),
        ("cadence", {"logging_steps": 1.5}, "whole number of steps, 1.5 was given"),
        ("cadence", {"probe": "lora"}, '"every": n'),
        ("cadence", "x" * 500, "…"),
    ],
)
def test_bad_controls_are_refused_with_what_is_allowed(controls, name, value, words):
    with pytest.raises((TypeError, ValueError), match=words):
        controls.submit(name, value)
    refused = controls.receive(ask(name, value))
    assert refused.state == "refused"
    with pytest.raises((TypeError, ValueError), match=words) as error:
        check(name, value)
    assert refused.message == str(error.value)
    assert not controls.waiting


def test_good_values_come_in_one_form():
    assert check("cadence", {"logging_steps": 5.0}) == {"logging_steps": 5}
    assert check("cadence", {"probe": "lora", "every": 10}) == {"probe": "lora", "every": 10}
    assert check("learning_rate", {"multiply": 2}) == {"multiply": 2.0}
    assert [check(name, None) for name in NAMES[:6]] == [None] * 6


def test_the_page_hears_of_every_state(controls):
    told = []
    controls._changed = lambda: told.append(controls.recent())
    request = controls.receive(ask("pause"))
    taken = controls.take()
    controls.settle(taken, "applied", "paused", 7)
    assert taken is request
    assert [entry[0]["state"] for entry in told] == ["queued", "applied"]
    assert told[-1] == [
        {
            "id": "a",
            "name": "pause",
            "value": None,
            "state": "applied",
            "message": "paused",
            "step": 7,
        }
    ]


def test_a_repeated_message_is_ignored(controls):
    assert controls.receive(ask("pause")) is not None
    assert controls.receive(ask("pause")) is None
    controls.take()
    assert controls.receive(ask("stop")) is None
    assert controls.take() is None


def test_nothing_is_taken_before_and_after_a_run():
    controls = Controls()
    with pytest.raises(RuntimeError, match="pause: no training is running yet"):
        controls.submit("pause")
    controls.open()
    waiting = controls.submit("pause")
    controls.close("the run is over: finished")
    assert (waiting.state, waiting.message) == ("refused", "the run is over: finished")
    assert controls.receive(ask("stop")).message == "the run is over: finished"


def test_a_flood_is_bounded_and_what_waits_stays_listed(controls):
    made = [controls.receive(ask("pause", identity=str(n))) for n in range(100)]
    states = [request.state for request in made]
    assert states.count("queued") == 16
    assert "controls wait for the next step already" in made[-1].message
    listed = controls.recent()
    assert len(listed) == 20
    assert [entry["id"] for entry in listed if entry["state"] == "queued"] == [
        str(n) for n in range(16)
    ]


def test_many_threads_lose_nothing():
    controls = Controls()
    controls.open()
    taken, accepted = [], []

    def submit():
        for _ in range(200):
            while True:
                try:
                    accepted.append(controls.submit("checkpoint"))
                    break
                except RuntimeError:
                    controls.wait(0.001)

    threads = [threading.Thread(target=submit) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) or controls.waiting:
        request = controls.take()
        if request is not None:
            taken.append(request.id)
            controls.settle(request, "applied", "", 1)
    assert sorted(taken) == sorted(request.id for request in accepted)
    assert len(set(taken)) == 800


def test_waiting_ends_when_something_arrives(controls):
    threading.Timer(0.05, lambda: controls.submit("pause")).start()
    while not controls.waiting:
        controls.wait(30)
    assert controls.take().name == "pause"


# ---------------------------------------------------------------------- Colab


@pytest.fixture
def page(monkeypatch):
    """A pretended google.colab, whose page holds controls and may be gone."""
    made = types.SimpleNamespace(controls=[], questions=[], gone=False)

    def eval_js(script, ignore_result=False, timeout_sec=None):
        assert timeout_sec is not None
        made.questions.append(script)
        if made.gone:
            raise TimeoutError
        found, made.controls = made.controls, []
        return found

    module = types.ModuleType("google.colab")
    module.output = types.SimpleNamespace(eval_js=eval_js)
    monkeypatch.setitem(sys.modules, "google.colab", module)
    monkeypatch.setattr(colab, "INTERVAL", 0.0)
    monkeypatch.setattr(colab, "PAUSED_INTERVAL", 0.0)
    monkeypatch.setattr(colab, "SHARE", 1e9)
    return made


def test_in_colab_controls_are_fetched_from_the_page(page):
    monitor = TrainingMonitor(run_dir=False)
    try:
        assert monitor.capabilities["host"] == "colab"
        torch = pytest.importorskip("torch")
        monitor.watch(torch.nn.Linear(1, 1))
        monitor.step(1.0)
        page.controls.append(ask("pause"))
        page.controls.append(ask("resume", identity="b"))
        page.controls.append("nonsense")
        monitor.step(1.0)
        assert [e["data"]["name"] for e in monitor.run.events("control")] == ["pause", "resume"]
        assert set(page.questions) == {
            f'(globalThis.nbmonitorControls?.["{monitor.picture_id}"] ?? []).splice(0)'
        }
        page.gone = True
        monitor.step(1.0)
        assert monitor.run.status == "running"
    finally:
        monitor.close()


def test_the_pump_makes_questions_to_colab_needless(page, monkeypatch):
    monitor = TrainingMonitor(run_dir=False)
    monitor.pump()
    assert len(page.questions) == 1
    with monkeypatch.context() as patched:
        patched.setattr(type(monitor._pump), "__call__", lambda self, *, force=False: 1)
        monitor.pump()
    monitor.pump()
    assert len(page.questions) == 1
    monitor.close()


def test_questions_cost_little_of_the_training(page, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(colab, "time", types.SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(colab, "SHARE", 0.002)

    def slow(script, timeout_sec):
        now[0] += 0.1
        page.questions.append(script)
        return []

    mail = colab.ColabMail(slow, "id")
    for _ in range(10_000):
        mail(paused=False)
        now[0] += 0.02
    asked = len(page.questions)
    assert 1 <= asked <= 1 + now[0] * 0.002 / 0.1
    assert mail(paused=True) == []
    assert len(page.questions) == asked + 1


def test_a_colab_without_a_time_limit_is_not_asked(monkeypatch):
    module = types.ModuleType("google.colab")
    module.output = types.SimpleNamespace(eval_js=lambda script: 1 / 0)
    monkeypatch.setitem(sys.modules, "google.colab", module)
    assert colab.colab_mail("id") is None
    monkeypatch.delitem(sys.modules, "google.colab")
    assert colab.colab_mail("id") is None

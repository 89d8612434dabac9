"""Alerts of the user's own code, and a function that hears of every alert."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from tiny import tiny_trainer
from transformers import TrainerCallback

from nbmonitor import Run, TrainingMonitor
from nbmonitor.announcer import Announcer


def monitor(**given: Any) -> TrainingMonitor:
    return TrainingMonitor(run_dir=False, autosave=False, **given)


def test_an_alert_has_the_form_that_all_have() -> None:
    watched = monitor()
    watched.alert("Reward is gone", "0 for 100 steps", "critical")
    (event,) = watched.run.events("alert")
    data = event["data"]
    assert (data["title"], data["message"]) == ("Reward is gone", "0 for 100 steps")
    assert (data["severity"], data["state"], data["rule"]) == ("critical", "raised", "user")
    assert data["window"] == [0, 0]
    # A message is no condition that would be open until something clears it.
    assert watched.run.summary()["alerts"] == []
    with pytest.raises(ValueError, match="info, warning, critical"):
        watched.alert("x", level="fatal")
    watched.close()


def test_a_function_hears_of_alerts_off_the_training_thread(tmp_path: Any) -> None:
    heard: list[tuple[str, dict[str, Any]]] = []

    class Mine(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == 2:
                watched.alert("Two", "steps", "info")

    trainer = tiny_trainer(tmp_path, callbacks=[Mine()])
    watched = TrainingMonitor(
        trainer,
        run_dir=False,
        autosave=False,
        on_alert=lambda alert: heard.append((threading.current_thread().name, alert)),
    )
    trainer.train()
    mine = [(name, a) for name, a in heard if a["title"] == "Two"]  # without any waiting here
    ((name, alert),) = mine
    assert name != threading.main_thread().name
    assert (alert["step"], alert["severity"], alert["message"]) == (2, "info", "steps")
    watched.close()
    assert len([a for _, a in heard if a["title"] == "Two"]) == 1


def test_a_slow_function_holds_up_nobody() -> None:
    free = threading.Event()
    heard: list[str] = []

    def slow(alert: dict[str, Any]) -> None:
        free.wait(10)
        heard.append(alert["title"])

    watched = monitor(on_alert=slow)
    started = time.monotonic()
    for n in range(3):
        watched.alert(str(n))
    assert time.monotonic() - started < 0.5
    free.set()
    watched.close()
    assert heard == ["0", "1", "2"]


def test_a_function_that_raises_is_reported_once_and_called_again() -> None:
    called = []

    def bad(alert: dict[str, Any]) -> None:
        called.append(alert["title"])
        msg = "no network"
        raise OSError(msg)

    watched = monitor(on_alert=bad)
    watched.alert("one")
    watched.alert("two")
    watched.close()
    assert called == ["one", "two"]
    notes = [e["data"]["message"] for e in watched.run.events("note")]
    (note,) = [n for n in notes if "on_alert" in n]
    assert "OSError: no network" in note


@pytest.mark.parametrize("given", ["print", 3])
def test_what_cannot_be_called_is_refused(given: Any) -> None:
    with pytest.raises(TypeError, match="on_alert takes a function"):
        monitor(on_alert=given)


def raised(title: str, **given: Any) -> dict[str, Any]:
    return {"id": title, "title": title, "severity": "warning", "state": "raised", **given}


def test_only_what_is_raised_from_now_on_is_told() -> None:
    run = Run()
    run.event("alert", 1, raised("before"))
    heard: list[str] = []
    announcer = Announcer(run, lambda alert: heard.append(alert["title"]))
    run.event("alert", 2, raised("now"))
    run.event("alert", 3, raised("now", state="cleared"))
    run.event("note", 3, {"message": "no alert"})
    announcer.look()
    # A run that goes on from its file has events from before put in front of its own.
    old: Any = {"kind": "alert", "step": 0, "time": time.time() - 60, "data": raised("recorded")}
    run.lay_events([old], first=True)
    announcer.look()
    run.event("alert", 4, {"severity": "warning", "title": "of an older form", "message": "…"})
    announcer.look()
    run.restart()
    run.event("alert", 0, raised("of the next run"))
    announcer.close()
    assert heard == ["now", "of an older form", "of the next run"]

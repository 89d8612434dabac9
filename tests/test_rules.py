"""Rules as such: what becomes of a finding, and rules in a monitor."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import transformers
from curves import STARTED, Training, alerts, watched
from tiny import tiny_trainer

from nbmonitor import Rule, TrainingMonitor
from nbmonitor.lookback import Lookback
from nbmonitor.rule import Finding
from nbmonitor.rulebook import Rulebook
from nbmonitor.rules import discover
from nbmonitor.run import Run

# ---------------------------------------------------------------------- what becomes of a finding


class High(Rule):
    """The newest loss is high."""

    name = "high"
    keys = ("train/loss",)
    every = 1
    calm = 3
    rest = 10

    def look(self, seen: Lookback) -> Iterator[Finding]:
        step, value, _ = seen.tracks["train/loss"].last
        if value > (5 if self.opened else 10):
            yield self.finding(
                "High", f"{value}", "lower it", window=(step, step), value=value,
                severity="critical" if value > 100 else "warning",
            )  # fmt: skip


class Broken(Rule):
    """Raises."""

    name = "broken"
    keys = ("train/loss",)
    every = 2

    def look(self, seen: Lookback) -> Iterator[Finding]:
        raise RuntimeError("luck")


def told(
    losses: list[float], *rules: Rule, start: int = 1
) -> tuple[Run, list[tuple[int, str, str]]]:
    run = Run()
    run.set_status("running")
    book = Rulebook(run, rules)
    for step, loss in enumerate(losses, start):
        rows = [(step, {"train/loss": loss}, STARTED + step)]
        run.extend(rows)
        book.watch(rows)
    data = [(e["step"], e["data"]) for e in run.events("alert")]
    found = [(step, d["state"], d["severity"]) for step, d in data if d["rule"] == "high"]
    return run, found


def test_an_alert_is_raised_once_and_cleared_when_it_has_been_away():
    run, found = told([1, 20, 20, 20, 1, 1, 1, 1], High())
    assert found == [(2, "raised", "warning"), (7, "cleared", "warning")]
    raised, cleared = (e["data"] for e in run.events("alert"))
    assert raised == {
        "id": "high", "rule": "high", "severity": "warning", "state": "raised", "title": "High",
        "message": "20", "action": "lower it", "key": None, "panel": None, "window": [2, 2],
        "confidence": None, "value": 20.0,
    }  # fmt: skip
    assert cleared["message"] == "High: no longer found at step 7"


def test_a_rule_asks_less_of_an_alert_that_stands():
    _, found = told([20, 6, 6, 6, 6, 6, 1, 1, 1], High())
    assert found == [(1, "raised", "warning"), (9, "cleared", "warning")]


def test_a_short_break_clears_nothing():
    _, found = told([20, 1, 1, 20, 1, 1, 20, 1, 1], High())
    assert found == [(1, "raised", "warning")]


def test_what_becomes_graver_is_told_and_what_becomes_milder_is_not():
    _, found = told([20, 200, 20, 200], High())
    assert found == [(1, "raised", "warning"), (2, "raised", "critical")]


def test_what_comes_again_and_again_rests_twice_as_long_each_time():
    _, found = told([20, 1, 1, 1] * 40, High())
    raised = [step for step, state, _ in found if state == "raised"]
    assert raised[0] == 1
    # Three looks to be cleared, then a rest of 10, 20 and 40 steps, up to the next high loss.
    assert np.diff(raised).tolist() == [16, 24, 44]


def test_a_rule_that_raises_is_off_and_the_others_go_on():
    run, found = told([1, 1, 20, 1], Broken(), High())
    assert found == [(3, "raised", "warning")]
    (error,) = run.events("probe_error")
    assert "rule 'broken' raised and is off for this run" in error["data"]["message"]
    assert "RuntimeError: luck" in error["data"]["traceback"]


def test_another_run_starts_with_a_clean_book():
    run = Run()
    run.set_status("running")
    book = Rulebook(run, [High()])
    book.watch([(1, {"train/loss": 20.0}, STARTED)])
    run.set_status("finished")
    run.step = 1
    run.restart()
    run.set_status("running")
    book.watch([(1, {"train/loss": 20.0}, STARTED)])
    assert [e["data"]["state"] for e in run.events("alert")] == ["raised"]


def test_what_was_open_before_a_resume_is_cleared_after_it():
    """Also by another process, which knows only what the run file holds."""
    first, _ = told([1, 20], High())
    run = Run()
    run.lay_events(first.events_since(0))
    run.set_status("running")
    book = Rulebook(run, [High()])
    for step in range(3, 8):
        book.watch([(step, {"train/loss": 6.0 if step < 5 else 1.0}, STARTED)])
    found = [(e["step"], e["data"]["state"]) for e in run.events("alert")]
    assert found == [(2, "raised"), (7, "cleared")]


def test_refusals():
    with pytest.raises(TypeError, match="Rule objects"):
        Rulebook(Run(), [High])
    with pytest.raises(ValueError, match="two rules are named 'high'"):
        Rulebook(Run(), [High(), High()])
    with pytest.raises(ValueError, match="'loud' given"):
        High().finding("a", "b", "c", severity="loud")  # type: ignore[arg-type]


def test_a_sample_is_never_certain():
    rule = High()
    assert rule.finding("a", "b", "c", confidence=0.99999).confidence == 0.999
    assert rule.finding("a", "b", "c", confidence=1).confidence == 1
    assert rule.finding("a", "b", "c", value=math.nan).value is None


def test_every_rule_is_documented(root):
    page = (root / "docs" / "rules.md").read_text(encoding="utf-8")
    rules = discover()
    assert len({rule.name for rule in rules}) == len(rules) >= 15
    for rule in rules:
        assert f"`{rule.name}`" in page, rule.name
        assert type(rule).__doc__


# ---------------------------------------------------------------------- in a monitor


def test_a_users_rule_and_the_panel_in_a_real_training(tmp_path):
    class Always(Rule):
        """There is a loss."""

        name = "always"
        keys = ("train/loss",)
        every = 1

        def look(self, seen: Lookback) -> Iterator[Finding]:
            yield self.finding(
                "There is a loss", f"{seen.last('train/loss')}", "rejoice", severity="info"
            )

    trainer = tiny_trainer(tmp_path)
    monitor = TrainingMonitor(trainer, run_dir=False, rules=[Always()])
    trainer.train()
    assert [a["id"] for a in alerts(monitor.run)] == ["always"]
    (panel,) = [p for p in monitor.run.panels() if p["id"] == "alerts"]
    assert (panel["view"], panel["tab"], panel["order"]) == ("alerts", "quality", 20)
    # Another training of the same Trainer, another run.
    trainer.train()
    assert [a["id"] for a in alerts(monitor.run)] == ["always"]
    monitor.close()


def test_a_rule_that_raises_where_it_skips_is_off_and_the_others_go_on():
    class Hasty(Rule):
        """Fails before it has looked."""

        name = "hasty"
        keys = ("train/loss",)
        every = 1

        def skips(self, seen: Lookback, values: Any, start: int) -> int:
            raise ZeroDivisionError

    def fault(step: int, values: dict[str, float]) -> None:
        if step == 300 and "train/loss" in values:
            values["train/loss"] += 3

    run, _ = watched(Training(), fault, rules=[Hasty()])
    (error,) = run.events("probe_error")
    assert "'hasty' raised and is off" in error["data"]["message"]
    assert [a["id"] for a in alerts(run)] == ["loss_spike"]


def test_rules_never_look_on_the_training_thread(tmp_path):
    import threading

    threads: dict[int, str] = {}
    looked = threading.Event()

    class Where(Rule):
        """Notes the thread."""

        name = "where"
        keys = ("train/loss",)
        every = 1

        def look(self, seen: Lookback) -> tuple[Finding, ...]:
            threads[seen.step] = threading.current_thread().name
            if seen.step >= 10:
                looked.set()
            return ()

    class Wait(transformers.TrainerCallback):
        """Holds the training, which so can't be who looks."""

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 20:
                assert looked.wait(30)

    trainer = tiny_trainer(tmp_path, max_steps=25)
    monitor = TrainingMonitor(trainer, run_dir=False, rules=[Where()])
    trainer.add_callback(Wait())
    trainer.train()
    monitor.close()
    # What is left at the end is settled by whoever ends the run.
    assert threading.main_thread().name not in {threads[step] for step in threads if step <= 10}
    assert min(threads) <= 10


def test_a_spike_is_found_where_losses_are_negative():
    def fault(step: int, values: dict[str, float]) -> None:
        if "train/loss" in values:
            values["train/loss"] -= 5
            if step == 300:
                values["train/loss"] += 8

    run, _ = watched(Training(steps=500), fault)
    assert [(a["id"], a["step"]) for a in alerts(run)] == [("loss_spike", 300)]


def test_fp16_may_look_for_its_scale():
    for precision, expected in (("fp16 mixed", []), ("bf16 mixed", ["nonfinite_gradient"])):

        def fault(step: int, values: dict[str, float]) -> None:
            if "train/grad_norm" in values and step in {100, 101, 102}:
                values["train/grad_norm"] = math.inf

        run, _ = watched(Training(steps=200, precision=precision), fault)
        assert [a["id"] for a in alerts(run)] == expected

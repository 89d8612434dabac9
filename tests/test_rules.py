"""Rules as such: statistics against independent formulas, and what becomes of a finding."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import transformers
from curves import STARTED, Training, alerts, watched
from tiny import tiny_trainer

from nbmonitor import Rule, TrainingMonitor, changes
from nbmonitor.lookback import KEEP, Lookback, Track, fits
from nbmonitor.rule import Finding
from nbmonitor.rulebook import Rulebook
from nbmonitor.rules import discover
from nbmonitor.run import Run

# ---------------------------------------------------------------------- statistics


@pytest.mark.parametrize("count", [1, 2, 5, 20, 101])
def test_medians(count):
    values = np.random.default_rng(count).normal(size=count)
    assert changes.median(values) == pytest.approx(np.median(values), rel=1e-12)
    wide = np.median(np.abs(values - np.median(values))) * 1.4826
    assert changes.spread(values) == pytest.approx(wide, rel=1e-12)


def test_spreads_are_standard_deviations_of_normal_noise():
    values = np.random.default_rng(0).normal(3, 0.7, 20_000)
    assert changes.spread(values) == pytest.approx(0.7, rel=0.03)
    slope = values + np.linspace(0, 50, 20_000)
    assert changes.jitter(slope) == pytest.approx(0.7, rel=0.03)
    wide, strays = changes.wander(slope)
    assert wide == pytest.approx(0.7, rel=0.03)
    assert strays == pytest.approx(1.0, abs=0.05)


def test_wandering_noise_is_told():
    chance = np.random.default_rng(1)
    values, now = [], 0.0
    for _ in range(20_000):
        now = 0.8 * now + chance.normal()
        values.append(now)
    # sqrt((1 + 0.8) / (1 - 0.8)) = 3
    assert changes.wander(np.array(values))[1] == pytest.approx(3.0, rel=0.05)


@pytest.mark.parametrize("ties", [False, True])
def test_rank_sum_is_that_of_all_pairs(ties):
    """U by counting pairs, its variance by simulation of the permutation distribution."""
    chance = np.random.default_rng(5)
    ours, theirs = chance.normal(0.4, 1, 14), chance.normal(0, 1, 11)
    if ties:
        ours, theirs = np.round(ours), np.round(theirs)
    wins = sum((a > b) + 0.5 * (a == b) for a in ours for b in theirs)
    both = np.concatenate([ours, theirs])
    simulated = []
    for _ in range(4000):
        mixed = chance.permutation(both)
        simulated.append(
            (
                (mixed[:14, None] > mixed[None, 14:]) + 0.5 * (mixed[:14, None] == mixed[None, 14:])
            ).sum()
        )
    sure = np.mean(np.array(simulated) < wins) + 0.5 * np.mean(np.array(simulated) == wins)
    assert changes.larger(ours, theirs) == pytest.approx(sure, abs=0.02)
    assert changes.larger(theirs, ours) == pytest.approx(1 - changes.larger(ours, theirs), abs=1e-9)


def test_rank_sum_of_equal_or_no_values_knows_nothing():
    assert changes.larger(np.ones(9), np.ones(5)) == 0.5
    assert changes.larger(np.empty(0), np.ones(5)) == 0.5


def test_mann_kendall_by_hand():
    # S = 10, var = 5·4·15/18 = 16.67, z = 9 / 4.0825
    assert changes.rising(np.arange(5.0)) == pytest.approx(
        changes.normal_below(9 / math.sqrt(300 / 18))
    )
    assert changes.rising(-np.arange(5.0)) == pytest.approx(1 - changes.rising(np.arange(5.0)))
    assert changes.rising(np.ones(8)) == 0.5
    assert changes.rising(np.array([1.0, 2.0])) == 0.5
    assert changes.normal_below(1.959963985) == pytest.approx(0.975, abs=1e-9)


def test_lines_are_least_squares():
    chance = np.random.default_rng(2)
    x = np.sort(chance.uniform(0, 100, 40))
    y = 3 - 0.2 * x + chance.normal(0, 0.5, 40)
    (slope, offset), covariance = np.polyfit(x, y, 1, cov=True)
    found = changes.line(x, y)
    assert found.slope == pytest.approx(slope, rel=1e-9)
    assert found.start == pytest.approx(offset + slope * x[0], rel=1e-9)
    assert found.end == pytest.approx(offset + slope * x[-1], rel=1e-9)
    assert found.error == pytest.approx(math.sqrt(covariance[0, 0]), rel=1e-6)
    with pytest.raises(ValueError, match="needs 3"):
        changes.line(x[:2], y[:2])


def test_breaks_are_the_best_of_all_splits():
    chance = np.random.default_rng(3)
    x = np.arange(50.0) * 20 + 1e6
    y = np.where(np.arange(50) < 31, 5 - 0.1 * np.arange(50), 2.0) + chance.normal(0, 0.05, 50)

    def rest(a: Any, b: Any) -> float:
        return float(((b - np.polyval(np.polyfit(a - a[0], b, 1), a - a[0])) ** 2).sum())

    sums = {k: rest(x[:k], y[:k]) + rest(x[k:], y[k:]) for k in range(4, 47)}
    best = min(sums, key=sums.__getitem__)
    index, statistic = changes.broken(x, y)
    assert index == best
    assert abs(index - 31) <= 2
    expected = (rest(x, y) - sums[best]) / (sums[best] / 46)
    assert statistic == pytest.approx(expected, rel=1e-5)


def test_a_line_with_noise_is_seldom_broken():
    """At its own critical value (15.5) about one in a hundred; the phases ask for twice that."""
    chance = np.random.default_rng(4)
    x = np.arange(40.0)
    found = [changes.broken(x, 3 - 0.02 * x + chance.normal(0, 1, 40))[1] for _ in range(2000)]
    assert np.mean(np.array(found) > 31) < 0.002
    assert changes.broken(x[:5], x[:5]) == (0, 0.0)


# ---------------------------------------------------------------------- looking back


def test_a_track_keeps_its_last_rows():
    track = Track(keep=16)
    for step in range(1, 101):
        track.extend([(step, step / 2, STARTED + step)])
        kept = track.tail(5)
        assert kept[0].tolist() == list(range(max(1, step - 4), step + 1))
    assert track.rows == 100
    assert track.tail(1000).shape == (3, 16)
    assert track.tail(16)[:, -1].tolist() == [100, 50.0, STARTED + 100]
    assert Track().tail(3).shape == (3, 0)


def test_a_track_takes_many_rows_between_two_looks():
    track = Track()
    for step in range(5 * KEEP + 3):
        track.extend([(step, 1.0, 0.0)])
    assert track.tail(KEEP)[0].tolist() == list(range(4 * KEEP + 3, 5 * KEEP + 3))


@pytest.mark.parametrize(
    ("key", "pattern", "fit"),
    [
        ("train/loss", "train/loss", True),
        ("train/loss", "train/los", False),
        ("gpu/0/power", "gpu/*/power", True),
        ("gpu/0/a/power", "gpu/*/power", False),
        ("eval/a_loss", "eval/*_loss", True),
    ],
)
def test_patterns(key, pattern, fit):
    assert fits(key, pattern) is fit


def test_values_that_are_no_numbers_are_left_out():
    seen = Lookback(tracks={"a": Track()})
    for step, value in enumerate([1.0, math.nan, math.inf, 2.0]):
        seen.tracks["a"].extend([(step, value, 0.0)])
    assert seen.finite("a")[1].tolist() == [1.0, 2.0]
    assert seen.tail("a").shape == (3, 4)
    assert seen.last("b") is None
    assert seen.rows("b") == 0
    assert seen.tail("b").shape == (3, 0)


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

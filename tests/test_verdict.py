"""The verdict says what the evidence says, with its panel, and nothing without evidence."""

from __future__ import annotations

from typing import Any

import pytest

from nbmonitor.evidence import open_alerts
from nbmonitor.intervals import wilson
from nbmonitor.trend import trends
from nbmonitor.verdict import Course, Evidence, compose


def fixed(**given: Any) -> dict[str, Any]:
    low, high = wilson(815, 1000)
    return {
        "step": 16_000, "n": 1000, "exact_match": 0.815, "low": low, "high": high,
        "cross_entropy": 1.25, "ece": 0.16, "drift": None,
        "best": {"step": 15_200, "exact_match": 0.82, "checkpoint": "checkpoint-15200",
                 "checkpoint_step": 15_200},
        "trend": {"exact_match": {"state": "plateau", "since": 14_000}, "cross_entropy": {}},
        **given,
    }  # fmt: skip


def patterns(**counts: tuple[int, int]) -> dict[str, Any]:
    rows = [{"seen": seen, "correct": correct} for seen, correct in counts.values()]
    return {"step": 16_000, "patterns": list(counts), "rows": rows}


def adapter(state: str, **given: Any) -> dict[str, Any]:
    top = [{"layer": n, "delta": 0.52} for n in (24, 18, 19, 20, 3)]
    return {"adapters": [{"name": "default", "top": top, "verdict": {"state": state, **given}}]}


def alert(rule: str, severity: str = "warning", **given: Any) -> dict[str, Any]:
    return {
        "id": rule, "rule": rule, "severity": severity, "state": "raised",
        "title": f"{rule} found", "message": f"{rule} was 3.", "action": f"Mend {rule}. Or not.",
        "panel": "loss", "window": [10, 20], **given,
    }  # fmt: skip


WEAK = patterns(factual=(300, 270), reasoning=(214, 143), coding=(486, 402), math=(0, 0))


def test_the_paragraph_of_a_run_at_its_plateau() -> None:
    got = compose(
        Evidence(
            status="running",
            step=16_000,
            fixed=fixed(),
            patterns=WEAK,
            adapters=adapter("learning"),
        )
    )
    assert got["text"] == (
        "Fixed-eval EM 81.5 % (n=1,000, 95 % interval 79-84 %; plateau since step 14,000; "
        "best 82.0 % at step 15,200, checkpoint-15200). "
        "'reasoning' 66.8 % (n=214) needs data: the others reach 85.5 %. "
        "Layers 3, 18-20, 24 adapt most (mean Δ=0.52). ECE 0.16. "
        "→ Stop; use checkpoint-15200; add 'reasoning' examples."
    )
    assert [clause["panel"] for clause in got["clauses"]] == [
        "fixed_match", "patterns", "lora_truth", "reliability",
    ]  # fmt: skip
    assert got["action"] == "Stop; use checkpoint-15200; add 'reasoning' examples."
    assert not got["final"]


def test_at_the_end_nothing_is_left_to_stop() -> None:
    got = compose(Evidence(status="finished", step=16_000, fixed=fixed(), patterns=WEAK))
    assert got["final"]
    assert got["action"] == "Use checkpoint-15200; add 'reasoning' examples."


def test_without_evidence_nothing_is_said() -> None:
    got = compose(Evidence(status="running", step=3))
    assert (got["text"], got["action"], got["clauses"]) == ("", "", [])


def test_every_sentence_needs_its_measurement() -> None:
    """Take one piece of evidence away at a time: what rests on it is gone, and only that."""
    everything: dict[str, Any] = {
        "fixed": fixed(),
        "patterns": WEAK,
        "adapters": adapter("learning"),
        "alerts": [alert("padding_waste")],
        "phase": {"name": "plateau", "from": 9000, "confidence": 0.9},
    }
    rests = {
        "fixed": {"Fixed-eval", "ECE"},
        "patterns": {"'reasoning'"},
        "adapters": {"Layers"},
        "alerts": {"padding_waste"},
        "phase": {"Phase:"},
    }
    whole = compose(Evidence(status="running", **everything))
    first = {clause["text"].split()[0].rstrip(".") for clause in whole["clauses"]}
    assert first == set().union(*rests.values())
    for name, gone in rests.items():
        less = {key: value for key, value in everything.items() if key != name}
        left = compose(Evidence(status="running", **less))
        assert {clause["text"].split()[0].rstrip(".") for clause in left["clauses"]} == first - gone


@pytest.mark.parametrize(
    ("counts", "weak"),
    [
        ({"a": (4, 0), "b": (100, 90)}, False),  # too few to speak of
        ({"a": (40, 30), "b": (40, 34)}, False),  # intervals touch
        ({"a": (40, 12), "b": (40, 34)}, True),
        ({"a": (40, 0)}, False),  # nothing to compare with
        ({"a": (40, 0), "b": (0, 0)}, False),
        ({"a": (40, 40), "b": (40, 40)}, False),
    ],
)
def test_a_pattern_is_weak_only_beyond_chance(
    counts: dict[str, tuple[int, int]], weak: bool
) -> None:
    got = compose(Evidence(status="running", patterns=patterns(**counts)))
    assert bool(got["clauses"]) == weak
    assert ("add" in got["action"].lower()) == weak


@pytest.mark.parametrize(
    ("status", "heading", "loss", "action"),
    [
        ("running", "improving", "improving", "Go on."),
        ("running", "too early", "too early", ""),
        ("running", "plateau", "improving", "Use checkpoint-15200."),
        ("running", "regressing", "regressing", "Stop; use checkpoint-15200."),
        ("finished", "improving", "improving", "Train longer: it was still improving; use checkpoint-15200."),
    ],
)  # fmt: skip
def test_what_to_do_follows_the_trend(status: str, heading: str, loss: str, action: str) -> None:
    trend = {"exact_match": {"state": heading}, "cross_entropy": {"state": loss}}
    got = compose(Evidence(status=status, fixed=fixed(trend=trend)))
    assert got["action"] == action


@pytest.mark.parametrize(
    ("matches", "losses", "action"),
    [  # risen and come to rest; rising still; hovering above 0 before the loss has moved
        ([0.2, 0.5, 0.7, 0.8, 0.806, 0.802, 0.807, 0.804], [2, 1.5, 1, 0.9, 0.9, 0.9, 0.9, 0.9],
         "Stop; use checkpoint-15200."),
        ([0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9], [2, 1.8, 1.6, 1.4, 1.2, 1, 0.8, 0.6], "Go on."),
        ([0, 0.02, 0.01, 0.02, 0.02, 0.03], [9, 9, 8.9, 9.2, 8.4, 8.6], ""),
    ],
)  # fmt: skip
def test_the_advice_follows_from_the_evaluations(
    matches: list[float], losses: list[float], action: str
) -> None:
    steps = [2000 * (i + 1) for i in range(len(matches))]
    found = fixed(exact_match=matches[-1], trend=trends(steps, matches, losses, 1000))
    assert compose(Evidence(status="running", fixed=found))["action"] == action
    ended = compose(Evidence(status="finished", fixed=found))["action"]
    assert ("Train longer" in ended) == (action == "Go on.")


def test_a_best_that_was_not_saved_is_said_so() -> None:
    best = {"step": 15_200, "exact_match": 0.82, "checkpoint": None}
    got = compose(Evidence(status="finished", fixed=fixed(best=best)))
    assert got["action"] == "Set save_steps: no checkpoint is left of step 15,200, the best."
    near = {
        "step": 15_200,
        "exact_match": 0.82,
        "checkpoint": "checkpoint-15000",
        "checkpoint_step": 15_000,
    }
    got = compose(Evidence(status="finished", fixed=fixed(best=near)))
    assert "best 82.0 % at step 15,200, nearest saved checkpoint-15000" in got["text"]


def test_a_set_without_answers_is_told_by_its_loss() -> None:
    got = compose(Evidence(status="running", fixed=fixed(exact_match=None, low=None, high=None)))
    assert got["clauses"][0]["text"].startswith("Fixed-eval loss 1.25 (n=1,000; ")
    assert got["clauses"][0]["panel"] == "fixed_loss"


def test_an_adapter_that_does_not_learn_comes_with_its_remedy() -> None:
    reason = {"title": "B is still zero", "text": "…", "action": "Raise the learning rate."}
    got = compose(
        Evidence(
            status="running",
            adapters=adapter("not learning", reasons=[reason]),
            alerts=[alert("adapter", "critical")],
        )
    )
    assert got["text"] == (
        "Adapter 'default' is not learning: B is still zero. → Raise the learning rate."
    )
    assert compose(Evidence(status="running", adapters=adapter("too early")))["text"] == ""


def test_alerts_are_told_by_gravity_and_not_twice() -> None:
    alerts = [
        alert("padding_waste"), alert("gpu_idle"), alert("throughput_drop"),
        alert("nonfinite", "critical"), alert("fixed_plateau"), alert("note", "info"),
    ]  # fmt: skip
    got = compose(Evidence(status="running", fixed=fixed(), alerts=alerts))
    texts = [clause["text"] for clause in got["clauses"]]
    assert texts[0] == "nonfinite found: nonfinite was 3."
    assert texts[-3:] == ["gpu_idle found.", "throughput_drop found.", "1 more warning is open."]
    assert not any("fixed_plateau" in text or "note" in text for text in texts)
    assert got["action"] == "Mend nonfinite; stop; use checkpoint-15200."


def test_the_advice_of_a_warning_is_not_said_in_full_again() -> None:
    """All of it stands with the alert, beside the verdict."""
    advice = (
        "Group examples of similar length (group_by_length=True), pack them (packing=True), or "
        "pad to the longest of the batch."
    )
    padding = alert("padding_waste", action=advice)
    got = compose(Evidence(status="running", fixed=fixed(), alerts=[padding]))
    assert got["action"] == "Stop; use checkpoint-15200."
    improving = fixed(trend={"exact_match": {"state": "improving"}})
    got = compose(Evidence(status="running", fixed=improving, alerts=[padding]))
    assert got["action"] == "Go on; group examples of similar length."
    assert got["text"].count("roup examples") == 1
    # A critical one is what the verdict is about.
    grave = compose(Evidence(alerts=[padding | {"severity": "critical"}]))
    assert grave["action"] == advice


@pytest.mark.parametrize(
    ("first", "second", "action"),
    [
        ("Stop.", "Stop, and use the checkpoint nearest to step 40.", "Stop."),
        ("Lower the learning rate tenfold.", "Lower the learning rate: x.",
         "Lower the learning rate tenfold."),
        ("Use checkpoint-5.", "Use checkpoint-50.", "Use checkpoint-5; use checkpoint-50."),
        ("Stop, or set a rate.", "Set a rate.", "Stop, or set a rate; set a rate."),
    ],
)  # fmt: skip
def test_the_same_advice_is_given_once(first: str, second: str, action: str) -> None:
    alerts = [alert("a", "critical", action=first), alert("b", "critical", action=second)]
    assert compose(Evidence(status="running", alerts=alerts))["action"] == action


def test_without_a_fixed_set_the_losses_speak() -> None:
    got = compose(
        Evidence(
            status="running",
            step=900,
            loss=Course(4.1, 2.31, 2.2, 850, 900),
            evaluation=Course(3.0, 2.6, 2.4, 300, 9),
        )
    )
    assert got["text"] == (
        "Training loss 2.31, from 4.1. Evaluation loss 2.6; it was 2.4 at step 300. "
        "→ Pass fixed_eval=… to learn how good the answers are."
    )


def test_a_failure_names_where_to_go_on() -> None:
    got = compose(
        Evidence(
            status="failed", message="ValueError at step 7: x", step=7, total_steps=20,
            saved=[("checkpoint-5", 5)],
        )
    )  # fmt: skip
    assert got["text"] == (
        "Failed at step 7 of 20: ValueError at step 7: x. "
        "→ Mend the error and go on from checkpoint-5."
    )


def test_open_alerts_are_those_not_cleared() -> None:
    events = [
        {"data": alert("a")},
        {"data": alert("b")},
        {"data": alert("a", state="cleared")},
        {"data": alert("b", severity="critical")},
        {"data": {"severity": "warning", "title": "of an older run", "message": "…"}},
        {"data": alert("user/x") | {"rule": "user"}},
    ]
    assert [(a["id"], a["severity"]) for a in open_alerts(events)] == [("b", "critical")]

"""Rules on the fixed set agree with what the fixed evaluation says of itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from curves import STARTED, alerts

from nbmonitor import fixed_report
from nbmonitor.best import Result
from nbmonitor.capture.evaluation import Outcome, Verdict
from nbmonitor.evidence import gather
from nbmonitor.rulebook import Rulebook
from nbmonitor.run import Run
from nbmonitor.verdict import compose

EXAMPLES = 100


def outcome(result: Result) -> Outcome:
    right = round(EXAMPLES * (result.exact_match or 0.0))
    verdicts = {i: Verdict(0.0, exact=i < right, forced=i < right) for i in range(EXAMPLES)}
    loss = result.cross_entropy or 0.0
    return Outcome(5000, loss, 1.0, np.zeros((3, 10)), verdicts)


def evaluated(*courses: tuple[float, float, float], state: bool = True) -> Run:
    """A run with evaluations (match, cross entropy, ECE) every 100 steps, watched by the rules.

    With `state`, the fixed evaluation says what it makes of them, as its probe does.
    """
    run = Run()
    run.total_steps = 100 * 40
    run.set_status("running")
    book, results = Rulebook(run), list[Result]()
    for n, (match, loss, ece) in enumerate(courses, 1):
        results.append(Result(100 * n, match, loss, ece))
        values = {
            "fixed_eval/exact_match": match,
            "fixed_eval/cross_entropy": loss,
            "fixed_eval/ece": ece,
        }
        if state:
            meta = fixed_report.state(results, outcome(results[-1]))
            run.put("fixed_eval/state", 100 * n, np.zeros(0, np.uint8), meta)
        rows = [(100 * n, values, STARTED + n)]
        run.extend(rows)
        book.watch(rows)
    assert not run.events("probe_error")
    return run


def found(run: Run, rule: str) -> list[dict[str, Any]]:
    return [alert for alert in alerts(run) if alert["rule"] == rule]


@pytest.mark.parametrize("state", [True, False])
def test_a_match_that_hovers_above_nothing_is_no_plateau(state: bool) -> None:
    losses = [10.8, 10.7, 10.8, 10.2, 10.5, 9.9, 10.3, 9.8]
    matches = [0.0, 0.02, 0.02, 0.01, 0.02, 0.02, 0.03, 0.02]
    courses = [(m, loss, 0.02) for m, loss in zip(matches, losses, strict=True)]
    run = evaluated(*courses, state=state)
    assert not found(run, "fixed_plateau")
    assert "Stop" not in compose(gather(run))["action"]


@pytest.mark.parametrize("state", [True, False])
def test_a_match_that_rose_and_stands_still_is_one(state: bool) -> None:
    matches = [0.0, 0.2, 0.4, 0.6, 0.61, 0.6, 0.6, 0.61]
    losses = [5.0, 4.0, 3.0, 2.0, 2.01, 2.0, 2.01, 2.0]
    courses = [(m, loss, 0.02) for m, loss in zip(matches, losses, strict=True)]
    run = evaluated(*courses, state=state)
    (alert,) = found(run, "fixed_plateau")
    assert (alert["step"], alert["window"]) == (800, [400, 800])


# Untrained, it is perfectly calibrated; it learns; it overfits.
DRIFTING = [
    (0.0, 6.0, 0.019), (0.2, 3.0, 0.05), (0.5, 1.5, 0.062), (0.5, 1.4, 0.060),
    (0.5, 1.5, 0.08), (0.5, 1.6, 0.09), (0.5, 1.7, 0.1),
]  # fmt: skip


@pytest.mark.parametrize("state", [True, False])
def test_the_alert_measures_by_evaluations_that_predicted_as_well(state: bool) -> None:
    run = evaluated(*DRIFTING, state=state)
    (alert,) = found(run, "calibration_drift")
    assert alert["step"] == 600
    assert alert["window"] == [400, 600]  # and not from the first on, which knew nothing
    assert "50 % above its best (0.06 at step 400" in alert["message"]
    assert "went from 1.4 to 1.6" in alert["message"]
    assert alert["severity"] == "warning"


def test_the_alert_and_the_panel_say_the_same() -> None:
    run = evaluated(*DRIFTING[:6])
    state = run.tensor("fixed_eval/state")
    assert state is not None
    drift = state[3]["drift"]
    (alert,) = found(run, "calibration_drift")
    assert alert["window"][0] == drift["best_step"] == state[3]["calibrated"]["step"]
    assert (
        f"{100 * drift['rise']:.0f} % above its best ({drift['best_ece']:.3g}" in alert["message"]
    )


def test_learning_costs_calibration_and_is_no_drift() -> None:
    learning = [(0.05 * n, 6.0 / n, 0.019 + 0.01 * n) for n in range(1, 12)]
    assert not found(evaluated(*learning), "calibration_drift")
    assert not found(evaluated(*learning, state=False), "calibration_drift")

"""How often a costly probe measures."""

from __future__ import annotations

import pytest

from nbmonitor import pace
from nbmonitor.pace import SHARE, Pace


@pytest.fixture
def clock(monkeypatch):
    """Set the time by hand."""

    class Clock:
        now = 0.0

    monkeypatch.setattr(pace, "SHARE", SHARE)
    monkeypatch.setattr(pace.time, "perf_counter", lambda: Clock.now)
    return Clock


def measure(found: Pace, clock, number: int, cost: float, step: float) -> int:
    """Let steps of `step` seconds pass since the last measurement, and measure for `cost`."""
    clock.now += step * (number - measure.last) + cost
    measure.last = number
    found.add(cost / 2)
    found.add(cost / 2)
    return found.measured(number, found.steps)


@pytest.fixture(autouse=True)
def begin() -> None:
    measure.last = 0


def test_what_is_cheap_beside_the_steps_is_measured_as_often_as_asked(clock) -> None:
    found = Pace(10)
    for number in (10, 20, 30):
        assert measure(found, clock, number, cost=0.001, step=0.1) == 10


def test_what_is_dear_takes_its_share_and_no_more(clock) -> None:
    found = Pace(10)
    measure(found, clock, 10, cost=0.001, step=0.01)
    # Half a millisecond is a quarter of a percent of 20 steps of ten.
    assert measure(found, clock, 20, cost=0.0005, step=0.01) == 20
    assert measure(found, clock, 40, cost=0.0015, step=0.01) == 20, "one slow one is no measure"
    assert measure(found, clock, 60, cost=0.0015, step=0.01) == 60
    assert measure(found, clock, 120, cost=0.0005, step=0.01) == 20


def test_the_first_measurement_pays_for_loading_code_and_decides_nothing(clock) -> None:
    found = Pace(10)
    assert measure(found, clock, 10, cost=2.0, step=0.01) == 10
    assert measure(found, clock, 20, cost=0.0001, step=0.01) == 10


def test_the_pace_stays_in_sight_of_the_run(clock) -> None:
    found = Pace(10)
    measure(found, clock, 10, cost=5.0, step=0.001)
    assert measure(found, clock, 20, cost=5.0, step=0.001) == 1000


def test_it_is_always_a_multiple_of_what_was_asked_for(clock) -> None:
    found = Pace(300)
    measure(found, clock, 300, cost=5.0, step=0.001)
    assert measure(found, clock, 600, cost=5.0, step=0.001) == 900


def test_what_a_viewer_has_set_stays(clock) -> None:
    found = Pace(10)
    measure(found, clock, 10, cost=1.0, step=0.01)
    clock.now += 1.0
    found.add(0.5)
    assert found.measured(15, 5) == 5
    clock.now += 1.0
    found.add(0.5)
    assert found.measured(20, 5) == 5


def test_a_run_that_goes_back_to_a_checkpoint_is_no_time_that_steps_took(clock) -> None:
    found = Pace(10)
    measure(found, clock, 30, cost=0.001, step=0.1)
    clock.now += 60.0
    found.add(0.001)
    assert found.measured(10, 10) == 10


def test_another_training_begins_with_the_pace_that_was_asked_for(clock) -> None:
    found = Pace(10)
    measure(found, clock, 10, cost=1.0, step=0.01)
    stretched = measure(found, clock, 20, cost=1.0, step=0.01)
    assert stretched == 1000
    assert found.begin(stretched) == 10
    assert found.begin(3) == 3
    measure(found, clock, 30, cost=1.0, step=0.01)
    found.add(1.0)
    assert found.measured(33, 3) == 3, "a viewer's, from before the training"

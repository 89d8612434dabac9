"""Which probes are asked at which step, against asking all of them at all steps."""

from __future__ import annotations

import threading

import pytest

from nbmonitor import Probe
from nbmonitor.engine import Engine
from nbmonitor.probe import Context, Step
from nbmonitor.run import Run


class Asked(Probe):
    """Notes the steps that it is asked at."""

    def __init__(self, name: str, every: int) -> None:
        self.name, self.every = name, every
        self.steps: list[int] = []
        self.gradients: list[int] = []

    def on_begin(self, context):
        self.wake = context.wake

    def on_step(self, step):
        self.steps.append(step.number)
        return {f"{self.name}/step": float(step.number)}


class Twice(Asked):
    """Wants the gradients, too."""

    def on_gradients(self, step):
        self.gradients.append(step.number)


class Primes(Asked):
    """Has a timetable of its own."""

    def following(self, number):
        return next(n for n in range(number + 1, 10**6) if all(n % d for d in range(2, n)))


class Calming(Asked):
    """Changes its own cadence while it is asked."""

    def on_step(self, step):
        if step.number >= 5:
            self.every = 20
        return super().on_step(step)


def trained(*probes: Probe, steps: range = range(1, 61), at: dict | None = None) -> Run:
    """Run an engine over steps; `at` holds what to do after some of them."""
    run = Run()
    engine = Engine(run, probes)
    engine.begin(Context(), steps.start - 1)
    for number in steps:
        if engine.wants_gradients(number):
            engine.gradients(Step(number, 0.0))
        engine.step(Step(number, 0.0))
        if at and number in at:
            at[number](engine)
    engine.settle()
    return run


def test_the_first_step_is_everybodys_and_then_each_has_its_own():
    every, third, tenth = Asked("a", 1), Asked("b", 3), Twice("c", 10)
    trained(every, third, tenth)
    assert every.steps == [*range(1, 61)]
    assert third.steps == [1, *range(3, 61, 3)]
    assert tenth.steps == tenth.gradients == [1, *range(10, 61, 10)]


def test_all_are_there_though_most_steps_are_nobodys():
    run = trained(Asked("a", 7), Asked("b", 1))
    assert run.history(["b/step"])["b/step"].tolist() == [*range(1, 61)]
    found = run.history(["a/step"])["a/step"].dropna()
    assert found.tolist() == [1, 7, 14, 21, 28, 35, 42, 49, 56]


def test_a_timetable_of_its_own():
    primes = Primes("p", 1)
    trained(primes, steps=range(1, 20))
    assert primes.steps == [1, 2, 3, 5, 7, 11, 13, 17, 19]


def test_a_cadence_that_the_probe_itself_changes():
    calming = Calming("c", 1)
    trained(calming)
    assert calming.steps == [1, 2, 3, 4, 5, 20, 40, 60]


@pytest.mark.parametrize("before", [1, 10, 50])
def test_a_cadence_that_a_viewer_changes_holds_at_once(before):
    probe, other = Twice("p", before), Asked("other", 1)
    trained(probe, other, at={12: lambda engine: engine.set_every("p", 3)})
    wanted = [n for n in range(13, 61) if n % 3 == 0]
    assert [n for n in probe.steps if n > 12] == wanted
    assert [n for n in probe.gradients if n > 12] == wanted


def test_one_that_wakes_is_asked_at_the_next_step():
    probe = Asked("p", 1000)

    def wake(_):
        probe.every = 1
        thread = threading.Thread(target=probe.wake)
        thread.start()
        thread.join()

    def rest(_):
        probe.every = 1000

    trained(probe, at={30: wake, 32: rest})
    # Asked at 33 because that had been planned when 32 was over.
    assert probe.steps == [1, 31, 32, 33]


def test_one_that_is_off_is_asked_no_more():
    class Odd(Asked):
        def on_step(self, step):
            super().on_step(step)
            if step.number >= 6:
                raise RuntimeError

    odd, other = Odd("odd", 3), Asked("other", 4)
    run = trained(odd, other)
    assert odd.steps == [1, 3, 6]
    assert other.steps == [1, *range(4, 61, 4)]
    assert len(run.events("probe_error")) == 1


def test_a_timetable_that_fails_switches_its_probe_off():
    class Lost(Asked):
        def following(self, number):
            raise LookupError

    lost, other = Lost("lost", 1), Asked("other", 1)
    run = trained(lost, other)
    assert lost.steps == [1]
    assert other.steps == [*range(1, 61)]
    (event,) = run.events("probe_error")
    assert event["data"]["hook"] == "following"


def test_a_run_that_goes_on_begins_with_everybody():
    probe = Asked("p", 10)
    trained(probe, steps=range(34, 61))
    assert probe.steps == [34, 40, 50, 60]

"""The sampling thread keeps time, survives errors and ends when told."""

from __future__ import annotations

import threading
import time

import pytest

from nbmonitor.sampler import Sampler


def wait_for(condition, seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.005)


def test_it_does_not_drift_with_slow_calls() -> None:
    times: list[float] = []

    def tick() -> None:
        times.append(time.monotonic())
        time.sleep(0.02)

    sampler = Sampler(tick, interval=0.05)
    sampler.start()
    wait_for(lambda: len(times) > 12)
    sampler.close()
    # The 12th call is due 12 intervals after the first, not 12 * (0.05 + 0.02).
    assert 0.59 < times[12] - times[0] < 0.75


def test_calls_that_a_slow_one_made_obsolete_are_left_out() -> None:
    times: list[float] = []

    def tick() -> None:
        times.append(time.monotonic())
        if len(times) == 1:
            time.sleep(0.25)

    sampler = Sampler(tick, interval=0.1)
    sampler.start()
    wait_for(lambda: len(times) > 2)
    sampler.close()
    # Those due after 0.1 and 0.2 s are not made up for; on a busy machine the others come late.
    assert times[1] - times[0] > 0.29
    assert times[2] - times[0] > 0.39


def test_an_error_is_logged_once_and_sampling_goes_on(caplog) -> None:
    calls: list[int] = []

    def tick() -> None:
        calls.append(1)
        raise OSError

    sampler = Sampler(tick, interval=0.01)
    sampler.start()
    wait_for(lambda: len(calls) > 5)
    sampler.close()
    assert [r.message for r in caplog.records] == ["a sample failed; sampling goes on"]


def test_close_stops_it_and_may_come_first_or_twice() -> None:
    calls: list[int] = []
    sampler = Sampler(lambda: calls.append(1), interval=0.01)
    sampler.close()
    sampler.start()
    sampler.close()
    sampler.close()
    count = len(calls)
    time.sleep(0.05)
    assert len(calls) == count
    assert "nbmonitor-sampler" not in {t.name for t in threading.enumerate()}


def test_an_interval_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        Sampler(lambda: None, interval=0)

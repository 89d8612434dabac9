"""When snapshots are due and what they may cost; the worker; what a user may ask for."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from nbmonitor.parameters import cadence
from nbmonitor.parameters.cadence import Cadence
from nbmonitor.parameters.frequency import Frequency
from nbmonitor.parameters.wishes import wishes
from nbmonitor.parameters.worker import Worker


def train(found: Cadence, steps: int, *, step: float, cost: float, begin: int = 0) -> list[int]:
    """Steps that are looked at, of a training whose steps take `step` seconds each."""
    found.begin(begin)
    found.paid(begin, cost, here=True)
    found.paid(begin, 10 * cost, here=False)
    found.pardon()
    looked = []
    for number in range(begin + 1, steps + 1):
        if number % found.every:
            continue
        found.passed(number, step)
        if found.due(number):
            found.paid(number, cost / 3, here=True)
            found.paid(number, cost * 2 / 3, here=False)
            looked.append(number)
        found.plan(number)
    return looked


def test_what_is_cheap_is_seen_densely_at_first_and_then_less():
    looked = train(Cadence(), 3000, step=10.0, cost=0.001)
    assert looked == [*range(1, 101), *range(110, 1001, 10), *range(1100, 3001, 100)]


@pytest.mark.parametrize("cost", [0.003, 0.01, 0.1, 0.7])
@pytest.mark.parametrize("step", [0.01, 0.2])
def test_what_is_dear_stays_within_its_share(step, cost):
    looked = train(Cadence(), 20_000, step=step, cost=cost)
    # One more than the share allows, at most: the first is taken before its price is known.
    assert cost * (len(looked) - 2) <= 0.01 * 20_000 * step
    assert len(looked) >= min(100, 0.4 * 0.01 * 20_000 * step / cost)


def test_a_number_of_steps_is_kept_to_and_stretched_too():
    assert train(Cadence(25), 200, step=1.0, cost=0.001) == list(range(25, 201, 25))
    stretched = train(Cadence(25), 2000, step=1.0, cost=1.0)
    assert len(stretched) <= 22
    assert all(number % 25 == 0 for number in stretched)
    assert train(Cadence(25, share=1.0), 100, step=1.0, cost=1.0) == [25, 50, 75, 100]


def test_what_a_viewer_has_set_stays_whatever_it_costs():
    found = Cadence()
    found.fix(5)
    assert train(found, 30, step=0.001, cost=1.0) == [5, 10, 15, 20, 25, 30]


def test_a_run_that_goes_on_late_has_the_pace_of_its_steps():
    assert train(Cadence(), 5400, step=10.0, cost=0.01, begin=5000) == [5100, 5200, 5300, 5400]


def test_out_of_turn_is_looked_at_while_the_debt_is_small(monkeypatch):
    found = Cadence()
    found.begin(0)
    for number in (1, 2):
        found.passed(number, 1.0)
        found.paid(number, 0.005, here=True)
        found.paid(number, 0.005, here=False)
    assert found.affordable()
    found.paid(3, 1.0, here=True)
    assert not found.affordable()
    monkeypatch.setattr(cadence, "SHARE", 1.0)
    found.passed(10, 1.0)
    assert found.affordable()
    assert found.taken == pytest.approx([1.01, 0.01])


# ---------------------------------------------------------------------- the worker


def test_jobs_are_done_in_order_and_few_may_wait():
    worker, done, gate = Worker("test"), [], threading.Event()
    started = threading.Event()

    def first():
        started.set()
        gate.wait(10)
        done.append(0)

    assert worker.offer(first)
    assert started.wait(10)
    assert worker.offer(lambda: done.append(1))
    assert worker.offer(lambda: done.append(2))
    assert not worker.free
    assert not worker.offer(lambda: done.append(3))
    assert worker.offer(lambda: done.append(4), beyond=True)
    gate.set()
    assert worker.close(10)
    assert done == [0, 1, 2, 4]
    assert not worker.offer(lambda: None)


def test_a_job_that_fails_ends_the_worker_and_is_kept():
    worker, done = Worker("test"), []
    worker.offer(lambda: 1 / 0)
    worker.offer(lambda: done.append(1))
    assert worker.close(10)
    assert isinstance(worker.failure, ZeroDivisionError)
    assert done == []
    assert not worker.free


def test_closing_waits_no_longer_than_it_is_told():
    worker, gate, done = Worker("test"), threading.Event(), []
    worker.offer(lambda: gate.wait(10))
    worker.offer(lambda: done.append(1))
    assert not worker.close(0.05)
    gate.set()
    assert worker.abandon(10)
    assert done == []


# ---------------------------------------------------------------------- tokens in the batches


def test_frequencies_are_those_of_the_batches():
    found = Frequency(10)
    assert found.shares(np.arange(10)) is None
    batch = {"input_ids": torch.tensor([[1, 1, 2], [3, 1, 99]]), "labels": None}
    found.see(batch)
    batch["input_ids"].zero_()  # what is kept is a copy
    found.see({"pixel_values": torch.zeros(2)})
    found.see(torch.zeros(2))
    found.see({"input_ids": [[1, 2]]})
    shares = found.shares(np.array([1, 2, 0]))
    assert shares == pytest.approx([1 + np.log10(3 / 5) / 6, 1 + np.log10(1 / 5) / 6, 0], abs=1e-6)
    found.see({"input_ids": torch.zeros(5, dtype=torch.long)})
    assert found.shares(np.array([0]))[0] == pytest.approx(1 + np.log10(0.5) / 6, abs=1e-6)


def test_batches_that_nobody_counts_take_a_bounded_place():
    found = Frequency(4)
    for _ in range(20):
        found.see({"input_ids": torch.ones(1 << 18, dtype=torch.long)})
    assert sum(kept.numel() for kept, _ in found._waiting) <= 1 << 20


# ---------------------------------------------------------------------- what a user says


def test_what_is_wanted():
    assert wishes(None) == wishes(True)
    assert wishes(True).on
    assert wishes(None).every is None
    assert not wishes(False).on
    assert wishes(20).every == 20
    found = wishes(
        {"every": 5, "share": 0.05, "tokens": 100, "pinned": [" cat", 3], "heat_of": "max"}
    )
    assert (found.every, found.share, found.options.tokens) == (5, 0.05, 100)
    assert found.options.pinned == (" cat", 3)
    assert found.options.heat_of == "max"
    assert wishes({"heatmaps": None, "everything": True}).options.heatmaps is None


@pytest.mark.parametrize(
    ("value", "error", "said"),
    [
        ("all", TypeError, "a number of steps"),
        (1.5, TypeError, "1.5 was given"),
        (0, ValueError, "every is a whole number from 1 on; 0"),
        ({"evry": 1}, TypeError, "got evry; it takes every, share, tokens"),
        ({"every": True}, ValueError, "every is a whole number"),
        ({"share": 2}, ValueError, "above 0 and up to 1"),
        ({"tokens": 0}, ValueError, "tokens is a whole number from 1"),
        ({"pinned": "cat"}, TypeError, "pinned is a list"),
        ({"heat_of": "mean"}, ValueError, "heat_of is one of 'rms', 'max'"),
    ],
)
def test_what_cannot_be_wanted_is_said_clearly(value, error, said):
    with pytest.raises(error, match=said):
        wishes(value)

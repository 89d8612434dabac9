"""What rank 0 makes of reports: rules on numbers, without processes."""

from __future__ import annotations

import math
from typing import Any

import pytest

from nbmonitor import ranks, workclock
from nbmonitor.ranks import Courier, Heard, Place
from nbmonitor.rollcall import ENDED, LAGS, SILENT, UNHEARD, RollCall
from nbmonitor.straggler import Finding, Pace, Straggler
from nbmonitor.workclock import WorkClock


def report(n: int, steps: int, work: float, **more: Any) -> dict[str, Any]:
    done = {"n": n, "step": steps, "steps": steps, "seconds": 0.1 * steps, "samples": 4 * steps}
    who = {"pid": 7, "host": "there", "ended": False}
    return {**done, "worked": steps, "work": work * steps, **who, **more}


def look(straggler: Straggler, times: list[dict[int, tuple[int, float]]]) -> Finding | None:
    """Looks one second apart: by rank, steps and seconds a step."""
    found = None
    for now, paces in enumerate(times):
        given = {rank: Pace(steps, steps * each) for rank, (steps, each) in paces.items()}
        found = straggler.look(float(now), given)
    return found


# ---------------------------------------------------------------------- the straggler


def test_the_slowest_is_compared_with_the_median_of_the_others() -> None:
    even = dict.fromkeys(range(4), (10, 0.1))
    found = look(Straggler(), [even | {2: (10, 0.15)}] * 8)
    assert found is not None
    assert (found.rank, found.named) == (2, True)
    assert found.slowdown == pytest.approx(1.5)
    assert found.median == pytest.approx(0.1)


def test_one_hiccup_names_nobody() -> None:
    even = {0: (10, 0.1), 1: (10, 0.1)}
    found = look(Straggler(), [even] * 4 + [even | {1: (10, 0.9)}] + [even] * 4)
    assert found is not None
    assert found.rank == 1
    assert found.slowdown > 1.15
    assert not found.named


def test_nobody_is_named_before_enough_was_seen() -> None:
    uneven = {0: (10, 0.1), 1: (10, 0.2)}
    found = look(Straggler(), [uneven] * 4)
    assert found is not None
    assert not found.named
    assert look(Straggler(), [{0: (10, 0.1)}] * 20) is None


def test_what_lies_before_the_window_is_forgotten() -> None:
    straggler = Straggler(window=10)
    uneven, even = {0: (10, 0.1), 1: (10, 0.2)}, {0: (10, 0.1), 1: (10, 0.1)}
    found = look(straggler, [uneven] * 20 + [even] * 20)
    assert found is not None
    assert not found.named
    assert found.slowdown == pytest.approx(1.0)
    assert found.window == pytest.approx(10)


def test_slow_steps_that_end_between_different_looks_are_compared() -> None:
    none = (0, 0.0)
    times = [{0: (1, 4.0), 1: none}, {0: none, 1: (1, 6.0)}, {0: none, 1: none}] * 12
    found = look(Straggler(), times)
    assert found is not None
    assert (found.rank, found.named, found.slowdown) == (1, True, pytest.approx(1.5))


# ---------------------------------------------------------------------- the roll call


def test_series_are_differences_of_reports() -> None:
    roll = RollCall(2)
    roll.call({0: Heard(report(1, 10, 0.05)), 1: Heard(report(1, 10, 0.05))}, 1.0)
    # A report in between was never read: nothing is lost by that.
    values, _ = roll.call({0: Heard(report(3, 30, 0.05, loss=2.0))}, 2.0)
    assert values["rank/0/step_time"] == pytest.approx(0.1)
    assert values["rank/0/samples_per_second"] == pytest.approx(40)
    assert values["rank/0/work_time"] == pytest.approx(0.05)
    assert values["rank/0/loss"] == 2.0
    assert "rank/1/step_time" not in values


def test_a_report_heard_before_adds_no_row() -> None:
    roll = RollCall(2)
    heard = {0: Heard(report(1, 10, 0.05)), 1: Heard(report(1, 10, 0.05))}
    assert "rank/1/step" in roll.call(heard, 1.0)[0]
    assert "rank/1/step" not in roll.call(heard, 2.0)[0]


def test_a_nan_of_one_rank_is_kept_and_leaves_the_spread_to_the_others() -> None:
    losses = [1.0, math.nan, 4.0]
    heard = {r: Heard(report(1, 10, 0.05, loss=loss)) for r, loss in enumerate(losses)}
    values, _ = RollCall(3).call(heard, 1.0)
    assert math.isnan(values["rank/1/loss"])
    assert values["ranks/loss_spread"] == 3.0


def test_silence_is_told_once_and_so_is_the_return() -> None:
    roll, told, states = RollCall(2, silence=10), [], []
    for silent in (0.0, 9.0, 11.0, 40.0, 0.0, 0.0):
        heard = {0: Heard(report(1, 10, 0.05)), 1: Heard(report(1, 340, 0.05), silent)}
        values, news = roll.call(heard, 100.0)
        states.append(values.get("rank/1/state"))
        told += [(kind, data["message"]) for kind, data in news]
    assert [kind for kind, _ in told] == ["alert", "note"]
    assert told[0][1].startswith("rank 1 has said nothing for 11 s, last at step 340")
    assert told[1][1] == "rank 1 is back, at step 340"
    assert states == [0, None, SILENT, SILENT, 0, None]


def test_a_rank_that_left_and_one_that_never_came_are_told_apart() -> None:
    roll, told = RollCall(3, silence=10), []
    for listened in (5.0, 20.0, 31.0, 50.0):
        gone = Heard(report(9, 12, 0.05, ended=True), silent=listened - 5)
        values, news = roll.call({0: Heard(report(1, 10, 0.05)), 1: gone}, listened)
        told += [(kind, data["rank"]) for kind, data in news]
        assert values.get("rank/1/state", ENDED) == ENDED
        assert values.get("rank/2/state", UNHEARD) == UNHEARD
    assert told == [("alert", 1), ("note", 2)]


def test_at_the_end_nobody_is_missed() -> None:
    roll = RollCall(2, silence=10)
    heard = {0: Heard(report(1, 10, 0.05)), 1: Heard(report(1, 10, 0.05), silent=50)}
    assert roll.call(heard, 60.0, last=True)[1] == []


def test_a_rank_that_comes_back_for_the_end_is_told_of() -> None:
    roll = RollCall(2, silence=10)
    first = Heard(report(1, 10, 0.05))
    roll.call({0: first, 1: Heard(report(1, 10, 0.05), silent=11)}, 60.0)
    _, news = roll.call({0: first, 1: Heard(report(2, 20, 0.05, ended=True))}, 61.0, last=True)
    assert [(kind, data["message"]) for kind, data in news] == [
        ("note", "rank 1 is back, at step 20")
    ]


def test_the_straggler_is_named_in_the_state_and_in_one_note() -> None:
    roll, told, states = RollCall(2), [], []
    for n in range(1, 20):
        heard = {0: Heard(report(n, 20 * n, 0.05)), 1: Heard(report(n, 20 * n, 0.08))}
        values, news = roll.call(heard, float(n))
        states.append(values.get("rank/1/state"))
        told += [data["message"] for _, data in news]
    assert len(told) == 1
    assert "rank 1 is the straggler: 80 ms own work a step, 1.60 times the median" in told[0]
    assert LAGS in states


def test_many_ranks_add_no_more_values_than_few() -> None:
    roll, count = RollCall(64), 0
    for n in range(1, 41):
        more = {"loss": 1.0, "process_memory": 1.0}
        heard = {r: Heard(report(n, 20 * n, 0.05, **more)) for r in range(64)}
        count += len(roll.call(heard, float(n))[0])
    assert count / 40 < 250


# ---------------------------------------------------------------------- listening


class Clock:
    """Time that passes when told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> None:
        self.now = 100.0
        monkeypatch.setattr(module.time, name, lambda: self.now)


class Letters:
    """A mailbox in which rank 1's latest report lies."""

    def __init__(self) -> None:
        self.letter = report(1, 0, 0.0)

    def collect(self, _ranks: Any) -> dict[int, Any]:
        return {1: self.letter}


@pytest.fixture
def clock(monkeypatch) -> Clock:
    return Clock(monkeypatch, ranks, "monotonic")


def test_time_in_which_rank_0_could_not_listen_is_not_silence(clock) -> None:
    courier = Courier(Place(0, 2), "test", dict)
    letters = courier._mailbox = Letters()
    courier._round(ended=False)
    for _ in range(3):
        clock.now += 1
        courier._round(ended=False)
    assert courier.heard[1].silent == 3
    clock.now += 3600  # the machine slept
    courier._round(ended=False)
    assert courier.heard[1].silent == 5
    letters.letter = report(2, 0, 0.0)
    clock.now += 1
    courier._round(ended=False)
    assert courier.heard[1].silent == 0


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, (0, 1)),
        ({"RANK": "1", "WORLD_SIZE": "2"}, (1, 2)),
        ({"RANK": "3", "WORLD_SIZE": "2"}, (0, 1)),
        ({"RANK": "one", "WORLD_SIZE": "2"}, (0, 1)),
        ({"RANK": "0"}, (0, 1)),
    ],
)
def test_a_place_without_torch_distributed_comes_from_the_launcher(environment, expected) -> None:
    place = ranks.place(environment)
    assert (place.rank, place.world) == expected


# ---------------------------------------------------------------------- own work


class Loop:
    """A loop whose every part takes a known time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import torch

        self.clock = Clock(monkeypatch, workclock, "perf_counter")
        self.model = torch.nn.Linear(2, 1)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)
        self.work = WorkClock()
        self.input = torch.ones(1, 2)  # (rows, features)

    def gather(self) -> None:
        self.clock.now += 20

    def step(self, *, wait: bool = True, batches: int = 1) -> None:
        for _ in range(batches):
            self.clock.now += 1  # loading
            if wait:
                self.gather()
            loss = self.model(self.input).sum()
            self.clock.now += 2  # forward
            loss.backward()
        self.clock.now += 50  # the exchange of gradients
        self.optimizer.step()


def test_waits_are_no_work(monkeypatch) -> None:
    loop = Loop(monkeypatch)
    loop.work.watch(loop.model, loop.optimizer, None, [(loop, "gather")])
    loop.step()
    assert loop.work.take(math.inf) is None  # nobody saw where the first one began
    loop.step()
    assert loop.work.take(math.inf) == 3
    loop.step(wait=False, batches=4)
    assert loop.work.take(math.inf) == 12
    assert loop.work.take(math.inf) is None


class Event:
    """A CUDA event of a device that is `behind` its host."""

    behind = False
    clock: Clock

    def __init__(self, *, enable_timing: bool) -> None:
        assert enable_timing

    def record(self) -> None:
        self.at = self.clock.now

    def query(self) -> bool:
        return not self.behind

    def elapsed_time(self, other: Event) -> float:
        assert self.query()
        return (other.at - self.at) * 1000


def test_on_a_gpu_the_device_s_own_clock_counts_and_is_not_waited_for(monkeypatch) -> None:
    import torch

    loop = Loop(monkeypatch)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(Event, "clock", loop.clock, raising=False)
    loop.work.watch(loop.model, loop.optimizer, None, [(loop, "gather")])
    loop.work._cuda = True
    loop.step()
    loop.step()
    assert loop.work.take(math.inf) == pytest.approx(3)
    loop.step()
    monkeypatch.setattr(Event, "behind", True)
    assert loop.work.take(math.inf) is None


def test_the_clock_leaves_everything_as_it_was(monkeypatch) -> None:
    loop = Loop(monkeypatch)
    loop.work.watch(loop.model, loop.optimizer, None, [(loop, "gather")])
    assert "gather" in vars(loop)
    loop.work.close()
    assert "gather" not in vars(loop)
    assert not loop.optimizer._optimizer_step_post_hooks
    loop.step()
    loop.step()
    assert loop.work.take(math.inf) is None


def test_a_model_that_trains_nothing_has_no_own_work(monkeypatch) -> None:
    loop = Loop(monkeypatch)
    loop.model.requires_grad_(requires_grad=False)
    loop.work.watch(loop.model, loop.optimizer)
    assert loop.work.obstacle == "no parameter is trained"

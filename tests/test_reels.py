"""Reels: every value of a tensor, in memory, within a bound, and on the way to a page."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nbmonitor import arrears, wire
from nbmonitor.feed import Feed
from nbmonitor.flusher import Flusher
from nbmonitor.parameters import blob
from nbmonitor.reels import Frame, Reels, keep, spread
from nbmonitor.run import Run

KEY = "parameters/snapshot"
HIDDEN = "parameters/sketch"


def put(run: Run, step: int, size: int = 100, *, base: int | None = None, key: str = KEY) -> None:
    meta: dict[str, Any] = {"reel": True, "base": base}
    if key == HIDDEN:
        meta["page"] = False
    run.put(key, step, np.full(size, step % 251, np.uint8), meta)


def chain(run: Run, steps: range, size: int = 100, every: int = 5) -> None:
    """Frames of which every fifth stands alone and the others stand on it."""
    key = None
    for place, step in enumerate(steps):
        key = step if place % every == 0 else key
        put(run, step, size, base=None if key == step else key)


class Page:
    """A sink that keeps what a page would, and looks at the order in which it comes."""

    def __init__(self) -> None:
        self.frames: dict[str, dict[int, dict[str, Any]]] = {}
        self.order: list[tuple[str, int]] = []
        self.puts: list[str] = []
        self.sizes: list[int] = []
        self.broken = False

    def send(self, message: Any, buffers: list[bytes]) -> None:
        if self.broken:
            raise BrokenPipeError
        if message["kind"] != "put":
            return
        key, meta = message["key"], message["meta"]
        self.puts.append(key)
        if meta.get("reel"):
            held = self.frames.setdefault(key, {})
            base = meta.get("base")
            assert base is None or base in held, f"{message['step']} came before {base}"
            held[message["step"]] = message
            self.order.append((key, message["step"]))
            self.sizes.append(sum(map(len, buffers)))

    def set_status(self, *_: Any) -> None: ...
    def send_history(self) -> None: ...
    def refresh_picture(self) -> None: ...


def hello(run: Run, **reels: list[int]) -> wire.Hello:
    return {
        "kind": "hello",
        "generation": run.generation,
        "have": {},
        "events": 0,
        "reels": {KEY: reels.get("steps", [])},
    }


# ---------------------------------------------------------------------- in memory


def test_every_value_is_kept_and_the_newest_step_is_the_tensor() -> None:
    run = Run()
    for step in (1, 2, 5, 3):
        put(run, step)
    run.put("other", 1, np.zeros(3))
    run.put("other", 2, np.ones(3))
    assert run.reels == [KEY]
    assert run.reel_steps(KEY) == [1, 2, 3, 5]
    assert run.tensor(KEY)[1] == 5
    assert run.frame(KEY, 2)[2][0] == 2
    assert run.frame(KEY, 4) is None
    assert run.reel_steps("other") == []
    version, fresh = run.tensors_since(0)
    assert [(t[0], t[1]) for t in fresh] == [(KEY, 1), (KEY, 2), (KEY, 5), (KEY, 3), ("other", 2)]
    put(run, 2, size=7)
    assert [t[2].nbytes for t in run.tensors_since(version)[1]] == [7]
    assert run.reel_steps(KEY) == [1, 2, 3, 5]


def test_a_rewind_drops_later_values_and_starts_a_new_generation() -> None:
    run = Run()
    chain(run, range(10))
    run.append(3, {"a": 1.0})
    run.rewind(6)
    assert run.reel_steps(KEY) == [0, 1, 2, 3, 4, 5, 6]
    assert run.tensor(KEY)[1] == 6
    assert run.generation == 1
    run.rewind(6)
    assert run.generation == 1
    run.rewind(-1)
    assert (run.reel_steps(KEY), run.tensor(KEY)) == ([], None)


def test_another_run_begins_without_reels() -> None:
    run = Run()
    chain(run, range(10))
    past = run.restart()
    assert (run.reels, past.reel_steps(KEY)) == ([], list(range(10)))
    put(run, 1)
    assert run.reel_steps(KEY) == [1]
    run.forget()
    assert run.reels == []


def test_memory_is_bounded_and_what_others_stand_on_stays() -> None:
    reels = Reels(memory=200_000)
    key = None
    for version, step in enumerate(range(1, 1000), 1):
        key = step if version % 5 == 1 else key
        base = None if key == step else key
        meta = {"reel": True, "base": base}
        reels.put(version, (KEY, step, np.zeros(100, np.uint8), meta))
        assert reels.nbytes <= 200_000
        assert reels.steps(KEY)[-1] == step
    steps = reels.steps(KEY)
    frames = reels.frames()[KEY]
    assert {f.base for f in frames if f.base is not None} <= set(steps)
    assert (steps[0], steps[-1]) == (1, 999)
    assert reels.nbytes == sum(f.nbytes for f in frames) > 100_000
    # Even in the square root of the step: every fifth of the run has its part.
    roots = np.histogram(np.sqrt(steps), bins=5, range=(0, np.sqrt(1000)))[0]
    assert roots.min() > len(steps) / 20


def test_what_a_blob_stands_on_is_read_from_it_where_nothing_says_so() -> None:
    key = blob.decode(blob.encode(3, {"a": np.zeros(4, np.uint8)}))
    data = blob.encode(4, {"a": np.ones(4, np.uint8)}, key)
    reels = Reels()
    reels.put(1, (KEY, 4, np.frombuffer(data, np.uint8), {"reel": True, "blob": 1}))
    assert reels.frames()[KEY][0].base == 3


def test_a_large_reel_leaves_room_to_a_small_one() -> None:
    large = [Frame(step, 100, None) for step in range(1000)]
    small = [Frame(step, 1, None) for step in range(100)]
    kept = keep({"large": large, "small": small}, 10_000)
    assert kept["small"] == list(range(100))
    assert 95 <= len(kept["large"]) <= 99
    assert keep({"large": large}, 10**9)["large"] == list(range(1000))


def test_thinning_ten_thousand_takes_a_moment() -> None:
    frames = [Frame(s, 10, None if s % 16 == 0 else s - s % 16) for s in range(10_000)]
    kept = keep({KEY: frames}, 50_000)[KEY]
    assert len(kept) == 5_000


@pytest.mark.parametrize("count", [0, 1, 2, 3, 10, 33])
def test_any_beginning_of_the_spread_is_even(count: int) -> None:
    order = spread(count)
    assert sorted(order) == list(range(count))
    assert count < 2 or order[:2] == [count - 1, 0]
    if count == 33:
        gaps = np.diff(sorted(order[:9]))
        assert gaps.max() == gaps.min() == 4


# ---------------------------------------------------------------------- to a page


def drain(feed: Feed) -> int:
    turns = 0
    while True:
        feed.send(tensors=True, frames=True)
        turns += 1
        if not feed.owes:
            return turns


def test_a_page_gets_each_value_once_the_newest_first_and_none_before_its_base() -> None:
    run, page = Run(), Page()
    chain(run, range(1, 101))
    feed = Feed(run, page)
    drain(feed)
    assert sorted(page.frames[KEY]) == list(range(1, 101))
    assert len(page.order) == 100
    # The newest is one that stands on another; then come first ones, from coarse to fine.
    assert [step for _, step in page.order[:2]] == [96, 100]
    assert [step for _, step in page.order[2:6]] == [1, 46, 71, 21]
    drain(feed)
    assert len(page.order) == 100
    put(run, 101, base=96)
    drain(feed)
    assert page.order[100:] == [(KEY, 101)]


def test_nothing_is_looked_through_while_nothing_is_new(monkeypatch) -> None:
    """A run of hours has tens of thousands of frames, and ten flushes a second."""
    run, page = Run(), Page()
    looks: list[int] = []
    real = run.frames_lacking
    monkeypatch.setattr(run, "frames_lacking", lambda had: looks.append(1) or real(had))
    chain(run, range(1, 101))
    feed = Feed(run, page)
    drain(feed)
    looks.clear()
    drain(feed)
    assert looks == []
    # As many in another run are no reason to think that they were sent.
    run.restart()
    chain(run, range(1, 101))
    drain(feed)
    assert len(page.order) == 200
    # What could not be sent is still owed.
    page.broken = True
    put(run, 101)
    with pytest.raises(BrokenPipeError):
        drain(feed)
    page.broken = False
    drain(feed)
    assert page.order[200:] == [(KEY, 101)]


def test_one_flush_has_a_bound_and_what_is_new_overtakes() -> None:
    run, page = Run(), Page()
    chain(run, range(100), size=50_000)
    feed = Feed(run, page)
    feed.send(tensors=True, frames=True)
    assert feed.owes
    assert sum(page.sizes) <= arrears.FLUSH_BYTES
    put(run, 500, size=50_000, base=95)
    before = len(page.order)
    feed.send(tensors=True, frames=True)
    assert page.order[before] == (KEY, 500)
    turns = drain(feed)
    assert sorted(page.frames[KEY]) == [*range(100), 500]
    assert turns > 15


def test_a_value_that_is_set_again_is_sent_again() -> None:
    run, page = Run(), Page()
    chain(run, range(5))
    feed = Feed(run, page)
    drain(feed)
    put(run, 3, size=9, base=0)
    drain(feed)
    assert page.order[5:] == [(KEY, 3)]


def test_a_page_that_returns_gets_what_it_lacks() -> None:
    run, page = Run(), Page()
    chain(run, range(50))
    feed = Feed(run, page)
    page.frames[KEY] = {step: {} for step in range(40)}
    feed.greet(hello(run, steps=list(range(40))))
    drain(feed)
    assert sorted(step for _, step in page.order) == list(range(40, 50))
    old = hello(run)
    del old["reels"]
    page.frames, page.order = {}, []
    feed.greet(old)
    drain(feed)
    assert len(page.order) == 50


def test_what_is_for_no_page_goes_to_none() -> None:
    run, page = Run(), Page()
    put(run, 1, key=HIDDEN)
    put(run, 1)
    run.put("secret", 1, np.zeros(2), {"page": False})
    run.put("open", 1, np.zeros(2), {"page": True})
    drain(Feed(run, page))
    assert page.puts == ["open", KEY]


def test_frames_that_could_not_be_sent_come_again() -> None:
    run, page = Run(), Page()
    chain(run, range(3))
    feed = Feed(run, page)
    page.broken = True
    with pytest.raises(BrokenPipeError):
        feed.send(tensors=True, frames=True)
    page.broken = False
    drain(feed)
    assert sorted(page.frames[KEY]) == [0, 1, 2]


def test_a_rewind_sends_what_is_left_anew() -> None:
    run, page = Run(), Page()
    chain(run, range(20))
    feed = Feed(run, page)
    drain(feed)
    run.rewind(4)
    page.frames, page.order = {}, []
    drain(feed)
    assert sorted(page.frames[KEY]) == [0, 1, 2, 3, 4]


def test_the_flusher_goes_on_until_the_page_has_all_and_sends_nothing_before_it_speaks() -> None:
    run, page = Run(), Page()
    run.set_status("running")
    chain(run, range(40), size=50_000)
    flusher = Flusher(run, page, list, interval=0.0)
    flusher.flush_now()
    assert page.order == []
    flusher.from_page(hello(run))
    for _ in range(40):
        flusher._not_before = 0.0
        flusher.flush()
        if not run.changed.is_set():
            break
        run.changed.clear()
    assert sorted(page.frames[KEY]) == list(range(40))
    flusher.close()

"""The flusher sends what a page lacks, at a pace, and nothing when nobody looks."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest

from nbmonitor import flusher as module
from nbmonitor import wire
from nbmonitor.feed import Feed, page_tensor
from nbmonitor.flusher import Flusher
from nbmonitor.run import Run


class Page:
    """A sink that keeps what a page would: rows per series, events, tensors."""

    def __init__(self) -> None:
        self.messages: list[tuple[float, dict[str, Any], int]] = []
        self.rows: dict[int, int] = {}
        self.values: dict[int, list[float]] = {}
        self.events: list[Any] = []
        self.tensors: dict[str, np.ndarray] = {}
        self.declared: dict[int, str] = {}
        self.calls: list[str] = []
        self.status: dict[str, Any] = {}
        self.panels: list[Any] = []
        self.generation = self.seq = 0
        self.broken: Exception | None = None

    def send(self, message, buffers) -> None:
        if self.broken is not None:
            raise self.broken
        size = sum(map(len, buffers))
        assert message["seq"] > self.seq
        self.seq = message["seq"]
        self.messages.append((time.monotonic(), message, size))
        if message["generation"] != self.generation:
            self.generation = message["generation"]
            self.reload()
        if message["kind"] == "append":
            self.declared |= {spec["id"]: spec["key"] for spec in message["declare"]}
            for rows in wire.unpack_frame(buffers[0]):
                have = self.rows.get(rows.id, 0)
                assert rows.offset <= have, "a gap"
                self.rows[rows.id] = max(have, rows.offset + rows.covered)
                if rows.counts is None:
                    fresh = rows.values[max(0, have - rows.offset) :]
                    self.values.setdefault(rows.id, []).extend(float(v) for v in fresh)
        elif message["kind"] == "event":
            assert message["offset"] <= len(self.events)
            self.events[message["offset"] :] = message["events"]
        else:
            data = np.frombuffer(buffers[0], message["dtype"])
            self.tensors[message["key"]] = data.reshape(message["shape"])

    def set_status(self, status, config, panels) -> None:
        self.status, self.panels = status, panels
        self.calls.append("status " + status["state"])

    def send_history(self) -> None:
        self.calls.append("history")

    def refresh_picture(self) -> None:
        self.calls.append("picture")

    def reload(self) -> None:
        """Lose everything, as a page does."""
        self.rows, self.values, self.events = {}, {}, []
        self.tensors, self.declared = {}, {}

    def hello(self) -> wire.Hello:
        have = {str(number): rows for number, rows in self.rows.items()}
        return {
            "kind": "hello",
            "generation": self.generation,
            "have": have,
            "events": len(self.events),
        }

    def bytes(self) -> int:
        return sum(size for _, _, size in self.messages)


ACK: wire.Ack = {"kind": "ack", "seq": 0}


@pytest.fixture
def run() -> Run:
    run = Run("test")
    run.set_status("running")
    return run


@pytest.fixture
def page() -> Page:
    return Page()


@pytest.fixture
def flusher(run, page):
    made = Flusher(run, page, lambda: [{"id": f"p{len(page.declared)}"}])
    yield made
    made.close()


def wait_for(condition, seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.002)


def test_rows_events_and_tensors_arrive(run, page, flusher) -> None:
    run.append(1, {"train/loss": 3.0, "train/epoch": 0.5})
    run.event("note", 1, {"message": "hi"})
    run.put("heat", 1, np.arange(6, dtype=">i4").reshape(2, 3))
    flusher.flush_now()
    assert page.declared == {0: "train/loss", 1: "train/epoch"}
    assert page.values == {0: [3.0], 1: [0.5]}
    assert [e["kind"] for e in page.events] == ["status", "note"]
    assert page.tensors["heat"].tolist() == [[0, 1, 2], [3, 4, 5]]
    count = len(page.messages)
    flusher.flush_now()
    assert len(page.messages) == count


def test_first_row_after_quiet_goes_out_at_once_and_a_burst_is_gathered(run, page, flusher) -> None:
    flusher.from_page(ACK)
    flusher.start()
    wait_for(lambda: page.messages)
    time.sleep(0.2)
    page.messages.clear()
    start = time.monotonic()
    for step in range(500):
        run.append(step, {"a": 1.0})
        time.sleep(0.001)
    taken = time.monotonic() - start
    wait_for(lambda: page.rows.get(0) == 500)
    assert page.messages[0][0] - start < 0.05
    assert len(page.messages) <= taken / 0.1 + 3


def test_a_page_that_comes_back_gets_just_what_it_lacks(run, page, flusher) -> None:
    for step in range(100):
        run.append(step, {"a": float(step)})
    run.put("heat", 5, np.zeros(4, np.float32))
    flusher.from_page(page.hello())
    flusher.flush_now()
    early = {0: page.rows[0]}
    for step in range(100, 150):
        run.append(step, {"a": float(step), "b": 0.0})
    flusher.flush_now()
    # Reloaded: it has the rows of a history that was packed in between, and no tensor.
    page.reload()
    page.rows = early
    page.declared = {0: "a"}
    flusher.from_page(page.hello())
    before = page.bytes()
    flusher.flush_now()
    assert page.rows == {0: 150, 1: 50}
    assert page.declared == {0: "a", 1: "b"}
    assert "heat" in page.tensors
    assert page.bytes() - before < 50 * 8 + 300


def test_a_new_generation_starts_over(run, page, flusher) -> None:
    run.append(1, {"a": 1.0})
    flusher.flush_now()
    stale = page.hello()
    run.restart()
    run.append(1, {"b": 2.0})
    flusher.flush_now()
    assert page.declared == {0: "b"}
    flusher.from_page(stale)
    page.reload()
    flusher.flush_now()
    assert page.values == {0: [2.0]}


def test_a_closed_tab_costs_no_messages_and_no_memory(run, page, flusher, monkeypatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    flusher._last_picture = flusher._last_history = now[0]
    flusher.from_page(ACK)
    flusher.flush()
    assert not flusher.silent
    now[0] += 11
    assert flusher.silent
    count, size = len(page.messages), page.bytes()
    for step in range(3600):  # an hour, in turns of a second
        now[0] += 1.0
        run.append(step, {"a": float(step)})
        flusher.flush()
    assert len(page.messages) - count <= 360
    assert page.bytes() - size == 0
    assert {m["kind"] for _, m, _ in page.messages[count:]} == {"event"}
    assert "picture" not in page.calls
    assert "history" not in page.calls
    # It comes back: everything at once, in one message.
    flusher.from_page(page.hello())
    count = len(page.messages)
    flusher.flush()
    assert page.rows == {0: 3600}
    assert len([m for _, m, _ in page.messages[count:] if m["kind"] == "append"]) == 1


def test_before_any_page_answers_the_stream_is_thin(run, page, flusher, monkeypatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    for step in range(20_000):  # 200 s at 100 steps a second, 8 series
        now[0] += 0.01
        run.append(step, {f"s{i}": 1.0 for i in range(8)})
        flusher.flush()
    envelopes = 600 * len(page.messages)
    assert page.bytes() + envelopes < 200 * 5_000 * 1.1
    assert page.rows[0] > 19_000


def test_a_watched_page_gets_at_most_thirty_messages_a_second(
    run, page, flusher, monkeypatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    for step in range(1000):  # ten seconds
        now[0] += 0.01
        if step % 100 == 0:
            flusher.from_page(ACK)
        run.append(step, {"a": 1.0})
        run.event("note", step, {"message": ""})
        for i in range(5):
            run.put(f"t{i}", step, np.zeros(10, np.float32))
        flusher.flush()
    assert len(page.messages) <= 310
    assert page.rows[0] > 900


def test_a_long_silence_between_steps_is_bridged_by_signs_of_life(
    run, page, flusher, monkeypatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    for second in range(60):
        now[0] += 1.0
        if second % 2:
            flusher.from_page(ACK)
        flusher.flush()
    gaps = 60 / len(page.messages)
    assert 4 <= gaps <= 7
    run.set_status("paused")
    flusher.flush()


def test_the_end_brings_rows_then_status_picture_and_history(run, page, flusher) -> None:
    flusher.from_page(ACK)
    flusher.start()
    run.append(7, {"a": 1.0})
    run.set_status("finished", "done")
    flusher.flush_now()
    assert page.rows == {0: 1}
    assert page.status["state"] == "finished"
    assert page.calls[-2:] == ["picture", "history"]
    flusher.flush_now()
    assert page.calls.count("history") == 1
    # A second run ends again.
    run.set_status("running")
    flusher.flush_now()
    run.set_status("failed")
    flusher.flush_now()
    assert page.calls.count("history") == 2


def test_rows_after_the_end_reach_a_page_that_only_answers_messages(
    run, page, flusher, monkeypatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    flusher.from_page(ACK)
    flusher.flush()
    run.set_status("finished")
    flusher.flush_now()
    now[0] += 60
    run.append(3, {"eval/loss": 1.0})
    count = len(page.messages)
    flusher.flush()
    assert len(page.messages) == count + 1
    flusher.from_page(ACK)
    flusher.flush()
    assert page.rows == {0: 1}


def test_pictures_and_history_once_a_minute_while_watched(run, page, flusher, monkeypatch) -> None:
    now = [time.monotonic()]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    for second in range(300):
        now[0] += 1.0
        run.append(second, {"a": 1.0})
        if second % 2:
            flusher.from_page(ACK)
        flusher.flush()
    assert 4 <= page.calls.count("picture") <= 5
    assert 4 <= page.calls.count("history") <= 5
    assert page.calls.index("picture") < page.calls.index("history")


def test_panels_are_asked_for_when_something_changed_only(run, page) -> None:
    asked = []
    flusher = Flusher(run, page, lambda: asked.append(1) or [])
    flusher.flush_now()
    flusher.flush_now()
    first = len(asked)
    for step in range(50):
        run.append(step, {"a": 1.0})
        flusher.flush_now()
    assert len(asked) <= first + 2
    run.config = {"name": "new"}
    flusher.flush_now()
    assert page.calls.count("status running") == 2


def test_a_page_only_tensor_is_sent_and_sent_again_to_a_new_page(run, page, flusher) -> None:
    flusher.show(page_tensor("nbmonitor/picture", 3, b"png", {"id": "x"}))
    flusher.from_page(page.hello())
    flusher.flush_now()
    assert page.tensors["nbmonitor/picture"].tobytes() == b"png"
    page.reload()
    flusher.from_page(page.hello())
    flusher.flush_now()
    assert "nbmonitor/picture" in page.tensors


def test_what_is_shown_while_the_last_is_being_sent_is_not_lost(run, page) -> None:
    class Hasty(Page):
        def send(self, message, buffers) -> None:
            super().send(message, buffers)
            if message["kind"] == "put" and message["meta"]["state"] == "queued":
                feed.show(page_tensor("nbmonitor/controls", 3, b"", {"state": "applied"}))

    page = Hasty()
    feed = Feed(run, page)
    feed.show(page_tensor("nbmonitor/controls", 3, b"", {"state": "queued"}))
    feed.send(tensors=True)
    feed.send(tensors=True)
    states = [m["meta"]["state"] for _, m, _ in page.messages if m["kind"] == "put"]
    assert states == ["queued", "applied"]


def test_a_sink_that_fails_loses_nothing(run, page, flusher, caplog) -> None:
    flusher.start()
    page.broken = OSError("no route")
    run.append(1, {"a": 1.0})
    flusher.flush_now()
    flusher.flush_now()
    page.broken = None
    flusher.flush_now()
    assert page.rows == {0: 1}
    assert len(caplog.records) == 1


def test_nonsense_from_a_page_is_survived(run, page, flusher, caplog) -> None:
    flusher.start()
    flusher.from_page({"kind": "hello", "generation": 0, "have": {"x": None}, "events": "?"})
    flusher.flush_now()
    for _ in range(10_000):
        flusher.from_page(ACK)
    run.append(1, {"a": 1.0})
    flusher.flush_now()
    assert page.rows == {0: 1}


def test_close_ends_the_thread(run, page) -> None:
    before = set(threading.enumerate())
    flusher = Flusher(run, page, list)
    flusher.start()
    assert "nbmonitor-flusher" in {t.name for t in set(threading.enumerate()) - before}
    run.append(1, {"a": 1.0})
    flusher.close()
    flusher.close()
    assert page.rows == {0: 1}
    assert "nbmonitor-flusher" not in {t.name for t in set(threading.enumerate()) - before}

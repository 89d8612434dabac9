"""The widget without a page: what it holds, shows, and does when its front end is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from nbmonitor import kernel, widget, wire
from nbmonitor.run import Run
from nbmonitor.widget import MonitorWidget


@pytest.fixture
def run() -> Run:
    return Run("test")


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[tuple[dict, dict]]:
    calls: list[tuple[dict, dict]] = []
    monkeypatch.setattr(kernel, "publish", lambda data, *_, **how: calls.append((data, how)))
    return calls


@pytest.fixture
def bound(run):
    made = MonitorWidget()
    made.bind(run, list, lambda _: b"PNG", lambda run: f"<{run.status}> at {run.step}")
    yield made
    made.close()


def test_without_a_built_front_end_the_cell_says_what_to_do(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(widget, "STATIC", tmp_path)
    made = MonitorWidget()
    assert "make build" in made._esm
    assert made._css == ""
    made.close()


def test_history_is_packed_when_asked_for(bound, run) -> None:
    run.append(1, {"a": 2.0})
    header, rows = wire.unpack_history(bound.get_state("history")["history"])
    assert [spec["key"] for spec in header["declare"]] == ["a"]
    assert rows[0].values.tolist() == [2.0]


def test_a_display_is_the_widget_and_a_picture_that_updates(bound, run, shown) -> None:
    bound._refresh_picture()
    assert shown == []
    bound._ipython_display_()
    (live, _), (static, how) = shown
    assert "application/vnd.jupyter.widget-view+json" in live
    assert live["text/plain"] == "<waiting> at 0"
    assert how == {"display_id": bound.picture_id}
    assert f'data-nbmonitor-static="{bound.picture_id}"' in static["text/html"]
    assert 'alt="&lt;waiting&gt; at 0"' in static["text/html"]
    assert static["image/png"] == "UE5H"
    run.set_status("running")
    run.set_status("finished")
    bound.flush(final=True)
    assert shown[-1][1] == {"display_id": bound.picture_id, "update": True}
    assert shown[-1][0]["text/plain"] == "<finished> at 0"
    assert bound.status["state"] == "finished"


def test_only_known_messages_of_a_page_are_taken(bound) -> None:
    for content in (None, "hello", {}, {"kind": "delete"}):
        bound._from_page(bound, content, [])
    assert not bound._flusher._inbox
    bound._from_page(bound, {"kind": "ack", "seq": 1}, [])
    bound.flush(final=True)
    assert bound._flusher._heard is not None


def test_what_viewers_chose_is_told_to_a_page_that_comes_later(bound) -> None:
    def keep(item: str, name: str = "dismissed", *, on: bool = True) -> None:
        bound._from_page(bound, {"kind": "keep", "name": name, "id": item, "on": on}, [])

    assert bound.get_state("kept")["kept"] == {"dismissed": [], "notify": None}
    for item in ("a#1", "b#1", "c#1"):
        keep(item)
    keep("b#1", on=False)
    keep("", "notify", on=False)
    keep("x", "unheard of")
    bound._from_page(bound, {"kind": "keep"}, [])
    assert bound.get_state("kept")["kept"] == {"dismissed": ["a#1", "c#1"], "notify": False}
    for number in range(2000):
        keep(f"d#{number}")
    kept = bound.get_state("kept")["kept"]["dismissed"]
    assert len(kept) == 1000
    assert kept[-1] == "d#1999"


def test_a_pump_that_fails_is_noted_once(bound, run, monkeypatch) -> None:
    monkeypatch.setattr(bound._pump, "reason", "switched off after OSError: x")
    bound.pump(force=True)
    bound.pump(force=True)
    assert len(run.events("note")) == 1
    assert "OSError" in run.events("note")[0]["data"]["message"]

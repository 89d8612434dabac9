"""What a run file holds: rows, events, tensors, state; its versions; going on with one."""

from __future__ import annotations

import json
import math
import os
import re
import sqlite3
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from recording import PANEL, Recorded, query

import nbmonitor
from nbmonitor import wire
from nbmonitor.probe import Series
from nbmonitor.run import Run
from nbmonitor.runfile import Recorder, RunFileError, new_path, reader, schema
from nbmonitor.runfile import recorder as recorder_module
from nbmonitor.runfile.paths import is_written

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "run-file.md"


@pytest.fixture
def recorded(tmp_path):
    made = Recorded(tmp_path / "runs")
    yield made
    made.recorder.close()


def meta(path: Path) -> dict:
    return {key: json.loads(value) for key, value in query(path, "SELECT * FROM meta")}


# ---------------------------------------------------------------------- rows


def test_series_that_come_together_share_a_table(recorded):
    recorded.lay(
        recorded.measure(1, {"train/loss": 0.5, "train/epoch": 0.25}),
        recorded.measure(1, {"gpu/0/power": 70.0}),
        recorded.measure(2, {"train/loss": 0.25, "train/epoch": 0.5, "eval/loss": 3.0}),
    )
    recorded.recorder.fold()
    assert recorded.query("SELECT * FROM rows_1 ORDER BY n") == [
        (1, 1, 1001.0, 0.5, 0.25, None),
        (2, 2, 1002.0, 0.25, 0.5, 3.0),
    ]
    assert recorded.query("SELECT * FROM rows_2") == [(1, 1, 1001.0, 70.0)]
    assert recorded.query('SELECT id, key, "table", "column" FROM series ORDER BY id') == [
        (0, "train/loss", "rows_1", "train/loss"),
        (1, "train/epoch", "rows_1", "train/epoch"),
        (2, "gpu/0/power", "rows_2", "gpu/0/power"),
        (3, "eval/loss", "rows_1", "eval/loss"),
    ]


def test_a_row_may_span_tables(recorded):
    recorded.lay(recorded.measure(1, {"a/x": 1.0}), recorded.measure(1, {"b/y": 2.0}))
    recorded.lay(recorded.measure(2, {"a/x": 3.0, "b/y": 4.0}))
    recorded.recorder.fold()
    assert recorded.query('SELECT step, "a/x" FROM rows_1') == [(1, 1.0), (2, 3.0)]
    assert recorded.query('SELECT step, "b/y" FROM rows_2') == [(1, 2.0), (2, 4.0)]


def test_what_is_not_finite_is_kept(recorded):
    recorded.lay(recorded.measure(1, {"a/x": math.nan, "a/y": math.inf, "a/z": -math.inf}))
    recorded.recorder.fold()
    assert recorded.query('SELECT "a/x", "a/y", "a/z" FROM rows_1') == [(None, math.inf, -math.inf)]
    assert recorded.query("SELECT * FROM nonfinite") == [(0, 1, "nan")]


def test_names_that_sqlite_takes_for_the_same_are_told_apart(recorded):
    values = {"x/Loss": 1.0, "x/loss": 2.0, "step": 3.0, 'x/"quoted"': 4.0, "x/'q'": 5.0}
    recorded.lay(recorded.measure(1, values))
    recorded.recorder.fold()
    columns = dict(recorded.query('SELECT key, "column" FROM series'))
    assert columns["x/loss"] == "x/loss~2"
    assert columns["step"] == "step~2"
    found = dict(recorded.query("SELECT key, value FROM points"))
    assert found == values


def test_more_columns_than_a_table_takes(recorded):
    values = {f"layer/{number}": float(number) for number in range(schema.MAX_COLUMNS + 50)}
    recorded.lay(recorded.measure(1, values))
    recorded.lay(recorded.measure(2, {**values, "layer/more": 7.0}))
    recorded.recorder.fold()
    widths = [
        len(recorded.query(f"PRAGMA table_info({table})")) - len(schema.FIXED)
        for table in ("rows_1", "rows_2")
    ]
    assert widths == [200, 51]
    run = Run()
    reader.load(run, recorded.path)
    assert {key: run.last(key) for key in run.keys} == {**values, "layer/more": 7.0}


def test_long_form_and_pandas(recorded):
    recorded.steps(1, 40)
    db = sqlite3.connect(recorded.path)
    wide = pd.read_sql("select * from rows_1", db)
    long = pd.read_sql("select * from points", db)
    db.close()
    assert list(wide.columns) == ["n", "step", "time", "train/loss"]
    assert wide["train/loss"].tolist() == [1.0 / step for step in range(1, 41)]
    assert long[["key", "step", "value"]].iloc[-1].tolist() == ["train/loss", 40, 1 / 40]


def test_the_document_s_snippets_run(recorded):
    recorded.steps(1, 40)
    recorded.run.set_status("finished")
    recorded.recorder.close()
    snippets = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert len(snippets) >= 2
    for snippet in snippets:
        names: dict[str, object] = {"path": str(recorded.path)}
        exec(snippet, names)


def test_declared_labels_units_and_precision(recorded):
    recorded.run.declare([Series("train/loss", "Loss", "nats", "float32")])
    recorded.steps(1, 2)
    assert recorded.query("SELECT label, unit, dtype FROM series") == [("Loss", "nats", "float32")]


# ---------------------------------------------------------------------- the rest of a Run


def test_events_tensors_and_state(recorded):
    recorded.steps(1, 3)
    recorded.run.event("checkpoint", 3, {"message": "saved", "directory": Path("/x")})
    recorded.run.put("lora/norms", 2, np.arange(6, dtype=">i4").reshape(2, 3), {"rows": ["a"]})
    recorded.run.config["model"] = "Tiny"
    recorded.run.total_steps = 9
    recorded.recorder.fold()
    events = recorded.query("SELECT n, kind, step, data FROM events ORDER BY n")
    assert [(n, kind, step) for n, kind, step, _ in events] == [
        (0, "status", 0),
        (1, "checkpoint", 3),
    ]
    assert json.loads(events[1][3])["directory"] == "/x"
    ((key, step, dtype, shape, data),) = recorded.query(
        "SELECT key, step, dtype, shape, data FROM tensors"
    )
    assert (key, step, dtype, json.loads(shape)) == ("lora/norms", 2, "int32", [2, 3])
    assert np.frombuffer(data, "<i4").tolist() == [0, 1, 2, 3, 4, 5]
    state = meta(recorded.path)
    assert (state["status"], state["step"], state["total_steps"]) == ("running", 3, 9)
    assert (state["config"]["model"], state["panels"]) == ("Tiny", [PANEL])
    assert (state["folded_seq"], state["nbmonitor_version"]) == (3, nbmonitor.__version__)
    assert state["pid"] == os.getpid()


def test_a_tensor_that_is_set_over_and_over_keeps_a_thinned_past(recorded):
    for step in range(1, 251):
        recorded.run.put("probe/map", step, np.zeros((4, 4), np.float32))
        recorded.recorder.fold()
    steps = [step for (step,) in recorded.query("SELECT step FROM tensors ORDER BY step")]
    assert len(steps) <= 100
    assert (steps[0], steps[-1]) == (1, 250)


def test_a_running_writer_shows_that_it_lives(recorded, monkeypatch):
    monkeypatch.setattr(recorder_module, "HEARTBEAT", -1.0)
    recorded.recorder.fold()
    before = meta(recorded.path)["updated"]
    recorded.recorder.fold()
    assert meta(recorded.path)["updated"] > before
    assert is_written(recorded.path) is True


def test_the_summary_holds_what_the_tables_do(recorded):
    recorded.steps(1, 500)
    recorded.lay(recorded.measure(501, {"train/loss": math.nan, "eval/loss": 1.0}))
    recorded.run.set_status("finished")
    recorded.recorder.fold()
    ((upto, data),) = recorded.query("SELECT upto, data FROM summary")
    assert json.loads(upto) == {"rows_1": 501}
    header, stretches = wire.unpack_history(data)
    assert [spec["key"] for spec in header["declare"]] == ["train/loss", "eval/loss"]
    assert sum(rows.covered for rows in stretches) == 502


def test_no_summary_of_what_the_file_lacks(recorded):
    recorded.steps(1, 5)
    recorded.run.append(6, {"train/loss": 1.0})  # not by way of the engine
    recorded.run.set_status("finished")
    recorded.recorder.fold()
    assert recorded.query("SELECT count(*) FROM summary") == [(0,)]


def test_a_closed_file_stands_alone(recorded):
    recorded.steps(1, 5)
    recorded.run.set_status("finished")
    recorded.recorder.close()
    assert list(recorded.path.parent.iterdir()) == [recorded.path]
    assert is_written(recorded.path) is False
    with recorded.path.open("rb") as file:
        head = file.read(20)
    # Bytes 18 and 19: 1 means that no write-ahead log belongs to it, so it opens on a medium
    # that can't be written to.
    assert head[18:20] == b"\1\1"
    recorded.recorder.entry(99, ("ready", 9, 1.0, {}))
    recorded.recorder.event(9, {"kind": "note", "step": 1, "time": 1.0, "data": {}})
    recorded.recorder.take([(9, {"train/loss": 1.0}, 1.0)], 99)
    recorded.recorder.fold()
    assert recorded.recorded() == [1, 2, 3, 4, 5]


# ---------------------------------------------------------------------- one after the other


def test_rewound_rows_go(recorded):
    recorded.steps(1, 10)
    recorded.run.put("t", 9, np.zeros(1))
    recorded.lay(recorded.measure(11, {"train/loss": math.nan}))
    recorded.recorder.fold()
    recorded.run.rewind(6)
    recorded.steps(7, 8)
    assert recorded.recorded() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert recorded.query("SELECT * FROM nonfinite") == []
    assert recorded.query("SELECT * FROM tensors") == []
    assert meta(recorded.path)["generation"] == 1
    numbers = [n for (n,) in recorded.query("SELECT n FROM rows_1 ORDER BY n")]
    assert numbers == [1, 2, 3, 4, 5, 6, 12, 13]
    recorded.run.set_status("finished")
    recorded.recorder.fold()
    assert recorded.query("SELECT count(*) FROM summary") == [(1,)]


def test_who_follows_hears_of_a_rewind_with_the_cut_and_not_before_it(recorded, monkeypatch):
    recorded.steps(1, 9)
    follower = Run()
    cursor = reader.load(follower, recorded.path)
    look = recorded.run.tensors_since

    def rewinding(version):
        """Go back in the middle of a fold, when it has taken the changes that there are."""
        monkeypatch.setattr(recorded.run, "tensors_since", look)
        recorded.run.rewind(5)
        return look(version)

    monkeypatch.setattr(recorded.run, "tensors_since", rewinding)
    for last in (0, 8):
        recorded.steps(6, last)
        with reader.RunFile(recorded.path) as file:
            if file.meta["generation"] == cursor.generation:
                file.catch_up(follower, cursor)
            else:
                follower.forget()
                cursor = file.load(follower)
    assert follower.points("train/loss")[0].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_run_goes_on_in_its_file(tmp_path):
    first = Recorded(tmp_path)
    first.steps(1, 10)
    first.recorder.close()
    second = Recorded(tmp_path, first.path)
    second.run.rewind(6)
    second.run.event("resumed", 6, {"message": "resumed at step 6"})
    second.steps(7, 9)
    second.run.set_status("finished")
    second.recorder.close()
    assert second.path == first.path
    assert second.recorded() == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    kinds = [kind for (kind,) in query(second.path, "SELECT kind FROM events ORDER BY n")]
    assert kinds == ["status", "status", "resumed", "status"]
    state = meta(second.path)
    assert state["folded_seq"] == 13
    assert state["generation"] > 0
    assert query(second.path, "SELECT count(*) FROM summary") == [(1,)]


def test_two_runs_never_share_a_file(tmp_path):
    names = {new_path(tmp_path, "Same Name") for _ in range(50)}
    assert len(names) == 50
    first = Recorded(tmp_path)
    first.steps(1, 3)
    run = Run()
    second = Recorder(run, first.path, list)
    assert second.path != first.path
    third = Recorder.reopen(run, first.path, list)
    assert third.path == first.path
    assert [e["data"]["title"] for e in run.events("alert")] == []  # perhaps it is over at once
    third._files.outage._not_before = 0.0
    third.fold()
    (alert,) = run.events("alert")
    assert "another process writes" in alert["data"]["message"]
    for recorder in (third, second, first.recorder):
        recorder.close()
    assert first.recorded() == [1, 2, 3]


def test_a_fork_leaves_the_file_alone(recorded):
    recorded.steps(1, 3)
    child = os.fork()
    if not child:
        recorded.steps(4, 6)
        recorded.recorder.close()
        os._exit(0)
    os.waitpid(child, 0)
    recorded.steps(4, 4)
    assert recorded.recorded() == [1, 2, 3, 4]
    assert is_written(recorded.path) is True


def test_a_million_steps_of_eight_series_fit(recorded):
    chance = np.random.default_rng(0)
    keys = [f"train/{number}" for number in range(8)]
    for first in range(0, 20_000, 2_000):
        values = chance.standard_normal((2_000, 8)).tolist()
        recorded.seq += 1
        recorded.lay(
            *[
                (first + at + 1, dict(zip(keys, row, strict=True)), 1.7e9 + first + at + 0.1)
                for at, row in enumerate(values)
            ]
        )
        recorded.recorder.fold()
    recorded.run.set_status("finished")
    recorded.recorder.close()
    ((summary,),) = query(recorded.path, "SELECT length(data) FROM summary")
    assert (recorded.path.stat().st_size - summary) / 20_000 * 1_000_000 <= 110e6


# ---------------------------------------------------------------------- versions


def opened(path: Path) -> None:
    with reader.RunFile(path):
        pass


def test_a_newer_file_says_so(recorded):
    recorded.steps(1, 3)
    recorded.recorder.close()
    with sqlite3.connect(recorded.path) as db:
        db.execute(f"PRAGMA user_version={schema.VERSION + 1}")
    with pytest.raises(RunFileError, match=r"newer nbmonitor, schema 2; this one reads up to 1"):
        opened(recorded.path)
    run = Run()
    Recorder.reopen(run, recorded.path, list).close()
    assert "pip install -U nbmonitor" in run.events("alert")[0]["data"]["message"]
    assert query(recorded.path, "PRAGMA user_version") == [(2,)]


def test_an_older_file_is_migrated_by_who_may_write(recorded, monkeypatch):
    recorded.steps(1, 3)
    recorded.recorder.close()

    def add_note(db):
        db.execute("CREATE TABLE added (n INTEGER)")

    monkeypatch.setattr(schema, "VERSION", 2)
    with pytest.raises(RunFileError, match=r"schema 1, which this nbmonitor \(schema 2\) can't"):
        opened(recorded.path)
    monkeypatch.setattr(schema, "MIGRATIONS", {1: add_note})
    with pytest.raises(RunFileError, match="older schema 1; it is migrated to 2 when"):
        opened(recorded.path)
    Recorder.reopen(Run(), recorded.path, list).close()
    opened(recorded.path)
    assert query(recorded.path, "SELECT count(*) FROM added") == [(0,)]


def test_other_files_are_no_run_files(tmp_path):
    text, other = tmp_path / "text.sqlite", tmp_path / "other.sqlite"
    text.write_text("hello, " * 500)
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE t (x)")
    for path in (text, other):
        with pytest.raises(RunFileError, match="run file"):
            opened(path)

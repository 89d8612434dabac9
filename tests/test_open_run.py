"""Runs seen through their files: while another process trains, after its end, after its death."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from writer import Writer, until

from nbmonitor import list_runs, open_run, recovery
from nbmonitor.run import Run
from nbmonitor.runfile import reader
from nbmonitor.runfile.schema import RunFileError


@pytest.fixture
def write(tmp_path):
    """Start writers that end with the test."""
    started: list[Writer] = []

    def start(*args, out="out", **kwargs) -> Writer:
        started.append(Writer(tmp_path / out, tmp_path / "runs", *args, **kwargs))
        return started[-1]

    yield start
    for writer in started:
        writer.close()


@pytest.fixture
def view():
    """Open views that end with the test."""
    opened = []

    def show(path, **options):
        opened.append(open_run(path, **options))
        return opened[-1]

    yield show
    for widget in opened:
        widget.close()
    assert not [t for t in threading.enumerate() if t.name == "nbmonitor-follow"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, pd.DataFrame]:
    """A run that is over, and its history as its own process had it; to be copied."""
    home = tmp_path_factory.mktemp("finished")
    writer = Writer(home / "out", home, max_steps=30, name="one")
    writer.wait_for("done")
    writer.process.wait()
    writer.close()
    return next(home.glob("*.sqlite")), pd.read_pickle(home / "out" / "history.pickle")


def copied(source: Path, target: Path, **meta) -> Path:
    """The same run under another name, with some of what it says about itself changed."""
    target.parent.mkdir(exist_ok=True)
    shutil.copy(source, target)
    with contextlib.closing(sqlite3.connect(target)) as db, db:
        for key, value in meta.items():
            db.execute("UPDATE meta SET value = ? WHERE key = ?", (json.dumps(value), key))
    return target


def equal(found: pd.DataFrame, wanted: pd.DataFrame) -> None:
    """The same table, whatever the order of its columns."""
    assert set(found.columns) == set(wanted.columns)
    pd.testing.assert_frame_equal(found[list(wanted.columns)], wanted, rtol=1e-6)


def test_a_view_waits_for_the_run_that_its_cell_is_about_to_start(
    write, view, finished, tmp_path
) -> None:
    path, _ = finished
    copied(path, tmp_path / "runs" / "20200101-000000-old-0000.sqlite")
    shown = view(tmp_path / "runs", wait=True)
    assert shown.run.keys == []
    writer = write((5,), max_steps=8)
    writer.wait_for("at 5")
    until(lambda: shown.run.step == 5, 20, "five steps in the view")
    until(lambda: shown.run.status == "running", 20, "the state in the view")
    writer.go()
    writer.wait_for("done")
    until(lambda: shown.run.status == "finished", 20, "the end in the view")
    assert shown.run.history()["train/loss"].notna().sum() == 8
    assert "loss" in {panel["id"] for panel in shown.run.panels()}


def test_a_view_that_waits_in_a_directory_that_is_not_there_yet(view, finished, tmp_path) -> None:
    path, wanted = finished
    shown = view(tmp_path / "later", wait=True)
    copied(path, tmp_path / "later" / path.name)
    until(lambda: shown.run.status == "finished", 20, "the run in the view")
    equal(shown.run.history(), wanted)


def test_a_file_cannot_be_waited_for(finished) -> None:
    with pytest.raises(ValueError, match="directory"):
        open_run(finished[0], wait=True)


def test_a_run_of_another_process_is_followed_live(write, view, tmp_path) -> None:
    writer = write((5, 12), max_steps=20)
    writer.wait_for("at 5")
    until(lambda: list((tmp_path / "runs").glob("*.sqlite")), 20, "the run file")
    run = view(tmp_path / "runs").run
    # The file is folded twice a second and looked at five times a second.
    until(lambda: run.step == 5, 20, "step 5 in the view")
    until(lambda: run.status == "running", 20, "the state in the view")
    assert run.config["name"] == "other"
    assert run.total_steps == 20
    assert not run.events("checkpoint")
    panels = {panel["id"] for panel in run.panels()}
    assert {"loss", "readouts", "tokens", "metrics"} <= panels
    writer.go()
    writer.wait_for("at 12")
    until(lambda: len(run.points("train/loss")[0]) == 12, 20, "step 12 in the view")
    assert list_runs(tmp_path / "runs")["alive"].tolist() == [True]
    writer.go()
    writer.wait_for("done")
    until(lambda: run.status == "finished", 20, "the end in the view")
    equal(run.history(), pd.read_pickle(writer.out / "history.pickle"))
    assert run.events("status")[-1]["data"]["status"] == "finished"


def test_a_view_stops_following_what_is_over(finished, view, tmp_path) -> None:
    path = copied(finished[0], tmp_path / "run.sqlite")
    widget = view(path)
    assert widget.run.status == "finished"
    until(lambda: not widget.following, 20, "the thread to end")
    assert widget.status["state"] == "finished"
    assert widget.config["run_file"] == str(path)
    assert "trained" in widget.capabilities["controls"]
    equal(widget.run.history(), finished[1])


def test_a_killed_run_has_every_completed_step_and_says_interrupted(write, view, tmp_path) -> None:
    # At once after a step: nothing has been folded for it yet.
    writer = write((7,), max_steps=20)
    writer.wait_for("at 7")
    writer.kill()
    row = list_runs(tmp_path / "runs").iloc[0]
    assert (row["status"], bool(row["alive"]), row["problem"]) == ("interrupted", False, "")
    for name in ("kept", "twice"):
        shutil.copytree(tmp_path / "runs", tmp_path / name)
    widget = view(tmp_path / "runs")
    run = widget.run
    assert run.status == "interrupted"
    assert run.status_message.startswith("kernel lost at step 7")
    for key in ("train/loss", "train/grad_norm", "tokens/seen", "train/step_time", "train/epoch"):
        assert run.points(key)[0].tolist() == list(range(1, 8))
    seen = run.points("tokens/seen")[1]
    assert (np.diff(seen) == run.points("tokens/per_step")[1][1:]).all()
    # It is in the file now: whoever reads that needs no journal.
    path = run.path
    assert not list(path.parent.glob("*.journal*"))
    db = sqlite3.connect(path)
    frame = pd.read_sql("SELECT * FROM points WHERE key = 'train/loss'", db)
    db.close()
    assert frame["step"].tolist() == list(range(1, 8))
    again = reader.load(Run(), path)
    assert again.events == len(run.events())
    # Where a file can't be written, the view has it all the same.
    kept = tmp_path / "kept" / path.name
    before = kept.read_bytes()
    other = Run()
    reader.load(other, kept)
    assert recovery.complete(other, kept)
    equal(other.history(), run.history())
    assert other.status == "interrupted"
    assert kept.read_bytes() == before
    # Two views that find the same dead run complete it once.
    both = tmp_path / "twice" / path.name
    threads = [threading.Thread(target=recovery.recover, args=(both,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    last = Run()
    reader.load(last, both)
    equal(last.history(), run.history())
    assert [e["kind"] for e in last.events()] == [e["kind"] for e in run.events()]


def test_the_death_of_a_writer_shows_in_an_open_view(write, view, tmp_path) -> None:
    writer = write((4, 9), max_steps=20)
    writer.wait_for("at 4")
    run = view(tmp_path / "runs").run
    writer.go()
    writer.wait_for("at 9")
    writer.kill()
    until(lambda: run.status == "interrupted", 20, "the loss of the writer to show")
    assert run.status_message.startswith("kernel lost at step 9")
    assert run.points("train/loss")[0].tolist() == list(range(1, 10))
    assert [e["data"]["status"] for e in run.events("status")] == ["running", "interrupted"]


def test_a_view_goes_on_with_a_run_that_is_resumed(write, view, tmp_path) -> None:
    saving = {"save_strategy": "steps", "save_steps": 5, "max_steps": 12}
    writer = write((9,), **saving)
    writer.wait_for("at 9")
    writer.kill()
    widget = view(tmp_path / "runs")
    run = widget.run
    assert run.step == 9
    resumed = write((8,), resume=str(tmp_path / "out" / "checkpoint-5"), **saving)
    resumed.wait_for("at 8")
    until(lambda: run.status == "running" and run.step == 8, 20, "the resumed run to show")
    assert len(list((tmp_path / "runs").glob("*.sqlite"))) == 1
    # What a journal has of the steps that were redone is told apart, too.
    resumed.kill()
    until(lambda: run.status == "interrupted", 20, "the loss of the writer to show")
    assert run.points("train/loss")[0].tolist() == list(range(1, 9))
    seen, each = run.points("tokens/seen")[1], run.points("tokens/per_step")[1]
    assert seen.tolist() == np.cumsum(each).tolist()
    assert run.events("resumed")[0]["data"]["to"] == 5


def test_a_file_that_goes_away_and_comes_back(write, view, tmp_path) -> None:
    writer = write((3, 6), max_steps=8)
    writer.wait_for("at 3")
    run = view(tmp_path / "runs").run
    until(lambda: run.step == 3, 20, "step 3 in the view")
    away = tmp_path / "away"
    (tmp_path / "runs").rename(away)
    until(lambda: run.events("note"), 20, "a word about it")
    assert "gone" in run.events("note")[-1]["data"]["message"]
    assert run.points("train/loss")[0].tolist() == [1, 2, 3]
    away.rename(tmp_path / "runs")
    until(
        lambda: "back" in run.events("note")[-1]["data"]["message"], 20, "a word about its return"
    )
    writer.go()
    writer.wait_for("at 6")
    until(lambda: run.step == 6, 20, "step 6 in the view")


def test_another_file_in_the_same_place_is_read_anew(finished, view, tmp_path) -> None:
    first = copied(finished[0], tmp_path / "run.sqlite", status="interrupted")
    second = copied(finished[0], tmp_path / "other.sqlite", status="interrupted", step=6)
    with contextlib.closing(sqlite3.connect(second)) as db, db:
        for (table,) in db.execute('SELECT DISTINCT "table" FROM series').fetchall():
            db.execute(f"DELETE FROM {table} WHERE step > 6")
        db.execute("DELETE FROM summary")
    run = view(first).run
    assert run.step == 30
    generation = run.generation
    second.replace(first)
    until(lambda: run.step == 6, 20, "the other file in the view")
    assert run.generation > generation
    assert run.points("train/loss")[0].tolist() == list(range(1, 7))


def test_the_newest_run_of_a_directory_is_taken_and_named(finished, view, tmp_path) -> None:
    runs = tmp_path / "out" / "nbmonitor"
    runs.parent.mkdir()
    copied(finished[0], runs / "20260101-000000-one-0000.sqlite", started=1.7e9, ended=1.7e9 + 5)
    newest = copied(
        finished[0], runs / "20260102-000000-two-0000.sqlite", name="two", started=1.7e9 + 9, step=5
    )
    (runs / "notes.sqlite").write_text("not a database, but long enough to be read" * 20)
    found = list_runs(runs)
    assert found["name"].tolist()[:2] == ["two", "one"]
    assert found["step"].tolist()[:2] == [5, 30]
    assert found["status"].tolist()[:2] == ["finished", "finished"]
    assert found["alive"].tolist() == [False, False, False]
    assert found["loss"][0] == pytest.approx(finished[1]["train/loss"].iloc[-1])
    assert found["duration"][1] == 5
    assert found["started"][1] == pd.Timestamp(1.7e9, unit="s", tz="UTC")
    assert found["problem"].tolist()[:2] == ["", ""]
    assert "not a run file" in found["problem"][2]
    # The output directory and its parent will do as well.
    assert list_runs(tmp_path / "out")["path"].tolist() == found["path"].tolist()
    assert list_runs(tmp_path)["path"].tolist() == found["path"].tolist()
    widget = view(runs)
    assert widget.run.path == newest
    assert "newest of 2 runs" in widget.run.events("note")[-1]["data"]["message"]
    with pytest.raises(NotADirectoryError, match="run files"):
        list_runs(newest)


def test_what_cannot_be_opened_says_why(finished, tmp_path) -> None:
    missing = tmp_path / "none.sqlite"
    with pytest.raises(FileNotFoundError, match="list_runs"):
        open_run(missing)
    with pytest.raises(FileNotFoundError, match="TrainingMonitor writes them"):
        open_run(tmp_path)
    missing.touch()
    with pytest.raises(RunFileError, match="empty"):
        open_run(missing)
    missing.write_text("some text that is no database at all, however long it may be" * 20)
    with pytest.raises(RunFileError, match="not a run file"):
        open_run(missing)
    missing.unlink()
    with sqlite3.connect(missing) as db:
        db.execute("CREATE TABLE t (a)")
    with pytest.raises(RunFileError, match="not a run file"):
        open_run(missing)
    good = finished[0]
    newer = tmp_path / "newer.sqlite"
    shutil.copy(good, newer)
    with sqlite3.connect(newer) as db:
        db.execute("PRAGMA user_version=99")
    with pytest.raises(RunFileError, match="pip install -U nbmonitor"):
        open_run(newer)
    damaged = bytearray(good.read_bytes())
    damaged[4096:20480] = bytes(16384)
    bad = tmp_path / "bad.sqlite"
    bad.write_bytes(damaged)
    with pytest.raises(RunFileError, match=r"bad\.sqlite.*(damaged|recover)"):
        open_run(bad)
    with pytest.raises(ValueError, match="neon, light, auto"):
        open_run(good, theme="pink")


def test_folded_rows_are_read_back_from_the_file(finished, tmp_path) -> None:
    path, wanted = copied(finished[0], tmp_path / "run.sqlite"), finished[1]
    run = Run()
    reader.load(run, path)
    for column in run._columns:  # as if memory had been short
        column._seal()
        column.fold_oldest()
    assert len(run.points("train/loss")[0]) == 1
    found = run.history()
    assert found.attrs["summary_rows"] == {}
    equal(found, wanted)
    part = run.archive(["train/loss"], 10, 12)["train/loss"]
    assert part[0].tolist() == [10, 11, 12]
    run.to_csv(tmp_path / "run.csv")
    assert len(pd.read_csv(tmp_path / "run.csv")) == len(wanted)
    path.unlink()
    coarse = run.history()
    assert coarse.attrs["summary_rows"]["train/loss"] == 30

"""What goes wrong with a disk: the training goes on, one alert says so, nothing is lost or doubled."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
from contextlib import contextmanager

import numpy as np
import pytest
from recording import Recorded, query

from nbmonitor.runfile import Recorder, journal, outage

NOBODY = 65534


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    """Attempts follow each other without a pause."""
    monkeypatch.setattr(outage, "_FIRST_PAUSE", 0.0)
    monkeypatch.setattr(outage, "_LONGEST_PAUSE", 0.0)


@pytest.fixture
def recorded(tmp_path):
    made = Recorded(tmp_path / "runs")
    made.steps(1, 5)
    yield made
    made.recorder.close()


@contextmanager
def no_room(size):
    """No file may grow beyond `size` bytes, as if the disk were full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def without_rights():
    """Rights that are taken away count, also for the administrator."""
    if os.geteuid():
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def one_alert(recorded, *words):
    (alert,) = recorded.told("alert")
    assert alert["severity"] == "warning"
    assert alert["title"]
    for word in words:
        assert word in alert["message"]


def written_again(recorded, *words):
    (note,) = recorded.told("note")
    assert "written again" in note["message"]
    for word in words:
        assert word in note["message"]


def test_a_full_disk(recorded):
    with no_room(recorded.path.stat().st_size + 1000):
        for step in range(6, 3000, 100):
            recorded.steps(step, step + 99)
        waiting = sum(len(change.rows) for change in recorded.recorder._changes)
        assert waiting > 100
        # The journal has its room already.
        assert journal.read(recorded.path).entries[-1][0] == recorded.seq
        one_alert(recorded, "free some space", str(recorded.path))
    recorded.recorder.fold()
    written_again(recorded, f"{waiting:,} rows")
    assert recorded.recorded() == list(range(1, 3006))
    one_alert(recorded)


def test_a_full_disk_where_the_journal_grows(tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "mappable", lambda _: False)
    monkeypatch.setattr(journal, "_REST", -1.0)
    recorded = Recorded(tmp_path)
    recorded.steps(1, 5)
    with no_room(4096):
        for step in range(6, 3000, 100):
            recorded.steps(step, step + 99)
    titles = {alert["title"] for alert in recorded.told("alert")}
    assert titles == {"No room for the run file", "The run file's journal can't be written"}
    recorded.recorder.fold()
    recorded.steps(3006, 3006)
    assert recorded.recorded() == list(range(1, 3007))
    assert len(recorded.told("alert")) == 2
    recorded.measure(3007)
    assert journal.read(recorded.path).entries[-1][1][1] == 3007
    recorded.recorder.close()


def test_a_directory_that_cannot_be_written_to(tmp_path):
    directory = tmp_path / "runs"
    directory.mkdir(mode=0o755)
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent.owner() == "root" and parent != parent.parent and os.geteuid() == 0:
            parent.chmod(parent.stat().st_mode | 0o011)
    directory.chmod(0o555)
    with without_rights():
        recorded = Recorded(directory)
        recorded.steps(1, 5)
        recorded.steps(6, 9)
        one_alert(recorded, "ermission denied", "run_dir")
        assert not list(directory.iterdir())
    directory.chmod(0o777)
    with without_rights():
        recorded.steps(10, 11)
        assert recorded.recorded() == list(range(1, 12))
        written_again(recorded, "11 rows")
        recorded.measure(12)
        assert journal.read(recorded.path).entries[-1][1][1] == 12
        recorded.recorder.close()


def test_a_file_in_the_place_of_the_directory(tmp_path):
    place = tmp_path / "runs"
    place.write_text("not a directory")
    recorded = Recorded(place)
    recorded.steps(1, 5)
    one_alert(recorded, str(place))
    place.unlink()
    recorded.steps(6, 7)
    assert recorded.recorded() == list(range(1, 8))


def test_a_directory_deleted_while_the_run_is_written(recorded):
    shutil.rmtree(recorded.path.parent)
    recorded.lay(recorded.measure(6))
    recorded.steps(7, 8)
    one_alert(recorded, "everything it held")
    assert recorded.recorded() == list(range(1, 9))
    recorded.measure(9)
    assert journal.read(recorded.path).entries[-1][1][1] == 9
    recorded.steps(10, 10)
    recorded.run.set_status("finished")
    recorded.recorder.close()
    assert recorded.run.path == recorded.path
    assert [e[0] for e in query(recorded.path, "SELECT kind FROM events")] == [
        "status", "alert", "status",
    ]  # fmt: skip
    assert query(recorded.path, "SELECT count(*) FROM summary") == [(1,)]


def test_a_directory_deleted_that_cannot_be_made_again(recorded):
    directory = recorded.path.parent
    shutil.rmtree(directory)
    directory.write_text("in its place")
    recorded.steps(6, 8)
    recorded.steps(9, 9)
    one_alert(recorded)
    assert recorded.told("note") == []
    directory.unlink()
    recorded.steps(10, 10)
    assert recorded.recorded() == list(range(1, 11))


def test_the_file_alone_deleted(recorded):
    before = recorded.path
    before.unlink()
    recorded.steps(6, 8)
    one_alert(recorded, str(before), str(recorded.path))
    assert recorded.path != before
    assert recorded.recorded() == list(range(1, 9))


def test_the_journal_alone_deleted(recorded):
    for file in recorded.path.parent.glob("*.journal*"):
        file.unlink()
    recorded.steps(6, 8)
    recorded.measure(9)
    assert recorded.recorded() == list(range(1, 9))
    assert journal.read(recorded.path).entries[-1][1][1] == 9
    assert recorded.told("alert") == []


def test_a_directory_moved(recorded, tmp_path):
    recorded.path.parent.rename(tmp_path / "elsewhere")
    recorded.steps(6, 7)
    recorded.steps(8, 9)
    (note,) = recorded.told("note")
    assert "was moved" in note["message"]
    assert recorded.told("alert") == []
    (moved,) = (tmp_path / "elsewhere").glob("*.sqlite")
    assert [step for (step,) in query(moved, "SELECT step FROM rows_1")] == list(range(1, 10))
    assert not recorded.path.parent.exists()


def test_a_file_that_another_program_holds(recorded):
    other = sqlite3.connect(recorded.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    recorded.steps(6, 7)
    assert recorded.told("alert") == []  # it may be over in a moment
    recorded.steps(8, 9)
    recorded.steps(10, 11)
    one_alert(recorded, "database is locked", "close what has it open")
    other.execute("ROLLBACK")
    other.close()
    recorded.steps(12, 12)
    written_again(recorded, "7 rows")
    assert recorded.recorded() == list(range(1, 13))


def test_what_waits_is_bounded(recorded, monkeypatch):
    monkeypatch.setattr(outage, "KEPT_ROWS", 10)
    other = sqlite3.connect(recorded.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for step in range(6, 36, 3):
        recorded.steps(step, step + 2)
    other.execute("ROLLBACK")
    other.close()
    recorded.steps(36, 36)
    written_again(recorded, "10 rows that had waited", "21 rows of steps 6 to 26")
    assert recorded.recorded() == [1, 2, 3, 4, 5, *range(27, 37)]


def test_a_damaged_file(tmp_path):
    recorded = Recorded(tmp_path)
    for first in range(1, 4000, 500):
        recorded.steps(first, first + 499)
    recorded.recorder._files.storage.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    old, size = recorded.path, recorded.path.stat().st_size
    with old.open("r+b") as file:
        # The end of the table's tree: the next rows go there.
        file.seek(size * 3 // 4 // 4096 * 4096)
        file.write(os.urandom(size // 4))
    recorded.recorder._files._disconnect()  # what SQLite had read before is still good
    recorded.steps(4001, 4010)
    recorded.steps(4011, 4011)
    assert recorded.path.name == f"{old.stem}-2.sqlite"
    assert recorded.run.path == recorded.path
    assert old.exists()
    assert {alert["title"] for alert in recorded.told("alert")} == {"The run file is damaged"}
    assert "rows saved from it" in recorded.told("alert")[-1]["message"]
    steps = recorded.recorded()
    assert steps == sorted(set(steps))
    assert steps[-11:] == list(range(4001, 4012))
    assert 2000 < len(steps) < 4011
    recorded.recorder.close()
    assert query(recorded.path, "PRAGMA integrity_check") == [("ok",)]


def test_numbers_that_sqlite_does_not_take(recorded):
    recorded.lay(
        (*recorded.measure(6, {"train/loss": 1.0})[:1], {"train/loss": np.float32(0.5)}, 1006.0),
        (7, {"train/loss": 3}, 1007.0),
        (2**70, {"train/loss": np.float64(0.25)}, 1008.0),
    )
    recorded.recorder.fold()
    found = recorded.query('SELECT step, "train/loss" FROM rows_1 WHERE step > 5')
    assert found == [(6, 0.5), (7, 3.0), (2**62, 0.25)]


def test_a_file_that_could_not_be_completed_keeps_its_journal(recorded):
    other = sqlite3.connect(recorded.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    recorded.lay(recorded.measure(6))
    recorded.recorder.close()
    other.execute("ROLLBACK")
    other.close()
    assert [entry[1][1] for entry in journal.read(recorded.path).entries][-1] == 6


def test_nothing_is_raised_wherever_the_path_points():
    from nbmonitor.run import Run

    for path in ("/proc/none/run.sqlite", "/dev/null/run.sqlite", "/proc/version"):
        run = Run()
        recorder = Recorder(run, path, list)
        run.journal = recorder
        recorder.entry(1, ("ready", 1, 1.0, {"a": 1.0}))
        recorder.take([(1, {"a": 1.0}, 1.0)], 1)
        recorder.rewind(0)
        run.event("note", 1, {"message": "x"})
        recorder.fold()
        recorder.close()
        assert len(run.events("alert")) == 1

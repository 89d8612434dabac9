"""The journal: whole records and no others, whatever happens to the writer."""

from __future__ import annotations

import math
import os
import random
import threading

import numpy as np
import pytest

from nbmonitor.runfile import journal as journals
from nbmonitor.runfile import segment
from nbmonitor.runfile.journal import Folded, Journal, read
from nbmonitor.runfile.paths import is_written, journal_paths
from nbmonitor.runfile.records import parse


@pytest.fixture(params=["mapped", "appended"])
def path(request, tmp_path, monkeypatch):
    """Of a run file; both ways to write its journal."""
    monkeypatch.setattr(journals, "mappable", lambda _: request.param == "mapped")
    monkeypatch.setattr(journals, "_REST", -1.0)
    return tmp_path / "run.sqlite"


def payload(step):
    values = {"train/loss": math.nan, "x/y": 0.5}
    return ("step", step, 1000.0 + step, None, 1.5, None, True, values, [step] * (step % 5))


def same(found, wanted):
    return repr(found) == repr(wanted)  # NaN is not itself


def test_records_are_read_as_they_were_written(path):
    journal = Journal(path)
    for seq in range(1, 200):
        journal.entry(seq, payload(seq))
    journal.event(7, {"kind": "note", "step": 1, "time": 2.0, "data": {"message": "ä"}})
    journal.rewind(1, 199, 150)
    found = read(path)
    assert same(found.entries, [(seq, payload(seq)) for seq in range(1, 200)])
    assert found.events == [(7, {"kind": "note", "step": 1, "time": 2.0, "data": {"message": "ä"}})]
    assert found.rewinds == [(199, 150)]
    journal.close()
    assert not any(file.exists() for file in journal_paths(path))


def test_a_torn_tail_is_no_record(path):
    journal = Journal(path)
    for seq in range(1, 12):
        journal.entry(seq, payload(seq))
    data = journal._segments[0].read()
    journal.close()
    wanted = [(seq, payload(seq)) for seq in range(1, 12)]
    counts = []
    for size in range(len(data) + 1):
        for tail in (b"", bytes(300)):
            found = list(parse(data[:size] + tail))
            assert same(found, wanted[: len(found)])
            counts.append(len(found))
    assert counts == sorted(counts)
    assert counts[-1] == 11


def test_nothing_unfolded_is_ever_missing(path, monkeypatch):
    monkeypatch.setattr(segment, "MAPPED_BYTES", 8192)
    monkeypatch.setattr(journals, "MAPPED_BYTES", 8192)
    monkeypatch.setattr(journals, "_TURN", 2048)
    chance = random.Random(4)
    journal = Journal(path)
    folded, used = 0, []
    for seq in range(1, 3000):
        journal.entry(seq, payload(seq))
        if chance.random() < 0.02:
            folded = chance.randint(folded, seq)
            journal.rotate(Folded(seq=folded))
        if chance.random() < 0.05:
            held = {number for number, _ in read(path).entries}
            assert held >= set(range(folded + 1, seq + 1))
        used.append(journal.used)
    journal.rotate(Folded(seq=2999))
    journal.rotate(Folded(seq=2999))
    assert journal.used < 2048
    assert max(used) < 200_000
    journal.close()


def test_threads_lose_nothing_while_files_take_turns(path, monkeypatch):
    monkeypatch.setattr(journals, "_TURN", 2048)
    monkeypatch.setattr(journals, "_REST", 0.01)
    journal = Journal(path)
    over = threading.Event()

    def turn():
        while not over.is_set():
            journal.rotate(Folded())

    def write(first):
        for seq in range(first, first + 4000):
            journal.entry(seq, payload(seq % 100))

    turning = threading.Thread(target=turn)
    writing = [threading.Thread(target=write, args=(1 + 4000 * n,)) for n in range(3)]
    for thread in (turning, *writing):
        thread.start()
    for thread in writing:
        thread.join()
    over.set()
    turning.join()
    assert [seq for seq, _ in read(path).entries] == list(range(1, 12_001))
    journal.close()


def test_what_marshal_does_not_know_is_written_as_what_it_is(path):
    journal = Journal(path)
    journal.entry(1, ("log", 1, 2.0, {"a": np.array([1, 2]), "b": {3}, "c": path}))
    ((seq, found),) = read(path).entries
    assert (seq, found) == (1, ("log", 1, 2.0, {"a": [1, 2], "b": [3], "c": str(path)}))
    journal.close()


def test_a_fork_leaves_the_journal_alone(path):
    journal = Journal(path)
    journal.entry(1, payload(1))
    child = os.fork()
    if not child:
        journal.entry(2, payload(2))
        journal.event(0, {"kind": "note", "step": 1, "time": 1.0, "data": {}})
        os._exit(0)
    os.waitpid(child, 0)
    assert is_written(path) is True
    journal.entry(3, payload(3))
    assert [seq for seq, _ in read(path).entries] == [1, 3]
    journal.close()


def test_a_child_that_outlives_its_parent_does_not_hold_the_lock(path):
    ready, wait = os.pipe(), os.pipe()
    writer = os.fork()
    if not writer:
        journal = Journal(path)
        journal.entry(1, payload(1))
        if not os.fork():  # as a DataLoader's worker, which looks for its parent now and then
            os.write(ready[1], b".")
            os.read(wait[0], 1)
            os._exit(0)
        os.read(wait[0], 1)
    os.read(ready[0], 1)
    assert is_written(path) is True
    os.kill(writer, 9)
    os.waitpid(writer, 0)
    assert is_written(path) is False
    os.write(wait[1], b"..")
    assert [seq for seq, _ in read(path).entries] == [1]


def test_one_writer_at_a_time(path):
    first = Journal(path)
    with pytest.raises(BlockingIOError, match="another process writes"):
        Journal(path)
    first.entry(1, payload(1))
    assert len(read(path).entries) == 1
    first.close()
    Journal(path).close()


def test_what_a_dead_writer_left_stays_until_it_is_folded(path):
    dead = Journal(path)
    for seq in range(1, 40):
        dead.entry(seq, payload(seq))
    dead.close(keep=True)
    # Half a record at the end of the file that grows.
    with journal_paths(path)[2].open("ab") as file:
        file.write(dead._active.read()[:50] if dead._segments else b"(\2\0")
    heir = Journal(path)
    heir.base = 39
    for seq in range(1, 5):
        heir.entry(seq, payload(seq))
    assert [seq for seq, _ in read(path).entries] == list(range(1, 44))
    heir.rotate(Folded(seq=38))
    assert read(path).entries[0][0] == 1
    heir.rotate(Folded(seq=39))
    assert [seq for seq, _ in read(path).entries] == [40, 41, 42, 43]
    heir.close()


def test_a_journal_without_room_says_so_and_comes_back(path, monkeypatch):
    monkeypatch.setattr(segment, "MAPPED_BYTES", 8192)
    monkeypatch.setattr(journals, "MAPPED_BYTES", 8192)
    monkeypatch.setattr(segment.Appended.__init__, "__defaults__", (b"", 8192))
    journal = Journal(path)
    for seq in range(1, 1000):
        journal.entry(seq, payload(seq))
    assert "bound" in str(journal.trouble)
    held = [seq for seq, _ in read(path).entries]
    assert held == list(range(1, len(held) + 1))
    assert 100 < len(held) < 999
    journal.rotate(Folded(seq=999))
    assert journal.trouble is None
    journal.entry(1000, payload(1000))
    assert [seq for seq, _ in read(path).entries] == [1000]
    journal.close()


def test_network_file_systems_are_not_mapped(tmp_path, monkeypatch):
    device = tmp_path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    mounts = tmp_path / "mountinfo"
    monkeypatch.setattr(segment, "_MOUNTS", mounts)
    for kind, allowed in (("ext4", True), ("nfs4", False), ("btrfs", False), ("fuse.x", False)):
        mounts.write_text(f"36 35 {number} / /mnt rw,noatime - {kind} /dev/root rw\n")
        assert segment.mappable(tmp_path) is allowed
    mounts.write_text("36 35 0:999 / /mnt rw,noatime - ext4 /dev/root rw\n")
    assert segment.mappable(tmp_path) is False

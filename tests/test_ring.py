"""The ring: whole rows and no others, none over one that the database lacks."""

from __future__ import annotations

import math
import os
import random
import struct

import pytest

from nbmonitor.runfile import journal as journals
from nbmonitor.runfile.journal import Folded, Journal, read
from nbmonitor.runfile.paths import journal_paths
from nbmonitor.runfile.ring import HEAD, ROWS, WIDTH, Ring, rows

SHAPE = ["tokens", "places", "counted", None, "mine", "x", None]


def numbers(step, *, x=0.5):
    return [step, 1000.5 + step, None, 2.5, 1.0, 1e-4, 0.25, 8, 0.0, 0.0, 128, 120, x]


def payload(step, *, x=0.5):
    *fixed, places, counted, _ = numbers(step)
    return ("step", *fixed, {"tokens": {"places": places, "counted": counted}, "mine": {"x": x}})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.sqlite"


@pytest.fixture
def ring(path):
    made = Ring(os.open(journal_paths(path)[-1], os.O_RDWR | os.O_CREAT))
    made.folded(0)
    yield made
    made.close()


def found(path):
    return dict(rows(journal_paths(path)[-1].read_bytes()))


def test_rows_are_read_as_they_were_written(ring, path):
    for seq in range(1, 50):
        assert ring.write(seq, SHAPE, numbers(seq))
    got = found(path)
    assert got == {seq: payload(seq) for seq in range(1, 50)}
    # Whole numbers are whole again: what a probe measured as one, it may use as one.
    assert [type(value) for value in got[1][1:]][:4] == [int, float, type(None), float]
    assert type(got[1][-1]["tokens"]["places"]) is int


@pytest.mark.parametrize("x", [math.nan, math.inf, -math.inf, None, -0.0, 1e308, 5e-324])
def test_odd_numbers(ring, path, x):
    assert ring.write(1, SHAPE, numbers(1, x=x))
    assert repr(found(path)[1]) == repr(payload(1, x=x))


def test_what_is_no_number_goes_another_way(ring, path):
    assert not ring.write(1, SHAPE, numbers(1, x="text"))
    assert not ring.write(2, SHAPE, numbers(2, x=[1.0]))
    assert found(path) == {}
    assert ring.write(3, SHAPE, numbers(3))
    assert [*found(path)] == [3]


def test_several_forms(ring, path):
    other = ["tokens", "places", None]
    for seq in range(1, 20):
        if seq % 3:
            ring.write(seq, SHAPE, numbers(seq))
        else:
            ring.write(seq, other, numbers(seq)[:-2])
    got = found(path)
    assert sorted(got) == [*range(1, 20)]
    assert all(got[seq] == payload(seq) for seq in got if seq % 3)
    assert got[3][-1] == {"tokens": {"places": 128}}
    assert ring.write(20, [], numbers(20)[:-3])
    assert found(path)[20][-1] == {}


def test_a_form_without_room_is_refused_and_breaks_nothing(ring, path):
    assert not ring.write(1, ["p", *map(str, range(WIDTH)), None], [1.0] * (10 + WIDTH))
    taken = [ring.write(n, ["p", f"{n:0100}", None], numbers(n)[:11]) for n in range(2, 80)]
    assert taken[0]
    assert not taken[-1]
    assert len(found(path)) == sum(taken)
    assert ring.write(100, ["p", f"{2:0100}", None], numbers(100)[:11])


def test_nothing_is_written_over_what_the_database_lacks(ring, path):
    chance = random.Random(1)
    folded, kept = 0, set()
    for seq in range(1, 5000):
        if ring.write(seq, SHAPE, numbers(seq)):
            kept.add(seq)
        if chance.random() < 0.01:
            folded = chance.randint(folded, seq)
            ring.folded(folded)
        if chance.random() < 0.02:
            assert set(found(path)) >= {n for n in kept if n > folded}
    assert len(kept) > ROWS
    assert len(kept) < 4999


def test_a_row_that_a_kill_has_torn_is_none(ring, path):
    """Cut off after each cell, over an old row and over none."""
    for before in (None, 5):
        if before is not None:
            ring.write(before, SHAPE, numbers(before))
        ring.folded(10**6)
        data = journal_paths(path)[-1].read_bytes()
        ring.write(5 + ROWS, SHAPE, numbers(5 + ROWS))
        after = journal_paths(path)[-1].read_bytes()
        start = HEAD + 5 * WIDTH * 8
        whole = 3 + len(numbers(1)) + 1
        for cells in range(WIDTH):
            cut = start + 8 * cells
            torn = after[:cut] + data[cut:]
            seen = dict(rows(torn))
            assert seen.get(5 + ROWS) == (payload(5 + ROWS) if cells >= whole else None)
            if before is not None and 0 < cells < whole:
                assert before not in seen


def test_a_damaged_file_reads_as_what_is_whole_in_it(ring, path):
    for seq in range(1, 100):
        ring.write(seq, SHAPE, numbers(seq))
    data = journal_paths(path)[-1].read_bytes()
    chance = random.Random(2)
    for _ in range(200):
        size = chance.randint(0, len(data))
        noise = bytes(chance.randrange(256) for _ in range(20))
        at = chance.randrange(len(data))
        for broken in (data[:size], data[:at] + noise + data[at + 20 :]):
            [*rows(broken)]  # whatever it is, it ends


@pytest.mark.parametrize("cell", [0, 1, 2, 3, WIDTH - 1])
@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 1e300])
def test_a_damaged_cell_costs_its_own_row_at_most(ring, path, cell, value):
    for seq in range(1, 4):
        ring.write(seq, SHAPE, numbers(seq))
    data = bytearray(journal_paths(path)[-1].read_bytes())
    at = HEAD + (2 * WIDTH + cell) * 8
    data[at : at + 8] = struct.pack("=d", value)
    assert {1, 3} <= set(dict(rows(bytes(data)))) <= {1, 2, 3}


def test_the_journal_reads_both_ways_in_order(path, monkeypatch):
    monkeypatch.setattr(journals, "mappable", lambda _: True)
    journal = Journal(path)
    journal.base = 1000
    assert not journal.ring.write(1, SHAPE, numbers(1))  # nobody knows yet what the database has
    journal.rotate(Folded(seq=1000))
    for seq in range(1, 40):
        if seq % 2:
            assert journal.ring.write(seq, SHAPE, numbers(seq))
        else:
            journal.entry(seq, payload(seq))
    assert read(path).entries == [(1000 + seq, payload(seq)) for seq in range(1, 40)]
    journal.close()
    assert not any(file.exists() for file in journal_paths(path))


def test_what_a_dead_process_left_is_not_written_over(path, monkeypatch):
    monkeypatch.setattr(journals, "mappable", lambda _: True)
    dead = Journal(path)
    dead.rotate(Folded())
    for seq in range(1, 10):
        dead.ring.write(seq, SHAPE, numbers(seq))
    dead.close(keep=True)
    heir = Journal(path)
    heir.base = 9
    heir.rotate(Folded(seq=8))
    assert not heir.ring.write(1, SHAPE, numbers(10))
    heir.rotate(Folded(seq=9))
    assert heir.ring.write(1, SHAPE, numbers(10))
    assert [seq for seq, _ in read(path).entries] == [*range(1, 11)]
    heir.close()


def test_without_room_for_a_ring_all_goes_the_general_way(path, monkeypatch):
    monkeypatch.setattr(journals, "mappable", lambda _: True)

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(journals, "Ring", full)
    journal = Journal(path)
    assert journal.ring is None
    journal.entry(1, payload(1))
    assert read(path).entries == [(1, payload(1))]
    journal.close()


def test_a_fork_leaves_the_ring_alone(path, monkeypatch):
    monkeypatch.setattr(journals, "mappable", lambda _: True)
    journal = Journal(path)
    journal.rotate(Folded())
    journal.ring.write(1, SHAPE, numbers(1))
    child = os.fork()
    if not child:
        os._exit(journal.ring is not None)
    assert os.waitpid(child, 0)[1] == 0
    journal.ring.write(2, SHAPE, numbers(2))
    assert [seq for seq, _ in read(path).entries] == [1, 2]
    journal.close()

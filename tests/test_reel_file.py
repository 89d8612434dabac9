"""Reels in the run file: each row kept, rewound, followed, resumed, and there after a kill."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recording import Recorded

from nbmonitor import recovery
from nbmonitor.follow import Follower
from nbmonitor.run import Run
from nbmonitor.runfile import reader
from nbmonitor.runfile.reader import RunFile

KEY = "parameters/snapshot"
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def recorded(tmp_path):
    made = Recorded(tmp_path / "runs")
    yield made
    made.recorder.close()


def chain(run: Run, steps: range, size: int = 100, every: int = 5) -> None:
    key = None
    for place, step in enumerate(steps):
        key = step if place % every == 0 else key
        meta: dict[str, Any] = {"reel": True, "base": None if key == step else key}
        run.put(KEY, step, np.full(size, step % 251, np.uint8), meta)


def steps_in(path: Path) -> list[int]:
    with RunFile(path) as file:
        return file.tensor_steps(KEY)


def test_the_file_keeps_every_value(recorded) -> None:
    for start in range(0, 300, 7):
        chain(recorded.run, range(start, min(start + 7, 300)))
        recorded.steps(start + 1, start + 1)
    assert steps_in(recorded.path) == list(range(300))
    read = Run()
    reader.load(read, recorded.path)
    assert read.reel_steps(KEY) == list(range(300))
    assert read.tensor(KEY)[1] == 299
    assert read.frame(KEY, 17)[2].tolist() == [17] * 100
    assert read.frame(KEY, 17)[3] == {"reel": True, "base": 14}


def test_of_what_is_derived_the_file_keeps_the_latest(recorded) -> None:
    run = Run()
    for step in (5, 9, 3):
        recorded.run.put("parameters/view/0", step, np.full(9, step), {"latest": True})
        recorded.steps(step, step)
        if step == 5:
            follower = Follower(run, recorded.path, reader.load(run, recorded.path))
        follower.poll()
        assert run.tensor("parameters/view/0")[1] == step
    with RunFile(recorded.path) as file:
        assert file.tensor_steps("parameters/view/0") == [3]


def test_memory_thins_and_the_file_has_the_rest(recorded) -> None:
    run = recorded.run
    run.reel_memory = 100_000
    run._reels._memory = 100_000
    for start in range(0, 500, 10):
        chain(run, range(start, start + 10))
        recorded.steps(start + 1, start + 1)
    run.film = reader.Frames(recorded.path)
    assert len(run._reels.steps(KEY)) <= 100
    assert run.reel_steps(KEY) == list(range(500))
    assert run.frame(KEY, 251)[2][0] == 0
    run.rewind(100)
    # The file has not heard of it yet.
    assert max(run.reel_steps(KEY)) <= 100
    opened = Run()
    opened.reel_memory = 100_000
    opened._clear_tensors()
    recorded.recorder.fold()
    reader.load(opened, recorded.path)
    assert opened._reels.nbytes <= 100_000
    assert opened.reel_steps(KEY) == list(range(101))


def test_a_rewind_deletes_what_is_void_and_keeps_what_comes_after(recorded) -> None:
    chain(recorded.run, range(20))
    recorded.steps(1, 19)
    recorded.run.rewind(10)
    chain(recorded.run, range(11, 14))
    recorded.steps(11, 13)
    assert steps_in(recorded.path) == list(range(14))
    assert recorded.run.reel_steps(KEY) == list(range(14))


def test_a_rewind_in_the_middle_of_a_fold_takes_nothing_that_is_new(recorded, monkeypatch) -> None:
    chain(recorded.run, range(20))
    recorded.steps(1, 19)
    real, turns = recorded.run.tensors_since, []

    def since(version: int) -> Any:
        if not turns:
            turns.append(1)
            recorded.run.rewind(10)
            chain(recorded.run, range(11, 13))
        return real(version)

    monkeypatch.setattr(recorded.run, "tensors_since", since)
    recorded.steps(20, 20)
    recorded.recorder.fold()
    assert steps_in(recorded.path) == [*range(11), 11, 12]


def test_who_follows_gets_each_value_and_hears_of_a_rewind(recorded) -> None:
    chain(recorded.run, range(3))
    recorded.steps(1, 3)
    run = Run()
    follower = Follower(run, recorded.path, reader.load(run, recorded.path))
    assert run.reel_steps(KEY) == [0, 1, 2]
    chain(recorded.run, range(3, 50))
    recorded.steps(4, 10)
    follower.poll()
    assert run.reel_steps(KEY) == list(range(50))
    chain(recorded.run, range(50, 60))
    recorded.steps(11, 12)
    follower.poll()
    follower.poll()
    assert run.reel_steps(KEY) == list(range(60))
    recorded.run.rewind(40)
    recorded.steps(41, 42)
    chain(recorded.run, range(41, 44))
    recorded.steps(43, 44)
    follower.poll()
    follower.poll()
    assert run.reel_steps(KEY) == list(range(44))
    assert run.generation > 0


def test_a_run_goes_on_in_its_file_with_its_reels(tmp_path) -> None:
    first = Recorded(tmp_path)
    chain(first.run, range(0, 100, 10))
    first.steps(1, 90)
    first.recorder.close()
    second = Recorded(tmp_path, first.path)
    assert second.run.reel_steps(KEY) == list(range(0, 100, 10))
    second.run.rewind(50)
    chain(second.run, range(55, 70, 5))
    second.steps(51, 70)
    second.recorder.close()
    assert steps_in(first.path) == [0, 10, 20, 30, 40, 50, 55, 60, 65]


def test_a_file_that_was_deleted_is_made_again_with_its_reels(recorded) -> None:
    chain(recorded.run, range(120))
    recorded.steps(1, 5)
    recorded.path.unlink()
    chain(recorded.run, range(120, 125))
    recorded.steps(6, 9)
    recorded.steps(10, 12)
    assert steps_in(recorded.path) == list(range(125))


_WRITER = """
import sys, time
import numpy as np
sys.path[:0] = [{tests!r}, {root!r}]
from pathlib import Path
from recording import Recorded
recorded = Recorded(Path({home!r}))
step, key = 0, None
while True:
    step += 1
    key = step if step % 5 == 1 else key
    meta = {{"reel": True, "base": None if key == step else key}}
    recorded.run.put("parameters/snapshot", step, np.full(20_000, step % 251, np.uint8), meta)
    recorded.lay((step, {{"train/loss": 1.0 / step}}, 1000.0 + step))
    recorded.recorder.fold()
    if step % 10 == 0:
        print(step, flush=True)
"""


def test_a_killed_writer_leaves_every_value_that_was_folded(tmp_path) -> None:
    code = _WRITER.format(tests=str(ROOT / "tests"), root=str(ROOT), home=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = 0
        while told < 200:
            told = int(process.stdout.readline())
        time.sleep(0.0137)
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split()
        told = int(rest[-1]) if rest else told
        process.wait()
    (path,) = tmp_path.glob("*.sqlite")
    assert recovery.recover(path)
    steps = steps_in(path)
    assert steps == list(range(1, len(steps) + 1))
    assert told <= len(steps) <= told + 11
    run = Run()
    reader.load(run, path)
    for step in steps:
        _, _, array, meta = run.frame(KEY, step)
        assert (array == step % 251).all()
        assert meta["base"] in (None, step - (step - 1) % 5)

"""A training is killed at any instant, and its run file has every completed step.

`NBMONITOR_CRASHES=50` makes it fifty instants instead of six.
"""

from __future__ import annotations

import json
import math
import os
import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from crash.progress import read
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from nbmonitor import recovery

CRASH = Path(__file__).resolve().parent / "crash"
KILLS = int(os.environ.get("NBMONITOR_CRASHES", "6"))
# Seconds within which the instant lies, after the first completed step: the file is written
# anew twice a second, and the journal's files take turns.
SPAN = 2.5


def kill_at(script: str, directory: Path, instant: float) -> tuple[Path, int]:
    """Start a training, kill it so many seconds after its first step; the file, and its steps."""
    directory.mkdir()
    progress = directory / "progress"
    errors = directory / "stderr.txt"
    with errors.open("w") as said:
        process = subprocess.Popen(
            [sys.executable, str(CRASH / script), str(directory), str(progress)],
            stdout=subprocess.DEVNULL,
            stderr=said,
            env={**os.environ, "PYTHONPATH": f"{CRASH.parent}{os.pathsep}{CRASH.parent.parent}"},
        )
        try:
            while not read(progress):
                assert process.poll() is None, errors.read_text()[-2000:]
                time.sleep(0.002)
            # The instant is drawn: this is no waiting for something to happen.
            time.sleep(instant)
            assert process.poll() is None, errors.read_text()[-2000:]
        finally:
            process.kill()
            process.wait()
    (path,) = directory.glob("*.sqlite")
    return path, read(progress)


def recorded(path: Path) -> dict[int, tuple[float, float]]:
    """Loss and learning rate by step, as SQLite alone reads them; no step is there twice."""
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        places = dict(db.execute('SELECT key, "table" FROM series'))
        assert places["train/loss"] == places["train/learning_rate"]
        rows = db.execute(
            f'SELECT step, "train/loss", "train/learning_rate" FROM {places["train/loss"]} '
            'WHERE "train/loss" IS NOT NULL ORDER BY n'
        ).fetchall()
    steps = [step for step, _, _ in rows]
    assert len(set(steps)) == len(steps)
    assert steps == sorted(steps)
    return {step: (loss, rate) for step, loss, rate in rows}


def instants() -> list[float]:
    # The workers of one session must agree on the tests that there are.
    session = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    chance = random.Random(os.environ.get("NBMONITOR_CRASH_SEED") or session or time.time_ns())
    return [round(chance.uniform(0, SPAN), 4) for _ in range(KILLS - KILLS // 2)]


@pytest.mark.parametrize("instant", instants())
def test_a_loop_killed_at_any_instant_loses_no_step(tmp_path, instant):
    path, completed = kill_at("loop.py", tmp_path / "run", instant)
    assert recovery.recover(path)
    rows = recorded(path)
    assert sorted(set(range(1, completed + 1)) - set(rows)) == []
    # One more may have been on its way back to the loop.
    assert max(rows) <= completed + 1
    for step, (loss, rate) in rows.items():
        assert loss == 1.0 / step
        assert rate == step * 1e-6


def lost_by_peers(directory: Path) -> dict[str, int]:
    """Steps that were logged and whose row a peer has not kept, by peer."""
    logged = read(directory / "logged")
    events = EventAccumulator(str(directory / "tensorboard"), {"scalars": 0})
    events.Reload()
    has_any = "train/loss" in events.Tags()["scalars"]
    kept = {"TensorBoard": {e.step for e in events.Scalars("train/loss")} if has_any else set()}
    for name in ("buffered.jsonl", "lines.jsonl"):
        # A row that is cut off is none.
        *whole, _ = (directory / name).read_text().split("\n")
        kept[name] = {json.loads(line)["step"] for line in whole}
    return {name: len(set(range(1, logged + 1)) - steps) for name, steps in kept.items()}


@pytest.mark.parametrize("instant", instants()[: max(1, KILLS // 2)])
def test_a_trainer_killed_at_any_instant_loses_no_step(tmp_path, instant, record_property):
    path, completed = kill_at("train.py", tmp_path / "run", instant)
    assert recovery.recover(path)
    rows = recorded(path)
    assert sorted(set(range(1, completed + 1)) - set(rows)) == []
    assert all(math.isfinite(loss) and math.isfinite(rate) for loss, rate in rows.values())
    peers = lost_by_peers(path.parent)
    record_property("peers", peers)
    print(f"{completed} steps completed; lost: none, by peers {peers}")
    # What is written through to the system is there: the peers were asked in the right way.
    assert peers["lines.jsonl"] == 0
    assert peers["TensorBoard"] <= completed

"""Which file a run is kept in, and that no disk keeps a training from starting."""

from __future__ import annotations

import gc
import weakref

import pytest
import tiny

from nbmonitor import TrainingMonitor
from nbmonitor import recording as module


def test_a_recorder_that_cannot_be_made_is_told_of_and_training_goes_on(
    tmp_path, monkeypatch
) -> None:
    def refuse(*_args: object) -> None:
        raise PermissionError(13, "Permission denied", "somewhere")

    monkeypatch.setattr(module, "Recorder", refuse)
    trainer = tiny.tiny_trainer(tmp_path / "out", max_steps=3)
    monitor = TrainingMonitor(trainer)
    trainer.train()
    assert monitor.run.status == "finished"
    assert monitor.run.history()["train/loss"].notna().sum() == 3
    assert monitor.run.path is None
    (alert,) = monitor.run.events("alert")
    assert "Permission denied" in alert["data"]["message"]
    assert "run_dir=False" in alert["data"]["message"]
    monitor.close()


@pytest.mark.parametrize("given", [True, 3, ["a"]])
def test_what_is_no_directory_is_refused(given) -> None:
    with pytest.raises(TypeError, match="run_dir"):
        TrainingMonitor(run_dir=given)


def test_nothing_is_written_if_so_wished(tmp_path) -> None:
    trainer = tiny.tiny_trainer(tmp_path / "out", max_steps=3)
    monitor = TrainingMonitor(trainer, run_dir=False)
    trainer.train()
    monitor.close()
    assert monitor.run.path is None
    assert not list(tmp_path.rglob("*.sqlite"))


def test_a_second_training_gets_a_file_of_its_own(tmp_path) -> None:
    trainer = tiny.tiny_trainer(tmp_path / "out", max_steps=3)
    monitor = TrainingMonitor(trainer)
    trainer.train()
    trainer.train()
    monitor.close()
    (past,) = monitor.past_runs
    assert past.path != monitor.run.path
    assert len(list((tmp_path / "out" / "nbmonitor").glob("*.sqlite"))) == 2


def test_a_closed_recording_is_let_go_of(tmp_path) -> None:
    run = module.Run("one")
    recording = module.Recording(tmp_path, list)
    recording.begin(run, {}, 0)
    recording.close()
    gone = weakref.ref(recording)
    del recording
    gc.collect()
    assert gone() is None

"""What changed since the start of real trainings: when it is told, against what, and how it ends."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_parameters_probe import loop, patient, probe_of, watched
from tiny import RandomText

from nbmonitor import TrainingMonitor
from nbmonitor.parameters import cadence
from nbmonitor.parameters.blob import decode
from nbmonitor.parameters.change import CHANGE
from nbmonitor.parameters.snapshot import SNAPSHOT
from nbmonitor.parameters.turns import Turns


@pytest.fixture
def asked(monkeypatch):
    """Snapshots as often as asked, whatever the steps of a test take, and all of them whole."""
    monkeypatch.setattr(cadence, "SHARE", 1e9)
    monkeypatch.setattr(Turns, "affordable", True)


def test_every_snapshot_tells_it_where_that_is_cheap(tmp_path, asked):
    trainer, monitor = watched(tmp_path, 4)
    model = trainer.model
    named = {n: p.detach().clone() for n, p in model.named_parameters()}
    trainer.train()
    run = monitor.run
    assert run.reel_steps(CHANGE) == run.snapshots() == [0, 1, 2, 3, 4]
    first, last = run.snapshot(0), run.snapshot(4)
    assert (first.start, last.start, first.since) == (0, 0, None)
    assert (first.units["since"] == 0).all()
    start = named["transformer.wte.weight"].numpy()[last.token_ids]
    now = model.transformer.wte.weight.detach().numpy()[last.token_ids]
    error = last.errors["tokens/since"]
    assert np.abs(last.since - np.linalg.norm(now - start, axis=1)).max() <= error * 1.01 + 1e-6
    table = last.units.set_index("name")
    weight = dict(model.named_parameters())["transformer.h.1.mlp.c_fc.weight"].detach()
    exact = float((weight - named["transformer.h.1.mlp.c_fc.weight"]).norm() / named[
        "transformer.h.1.mlp.c_fc.weight"].norm())  # fmt: skip
    assert table.loc["transformer.h.1.mlp.c_fc.weight", "since"] == pytest.approx(exact, rel=0.02)
    assert table["exploding"].sum() == 0
    names = [last.meta["matrices"][n]["label"] for n in last.similarity_ids]
    assert names == ["h.0 attn.c_attn", "h.0 mlp.c_fc", "h.1 attn.c_attn", "h.1 mlp.c_fc"]
    np.testing.assert_allclose(np.diag(last.similarity), 1)
    np.testing.assert_array_equal(last.similarity, last.similarity.T)
    blob = decode(run.frame(CHANGE, 4)[2].tobytes())
    assert blob.extra["frozen"] == blob.extra["broken"] == []
    assert 0 < blob.extra["chance"] < 1
    assert run.frame(SNAPSHOT, 4)[3]["since"] == run.frame(CHANGE, 4)[3]["start"] == 0
    assert not run.events("probe_error")
    monitor.close()


def test_where_it_is_dear_every_tenth_does(tmp_path, monkeypatch):
    monkeypatch.setattr(cadence, "SHARE", 1e9)
    monkeypatch.setattr(Turns, "affordable", False)
    trainer, monitor = watched(
        tmp_path, 23, eval_strategy="steps", eval_steps=100, save_strategy="steps", save_steps=7,
        eval_data=RandomText(4), parameters={"every": 2},
    )  # fmt: skip
    trainer.train()
    run = monitor.run
    # Snapshots are those of steps 0, 2, 4, 6, 7 (a checkpoint), 8, ...: the tenth is of step 18.
    assert run.snapshots()[10] == 18
    assert run.reel_steps(CHANGE) == [0, 7, 18, 21, 23]
    assert run.snapshot(16).since is not None
    assert (len(run.snapshot(16).units), run.snapshot(16).start) == (0, 0)
    assert len(run.snapshot(18).units) > 0
    monitor.close()


def test_turns_go_by_what_it_took():
    turns = Turns()
    assert all(turns.due(index, "cadence") for index in range(20))
    turns.paid(10, 10)  # the first one loads code
    turns.paid(3, 10)
    assert turns.affordable
    turns.paid(5, 10)
    turns.paid(4, 10)
    assert [index for index in range(40) if turns.due(index, "cadence")] == [0, 10, 20, 30]
    assert turns.due(7, "evaluation")
    assert turns.due(7, "end")
    turns.paid(2, 10)
    assert turns.due(7, "cadence")


def test_a_resumed_training_is_told_against_its_start_or_says_since_when(tmp_path, asked):
    trainer, monitor = watched(tmp_path, 6, save_strategy="steps", save_steps=3)
    trainer.train()
    whole = monitor.run.snapshot(6)
    # In the same process, the start is still known.
    trainer.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-3"))
    again = monitor.run.snapshot(6)
    assert again.start == whole.start == 0
    np.testing.assert_allclose(again.since, whole.since, atol=2 * whole.errors["tokens/since"])
    monitor.close()

    # In another it is gone.
    trainer, monitor = watched(tmp_path, 5, save_strategy="no")
    trainer.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-3"))
    run = monitor.run
    assert [run.snapshot(step).start for step in run.snapshots()] == [0, 0, 0, 3, 3, 3]
    assert run.snapshot(3).since is None
    assert (run.snapshot(3).units["since"] == 0).all()
    assert run.snapshot(5).since.max() < whole.since.max()
    monitor.close()


def test_a_new_training_has_a_start_of_its_own(tmp_path, asked):
    trainer, monitor = watched(tmp_path, 3)
    trainer.train()
    trainer.train()
    last = monitor.run.snapshot(0)
    assert last.since is None
    assert (last.units["since"] == 0).all()
    monitor.close()


def test_units_that_are_no_numbers_are_told(asked):
    monitor = patient(TrainingMonitor(run_dir=False))
    loop(monitor, spoil=3)
    monitor.finish()
    run = monitor.run
    before, after = (run.snapshot(step).units.set_index("name") for step in (2, 3))
    assert before["exploding"].sum() == 0
    assert after.loc["head.weight", "exploding"] == after.loc["head.weight", "sampled"] == 3
    assert np.isnan(after.loc["head.weight", "since"])
    assert not run.events("probe_error")
    monitor.close()


def test_the_start_is_not_the_weights(asked):
    """What is kept of the start is a copy, also where rows are whole."""
    net = torch.nn.Linear(20, 30)
    monitor = patient(TrainingMonitor(run_dir=False))
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    monitor.watch(net, optimizer, 2)
    before = net.weight.detach().clone()
    for _ in range(2):
        loss = net(torch.ones(1, 20)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        monitor.step(loss.detach())
    monitor.finish()
    row = monitor.run.snapshot(2).units.set_index("name").loc["weight"]
    exact = float((net.weight.detach() - before).norm() / before.norm())
    assert row["since"] == pytest.approx(exact, rel=1e-5)
    assert row["sampled"] == 30
    assert probe_of(monitor).spent[1] > 0
    monitor.close()

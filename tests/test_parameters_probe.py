"""Snapshots of real trainings: they change nothing, come when they should, and survive."""

from __future__ import annotations

import itertools
import json
import time

import numpy as np
import pytest
import torch
from tiny import RandomText, tiny_model, tiny_trainer

from nbmonitor import TrainingMonitor, open_run
from nbmonitor.parameters import blob, cadence
from nbmonitor.parameters.maker import Maker
from nbmonitor.parameters.snapshot import META, SKETCH, SNAPSHOT
from nbmonitor.probes.parameters import Parameters


@pytest.fixture
def asked(monkeypatch):
    """Snapshots as often as asked, whatever the steps of a test take."""
    monkeypatch.setattr(cadence, "SHARE", 1e9)


def probe_of(monitor) -> Parameters:
    return next(p for p in monitor._engine.probes if isinstance(p, Parameters))


def patient(monitor):
    """Let the training wait for each snapshot, so that none is left out on a busy machine."""
    probe = probe_of(monitor)

    def patiently(decide):
        def waiting(*args, **options):
            until = time.monotonic() + 30
            while not probe._worker.idle and not probe._worker.failure and time.monotonic() < until:
                time.sleep(0.001)
            decide(*args, **options)

        return waiting

    # Both look at what the one before has cost, which its thread tells when it is done.
    probe._take, probe.on_mark = patiently(probe._take), patiently(probe.on_mark)
    return monitor


def watched(tmp_path, steps=6, parameters=None, **options):
    trainer = tiny_trainer(tmp_path / "out", model=tiny_model("gpt2"), max_steps=steps, **options)
    return trainer, patient(TrainingMonitor(trainer, parameters=parameters, run_dir=tmp_path))


class Net(torch.nn.Module):
    """A small convolutional net."""

    def __init__(self) -> None:
        super().__init__()
        self.features = torch.nn.Sequential(
            torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten()
        )
        self.head = torch.nn.Linear(4 * 36, 3)

    def forward(self, x):
        return self.head(self.features(x))


def loop(monitor, steps=5, *, spoil=None, net=None):
    torch.manual_seed(0)
    net = Net() if net is None else net
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    if monitor is not None:
        monitor.watch(net, optimizer, steps)
    chance = torch.Generator().manual_seed(1)
    for number in range(1, steps + 1):
        x, y = torch.randn(4, 1, 8, 8, generator=chance), torch.arange(4) % 3
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        if spoil == number:
            with torch.no_grad():
                net.head.weight.fill_(float("nan"))
        if monitor is not None:
            monitor.step(loss.detach())
    return net


# ---------------------------------------------------------------------- nothing is changed


def test_weights_come_out_bit_for_bit_the_same(tmp_path, asked):
    states = []
    for on in (True, False):
        trainer, monitor = watched(tmp_path / str(on), 6, parameters=on)
        trainer.train()
        states.append({k: v.clone() for k, v in trainer.model.state_dict().items()})
        assert bool(monitor.run.snapshots()) is on
        monitor.close()
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_a_loop_comes_out_the_same_too(asked):
    monitor = patient(TrainingMonitor(run_dir=False))
    one, other = loop(monitor), loop(None)
    monitor.finish()
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    run = monitor.run
    assert run.snapshots() == [0, 1, 2, 3, 4, 5]
    snapshot = run.snapshot(5)
    assert snapshot.tokens.shape == (0, 3)
    assert set(snapshot.stats["kind"]) >= {"convolution", "head"}
    held = one.head.weight.detach().numpy()
    row = snapshot.stats.set_index("name").loc["head.weight"]
    assert row["l2"] == pytest.approx(np.linalg.norm(held), rel=1e-4)
    assert row["max"] == pytest.approx(held.max())
    assert row["grad_l2"] > 0
    assert row["change_l2"] == pytest.approx(0.1 * row["grad_l2"], rel=1e-3)
    assert SKETCH not in run.reels
    assert not run.events("probe_error")
    monitor.close()


# ---------------------------------------------------------------------- what is in them


def test_a_snapshot_holds_what_the_model_held(tmp_path, asked):
    trainer, monitor = watched(tmp_path, 4, eval_strategy="steps", eval_steps=2,
                               eval_data=RandomText(4))  # fmt: skip
    trainer.train()
    run = monitor.run
    assert run.snapshots() == [0, 1, 2, 3, 4]
    reasons = [run.frame(SNAPSHOT, step)[3]["reason"] for step in run.snapshots()]
    assert reasons[0] == "begin"
    assert set(reasons[1:]) == {"cadence"}
    assert [run.frame(SNAPSHOT, step)[3]["index"] for step in run.snapshots()] == [0, 1, 2, 3, 4]

    last = run.snapshot(4)
    table = trainer.model.transformer.wte.weight.detach().numpy()
    rows = table[last.token_ids]
    assert last.tokens.shape == (64, 3)
    spread = np.square(rows - rows.mean(0)).sum()
    shares = np.square(last.tokens).sum(0) / spread
    assert shares == pytest.approx(last.explained, abs=0.01)
    values = np.linalg.svd(rows - rows.mean(0), compute_uv=False) ** 2
    assert sum(last.explained) == pytest.approx(values[:3].sum() / values.sum(), rel=1e-3)
    error = last.errors["tokens/norm"]
    assert np.abs(last.norms - np.linalg.norm(rows, axis=1)).max() <= error * 1.01 + 1e-6
    assert last.moved.max() > 0
    assert last.frequency.max() > 0
    assert run.snapshot(0).moved is None
    # Tied to the head, it stands there once.
    meta = json.loads(run.tensor(META)[2].tobytes())
    assert meta["tokens"]["tied"]
    names = [matrix["name"] for matrix in meta["matrices"]]
    assert len(names) == len(set(names)) == len(list(trainer.model.parameters()))
    # And all of them in one basis, at the end.
    view = run.tensor("parameters/view/0")
    assert {f"view/{step}" for step in run.snapshots()} <= set(blob.decode(view[2].tobytes()).parts)
    monitor.close()


def test_points_do_not_flip_from_one_to_the_next(tmp_path, asked):
    trainer, monitor = watched(tmp_path, 5)
    trainer.train()
    views = [monitor.run.snapshot(step).tokens for step in monitor.run.snapshots()]
    for before, after in itertools.pairwise(views):
        assert np.abs(after - before).mean() < 0.2 * np.abs(before).mean()
    monitor.close()


def test_weights_that_are_no_numbers_are_told_and_end_nothing(asked):
    monitor = patient(TrainingMonitor(run_dir=False))
    loop(monitor, spoil=3)
    monitor.finish()
    run = monitor.run
    assert run.snapshots() == [0, 1, 2, 3, 4, 5]
    row = run.snapshot(3).stats.set_index("name").loc["head.weight"]
    assert np.isnan(row["l2"])
    assert not run.events("probe_error")
    monitor.close()


def test_embeddings_that_are_no_numbers(tmp_path, asked):
    trainer, monitor = watched(tmp_path, 3)
    with torch.no_grad():
        trainer.model.transformer.wte.weight.fill_(float("inf"))
    trainer.train()
    assert monitor.run.snapshots() == [0, 1, 2, 3]
    assert not monitor.run.events("probe_error")
    monitor.close()


# ---------------------------------------------------------------------- when


def test_evaluations_and_checkpoints_are_seen_between_the_others(tmp_path, asked):
    trainer, monitor = watched(
        tmp_path, 7, parameters=100, eval_strategy="steps", eval_steps=3, eval_data=RandomText(4),
        save_strategy="steps", save_steps=5,
    )  # fmt: skip
    trainer.train()
    run = monitor.run
    reasons = {step: run.frame(SNAPSHOT, step)[3]["reason"] for step in run.snapshots()}
    assert reasons[3] == reasons[6] == "evaluation"
    assert reasons[5] == "checkpoint"
    assert set(reasons) == {0, 3, 5, 6, 7}
    # Gradients are gone by then, and unknown is not zero.
    assert run.snapshot(3).stats["grad_l2"].isna().all()
    assert (run.snapshot(7).stats["grad_l2"] > 0).any()
    monitor.close()


def test_a_viewer_may_set_how_often(asked):
    monitor = patient(TrainingMonitor(run_dir=False, parameters={"every": 3}))
    assert probe_of(monitor).every == 3
    loop(monitor, 4)
    monitor.set_cadence(probe="parameters", every=2) if monitor._session.active else None
    assert monitor._engine.set_every("parameters", 2) in {1, 3}
    monitor.finish()
    assert monitor.run.snapshots() == [0, 3, 4]
    monitor.close()


def test_a_thousand_steps_stay_within_their_share_and_their_room():
    monitor = TrainingMonitor(run_dir=False)
    began = time.perf_counter()
    loop(monitor, 1000)
    took = time.perf_counter() - began
    monitor.finish()
    run, probe = monitor.run, probe_of(monitor)
    assert 3 <= len(run.snapshots()) <= 292
    assert sum(run.frame(SNAPSHOT, s)[2].nbytes for s in run.snapshots()) < 2**20
    # The begin, its first-time costs and the end come on top of one percent.
    assert sum(probe.spent) <= 0.01 * took + 0.15
    assert not run.events("probe_error")
    monitor.close()


# ---------------------------------------------------------------------- the end, and after it


def test_what_fails_is_told_once_and_the_training_goes_on(monkeypatch, asked):
    def fail(*_args, **_options):
        msg = "no such luck"
        raise RuntimeError(msg)

    monkeypatch.setattr(Maker, "make", fail)
    monitor = TrainingMonitor(run_dir=False)
    loop(monitor, 60)
    monitor.finish()
    (error,) = monitor.run.events("probe_error")
    assert error["data"]["probe"] == "parameters"
    assert "no such luck" in error["data"]["message"]
    assert "fail" in error["data"]["traceback"]
    assert monitor.run.step == 60
    monitor.close()


def test_an_interrupt_keeps_what_was_seen_and_waits_for_nothing(tmp_path, asked):
    from transformers import TrainerCallback

    class Interrupt(TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            if state.global_step == 4:
                raise KeyboardInterrupt

    trainer, monitor = watched(tmp_path, 8)
    trainer.add_callback(Interrupt())
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    assert monitor.run.status == "interrupted"
    assert monitor.run.snapshots() == [0, 1, 2, 3, 4]
    path = monitor.run.path
    monitor.close()
    view = open_run(path)
    assert view.run.snapshots() == [0, 1, 2, 3, 4]
    assert view.run.snapshot(4).tokens.shape == (64, 3)
    view.close()


def test_a_resumed_training_goes_back_with_its_snapshots(tmp_path, asked):
    trainer, monitor = watched(tmp_path, 6, save_strategy="steps", save_steps=3)
    trainer.train()
    before = monitor.run.snapshot(2).tokens
    monitor.close()

    trainer, monitor = watched(tmp_path, 5, save_strategy="no")
    trainer.train(resume_from_checkpoint=str(tmp_path / "out" / "checkpoint-3"))
    run = monitor.run
    assert run.snapshots() == [0, 1, 2, 3, 4, 5]
    assert run.frame(SNAPSHOT, 3)[3]["reason"] == "begin"
    assert run.frame(SNAPSHOT, 5)[3]["index"] == 5
    after = run.snapshot(3).tokens
    assert np.abs(after - before).mean() < 0.2 * np.abs(before).mean(), "it lies another way"
    monitor.close()


def test_a_training_that_begins_anew_has_its_own(tmp_path, asked):
    trainer, monitor = watched(tmp_path, 3)
    trainer.train()
    trainer.train()
    assert monitor.run.snapshots() == monitor.past_runs[0].snapshots() == [0, 1, 2, 3]
    monitor.close()


def test_switched_off_it_says_so():
    monitor = TrainingMonitor(run_dir=False, parameters=False)
    loop(monitor, 3)
    monitor.finish()
    (panel,) = [p for p in monitor._engine.panels() if p["id"] == "parameters"]
    assert "parameters=False" in panel["absent"]
    assert monitor.run.snapshots() == []
    monitor.close()


def test_wrong_keywords_are_refused():
    with pytest.raises(TypeError, match="it takes every, share"):
        TrainingMonitor(parameters={"evry": 3})


def test_a_training_that_is_killed_leaves_its_snapshots(tmp_path):
    from test_crash import kill_at

    path, completed = kill_at("train.py", tmp_path / "run", 2.5)
    view = open_run(path)
    found = view.run.snapshots()
    # What was measured in the last half second may be gone.
    assert found[0] == 0
    assert len(found) >= 2
    assert found[-1] <= completed + 1
    for step in found:
        assert np.isfinite(view.run.snapshot(step).stats["l2"]).all()
    view.close()

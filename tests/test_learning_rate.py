"""A changed learning rate lasts under every schedule, and undoing it leaves no trace."""

import numpy as np
import pytest
import torch
from transformers import TrainerCallback

from nbmonitor import TrainingMonitor
from nbmonitor.learning_rate import LearningRate
from tests.tiny import RandomText, tiny_trainer

STEPS = 12
SCHEDULES = {
    "linear": {},
    "cosine": {"warmup_steps": 3},
    "constant": {},
    "constant_with_warmup": {"warmup_steps": 3},
    "polynomial": {},
    "inverse_sqrt": {"warmup_steps": 2},
    "cosine_with_restarts": {"lr_scheduler_kwargs": {"num_cycles": 2}},
    "cosine_with_min_lr": {"lr_scheduler_kwargs": {"min_lr": 1e-5}},
    "warmup_stable_decay": {"warmup_steps": 2, "lr_scheduler_kwargs": {"num_decay_steps": 4}},
}


class At(TrainerCallback):
    def __init__(self, deeds):
        self.deeds, self.monitor = deeds, None

    def on_step_begin(self, args, state, control, **kwargs):
        self.deeds.get(state.global_step + 1, lambda _: None)(self.monitor)


def rates(directory, deeds=None, resume=None, keep=None, **arguments):
    """The learning rate that each step used."""
    at = At(deeds or {})
    options = {"max_steps": STEPS, "learning_rate": 1e-3, **arguments}
    trainer = tiny_trainer(directory, callbacks=[at], **options)
    at.monitor = monitor = TrainingMonitor(trainer, run_dir=False)
    trainer.train(resume_from_checkpoint=resume)
    if keep is not None:
        keep.append((monitor, trainer))
    found = monitor.run.history()
    monitor.close()
    return found.set_index("step")["train/learning_rate"].dropna().loc[1:].to_numpy()


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_change_lasts_under_the_schedule_and_undo_takes_it_back(tmp_path, schedule):
    options = {"lr_scheduler_type": schedule, **SCHEDULES[schedule]}
    plain = rates(tmp_path, **options)
    changed = rates(
        tmp_path,
        {
            4: lambda m: m.set_learning_rate(multiply=0.3),
            6: lambda m: m.set_learning_rate(multiply=7),
            8: lambda m: m.undo_learning_rate(),
            10: lambda m: m.undo_learning_rate(),
        },
        **options,
    )
    factors = np.repeat([1, 0.3, 0.3 * 7, 0.3, 1], [4, 2, 2, 2, 2])
    np.testing.assert_allclose(changed, plain * factors, rtol=1e-12)
    # Not nearly, but exactly what it would have been.
    assert changed[10:].tolist() == plain[10:].tolist()
    assert changed[:4].tolist() == plain[:4].tolist()


def test_setting_it_gives_that_very_rate_and_keeps_the_shape(tmp_path):
    plain = rates(tmp_path, lr_scheduler_type="cosine")
    changed = rates(tmp_path, {5: lambda m: m.set_learning_rate(3e-5)}, lr_scheduler_type="cosine")
    assert changed[5] == 3e-5
    np.testing.assert_allclose(changed[5:] / 3e-5, plain[5:] / plain[5], rtol=1e-12)
    constant = rates(
        tmp_path, {5: lambda m: m.set_learning_rate(3e-5)}, lr_scheduler_type="constant"
    )
    assert constant[5:].tolist() == [3e-5] * 7


def test_a_rate_of_zero_cannot_be_scaled_to_anything(tmp_path):
    keep = []
    after = {
        1: lambda m: m.set_learning_rate(multiply=2),
        11: lambda m: m.set_learning_rate(1e-4),
        12: lambda m: m.set_learning_rate(1e-4),
    }
    found = rates(tmp_path, after, keep=keep, lr_scheduler_type="linear")
    meta = keep[0][0]._flusher._feed._shown["nbmonitor/controls"][3]
    assert [c["state"] for c in meta["pending"]] == ["applied", "applied", "refused"]
    assert "can't be scaled to 0.0001; multiply it instead" in meta["pending"][-1]["message"]
    assert found[11] == 1e-4


def test_a_plateau_lowers_the_changed_rate(tmp_path):
    options = {
        "lr_scheduler_type": "reduce_lr_on_plateau",
        "lr_scheduler_kwargs": {"patience": 0, "factor": 0.1, "threshold": 100.0},
        "eval_strategy": "steps",
        "eval_steps": 4,
        "eval_data": RandomText(8),
        "metric_for_best_model": "loss",
    }
    deeds = {3: lambda m: m.set_learning_rate(multiply=0.5), 10: lambda m: m.undo_learning_rate()}
    plain = rates(tmp_path, **options)
    changed = rates(tmp_path, deeds, **options)
    assert len(set(plain.round(12))) > 1
    np.testing.assert_allclose(changed[3:10], plain[3:10] / 2, rtol=1e-12)
    np.testing.assert_allclose(changed[10:], plain[10:], rtol=1e-12)


def test_a_change_survives_checkpoint_and_resume(tmp_path):
    options = {"lr_scheduler_type": "cosine", "save_strategy": "steps", "save_steps": 6}
    plain = rates(tmp_path / "plain", **options)
    first = rates(tmp_path / "a", {3: lambda m: m.set_learning_rate(multiply=0.5)}, **options)
    keep = []
    again = rates(tmp_path / "a", resume=str(tmp_path / "a" / "checkpoint-6"), keep=keep, **options)
    np.testing.assert_allclose(first[3:], plain[3:] / 2, rtol=1e-12)
    np.testing.assert_allclose(again[-6:], first[-6:], rtol=1e-12)
    # What an earlier process changed is in the checkpoint and no longer undone.
    meta = keep[0][0]._flusher._feed._shown["nbmonitor/controls"][3]
    assert meta["learning_rate"] == {"factor": 1.0, "undo": False}


def test_the_page_knows_the_factor(tmp_path):
    keep = []
    rates(
        tmp_path,
        {n: lambda m: m.set_learning_rate(multiply=0.5) for n in (3, 5)},
        keep=keep,
    )
    meta = keep[0][0]._flusher._feed._shown["nbmonitor/controls"][3]
    assert meta["learning_rate"] == {"factor": 0.25, "undo": True}
    (first, _) = keep[0][0].run.events("control")
    assert first["data"]["value"] == {"multiply": 0.5}
    assert first["data"]["message"] == "learning rate 0.00075 → 0.000375 from Python"


# ---------------------------------------------------------------------- torch's own schedules


LRS = torch.optim.lr_scheduler
TORCH = {
    "none": lambda _: None,
    "step": lambda o: LRS.StepLR(o, 3, 0.5),
    "exponential": lambda o: LRS.ExponentialLR(o, 0.9),
    "cosine": lambda o: LRS.CosineAnnealingLR(o, 20, eta_min=1e-3),
    "restarts": lambda o: LRS.CosineAnnealingWarmRestarts(o, 5, eta_min=1e-3),
    "one_cycle": lambda o: LRS.OneCycleLR(o, [0.1, 0.4], total_steps=20),
    "linear": lambda o: LRS.LinearLR(o, 0.1, 1.0, 10),
    "polynomial": lambda o: LRS.PolynomialLR(o, 20),
    "cyclic": lambda o: LRS.CyclicLR(o, [0.01, 0.04], [0.1, 0.4], step_size_up=4),
    "sequential": lambda o: LRS.SequentialLR(
        o, [LRS.ConstantLR(o, 0.5, 5), LRS.ExponentialLR(o, 0.9)], [8]
    ),
    "chained": lambda o: LRS.ChainedScheduler([LRS.ConstantLR(o, 0.5, 5), LRS.StepLR(o, 3)]),
}


def walk(make, change=None, undo=None, kind=float):
    """Rates of two groups over fifteen steps, shape (15, 2)."""
    groups = [{"params": [torch.nn.Parameter(torch.ones(1))], "lr": kind(lr)} for lr in (0.1, 0.4)]
    optimizer = torch.optim.SGD(groups, momentum=0.9)
    scheduler = make(optimizer)
    rate, out = LearningRate(optimizer, scheduler), []
    for step in range(15):
        if step == change:
            rate.multiply(0.25)
        if step == undo:
            rate.undo()
        out.append([float(group["lr"]) for group in optimizer.param_groups])
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    return np.array(out)


@pytest.mark.parametrize("schedule", TORCH)
def test_torch_schedules_scale_and_come_back_with_their_groups_in_ratio(schedule):
    plain, changed = walk(TORCH[schedule]), walk(TORCH[schedule], 4, 9)
    np.testing.assert_allclose(changed[:4], plain[:4], rtol=1e-12)
    np.testing.assert_allclose(changed[4:9], plain[4:9] * 0.25, rtol=1e-9)
    np.testing.assert_allclose(changed[9:], plain[9:], rtol=1e-9)


def test_a_rate_that_is_a_tensor_stays_that_tensor():
    plain, changed = (walk(TORCH["step"], *when, kind=torch.tensor) for when in ((), (4, 9)))
    np.testing.assert_allclose(changed[4:9], plain[4:9] * 0.25, rtol=1e-6)
    np.testing.assert_allclose(changed[9:], plain[9:], rtol=1e-6)
    held = torch.tensor(0.5)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=held)
    LearningRate(optimizer).multiply(0.5)
    assert optimizer.param_groups[0]["lr"] is held
    assert float(held) == 0.25


# ---------------------------------------------------------------------- plain loops


def loop(deeds, *, told):
    monitor = TrainingMonitor(run_dir=False)
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = LRS.ExponentialLR(optimizer, 0.5)
    monitor.watch(model, optimizer, total_steps=6, scheduler=schedule if told else None)
    for step in range(1, 7):
        deeds.get(step, lambda _: None)(monitor)
        model(torch.ones(1, 2)).sum().backward()
        optimizer.step()
        schedule.step()
        monitor.step(1.0)
    monitor.finish()
    found = monitor.run.points("train/learning_rate")[1]
    monitor.close()
    return found


def test_a_loop_that_tells_its_scheduler_can_be_changed():
    found = loop({2: lambda m: m.set_learning_rate(multiply=0.5)}, told=True)
    np.testing.assert_allclose(found, [0.1, 0.05, 0.0125, 0.00625, 0.003125, 0.0015625])


def test_a_loop_that_keeps_its_scheduler_to_itself_is_asked_for_it():
    def ask(monitor):
        with pytest.raises(RuntimeError, match=r"tell watch\(\) scheduler="):
            monitor.set_learning_rate(multiply=0.5)

    found = loop({2: ask}, told=False)
    np.testing.assert_allclose(found, [0.1 * 0.5**n for n in range(6)])

"""Gradient norms and update ratios agree with float64 sums over the very tensors."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch
from tiny import RandomText, tiny_model, tiny_trainer
from transformers import TrainerCallback

from nbmonitor import TrainingMonitor
from nbmonitor.groups import group_parameters
from nbmonitor.probe import Context, Step
from nbmonitor.probes.gradients import Gradients


def host(measured):
    return {k: v.numpy() if hasattr(v, "numpy") else v for k, v in measured.items()}


def groups_of(model):
    return sorted({group for _, group in group_parameters(model)})


@pytest.mark.parametrize(
    ("kind", "groups"),
    [
        ("llama", ["0.attention", "0.mlp", "0.norm", "embedding", "head", "norm"]),
        ("gpt2", ["0.attention", "0.mlp", "0.norm", "embedding", "norm"]),
        ("bert", ["0.attention", "0.mlp", "0.norm", "embedding", "head", "norm"]),
        ("mixtral", ["0.attention", "0.mlp", "0.norm", "embedding", "head", "norm"]),
        ("vit", ["0.attention", "0.mlp", "0.norm", "embedding", "head", "norm"]),
        (
            "t5",
            [f"dec.0.{r}" for r in ("attention", "mlp", "norm")]
            + ["embedding"]
            + [f"enc.0.{r}" for r in ("attention", "mlp", "norm")]
            + ["norm"],
        ),
    ],
)
def test_groups_of_architectures(kind, groups):
    assert groups_of(tiny_model(kind, layers=1)) == groups


def test_groups_of_a_net_without_layers_and_of_a_stranger():
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    stranger = torch.nn.Parameter(torch.zeros(1))
    found = group_parameters(net, [stranger, *net.parameters()])
    assert [group for _, group in found] == ["0", "0", "2", "2", "outside the model"]


class Witness(TrainerCallback):
    """Takes every gradient before clipping, and all weights around the update, in float64."""

    def __init__(self, trainer):
        self.norms, self.ratios = {}, {}
        self._clip = trainer._clip_grad_norm
        trainer._clip_grad_norm = self.clip

    def clip(self, model):
        step = self.step
        self.norms[step] = sums = {}
        for parameter, group in group_parameters(model):
            square = float(parameter.grad.double().square().sum())
            sums[group] = sums.get(group, 0.0) + square
        return self._clip(model)

    def on_step_begin(self, args, state, control, model=None, **kwargs):
        self.step = state.global_step + 1
        self.start = [p.detach().double().clone() for p in model.parameters()]

    def on_optimizer_step(self, args, state, control, model=None, **kwargs):
        moved, held = {}, {}
        for (p, group), old in zip(group_parameters(model), self.start, strict=True):
            moved[group] = moved.get(group, 0.0) + float((p.detach().double() - old).square().sum())
            held[group] = held.get(group, 0.0) + float(old.square().sum())
        self.ratios[self.step] = {g: math.sqrt(moved[g] / held[g]) for g in moved}


@pytest.mark.parametrize("max_grad_norm", [0.05, 1e9])
def test_a_trainers_norms_are_those_before_clipping(tmp_path, max_grad_norm):
    trainer = tiny_trainer(tmp_path, max_grad_norm=max_grad_norm, learning_rate=1e-2)
    witness = Witness(trainer)
    monitor = TrainingMonitor(trainer, run_dir=tmp_path / "runs")
    trainer.add_callback(witness)
    monitor._session.engine.begin(Context(model=trainer.model))
    monitor._session.engine.set_every("gradients", 1)
    trainer.train()
    history = monitor.run.history().set_index("step")
    monitor.close()
    for step in range(1, 5):
        total = 0.0
        for group, square in witness.norms[step].items():
            got = history.loc[step, f"grad/{group}/norm"]
            assert got == pytest.approx(math.sqrt(square), rel=2e-5)
            total += got**2
            ratio = history.loc[step, f"update/{group}/ratio"]
            # All tensors of this model are smaller than a sample: the ratio is exact.
            assert ratio == pytest.approx(witness.ratios[step][group], rel=1e-4, abs=1e-7)
        assert math.sqrt(total) == pytest.approx(history.loc[step, "train/grad_norm"], rel=2e-5)
    assert witness.norms.keys() == {1, 2, 3, 4}


def test_every_tenth_step_and_the_first(tmp_path):
    trainer = tiny_trainer(tmp_path, max_steps=20, data=RandomText(8))
    monitor = TrainingMonitor(trainer, run_dir=tmp_path / "runs")
    trainer.train()
    steps, _ = monitor.run.points("grad/0.mlp/norm")
    ratios, values = monitor.run.points("update/0.mlp/ratio")
    monitor.close()
    assert list(steps) == list(ratios) == [1, 10, 20]
    assert (values > 0).all()


def test_steps_that_take_no_time_are_measured_more_seldom(tmp_path, monkeypatch):
    monkeypatch.setattr("nbmonitor.pace.SHARE", 1e-9)
    trainer = tiny_trainer(tmp_path, max_steps=40, data=RandomText(8))
    monitor = TrainingMonitor(trainer, run_dir=tmp_path / "runs")
    for _ in range(2):
        trainer.train()
        steps, _ = monitor.run.points("grad/0.mlp/norm")
        assert list(steps)[-2:] == [1, 10]
    monitor.close()


def measure(probe, model, optimizer, grad_norm=None):
    """One step of a probe by hand."""
    first = probe.on_gradients(Step(1, 0.0)) or {}
    optimizer.step()
    second = probe.on_step(Step(1, 0.0)) or {}
    if not first and not second:
        return {}
    return probe.derive(Step(1, 0.0, grad_norm=grad_norm), host({**first, **second}))


def begun(model, lr=0.1):
    probe = Gradients()
    optimizer = torch.optim.SGD(model.parameters(), lr)
    probe.on_begin(Context(model=model, optimizer=optimizer))
    return probe, optimizer


def test_samples_of_large_tensors_come_near():
    torch.manual_seed(0)
    net = torch.nn.Linear(1024, 768, bias=False)
    # Columns differ by a factor of a hundred, and rows by ten: a sample has to meet all of them.
    with torch.no_grad():
        net.weight *= torch.logspace(-1, 1, 1024) * torch.logspace(0, 1, 768)[:, None]
    net.weight.grad = torch.randn_like(net.weight) * torch.logspace(0, 1, 1024)
    exact = 0.1 * float(net.weight.grad.norm() / net.weight.detach().norm())
    probe, optimizer = begun(net)
    got = measure(probe, net, optimizer)
    (ratio,) = [v for k, v in got.items() if k.startswith("update/")]
    assert ratio == pytest.approx(exact, rel=0.1)
    assert ratio != exact


def test_a_tensor_laid_out_otherwise_moves_all_the_same():
    net = torch.nn.Conv2d(8, 8, 3, bias=False).to(memory_format=torch.channels_last)
    assert not net.weight.is_contiguous()
    net.weight.grad = torch.ones_like(net.weight)
    exact = 0.1 * float(net.weight.grad.norm() / net.weight.detach().norm())
    probe, optimizer = begun(net)
    (ratio,) = [v for k, v in measure(probe, net, optimizer).items() if k.startswith("update/")]
    assert ratio == pytest.approx(exact, rel=1e-5)


def test_millions_of_elements_lose_no_digits():
    net = torch.nn.Embedding(40_000, 512)
    net.weight.grad = torch.full_like(net.weight, 1e-3)
    probe, _ = begun(net)
    got = probe.derive(Step(1, 0.0), host(probe.on_gradients(Step(1, 0.0))))
    exact = 1e-3 * math.sqrt(net.weight.numel())
    assert list(got.values()) == pytest.approx([exact], rel=2e-4)


def test_bfloat16_is_summed_in_float32():
    net = torch.nn.Linear(256, 256, bias=False).to(torch.bfloat16)
    net.weight.grad = torch.randn(256, 256).to(torch.bfloat16)
    exact = float(net.weight.grad.double().norm())
    probe, optimizer = begun(net)
    (norm, ratio) = measure(probe, net, optimizer).values()
    assert norm == pytest.approx(exact, rel=1e-5)
    assert 0 < ratio < 10


def linear():
    torch.manual_seed(0)
    net = torch.nn.ModuleDict({"a": torch.nn.Linear(2, 2), "b": torch.nn.Linear(2, 2)})
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    return net


def test_what_cannot_be_known_is_not_told():
    net = linear()
    exact = math.sqrt(6)
    probe, optimizer = begun(net, lr=0.0)
    assert measure(probe, net, optimizer, math.sqrt(12)) == {
        "grad/a/norm": pytest.approx(exact), "grad/b/norm": pytest.approx(exact),
        "update/a/ratio": 0.0, "update/b/ratio": 0.0,
    }  # fmt: skip
    # A norm of less than there is can't be that before clipping: nothing is scaled.
    assert measure(probe, net, optimizer, 1.0)["grad/a/norm"] == pytest.approx(exact)
    # Clipping by an infinite norm leaves NaN where Inf was and 0 elsewhere.
    net["a"].weight.grad[0, 0] = math.nan
    for parameter in net["b"].parameters():
        parameter.grad.zero_()
    got = measure(probe, net, optimizer, math.inf)
    assert math.isnan(got["grad/a/norm"])
    assert "grad/b/norm" not in got
    # Zero weights have no relative update; a parameter without a gradient has neither.
    with torch.no_grad():
        net["a"].weight.zero_()
        net["a"].bias.zero_()
    for parameter in net["b"].parameters():
        parameter.grad = None
    got = measure(probe, net, optimizer)
    assert list(got) == ["grad/a/norm"]


def test_sparse_gradients_are_left_out_and_nothing_is_scaled():
    net = torch.nn.ModuleDict({"e": torch.nn.Embedding(9, 2, sparse=True)})
    net["a"] = torch.nn.Linear(2, 2)
    net["a"](net["e"](torch.tensor([1, 2]))).sum().backward()
    exact = math.sqrt(sum(float(p.grad.square().sum()) for p in net["a"].parameters()))
    probe, _ = begun(net)
    measured = probe.on_gradients(Step(1, 0.0))
    got = probe.derive(Step(1, 0.0, grad_norm=100.0), host(measured))
    assert got == {"grad/a/norm": pytest.approx(exact)}


def test_reasons():
    assert Gradients().absent(Context()) == "no model to be read"
    net = linear()
    probe, optimizer = begun(net)
    assert probe.on_step(Step(1, 0.0)) is None
    assert "watch(model, optimizer)" in probe.absence
    optimizer.zero_grad()
    assert probe.on_gradients(Step(1, 0.0)) is None
    assert "no parameter has a gradient" in probe.absence


def test_nothing_waits_for_a_device(monkeypatch):
    def sync(*_):
        pytest.fail("a value was read on the training thread")

    probe, _ = begun(linear())
    for name in ("item", "tolist", "cpu", "__bool__", "__float__"):
        monkeypatch.setattr(torch.Tensor, name, sync)
    assert probe.on_gradients(Step(1, 0.0))
    assert probe.on_step(Step(1, 0.0))


def test_a_run_file_has_what_was_measured(tmp_path):
    """What goes through the journal is derived anew by probes that have seen no model."""
    probe, _ = begun(linear())
    net_names = host(probe.on_gradients(Step(1, 0.0)))
    plain = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in net_names.items()}
    fresh = Gradients()
    assert fresh.derive(Step(1, 0.0), plain) == probe.derive(Step(1, 0.0), net_names)


def test_cost_of_a_measured_step():
    model = tiny_model("llama", layers=8, hidden=256, vocab_size=8000, num_attention_heads=4)
    probe = Gradients()
    probe.on_begin(Context(model=model))
    ids = torch.randint(3, 8000, (4, 64))
    spent, steps = [], []
    optimizer = torch.optim.AdamW(model.parameters())
    for number in range(6):
        start = time.process_time_ns()
        model(input_ids=ids, labels=ids).loss.backward()
        begin = time.thread_time_ns()
        probe.on_gradients(Step(number, 0.0))
        spent.append(time.thread_time_ns() - begin)
        optimizer.step()
        begin = time.thread_time_ns()
        probe.on_step(Step(number, 0.0))
        spent[-1] += time.thread_time_ns() - begin
        steps.append(time.process_time_ns() - start)
        optimizer.zero_grad()
    share = float(np.median(spent)) / (float(np.median(steps)) - float(np.median(spent)))
    print(f"{np.median(spent) / 1e6:.2f} ms of {np.median(steps) / 1e6:.0f} ms: {share:.2%}")
    assert share < 0.1

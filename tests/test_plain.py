"""Plain PyTorch loops, and everything a user can get wrong: clear words, no stopped training."""

import math

import numpy as np
import pytest
import torch

from nbmonitor import TrainingMonitor


@pytest.fixture
def monitor():
    made = TrainingMonitor()
    yield made
    made.close()


def loop(monitor, steps=5, **extra):
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    monitor.watch(model, optimizer, total_steps=steps)
    losses, norms = [], []
    for _ in range(steps):
        batch = torch.randn(8, 4)
        loss = model(batch).square().mean()
        optimizer.zero_grad()
        loss.backward()
        norms.append(torch.nn.utils.get_total_norm([p.grad for p in model.parameters()]).item())
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        monitor.step(loss, batch, **extra)
    return losses, norms


def test_a_loop_is_recorded_step_by_step(monitor):
    losses, norms = loop(monitor)
    monitor.finish()

    table = monitor.run.history()
    table = table[table["train/loss"].notna()]
    np.testing.assert_allclose(table["train/loss"], losses, rtol=1e-6)
    np.testing.assert_allclose(table["train/grad_norm"], norms, rtol=1e-6)
    np.testing.assert_allclose(table["train/learning_rate"], [0.1 * 0.5**n for n in range(5)])
    assert monitor.run.last("train/samples_seen") == 40
    assert (monitor.run.status, monitor.run.total_steps) == ("finished", 5)


def test_a_loss_with_its_graph_is_let_go_of_and_noted(monitor):
    loop(monitor)
    assert any("detached" in e["data"]["message"] for e in monitor.run.events("note"))


def test_further_metrics_and_own_norms_are_taken(monitor):
    loop(monitor, grad_norm=7.0, accuracy=0.5, eval_loss=1.0, epoch=2)
    assert monitor.run.last("train/grad_norm") == 7.0
    assert monitor.run.history()["train/accuracy"].tolist()[-1] == 0.5
    assert monitor.run.last("eval/loss") == 1.0
    assert monitor.run.last("train/epoch") == 2.0


@pytest.mark.parametrize("loss", ["high", torch.zeros(3), object(), [1.0]])
def test_a_loss_that_is_no_number_is_noted_once_and_training_goes_on(monitor, loss):
    monitor.watch(torch.nn.Linear(1, 1))
    for _ in range(3):
        monitor.step(loss)
    monitor.step(1.5)
    assert monitor.run.points("train/loss")[0].tolist() == [4]
    assert len([e for e in monitor.run.events("note") if "loss" in e["data"]["message"]]) == 1


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_recorded_as_what_they_are(monitor, value):
    monitor.watch(torch.nn.Linear(1, 1))
    monitor.step(value, accuracy=value)
    np.testing.assert_equal(monitor.run.points("train/loss")[1], [value])
    assert len(monitor.run.events("nonfinite")) == 2


def test_leaving_with_an_exception_is_a_failed_run(monitor):
    def train():
        with monitor:
            monitor.watch(torch.nn.Linear(1, 1))
            monitor.step(1.0)
            monitor.step(1 / 0)

    with pytest.raises(ZeroDivisionError):
        train()
    assert monitor.run.status == "failed"
    assert "ZeroDivisionError" in monitor.run.status_message


def test_with_finishes_the_run(monitor):
    with monitor:
        loop(monitor, 2)
    assert monitor.run.status == "finished"


@pytest.mark.parametrize("given", [42, "gpt2", object(), torch.nn.Linear(1, 1)])
def test_what_is_no_trainer_is_refused_with_the_way_out(given):
    with pytest.raises(TypeError, match="watch") as caught:
        TrainingMonitor(given)
    assert type(given).__name__ in str(caught.value)


def test_an_unknown_keyword_names_the_known_ones():
    with pytest.raises(TypeError, match=r"colour.*name, run_dir, probes, theme"):
        TrainingMonitor(colour="red")


def test_an_unknown_theme_names_the_known_ones():
    with pytest.raises(ValueError, match="neon, light, auto"):
        TrainingMonitor(theme="dark")


def test_watch_wants_a_model(monitor):
    with pytest.raises(TypeError, match=r"torch\.nn\.Module"):
        monitor.watch({"not": "a model"})


def test_step_without_watch_says_what_to_call(monitor):
    with pytest.raises(RuntimeError, match="watch"):
        monitor.step(1.0)


def test_log_metrics_wants_a_dict(monitor):
    with pytest.raises(TypeError, match="dict"):
        monitor.log_metrics([1, 2])


def test_a_closed_monitor_says_so_and_does_not_stop_a_loop():
    monitor = TrainingMonitor()
    monitor.watch(torch.nn.Linear(1, 1))
    monitor.step(1.0)
    monitor.close()
    monitor.close()

    assert monitor.run.status == "interrupted"
    with pytest.warns(UserWarning, match="closed"):
        monitor.step(2.0)
    for call in (lambda: monitor.watch(torch.nn.Linear(1, 1)), lambda: monitor.attach(None)):
        with pytest.raises(RuntimeError, match="closed"):
            call()


def test_closing_gives_the_optimiser_back(monitor):
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    monitor.watch(model, optimizer)
    assert optimizer._optimizer_step_pre_hooks
    monitor.close()
    assert not optimizer._optimizer_step_pre_hooks


def test_watching_again_starts_a_new_record(monitor):
    loop(monitor, 3)
    monitor.finish()
    loop(monitor, 2)
    assert len(monitor.run.points("train/loss")[0]) == 2
    assert len(monitor.past_runs) == 1


def test_ten_thousand_metrics_in_one_step_are_all_kept(monitor):
    monitor.watch(torch.nn.Linear(1, 1))
    monitor.step(1.0, **{f"m{n}": float(n) for n in range(10_000)})
    assert monitor.run.last("train/m9999") == 9999.0

"""The streaming loss is the average that its formula says, however a run begins and goes on."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tiny import tiny_trainer

from nbmonitor import TrainingMonitor
from nbmonitor.probe import Context, Step
from nbmonitor.probes.streaming import KEY, StreamingLoss


def exact(losses, window=300):
    """The weighted mean of all losses so far, newest first, by direct sums in float64."""
    rate = 2.0 / (window + 1)
    out = []
    for end in range(1, len(losses) + 1):
        weights = rate * (1 - rate) ** np.arange(end)
        sound = np.isfinite(losses[:end])
        # A loss that is no number is left out, as if its step had not been.
        kept = np.asarray(losses[:end])[sound][::-1]
        out.append(float((weights[: len(kept)] * kept).sum() / weights[: len(kept)].sum()))
    return out


def feed(probe, losses, start=1):
    found = [probe.derive(Step(n, 0.0, loss=x), {}) for n, x in enumerate(losses, start)]
    return [values.get(KEY) for values in found]


def begin(probe, step=0):
    return probe.derive(Step(step, 0.0), probe.on_begin(Context()))


@pytest.mark.parametrize("window", [1, 2, 300])
def test_against_direct_sums(window):
    losses = np.random.default_rng(0).exponential(size=700).tolist()
    probe = StreamingLoss(window)
    assert begin(probe) == {}
    assert feed(probe, losses) == pytest.approx(exact(losses, window), rel=1e-10)


def test_the_first_value_is_the_first_loss_and_a_constant_stays():
    assert feed(StreamingLoss(), [2.5]) == [2.5]
    assert feed(StreamingLoss(), [2.5] * 1000)[-1] == pytest.approx(2.5, rel=1e-12)


def test_losses_that_are_no_number_spoil_their_own_step_only():
    losses = [1.0, math.nan, 3.0, math.inf, 2.0]
    got = feed(StreamingLoss(), losses)
    assert got[1] is got[3] is None
    wanted = exact(losses)
    assert [got[0], got[2], got[4]] == pytest.approx([wanted[0], wanted[2], wanted[4]])
    assert StreamingLoss().derive(Step(1, 0.0), {}) == {}


def test_a_run_that_goes_on_in_this_process_goes_on_from_its_step():
    losses = np.linspace(3, 1, 50).tolist()
    probe = StreamingLoss()
    begin(probe)
    feed(probe, losses)
    begin(probe, step=20)
    assert feed(probe, losses[20:], 21) == pytest.approx(exact(losses)[20:], rel=1e-12)
    begin(probe)
    assert feed(probe, [7.0]) == [7.0]


def test_a_run_that_goes_on_in_another_process_goes_on_from_its_file():
    losses = np.linspace(3, 1, 50).tolist()
    wanted = exact(losses)
    probe = StreamingLoss()
    measured = probe.on_begin(Context())
    probe.resume({KEY: float(np.float32(wanted[19]))})
    probe.derive(Step(20, 0.0), measured)
    assert feed(probe, losses[20:], 21) == pytest.approx(wanted[20:], rel=1e-6)


def test_a_window_has_a_step():
    with pytest.raises(ValueError, match="window is 0"):
        StreamingLoss(0)


def test_a_real_training(tmp_path):
    trainer = tiny_trainer(tmp_path, max_steps=6)
    monitor = TrainingMonitor(trainer, run_dir=tmp_path / "runs")
    trainer.train()
    losses = monitor.run.points("train/loss")[1].tolist()
    steps, averages = monitor.run.points(KEY)
    monitor.close()
    assert steps.tolist() == [1, 2, 3, 4, 5, 6]
    assert averages.tolist() == pytest.approx(exact(losses), rel=1e-5)

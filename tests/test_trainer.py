"""A real Trainer, watched: what it does on every path that users take."""

import math
import warnings

import numpy as np
import pytest
import torch
from transformers import EarlyStoppingCallback, TrainerCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from nbmonitor import TrainingMonitor
from tests.tiny import RandomText, tiny_model, tiny_trainer


@pytest.fixture
def watched(tmp_path):
    """Make a watched Trainer; close the monitor at the end."""
    monitors = []

    def make(monitor_options=None, **arguments):
        arguments.setdefault("output_dir", str(tmp_path / "out"))
        trainer = tiny_trainer(**arguments)
        monitor = TrainingMonitor(trainer, **(monitor_options or {}))
        monitors.append(monitor)
        return trainer, monitor

    yield make
    for monitor in monitors:
        monitor.close()


class RaiseAt(TrainerCallback):
    def __init__(self, step, error):
        self.step, self.error = step, error

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            raise self.error


@pytest.mark.parametrize("accumulation", [1, 3])
def test_every_optimiser_step_has_its_loss_norm_and_rate(watched, accumulation):
    trainer, monitor = watched(
        max_steps=7, logging_steps=1, gradient_accumulation_steps=accumulation
    )
    trainer.train()

    table = monitor.run.history()
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    steps = table[table["train/loss"].notna()]

    assert monitor.run.status == "finished"
    assert steps["step"].tolist() == list(range(1, 8))
    np.testing.assert_allclose(steps["train/loss"], [e["loss"] for e in logged], rtol=1e-5)
    np.testing.assert_allclose(
        steps["train/grad_norm"], [e["grad_norm"] for e in logged], rtol=1e-5
    )
    np.testing.assert_allclose(
        steps["train/learning_rate"], [e["learning_rate"] for e in logged], rtol=1e-6
    )
    np.testing.assert_allclose(steps["train/epoch"], [e["epoch"] for e in logged], atol=1e-3)
    assert (steps["train/step_time"].dropna() > 0).all()
    assert (steps["train/samples_per_second"].dropna() > 0).all()


def test_steps_between_two_logs_are_recorded_too(watched):
    trainer, monitor = watched(max_steps=10, logging_steps=10)
    trainer.train()
    assert len(monitor.run.points("train/loss")[0]) == 10


def test_epochs_are_counted_from_steps_when_steps_are_given(watched):
    trainer, monitor = watched(max_steps=4)
    trainer.train()
    assert monitor.run.total_epochs == pytest.approx(0.5)
    assert monitor.run.last("train/epoch") == pytest.approx(0.5)


def test_the_loss_is_raw_although_the_logs_hide_nan(watched):
    trainer, monitor = watched(max_steps=6, logging_steps=1)
    original = trainer.compute_loss

    def spoiled(model, inputs, *args, **kwargs):
        loss = original(model, inputs, *args, **kwargs)
        return loss * math.nan if trainer.state.global_step == 2 else loss

    trainer.compute_loss = spoiled
    trainer.train()

    losses = monitor.run.points("train/loss")[1]
    assert math.isnan(losses[2])
    assert not any(math.isnan(e["loss"]) for e in trainer.state.log_history if "loss" in e)
    assert any(
        e["data"]["key"] == "train/loss" and e["step"] == 3 for e in monitor.run.events("nonfinite")
    )


def test_the_norm_is_the_one_before_clipping(watched):
    trainer, monitor = watched(max_steps=3, max_grad_norm=1e-3)
    trainer.train()
    assert (monitor.run.points("train/grad_norm")[1] > 1e-2).all()


def test_the_trainers_own_output_gives_way_and_comes_back(watched, tmp_path):
    trainer = tiny_trainer(output_dir=str(tmp_path), max_steps=2, disable_tqdm=False)
    trainer.add_callback(PrinterCallback)
    before = [type(c) for c in trainer.callback_handler.callbacks]
    own = set(vars(trainer))
    assert {PrinterCallback, ProgressCallback} <= set(before)

    monitor = TrainingMonitor(trainer)
    during = [type(c) for c in trainer.callback_handler.callbacks]
    assert not {PrinterCallback, ProgressCallback} & set(during)
    monitor.close()

    assert sorted(map(str, before)) == sorted(
        str(type(c)) for c in trainer.callback_handler.callbacks
    )
    assert set(vars(trainer)) == own
    trainer.train()


def test_training_goes_on_bit_for_bit_as_without_a_monitor(tmp_path):
    def weights(watch):
        trainer = tiny_trainer(output_dir=str(tmp_path / str(watch)), max_steps=8, seed=3)
        monitor = TrainingMonitor(trainer) if watch else None
        trainer.train()
        if monitor:
            monitor.close()
        return [p.detach().clone() for p in trainer.model.parameters()]

    assert all(torch.equal(a, b) for a, b in zip(weights(True), weights(False), strict=True))


def test_several_evaluation_sets_and_evaluations_around_train(watched):
    trainer, monitor = watched(
        max_steps=6,
        eval_data={"a": RandomText(8), "b": RandomText(8)},
        eval_strategy="steps",
        eval_steps=3,
    )
    trainer.evaluate()
    assert monitor.run.status == "waiting"
    trainer.train()
    trainer.evaluate()

    x, values = monitor.run.points("eval/b_loss")
    assert x.tolist() == [0, 3, 6, 6]
    assert np.isfinite(values).all()
    assert monitor.run.status == "finished"


def test_custom_log_keys_are_kept_under_their_names(watched):
    trainer, monitor = watched(max_steps=4, logging_steps=2)
    original = trainer.log

    def log(logs, *args, **kwargs):
        original(
            {**logs, "rewards/chosen": 0.5, "my_metric": 2.0, "phase": "warm"}, *args, **kwargs
        )

    trainer.log = log
    trainer.train()

    assert monitor.run.last("rewards/chosen") == 0.5
    assert monitor.run.last("train/my_metric") == 2.0
    assert any("phase" in e["data"]["message"] for e in monitor.run.events("note"))


@pytest.mark.parametrize(
    ("error", "status"),
    [(KeyboardInterrupt(), "interrupted"), (ValueError("bad batch"), "failed")],
)
def test_an_ended_training_is_never_shown_as_running(watched, error, status):
    trainer, monitor = watched(max_steps=10)
    trainer.add_callback(RaiseAt(4, error))

    with pytest.raises(type(error)):
        trainer.train()

    assert monitor.run.status == status
    assert "step 4" in monitor.run.status_message
    assert ("bad batch" in monitor.run.status_detail) == (status == "failed")
    assert len(monitor.run.points("train/loss")[0]) == 4


def test_a_second_train_starts_a_new_record_and_keeps_the_first(watched):
    trainer, monitor = watched(max_steps=5)
    trainer.train()
    trainer.train()

    assert monitor.run.points("train/loss")[0].tolist() == [1, 2, 3, 4, 5]
    (past,) = monitor.past_runs
    assert past.points("train/loss")[0].tolist() == [1, 2, 3, 4, 5]
    assert (past.status, monitor.run.status) == ("finished", "finished")


def test_resuming_in_the_same_monitor_redoes_the_steps_after_the_checkpoint(watched):
    trainer, monitor = watched(max_steps=10, save_strategy="steps", save_steps=4)
    stopper = RaiseAt(7, ValueError("crash"))
    trainer.add_callback(stopper)
    with pytest.raises(ValueError, match="crash"):
        trainer.train()
    trainer.remove_callback(stopper)
    trainer.train(resume_from_checkpoint=True)

    assert monitor.run.points("train/loss")[0].tolist() == list(range(1, 11))
    (resumed,) = monitor.run.events("resumed")
    assert (resumed["data"]["from"], resumed["data"]["to"]) == (7, 4)
    assert [e["data"]["name"] for e in monitor.run.events("checkpoint")][:1] == ["checkpoint-4"]
    assert monitor.run.status == "finished"


def test_resuming_in_a_new_monitor_shows_what_the_checkpoint_logged(tmp_path):
    arguments = {
        "output_dir": str(tmp_path),
        "save_strategy": "steps",
        "save_steps": 4,
        "logging_steps": 2,
    }
    tiny_trainer(max_steps=4, **arguments).train()
    trainer = tiny_trainer(max_steps=8, **arguments)
    with_monitor = TrainingMonitor(trainer)
    trainer.train(resume_from_checkpoint=True)

    assert with_monitor.run.points("train/loss")[0].tolist() == [2, 4, 5, 6, 7, 8]
    assert any("checkpoint's log" in e["data"]["message"] for e in with_monitor.run.events("note"))
    with_monitor.close()


def test_a_metric_that_changes_type_mid_run_is_noted_and_nothing_stops(watched):
    trainer, monitor = watched(max_steps=4)
    for step, value in enumerate([1.0, "n/a", 2.0]):
        monitor.log_metrics({"quality": value}, step=step)
    trainer.train()
    assert monitor.run.status == "finished"


def test_parameters_on_meta_do_not_stop_the_monitor(tmp_path):
    with torch.device("meta"):
        model = tiny_model("gpt2")
    trainer = tiny_trainer(output_dir=str(tmp_path), max_steps=1)
    monitor = TrainingMonitor()
    monitor.watch(model, None, total_steps=2)
    monitor.step(1.0)
    monitor.finish()
    assert monitor.run.config["params"] > 0
    monitor.close()
    del trainer


def test_early_stopping_is_a_finished_run(watched):
    trainer, monitor = watched(
        max_steps=50,
        eval_data=RandomText(4),
        eval_strategy="steps",
        eval_steps=2,
        save_strategy="steps",
        save_steps=2,
        learning_rate=0.0,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        load_best_model_at_end=True,
    )
    trainer.add_callback(EarlyStoppingCallback(2))
    trainer.train()
    assert monitor.run.status == "finished"
    assert monitor.run.step < 50


def test_the_time_left_counts_evaluations(watched):
    trainer, monitor = watched(
        max_steps=20, eval_data=RandomText(8), eval_strategy="steps", eval_steps=5
    )
    trainer.train()
    x, eta = monitor.run.points("train/eta")
    assert x[0] == 2
    assert eta[-1] == 0.0
    assert eta[0] > 0


def test_trl_trainers_are_trainers(tmp_path):
    trl = pytest.importorskip("trl")
    datasets = pytest.importorskip("datasets")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        texts = datasets.Dataset.from_dict(
            {"input_ids": [[3 + n % 9, 4, 5, 6, 2] for n in range(16)]}
        )
        args = trl.SFTConfig(
            str(tmp_path), max_steps=3, use_cpu=True, bf16=False, report_to="none",
            save_strategy="no", logging_steps=1, max_length=16,
            dataset_kwargs={"skip_prepare_dataset": True},
        )  # fmt: skip
        trainer = trl.SFTTrainer(
            tiny_model("llama"), args=args, train_dataset=texts, processing_class=_tokenizer()
        )
        monitor = TrainingMonitor(trainer)
        trainer.train()
    assert len(monitor.run.points("train/loss")[0]) == 3
    assert monitor.run.last("train/mean_token_accuracy") is not None
    monitor.close()


def _tokenizer():
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = {"<pad>": 0, "<bos>": 1, "<eos>": 2} | {f"w{n}": n for n in range(3, 64)}
    made = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="<eos>")

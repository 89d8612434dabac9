"""The rows behind a loss spike: the right ones, with the right loss of each token, at no cost to the training."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tiny import VOCAB, RandomText, tiny_model, tiny_trainer
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from torch.utils.data import Dataset

from nbmonitor import TrainingMonitor
from nbmonitor.probe import Batch, Context, Step
from nbmonitor.probes import spikes
from nbmonitor.probes.spikes import KEEP, ROOM, ROWS, TOKENS, Spikes
from nbmonitor.row_losses import WIDTH

WORDS = {f"w{n}": n for n in range(VOCAB)}


def tokenizer() -> Any:
    inner = Tokenizer(WordLevel(WORDS, unk_token="w3"))
    inner.pre_tokenizer = WhitespaceSplit()
    return transformers.PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="w0")


class Counting(Dataset):
    """Rows that count up, which are learned in a few steps; `bad` rows are noise."""

    def __init__(self, rows: int, bad: dict[int, list[int]]) -> None:
        self._rows = [
            bad.get(n, [3 + (7 * n + place) % 60 for place in range(12)]) for n in range(rows)
        ]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        ids = torch.tensor(self._rows[index])
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids.clone()}


NOISE = torch.randint(3, VOCAB, (12,), generator=torch.Generator().manual_seed(5)).tolist()


def trained(folder: Any, *, watched: bool = True, kind: str = "llama", **arguments: Any) -> Any:
    model = tiny_model(kind, hidden=32)
    trainer = tiny_trainer(
        folder,
        model=model,
        data=Counting(400, {301: NOISE}),
        max_steps=100,
        learning_rate=5e-3,
        lr_scheduler_type="constant",
        train_sampling_strategy="sequential",
        **arguments,
    )
    trainer.callback_handler.processing_class = tokenizer()
    monitor = TrainingMonitor(trainer, run_dir=False, autosave=False) if watched else None
    trainer.train()
    return model, monitor


def told(monitor: Any) -> list[dict[str, Any]]:
    tensor = monitor.run.tensor("insight/spikes")
    return [] if tensor is None else tensor[3]["spikes"]


def test_the_row_behind_a_spike_is_named(tmp_path: Any) -> None:
    _, monitor = trained(tmp_path)
    worst = max(told(monitor), key=lambda spike: spike["excess"])
    assert worst["step"] == 76  # rows 300 to 303
    assert worst["loss"] == pytest.approx(
        monitor.run.history(["train/loss"])["train/loss"][75], 1e-4
    )
    assert worst["usual"] < worst["loss"] / 1.5
    assert worst["batch_rows"] == len(worst["rows"]) == 4
    first = worst["rows"][0]
    assert first["row"] == 1
    assert first["text"] == " ".join(f"w{n}" for n in NOISE)
    assert first["tokens"] == [f"w{n}" for n in NOISE]
    assert first["losses"][0] is None  # nothing comes before it that could tell it
    assert first["loss"] == pytest.approx(np.mean(first["losses"][1:]), 1e-3)
    assert first["loss"] > 2 * worst["rows"][1]["loss"]
    # With the weights right after the step, which have learnt a little of it: the rate is high.
    assert worst["steps_later"] == 1
    assert worst["usual"] < worst["recomputed"] <= worst["loss"]
    monitor.close()


def test_accumulated_batches_are_one_step(tmp_path: Any) -> None:
    _, monitor = trained(tmp_path, gradient_accumulation_steps=2, per_device_train_batch_size=2)
    worst = max(told(monitor), key=lambda spike: spike["excess"])
    assert (worst["step"], worst["batch_rows"], worst["rows"][0]["row"]) == (76, 4, 1)
    assert worst["usual"] < worst["recomputed"] <= worst["loss"]
    monitor.close()


def test_the_training_is_the_same_to_the_bit(tmp_path: Any, monkeypatch: Any) -> None:
    """With dropout, which draws random numbers, and many steps that are run again."""
    monkeypatch.setattr(spikes, "SPREADS", -50.0)  # every step stands out
    torch.manual_seed(7)
    alone, _ = trained(tmp_path / "a", watched=False, kind="gpt2")
    torch.manual_seed(7)
    seen, monitor = trained(tmp_path / "b", kind="gpt2")
    assert len(told(monitor)) == KEEP
    for (name, one), other in zip(alone.named_parameters(), seen.parameters(), strict=True):
        assert torch.equal(one, other), name
    monitor.close()


# ---------------------------------------------------------------------- what is kept


def batch(rows: int = 3, width: int = 10, seed: int = 0) -> dict[str, torch.Tensor]:
    chance = torch.Generator().manual_seed(seed)
    ids = torch.randint(3, VOCAB, (rows, width), generator=chance)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids.clone()}


class Driven:
    """Drives the probe by hand, with losses as they come."""

    def __init__(self, **context: Any) -> None:
        self.puts: list[dict[str, Any]] = []
        self.model = tiny_model("llama")
        self.probe = Spikes()
        keep_put = lambda _key, _step, _array, meta: self.puts.append(meta)  # noqa: E731
        self.probe.on_begin(Context(model=self.model, put=keep_put, **context))
        self.number = 0

    def step(self, loss: float, inputs: Any = None, *, device: str = "cpu") -> None:
        self.number += 1
        self.probe.on_batch(Batch(inputs or batch(2), 2))
        step = Step(self.number, 0.0, model=self.model, loss=loss)
        if device != "cpu":
            step.loss = SimpleNamespace(is_cpu=False)
        measured = self.probe.on_step(step)
        if measured:
            step.loss = loss
            self.probe.derive(step, measured)

    @property
    def spikes(self) -> list[dict[str, Any]]:
        return self.puts[-1]["spikes"] if self.puts else []


def noisy(n: int) -> float:
    return 2.0 + 0.1 * math.sin(7.3 * n)


def test_ordinary_losses_are_not_kept() -> None:
    driven = Driven()
    for n in range(300):
        driven.step(noisy(n) + 3.0 * math.exp(-n / 30))
    assert driven.puts == []


def test_the_worst_are_kept_and_no_more() -> None:
    driven = Driven()
    heights = [3.0 + n for n in range(12)]
    for n in range(40 * 13):
        driven.step(heights[n // 40 - 1] if n % 40 == 0 and n else noisy(n))
    assert [spike["loss"] for spike in driven.spikes] == heights[-KEEP:]
    assert all(spike["usual"] == pytest.approx(2.0, abs=0.3) for spike in driven.spikes)


def test_a_loss_that_is_no_number_is_kept_at_once_and_not_for_ever() -> None:
    driven = Driven()
    for n in range(60):
        driven.step(math.nan if n >= 5 else 2.0)
    assert [spike["step"] for spike in driven.spikes] == list(range(6, 6 + KEEP))
    assert all(spike["loss"] is None for spike in driven.spikes)
    assert len(driven.puts) == KEEP
    json.dumps(driven.puts[-1], allow_nan=False)


def test_a_loss_on_a_device_is_judged_when_it_arrives_and_says_how_late() -> None:
    driven = Driven()
    for n in range(60):
        driven.step(9.0 if n == 49 else noisy(n), device="cuda")
    (spike,) = driven.spikes
    assert (spike["step"], spike["steps_later"]) == (50, 2)
    assert spike["recomputed"] is not None


def test_what_never_arrives_does_not_pile_up() -> None:
    probe = Spikes()
    probe.on_begin(Context())
    for n in range(1, 500):
        probe.on_batch(Batch(batch(1), 1))
        probe.on_step(Step(n, 0.0, loss=SimpleNamespace(is_cpu=False)))
    assert len(probe._waiting) <= 64


def test_wide_batches_stay_small_and_show_the_dearest_window() -> None:
    driven = Driven(tokenizer=tokenizer())
    model = tiny_model("llama", max_position_embeddings=2048)
    driven.model = model
    for n in range(40 * 10):
        odd = n % 40 == 39
        wide = batch(12, WIDTH + 60, seed=n) if odd else batch(2)
        if odd:
            wide["labels"][:, :600] = -100
        driven.step(5.0 if odd else noisy(n), wide)
    meta = driven.puts[-1]
    assert len(json.dumps(meta)) < ROOM + 1000
    assert len(driven.spikes) == KEEP
    for spike in driven.spikes:
        assert 1 <= len(spike["rows"]) <= ROWS
        for row in spike["rows"]:
            assert len(row["tokens"]) == len(row["losses"]) <= TOKENS
            assert row["from_token"] >= 600 - 1
            assert row["of_tokens"] == WIDTH


def test_a_row_number_in_the_batch_is_told() -> None:
    driven = Driven()
    for n in range(60):
        inputs = batch(2) | {"idx": torch.tensor([2 * n, 2 * n + 1])}
        driven.step(9.0 if n == 49 else noisy(n), inputs)
    (spike,) = driven.spikes
    assert {row["row"]: row["dataset_index"] for row in spike["rows"]} == {0: 98, 1: 99}


def test_pictures_have_no_rows_to_show(tmp_path: Any) -> None:
    class Pictures(Dataset):
        def __len__(self) -> int:
            return 8

        def __getitem__(self, index: int) -> dict[str, Any]:
            return {"pixel_values": torch.zeros(3, 8, 8), "labels": index % 3}

    trainer = tiny_trainer(tmp_path, model=tiny_model("vit"), data=Pictures())
    monitor = TrainingMonitor(trainer, run_dir=False, autosave=False)
    trainer.train()
    (panel,) = [p for p in monitor.panels if p["id"] == "spikes"]
    assert "input_ids" in panel["absent"]
    monitor.close()


def test_a_plain_loop_is_looked_at_after_its_step() -> None:
    torch.manual_seed(0)
    model = tiny_model("llama")
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    monitor = TrainingMonitor(run_dir=False, autosave=False)
    monitor.watch(model, optimizer, 60)
    rows = RandomText(4)
    inputs = {
        key: torch.stack([rows[n][key] for n in range(4)])
        for key in ("input_ids", "labels", "attention_mask")
    }
    for n in range(60):
        loss = model(**inputs).loss * (4.0 if n == 49 else 1.0)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        monitor.step(loss, inputs)
    monitor.finish()
    (spike,) = told(monitor)
    assert (spike["step"], spike["steps_later"]) == (50, 1)
    assert len(spike["rows"]) == 4
    monitor.close()

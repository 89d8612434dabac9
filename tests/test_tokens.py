"""The tokens probe counts exactly what the Trainer counts, on every way batches come."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from tiny import RandomText, tiny_model, tiny_trainer
from transformers import DataCollatorWithFlattening

from nbmonitor.probe import Batch, Context, Step
from nbmonitor.probes.tokens import PROBE, Tokens


def host(measured):
    return {
        k: (v.item() if v.dim() == 0 else v.numpy()) if hasattr(v, "dim") else v
        for k, v in measured.items()
    }


class Bench:
    """Drives a probe by hand, as the engine would."""

    def __init__(self, context=None, at=0):
        self.probe = Tokens()
        self.step_number = at
        self.begin(at, context or Context())

    def begin(self, at, context=None):
        measured = self.probe.on_begin(context or Context())
        self.probe.derive(Step(at, 0.0), host(measured))
        self.step_number = at

    def step(self, *inputs, duration=2.0):
        for one in inputs:
            self.probe.on_batch(Batch(one, None))
        self.step_number += 1
        step = Step(self.step_number, 0.0, duration=duration)
        measured = self.probe.on_step(step)
        return None if measured is None else dict(self.probe.derive(step, host(measured)))


def padded(lengths, width, pad=0):
    ids = torch.full((len(lengths), width), pad)
    for row, length in zip(ids, lengths, strict=True):
        row[:length] = 7
    return ids


def test_mask_counts_rows_padding_and_rates():
    ids = padded([3, 5], 8)
    got = Bench().step({"input_ids": ids, "attention_mask": (ids == 7).long()})
    assert got["tokens/per_step"] == got["tokens/seen"] == 8
    assert got["tokens/samples_seen"] == 2
    assert got["tokens/mean_length"] == 4
    assert got["tokens/padding_ratio"] == 0.5
    assert got["tokens/per_second"] == pytest.approx(4)
    assert got["tokens/per_second_smooth"] == pytest.approx(4)


def test_micro_batches_add_up_and_smoothing_is_unbiased():
    bench = Bench()
    for _ in range(3):
        got = bench.step(*[{"input_ids": torch.ones(2, 5, dtype=torch.long)}] * 3)
        assert got["tokens/per_step"] == 30
        assert got["tokens/per_second_smooth"] == pytest.approx(15)
    assert got["tokens/seen"] == 90
    assert got["tokens/samples_seen"] == 18


def test_mask_with_text_numbers_counts_places():
    mask = torch.tensor([[1, 1, 2, 2, 3, 0]])
    got = Bench().step({"input_ids": torch.ones(1, 6, dtype=torch.long), "attention_mask": mask})
    assert got["tokens/per_step"] == 5


def test_mask_of_another_shape_is_not_believed():
    mask = torch.ones(2, 1, 5, 5)
    got = Bench().step({"input_ids": torch.ones(2, 5, dtype=torch.long), "attention_mask": mask})
    assert got["tokens/per_step"] == 10


def test_pad_token():
    got = Bench(Context(pad_token_id=0)).step({"input_ids": padded([3, 5], 8)})
    assert got["tokens/per_step"] == 8


@pytest.mark.parametrize(
    ("row", "length"),
    [
        ([7, 7, 7, 7], 4),
        ([7, 2, 7, 2], 4),  # inner ends of text, and the last one
        ([7, 7, 2, 2], 3),  # one end of text, one pad
        ([2, 2, 7, 7], 2),  # padded on the left
        ([2, 7, 2, 2], 2),
        ([2, 2, 2, 2], 0),
    ],
)
def test_pad_token_that_also_ends_texts(row, length):
    bench = Bench(Context(model=tiny_model("gpt2"), pad_token_id=2))
    assert bench.step({"input_ids": torch.tensor([row])})["tokens/per_step"] == length


def test_packed_borders_and_restarting_positions():
    ids = torch.ones(1, 12, dtype=torch.long)
    positions = torch.cat([torch.arange(5), torch.arange(4), torch.arange(3)])[None]
    borders = torch.tensor([0, 5, 9, 12], dtype=torch.int32)
    for inputs in (
        {"input_ids": ids, "position_ids": positions},
        {"input_ids": ids, "position_ids": positions, "cu_seq_lens_q": borders},
    ):
        got = Bench().step(inputs)
        assert got["tokens/per_step"] == 12
        assert got["tokens/samples_seen"] == 3
        assert got["tokens/mean_length"] == 4
        assert got["tokens/padding_ratio"] == 0


def test_embeddings_and_plain_tuples_are_text_and_pixels_are_not():
    assert Bench().step({"inputs_embeds": torch.ones(2, 5, 8)})["tokens/per_step"] == 10
    ids = torch.ones(2, 5, dtype=torch.long)
    assert Bench().step((ids, ids))["tokens/per_step"] == 10
    assert Bench().step(ids)["tokens/per_step"] == 10
    for other in (
        {"pixel_values": torch.ones(2, 3, 8, 8), "labels": torch.ones(2)},
        torch.ones(2, 5),
        torch.ones(2, 5, dtype=torch.uint8),
        [{"prompt": "x"}],
        object(),
    ):
        bench = Bench()
        assert bench.step(other) is None
        assert "no tokens to count" in bench.probe.absence


def test_absence_names_the_keys_and_ends_with_text():
    bench = Bench()
    bench.step({"pixel_values": torch.ones(2, 3, 8, 8)})
    assert "pixel_values" in bench.probe.absence
    bench.step({"input_ids": torch.ones(2, 5, dtype=torch.long)})
    assert bench.probe.absence == ""


def test_resume_goes_on_from_its_step_and_a_new_run_from_nothing():
    bench = Bench()
    inputs = {"input_ids": torch.ones(2, 5, dtype=torch.long)}
    for _ in range(6):
        bench.step(inputs)
    bench.begin(4)
    assert bench.step(inputs)["tokens/seen"] == 50
    bench.begin(0)
    assert bench.step(inputs)["tokens/seen"] == 10


def test_counts_are_exact_above_two_to_the_24():
    probe = Tokens()
    probe.derive(Step(0, 0.0), {"begin": 1.0})
    measured = {"places": 2**25, "counted": 2**25 - 1, "samples": 1}
    for number in (1, 2):
        got = probe.derive(Step(number, 0.0), measured)
    assert got["tokens/seen"] == 2**26 - 2


def taps(trainer):
    """The probe on a real Trainer, with the least that can drive it."""
    bench = Bench()
    rows = []
    original = trainer.training_step

    def training_step(model, inputs, *args, **kwargs):
        bench.probe.on_batch(Batch(inputs, None))
        if trainer.accelerator.gradient_state.sync_gradients:
            rows.append(bench.step())
        return original(model, inputs, *args, **kwargs)

    trainer.training_step = training_step
    return rows


@pytest.mark.parametrize("accumulation", [1, 2, 3])
def test_exact_against_the_trainers_own_count(tmp_path, accumulation):
    trainer = tiny_trainer(
        tmp_path,
        max_steps=3,
        data=RandomText(rows=48),
        gradient_accumulation_steps=accumulation,
        include_num_input_tokens_seen="non_padding",
    )
    rows = taps(trainer)
    trainer.train()
    assert rows[-1]["tokens/seen"] == trainer.state.num_input_tokens_seen
    assert rows[-1]["tokens/samples_seen"] == 3 * 4 * accumulation


@pytest.mark.slow
def test_exact_with_busy_workers(tmp_path):
    trainer = tiny_trainer(
        tmp_path,
        max_steps=2,
        gradient_accumulation_steps=2,
        dataloader_num_workers=2,
        include_num_input_tokens_seen="non_padding",
    )
    rows = taps(trainer)
    trainer.train()
    assert rows[-1]["tokens/seen"] == trainer.state.num_input_tokens_seen


@pytest.mark.parametrize("borders", [False, True])
def test_flattening_collator(tmp_path, borders):
    data = RandomText(rows=4, ragged=True)
    trainer = tiny_trainer(
        tmp_path,
        max_steps=1,
        data=data,
        collator=DataCollatorWithFlattening(return_flash_attn_kwargs=borders),
    )
    rows = taps(trainer)
    trainer.train()
    assert rows[0]["tokens/per_step"] == sum(data.lengths)
    assert rows[0]["tokens/samples_seen"] == 4
    assert rows[0]["tokens/mean_length"] == np.mean(data.lengths)


def test_encoder_decoder_counts_the_encoders_tokens(tmp_path):
    trainer = tiny_trainer(
        tmp_path,
        model=tiny_model("t5"),
        max_steps=1,
        include_num_input_tokens_seen="non_padding",
    )
    rows = taps(trainer)
    trainer.train()
    assert rows[-1]["tokens/seen"] == trainer.state.num_input_tokens_seen


def test_cost_on_the_training_thread():
    ids = torch.ones(8, 128, dtype=torch.long)
    batch = Batch({"input_ids": ids, "attention_mask": ids, "labels": ids}, 8)
    bench = Bench()
    spent = []
    for number in range(300):
        start = time.thread_time_ns()
        bench.probe.on_batch(batch)
        bench.probe.on_step(Step(number, 0.0))
        spent.append(time.thread_time_ns() - start)
    microseconds = float(np.median(spent)) / 1000
    print(f"tokens probe: {microseconds:.1f} µs a step of one micro-batch")
    assert microseconds < 60  # 15-20 on the machine it was written on; room for a busy one


def test_module_offers_the_probe():
    assert PROBE is Tokens

"""The job that everything is measured on: a GPT-2 so small that a reporter shows."""

from __future__ import annotations

import tempfile
from typing import Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments


class RandomText(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    """Rows of random tokens with a mask, as a tokenizer would give them."""

    def __init__(self, rows: int, length: int = 32, vocabulary: int = 500) -> None:
        generator = torch.Generator().manual_seed(0)
        self.ids = torch.randint(0, vocabulary, (rows, length), generator=generator)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        ids = self.ids[index]
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids}


def trainer(steps: int, *, layers: int = 2, width: int = 64, **arguments: Any) -> Trainer:
    """Make the trainer: 2 layers, d = 64, 32 tokens, batch of 4, one thread, a step of 5-8 ms."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = GPT2LMHeadModel(
        GPT2Config(n_layer=layers, n_embd=width, n_head=4, vocab_size=500, n_positions=64)
    )
    given: dict[str, Any] = {
        "max_steps": steps,
        "per_device_train_batch_size": 4,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
    } | arguments
    return Trainer(
        model, TrainingArguments(tempfile.mkdtemp(), **given), train_dataset=RandomText(1024)
    )

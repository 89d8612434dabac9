"""Small models, data and Trainers for tests: made from configs, on the CPU, without a hub."""

from __future__ import annotations

import warnings
from typing import Any

import torch
import transformers
from torch.utils.data import Dataset

transformers.logging.set_verbosity_error()
# Two threads on a busy machine wait for each other longer than a tiny model computes.
torch.set_num_threads(1)

VOCAB = 64
WIDTH = 32


def tiny_model(kind: str = "llama", *, layers: int = 2, hidden: int = 16, **config: Any) -> Any:
    """A randomly initialised model: llama, gpt2, bert, t5, vit or mixtral."""
    torch.manual_seed(0)
    name, head, options = _KINDS[kind]
    options = {key: value(layers, hidden) for key, value in options.items()} | config
    made = getattr(transformers, f"{name}Config")(**options)
    return getattr(transformers, f"{name}{head}")(made)


def _decoder(**more: Any) -> dict[str, Any]:
    return {
        "num_hidden_layers": lambda layers, _: layers,
        "hidden_size": lambda _, hidden: hidden,
        "intermediate_size": lambda _, hidden: 2 * hidden,
        "num_attention_heads": lambda _, __: 2,
        "vocab_size": lambda _, __: VOCAB,
        "max_position_embeddings": lambda _, __: 128,
        **{key: (lambda _, __, value=value: value) for key, value in more.items()},
    }


_SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("Llama", "ForCausalLM", _decoder(num_key_value_heads=1, **_SPECIAL)),
    "mixtral": (
        "Mixtral",
        "ForCausalLM",
        _decoder(num_key_value_heads=1, num_local_experts=4, num_experts_per_tok=2, **_SPECIAL),
    ),
    "bert": ("Bert", "ForMaskedLM", _decoder(pad_token_id=0)),
    "gpt2": (
        "GPT2",
        "LMHeadModel",
        {
            "n_layer": lambda layers, _: layers,
            "n_embd": lambda _, hidden: hidden,
            "n_head": lambda _, __: 2,
            "n_positions": lambda _, __: 128,
            "vocab_size": lambda _, __: VOCAB,
            "bos_token_id": lambda _, __: 1,
            "eos_token_id": lambda _, __: 2,
        },
    ),
    "t5": (
        "T5",
        "ForConditionalGeneration",
        {
            "num_layers": lambda layers, _: layers,
            "d_model": lambda _, hidden: hidden,
            "d_ff": lambda _, hidden: 2 * hidden,
            "d_kv": lambda _, hidden: hidden // 2,
            "num_heads": lambda _, __: 2,
            "vocab_size": lambda _, __: VOCAB,
            "decoder_start_token_id": lambda _, __: 0,
            "pad_token_id": lambda _, __: 0,
        },
    ),
    "vit": (
        "ViT",
        "ForImageClassification",
        {
            "num_hidden_layers": lambda layers, _: layers,
            "hidden_size": lambda _, hidden: hidden,
            "intermediate_size": lambda _, hidden: 2 * hidden,
            "num_attention_heads": lambda _, __: 2,
            "image_size": lambda _, __: 8,
            "patch_size": lambda _, __: 4,
            "num_labels": lambda _, __: 3,
        },
    ),
}


class RandomText(Dataset):
    """Random ids, padded on the right to `width` (`ragged`: not padded, as lists).

    `lengths` are the true ones; `mask=False` leaves out the attention mask.
    """

    def __init__(
        self,
        rows: int = 32,
        width: int = WIDTH,
        *,
        mask: bool = True,
        ragged: bool = False,
        seed: int = 0,
    ) -> None:
        chance = torch.Generator().manual_seed(seed)
        self.lengths = torch.randint(width // 4, width + 1, (rows,), generator=chance).tolist()
        self._items: list[dict[str, Any]] = []
        for length in self.lengths:
            text = torch.randint(3, VOCAB, (length,), generator=chance)
            if ragged:
                self._items.append({"input_ids": text.tolist(), "labels": text.tolist()})
                continue
            fill = width - length
            item = {
                "input_ids": torch.cat([text, torch.zeros(fill, dtype=torch.long)]),
                "labels": torch.cat([text, torch.full((fill,), -100)]),
            }
            if mask:
                item["attention_mask"] = (item["labels"] != -100).long()
            self._items.append(item)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self._items[index]


def tiny_trainer(
    output_dir: Any,
    *,
    model: Any = None,
    data: Dataset | None = None,
    collator: Any = None,
    callbacks: list[Any] | None = None,
    eval_data: Any = None,
    **arguments: Any,
) -> Any:
    """A Trainer of four steps, silent, that writes only into `output_dir`."""
    options: dict[str, Any] = {
        "output_dir": str(output_dir),
        "max_steps": 4,
        "per_device_train_batch_size": 4,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
        **arguments,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = transformers.Trainer(
            tiny_model() if model is None else model,
            transformers.TrainingArguments(**options),
            train_dataset=RandomText() if data is None else data,
            eval_dataset=eval_data,
            data_collator=collator,
            callbacks=callbacks,
        )
    trainer.remove_callback(transformers.trainer_callback.PrinterCallback)
    return trainer

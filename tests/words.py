"""A tokenizer of single words, made here, and small tasks in its language."""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from tests.tiny import VOCAB

SPECIAL = ("<pad>", "<s>", "</s>", "<unk>", "<user>", "<model>")
WORDS = (*"abcdefghijklmnopqrstuvwxyz0123456789", "why", "code", "copy", "=", "+", "?")
TEMPLATE = (
    "{% for m in messages %}{{ '<user> ' if m.role == 'user' else '<model> ' }}{{ m.content }}"
    " </s> {% endfor %}{% if add_generation_prompt %}<model> {% endif %}"
)


def tokenizer(*, side: str = "right", chat: bool = False, ends: bool = False) -> Any:
    """Words parted by spaces; ids below `tests.tiny.VOCAB`; with `ends`, </s> behind every text."""
    vocabulary = {word: index for index, word in enumerate((*SPECIAL, *WORDS))}
    assert len(vocabulary) <= VOCAB
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if ends:
        inner.post_processor = processors.TemplateProcessing(
            single="$A </s>", special_tokens=[("</s>", 2)]
        )
    made = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        padding_side=side,
    )
    if chat:
        made.chat_template = TEMPLATE
    return made


def tasks(count: int = 24) -> list[dict[str, str]]:
    """Questions of different lengths, each with one answer of 1 to 4 words."""
    chance = torch.Generator().manual_seed(1)
    out = []
    for index in range(count):
        length = int(torch.randint(1, 5, (1,), generator=chance))
        words = [WORDS[i] for i in torch.randint(0, 36, (length,), generator=chance).tolist()]
        kind = ("copy", "why", "code")[index % 3]
        out.append({"prompt": f"{kind} {' '.join(words)} =", "answer": f" {' '.join(words)}"})
    return out


def learn(model: Any, rows: list[list[int]], steps: int = 80, rate: float = 1e-2) -> Any:
    """Train a model on rows of tokens until it knows most of them."""
    torch.manual_seed(0)
    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])  # (rows, width)
    labels = torch.tensor([row + [-100] * (width - len(row)) for row in rows])
    optimizer = torch.optim.AdamW(model.parameters(), rate)
    model.train()
    for _ in range(steps):
        loss = model(input_ids=ids, attention_mask=(labels != -100).long(), labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model

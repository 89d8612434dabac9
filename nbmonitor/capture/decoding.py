"""Greedy decoding: what a model really answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nbmonitor.capture.batches import grouped, padded
from nbmonitor.capture.undisturbed import device_of
from nbmonitor.encoding import Encoded

_ROWS = 32


def can_decode(model: Any) -> bool:
    """Whether the model generates."""
    able = getattr(model, "can_generate", None)
    return hasattr(model, "generate") and (able is None or bool(able()))


def prompt_of(example: Encoded, kind: str) -> list[int]:
    """Return the tokens that are continued, or encoded."""
    return example.ids if kind == "seq2seq" else example.ids[: example.start]


def decode(
    model: Any,
    examples: Sequence[Encoded],
    kind: str,
    *,
    fill: int,
    room: int = 0,
    most: int = 1 << 30,
    between: Callable[[], None] = lambda: None,
) -> dict[int, list[int]]:
    """Let the model answer, without sampling, with the processors of its own settings.

    Parameters
    ----------
    examples
        With a prompt each.
    kind
        "causal" or "seq2seq".
    fill
        The token that pads.
    room, most
        Each answer gets the expected one's length plus `room`, but at most `most` tokens.
    between
        Called after every batch.

    Returns
    -------
    dict
        Generated tokens by `index`: without the prompt, padding at the end included.
    """
    out: dict[int, list[int]] = {}
    device = device_of(model)

    def length(example: Encoded) -> int:
        return len(prompt_of(example, kind)) + len(example.answer) + room

    for group in grouped(examples, length, rows=_ROWS):
        prompts = [prompt_of(example, kind) for example in group]
        ids, mask = padded(prompts, fill, left=kind != "seq2seq")  # (rows, width)
        longest = max(len(example.answer) for example in group)
        found = model.generate(
            input_ids=ids.to(device),
            attention_mask=mask.to(device),
            do_sample=False,
            num_beams=1,
            max_new_tokens=max(1, min(longest + room, most)),
            pad_token_id=fill,
            return_dict_in_generate=False,
        )  # (rows, width + new), or (rows, 1 + new) behind the decoder's start
        skip = 1 if kind == "seq2seq" else ids.shape[1]
        for example, row in zip(group, found[:, skip:].tolist(), strict=True):
            out[example.index] = row
        between()
    return out


def cut(tokens: list[int], ends: Sequence[int]) -> tuple[list[int], bool]:
    """Cut generated tokens behind the first end; and whether there was one."""
    for at, token in enumerate(tokens):
        if token in ends:
            return tokens[: at + 1], True
    return tokens, False

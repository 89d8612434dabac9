"""A fixed set made ready for one model: encoded, and what had to be left out or assumed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nbmonitor.capture import kind as kinds
from nbmonitor.encoding import Encoder
from nbmonitor.fixed_set import Example


class Preparation:
    """Encode examples for a model.

    Parameters
    ----------
    examples
        The fixed set.
    model, kind
        What is evaluated, and how: see `kind_of`.
    tokenizer
        None where all records are tokens already.
    ended
        Whether answers end with the end token.
    chat
        As in `Encoder`.

    Attributes
    ----------
    encoded : list of Encoded
        What can be evaluated.
    encoder : Encoder
        For texts of tokens.
    ends : tuple of int
        Tokens that end a generated text.
    fill : int
        The token that pads.
    notes : list of str
        What people should know of it.

    Raises
    ------
    ValueError
        If a record doesn't suit the model, or none is left.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        model: Any,
        kind: str,
        tokenizer: Any,
        *,
        ended: bool = True,
        chat: bool = False,
    ) -> None:
        written = any(example.tokens is None for example in examples)
        if tokenizer is None and written:
            msg = 'no tokenizer is known: fixed_eval={"data": …, "tokenizer": tokenizer}'
            raise ValueError(msg)
        config = model.config
        self.ends = kinds.end_tokens(model, tokenizer)
        self.encoder = Encoder(
            tokenizer,
            kind,
            self.ends if ended else (),
            chat=chat,
            classes=getattr(config, "label2id", None),
        )
        encoded = [self.encoder.encode(i, e) for i, e in enumerate(examples)]
        most = kinds.longest(model, kind)
        self.encoded = [
            e
            for e in encoded
            if e.ids and (most is None or max(len(e.ids), len(e.targets)) <= most)
        ]
        self.notes: list[str] = []
        left = len(encoded) - len(self.encoded)
        if not self.encoded:
            msg = f"none of {len(encoded)} records has between 1 and {most} tokens"
            raise ValueError(msg)
        if left:
            self.notes.append(
                f"{left} of {len(encoded)} records are empty or longer than {most} tokens"
            )
        if kind == "causal" and self.ends and not ended and written:
            self.notes.append("answers are expected without an end token: see docs/quality.md")
        if self.encoder.apart:
            self.notes.append(
                f"{self.encoder.apart} answers don't begin at a token border of their text"
            )
        pad = getattr(getattr(tokenizer, "tokenizer", tokenizer), "pad_token_id", None)
        pad = getattr(config, "pad_token_id", None) if pad is None else pad
        # Any token will do where nothing looks: it is masked.
        self.fill = pad if isinstance(pad, int) else next(iter(self.ends), 0)

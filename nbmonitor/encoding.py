"""Examples of a fixed set to tokens: what the model reads, and which tokens are expected.

Without padding: who runs a model pads, on the side that its forward pass wants, so that it is
all the same on which side a tokenizer pads. It knows no model; a tokenizer is whatever
transformers calls one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nbmonitor.fixed_set import Example

IGNORED = -100


@dataclass(frozen=True, slots=True)
class Encoded:
    """One example as tokens.

    Parameters
    ----------
    index
        Its place in the fixed set.
    ids
        What the model reads: prompt and answer; for an encoder-decoder, what the encoder reads.
    targets
        Expected tokens, -100 where nothing is: as long as `ids`, each where it stands itself
        (a decoder's loss shifts them); for an encoder-decoder a sequence of its own; for a
        classifier the one class.
    start
        Where the answer begins in `ids`, when it is one piece up to the end and has a prompt.
    """

    index: int
    ids: list[int]
    targets: list[int]
    start: int | None = None

    @property
    def answer(self) -> list[int]:
        """The expected tokens."""
        return [token for token in self.targets if token != IGNORED]


class Encoder:
    """Examples to tokens.

    Parameters
    ----------
    tokenizer
        None where all records are tokens already.
    kind
        Of the model: "causal", "seq2seq" or "classes".
    ends
        Tokens that end an answer. The first is put behind it; empty: nothing is.
    chat
        Whether strings, too, become a user's message in the tokenizer's chat template.
    classes
        Numbers of a classifier's classes by their names.

    Attributes
    ----------
    apart : int
        Examples whose prompt and answer would merge into one token at their border; there they
        are tokenised apart, as is generated from the prompt alone.
    """

    def __init__(
        self,
        tokenizer: Any,
        kind: str,
        ends: tuple[int, ...] = (),
        *,
        chat: bool = False,
        classes: Mapping[str, int] | None = None,
    ) -> None:
        self._tokenizer = getattr(tokenizer, "tokenizer", tokenizer)
        self._kind, self._ends, self._chat = kind, ends, chat
        self._classes = classes or {}
        self.apart = 0

    def encode(self, index: int, example: Example) -> Encoded:
        """Encode one example.

        Raises
        ------
        ValueError
            If it has a form that this kind of model, or this tokenizer, can't take.
        """
        if (example.form == "label") != (self._kind == "classes"):
            wanted = "text and label" if self._kind == "classes" else "prompt and answer, or text"
            msg = f"record {index} is a {example.form!r} record; this model takes {wanted}"
            raise ValueError(msg)
        if self._kind == "classes":
            ids = self._read(example.text()) if example.tokens is None else example.tokens[0]
            return Encoded(index, ids, [self._class(index, example.answer)])
        if example.tokens is not None:
            return self._of_tokens(index, *example.tokens)
        if self._kind == "seq2seq":
            return self._pair_of_sequences(index, example)
        if example.form == "text":
            ids = self._ended(self._unended(self._read(example.answer)))
            return Encoded(index, ids, list(ids))
        prompt, answer = self._prompt_and_answer(example)
        targets = [IGNORED] * len(prompt) + answer
        # What comes first of all can't be predicted from anything.
        return Encoded(index, prompt + answer, targets, len(prompt) or None)

    # ------------------------------------------------------------------ forms

    def _of_tokens(self, index: int, ids: list[int], labels: list[int]) -> Encoded:
        if self._kind == "seq2seq":
            kept = [label for label in labels if label != IGNORED]
            return Encoded(index, ids, kept, 0)
        if len(labels) != len(ids):
            msg = f"record {index} has {len(ids)} input_ids and {len(labels)} labels"
            raise ValueError(msg)
        first = next((at for at, label in enumerate(labels) if label != IGNORED), None)
        whole = first is not None and first > 0 and IGNORED not in labels[first:]
        return Encoded(index, ids, labels, first if whole else None)

    def _pair_of_sequences(self, index: int, example: Example) -> Encoded:
        if example.prompt is None:
            msg = f"record {index} is plain text; an encoder-decoder takes prompt and answer"
            raise ValueError(msg)
        ids = self._read(example.text())
        target = self._tokenizer(text_target=example.answer)["input_ids"]
        return Encoded(index, ids, list(target), 0)

    def _prompt_and_answer(self, example: Example) -> tuple[list[int], list[int]]:
        if example.form == "chat" or self._chat:
            return self._conversation(example)
        prompt = self._unended(self._read(example.prompt))
        whole = self._unended(self._read(example.prompt + example.answer))
        if whole[: len(prompt)] == prompt:
            return prompt, self._ended(whole[len(prompt) :])
        self.apart += 1
        return prompt, self._ended(self._bare(example.answer))

    def _conversation(self, example: Example) -> tuple[list[int], list[int]]:
        if not getattr(self._tokenizer, "chat_template", None):
            msg = (
                "a record is a conversation and the tokenizer has no chat_template; give prompt "
                "and answer as strings, or set tokenizer.chat_template"
            )
            raise ValueError(msg)
        asked = example.prompt
        if isinstance(asked, str):
            asked = [{"role": "user", "content": asked}]
        prompt = self._rendered(asked, add_generation_prompt=True)
        reply = {"role": "assistant", "content": example.answer}
        whole = self._rendered([*asked, reply], add_generation_prompt=False)
        if whole[: len(prompt)] != prompt:
            self.apart += 1
            return prompt, self._ended(self._bare(example.answer))
        answer = whole[len(prompt) :]
        # What a template writes behind the end of a reply is never generated.
        end = next((at for at, token in enumerate(answer) if token in self._ends), None)
        return prompt, answer if end is None else answer[: end + 1]

    def _rendered(self, messages: Iterable[Any], **options: Any) -> list[int]:
        found = self._tokenizer.apply_chat_template(
            list(messages), tokenize=True, return_dict=True, **options
        )
        return list(found["input_ids"])

    # ------------------------------------------------------------------ tokens

    def _read(self, text: str) -> list[int]:
        return list(self._tokenizer(text)["input_ids"])

    def _bare(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _unended(self, ids: list[int]) -> list[int]:
        """Without the end token that some tokenizers put behind everything."""
        end = getattr(self._tokenizer, "eos_token_id", None)
        return ids[:-1] if len(ids) > 1 and end is not None and ids[-1] == end else ids

    def _ended(self, ids: list[int]) -> list[int]:
        return [*ids, self._ends[0]] if self._ends else ids

    def _class(self, index: int, label: Any) -> int:
        if isinstance(label, str) and label in self._classes:
            return self._classes[label]
        if isinstance(label, int) or str(label).isdigit():
            return int(label)
        known = ", ".join(self._classes) or "numbers"
        msg = f"record {index} has label {label!r}; the model's classes are {known}"
        raise ValueError(msg)

    def decode(self, ids: list[int]) -> str:
        """Tokens as text; their numbers, where there is no tokenizer."""
        if self._tokenizer is None:
            return " ".join(map(str, ids))
        return str(self._tokenizer.decode(ids, skip_special_tokens=True))

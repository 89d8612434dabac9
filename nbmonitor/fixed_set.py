"""The records of a fixed evaluation set, wherever they come from: a file, a list, a Dataset.

A record is a mapping. One of these forms is found in it, in this order:

- `input_ids` (and `labels`, or `label`): tokens already; `labels` are -100 where nothing counts;
- `messages`: a conversation whose last message, by the assistant, is the expected answer;
- `prompt` and `answer`: two strings; or, as conversations, two lists of messages;
- `text` and `label`: for a classifier;
- `text`: plain text, of which every token is predicted; there is no answer to match.

It knows neither a tokenizer nor a model.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROMPTS = ("prompt", "question", "instruction")
ANSWERS = ("answer", "completion", "response", "output")

_FORMS = (
    "prompt and answer (strings, or lists of messages), messages, text, text and label, or "
    "input_ids and labels"
)


@dataclass(frozen=True, slots=True)
class Example:
    """One record.

    `prompt` is a string or a list of messages, None for plain text; `answer` is what is expected,
    a whole text where there is no prompt, a class where `form` is "label"; `tokens` are
    `input_ids` and `labels` of a record that came as such. `fields` is the record itself.
    """

    form: str
    prompt: Any = None
    answer: Any = None
    tokens: tuple[list[int], Any] | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """Return what is asked, as text."""
        if isinstance(self.prompt, str):
            return self.prompt
        if self.prompt is None:
            return self.answer if self.form == "text" else ""
        return "\n".join(str(message.get("content", "")) for message in self.prompt)


def load(data: Any, limit: int | None = None) -> list[Example]:
    """Read a fixed set.

    Parameters
    ----------
    data
        Path of a `.jsonl` (or `.json`, a list) file, an iterable of records, or a
        `datasets.Dataset`.
    limit
        Most records that are taken, from the front.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    TypeError
        If it is none of these.
    ValueError
        If it holds no records, or one of them has no form that is known.
    """
    if isinstance(data, str | Path):
        where, records = str(data), _from_file(Path(data))
    else:
        where, records = "the fixed set", _from_memory(data)
    out: list[Example] = []
    for index, record in enumerate(records):
        if limit is not None and len(out) >= limit:
            break
        out.append(_example(record, f"record {index} of {where}"))
    if not out:
        msg = f"{where} holds no records; each is a mapping with {_FORMS}"
        raise ValueError(msg)
    return out


def _from_file(path: Path) -> Iterable[Any]:
    if not path.is_file():
        msg = f"no fixed set at {path}: fixed_eval takes the path of a .jsonl file with {_FORMS}"
        raise FileNotFoundError(msg)
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix == ".json":
        whole = _parsed(text, str(path))
        if not isinstance(whole, list):
            msg = f"{path} is no list of records; write one JSON object a line into a .jsonl file"
            raise ValueError(msg)
        return whole
    lines = enumerate(text.split("\n"), 1)
    return [_parsed(line, f"line {number} of {path}") for number, line in lines if line.strip()]


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        msg = f"{where} is no JSON ({error}); a .jsonl file has one object a line"
        raise ValueError(msg) from None


def _from_memory(data: Any) -> Iterable[Any]:
    if isinstance(data, Mapping):
        splits = ", ".join(repr(name) for name in data)
        msg = f"fixed_eval takes records, not a mapping; choose one of its parts: {splits}"
        raise TypeError(msg)
    if isinstance(data, bytes) or not isinstance(data, Iterable | Sequence):
        msg = (
            f"fixed_eval takes the path of a .jsonl file, a list of records or a "
            f"datasets.Dataset; {type(data).__name__} was given"
        )
        raise TypeError(msg)
    return data


def _example(record: Any, where: str) -> Example:
    if not isinstance(record, Mapping):
        msg = f"{where} is {type(record).__name__}; a record is a mapping with {_FORMS}"
        raise ValueError(msg)  # noqa: TRY004 - what is wrong is a value inside of what was given
    if record.get("input_ids") is not None:
        return _of_tokens(record, where)
    if record.get("messages") is not None:
        return _of_messages(record, where)
    prompt, answer = _first(record, PROMPTS), _first(record, ANSWERS)
    if prompt is not None and answer is not None:
        return _of_pair(record, prompt, answer, where)
    text = record.get("text", prompt)
    if text is not None and record.get("label") is not None:
        return Example("label", _string(text, "text", where), record["label"], None, record)
    if prompt is None and text is not None:
        return Example("text", None, _string(text, "text", where), None, record)
    missing = "an answer" if prompt is not None else "a prompt or a text"
    msg = f"{where} has {sorted(map(str, record)) or 'nothing'} and lacks {missing}: give {_FORMS}"
    raise ValueError(msg)


def _first(record: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((record[name] for name in names if record.get(name) is not None), None)


def _string(value: Any, name: str, where: str) -> str:
    if isinstance(value, str):
        return value
    msg = f"the {name} of {where} is {type(value).__name__} {value!r:.40}, not a string"
    raise ValueError(msg)


def _of_pair(record: Mapping[str, Any], prompt: Any, answer: Any, where: str) -> Example:
    if isinstance(prompt, list):
        reply = answer if isinstance(answer, list) else [{"role": "assistant", "content": answer}]
        _check_messages([*prompt, *reply], where)
        return Example("chat", prompt, str(reply[-1].get("content", "")), None, record)
    if isinstance(answer, int | float) and not isinstance(answer, bool):
        answer = str(answer)
    prompt, answer = _string(prompt, "prompt", where), _string(answer, "answer", where)
    return Example("pair", prompt, answer, None, record)


def _of_messages(record: Mapping[str, Any], where: str) -> Example:
    messages = record["messages"]
    _check_messages(messages, where)
    if len(messages) < 2 or messages[-1].get("role") != "assistant":
        msg = f"the messages of {where} do not end with a message of the assistant: no answer"
        raise ValueError(msg)
    return Example("chat", list(messages[:-1]), str(messages[-1]["content"]), None, record)


def _check_messages(messages: Any, where: str) -> None:
    whole = isinstance(messages, list) and all(
        isinstance(m, Mapping) and "role" in m and "content" in m for m in messages
    )
    if not whole:
        msg = f'the messages of {where} are no list of {{"role": …, "content": …}}'
        raise ValueError(msg)


def _of_tokens(record: Mapping[str, Any], where: str) -> Example:
    ids = [int(token) for token in record["input_ids"]]
    mask = record.get("attention_mask")
    kept = [True] * len(ids) if mask is None else [bool(flag) for flag in mask]
    if len(kept) != len(ids):
        msg = f"{where} has {len(ids)} input_ids and {len(kept)} values of attention_mask"
        raise ValueError(msg)
    tokens = [token for token, keep in zip(ids, kept, strict=True) if keep]
    if record.get("label") is not None:
        return Example("label", "", record["label"], (tokens, None), record)
    labels = record.get("labels")
    if labels is None:
        return Example("text", None, "", (tokens, list(tokens)), record)
    if isinstance(labels, int):
        return Example("label", "", labels, (tokens, None), record)
    labels = [int(label) for label in labels]
    # Of an encoder-decoder they are a sequence of their own.
    if len(labels) == len(ids):
        labels = [label for label, keep in zip(labels, kept, strict=True) if keep]
    return Example("tokens", None, "", (tokens, labels), record)

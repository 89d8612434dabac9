"""Which kind of task an example is, how long its answer is, and how well each kind goes.

The default patterns are rules on the words of the prompt, tried in the order of `DEFAULTS`; the
first that matches decides, and what matches none is "factual" when it asks for something and
"other" when it does not. They are rough: a field of the record or rules of one's own are better.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbmonitor.fixed_set import Example
from nbmonitor.intervals import wilson

# Upper ends of the length bins, in tokens of the expected answer, exclusive.
EDGES = (100, 300, 500, 1000, 2000)
BINS = ("0–100", "100–300", "300–500", "500–1000", "1000–2000", "2000+")
LENGTH = "tokens of the expected answer"

_CODING = (
    r"```|\b(def|class|return|import|SELECT|printf)\b\s*[\w(*{]|\b(python|javascript|typescript|"
    r"java|c\+\+|rust|sql|bash|regex|html|css)\b|\b(code|coding|function|algorithm|script|program"
    r"|compile|debug|refactor|unit tests?|stack ?trace)\b"
)
_MATH = (
    r"\d\s*[-+*/×÷^=%]\s*\(?-?\d|\b(calculate|compute|solve|equation|integral|derivative|sum of|"
    r"product of|multiply|divide|subtract|square root|percent(age)?|probability|fraction|"
    r"arithmetic|algebra|geometry|how (many|much)|prime)\b|\\(frac|int|sum|sqrt)\b"
)
_REASONING = (
    r"\b(why|explain|reason(ing)?|because|therefore|deduce|infer|conclude|conclusion|logic(al)?|"
    r"step[- ]by[- ]step|compare|contrast|analy[sz]e|evaluate|argue|justify|prove|proof|premise|"
    r"if .{1,80} then|cause[sd]?|consequence)\b"
)
_CREATIVE = (
    r"\b(write|compose|create|invent|imagine|make up|continue|tell)\b.{0,60}\b(story|poem|song|"
    r"lyrics|essay|dialog(ue)?|scene|joke|haiku|limerick|slogan|tale|letter|blog|speech|character)"
    r"s?\b|\b(creative|brainstorm|once upon a time|story|poem|haiku)\b"
)
_FACTUAL = (
    r"\?\s*$|^\s*(who|what|when|where|which|whose|whom|name|list|define|is|are|was|were|does|did|"
    r"do|can|how)\b|\b(capital of|definition of|meaning of|fact)\b"
)

# In the order in which they are tried: what is marked most clearly comes first.
DEFAULTS: dict[str, str] = {
    "coding": _CODING,
    "math": _MATH,
    "creative": _CREATIVE,
    "reasoning": _REASONING,
    "factual": _FACTUAL,
}
OTHER = "other"
FIELD = "pattern"


class Patterns:
    """Name the pattern of each example.

    Parameters
    ----------
    rules
        A mapping of names to regular expressions (searched in the prompt, without regard to
        case) or functions of the record, tried in its order; or one function of the record that
        returns a name; or the name of a field of the record. None: the field `pattern` where a
        record has it, else the defaults.

    Attributes
    ----------
    labelled : str
        How they are found, for people.

    Raises
    ------
    TypeError, ValueError
        If they are something else, or a regular expression can't be compiled.
    """

    def __init__(self, rules: Any = None) -> None:
        self._function: Callable[[Mapping[str, Any]], Any] | None = None
        self._field = FIELD
        self._rules: list[tuple[str, re.Pattern[str] | Callable[..., Any]]] = []
        if isinstance(rules, str):
            self._field = rules
            self.labelled = f"the field {rules!r} of the record"
        elif callable(rules):
            self._function = rules
            self.labelled = f"the function {getattr(rules, '__name__', repr(rules))}"
        elif isinstance(rules, Mapping) and rules:
            self._field = ""
            self._rules = [(str(name), _compiled(name, rule)) for name, rule in rules.items()]
            self.labelled = "rules given by the user, the first that matches"
        elif rules is None:
            self._rules = [(name, _compiled(name, rule)) for name, rule in DEFAULTS.items()]
            self.labelled = (
                f"the field {FIELD!r} of the record, or else nbmonitor's rules on the words of "
                f"the prompt, tried in the order {', '.join(DEFAULTS)}"
            )
        else:
            msg = (
                f"patterns are a mapping of names to regular expressions or functions, a function "
                f"of the record, or the name of a field; {rules!r} was given"
            )
            raise TypeError(msg)

    def name(self, example: Example) -> str:
        """Name the pattern of an example; "other" where none matches."""
        record = example.fields
        if self._function is not None:
            return _clean(self._function(record))
        if self._field and record.get(self._field) is not None:
            return _clean(record[self._field])
        text = example.text()
        for name, rule in self._rules:
            matched = rule.search(text) if isinstance(rule, re.Pattern) else rule(record)
            if matched:
                return _clean(name)
        return OTHER


def _compiled(name: object, rule: Any) -> re.Pattern[str] | Callable[..., Any]:
    if isinstance(rule, re.Pattern):
        return rule
    if callable(rule):
        function: Callable[..., Any] = rule
        return function
    if not isinstance(rule, str):
        msg = f"pattern {name!r} is a regular expression or a function; {rule!r} was given"
        raise TypeError(msg)
    try:
        return re.compile(rule, re.IGNORECASE | re.DOTALL | re.MULTILINE)
    except re.error as error:
        msg = f"pattern {name!r} is no regular expression: {error}"
        raise ValueError(msg) from None


def _clean(name: object) -> str:
    """A name as a part of a series' key, which `/` would divide and `*` would match."""
    text = re.sub(r"[/*\s]+", "-", str(name).strip())[:40] if name is not None else ""
    return text.strip("-") or OTHER


def length_bin(tokens: int) -> int:
    """Which of `BINS` an answer of so many tokens belongs to."""
    return int(np.searchsorted(EDGES, tokens, side="right"))


class Grid:
    """Seen and correct by pattern and length.

    Parameters
    ----------
    names
        Of the pattern of every example.
    lengths
        Tokens of every expected answer.
    """

    def __init__(self, names: Sequence[str], lengths: Sequence[int]) -> None:
        found = set(names)
        ordered = [name for name in DEFAULTS if name in found]
        self.names = ordered + sorted(found - set(ordered))
        place = {name: at for at, name in enumerate(self.names)}
        self.cells = [(place[n], length_bin(t)) for n, t in zip(names, lengths, strict=True)]

    def count(self, correct: Sequence[bool]) -> NDArray[np.int32]:
        """Count examples and those that are right: (patterns, bins, 2)."""
        out = np.zeros((len(self.names), len(BINS), 2), np.int32)
        for (row, column), right in zip(self.cells, correct, strict=True):
            out[row, column] += (1, int(right))
        return out

    def describe(self, counts: NDArray[np.int32]) -> dict[str, Any]:
        """Totals and 95 % intervals, for the page."""
        cells = {}
        for row, column in zip(*np.nonzero(counts[..., 0]), strict=True):
            low, high = wilson(int(counts[row, column, 1]), int(counts[row, column, 0]))
            cells[f"{row},{column}"] = {"low": low, "high": high}
        return {
            "patterns": list(self.names),
            "bins": list(BINS),
            "length": LENGTH,
            "cells": cells,
            "rows": [_total(counts[row]) for row in range(len(self.names))],
            "columns": [_total(counts[:, column]) for column in range(len(BINS))],
            "total": _total(counts),
        }


def _total(counts: NDArray[np.int32]) -> dict[str, Any]:
    seen, correct = int(counts[..., 0].sum()), int(counts[..., 1].sum())
    low, high = wilson(correct, seen)
    return {"seen": seen, "correct": correct, "low": low, "high": high}

"""Encoded examples to padded batches, and back to single ones.

Batches are of about equal cost: rows times width stays below a number of tokens. Their rows are
of similar length, so that little is padding. What is scored is padded on the right, where no
attention reaches it; what is to be continued is padded on the left.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from nbmonitor.encoding import IGNORED, Encoded

# Tokens, padding included, and rows that go through a model at once.
TOKENS = 4096
ROWS = 64


def grouped(
    examples: Sequence[Encoded],
    length: Callable[[Encoded], int],
    tokens: int = TOKENS,
    rows: int = ROWS,
) -> Iterator[list[Encoded]]:
    """Group examples of similar length, the longest first: what doesn't fit shows at once."""
    group: list[Encoded] = []
    for example in sorted(examples, key=length, reverse=True):
        width = length(group[0]) if group else 0
        if group and (len(group) >= rows or width * (len(group) + 1) > tokens):
            yield group
            group = []
        group.append(example)
    if group:
        yield group


def padded(rows: Sequence[list[int]], fill: int, *, left: bool = False) -> tuple[Any, Any]:
    """Pad rows of tokens: ids and mask, (rows, width) int64."""
    torch = sys.modules["torch"]
    width = max(1, *map(len, rows)) if rows else 1
    ids = [[fill] * (width - len(r)) + r if left else r + [fill] * (width - len(r)) for r in rows]
    mask = [
        [0] * (width - len(r)) + [1] * len(r) if left else [1] * len(r) + [0] * (width - len(r))
        for r in rows
    ]
    return torch.tensor(ids), torch.tensor(mask)


def places(
    group: Sequence[Encoded], width: int, shift: int
) -> tuple[list[int], list[int], list[int]]:
    """Where each expected token is predicted, in the flattened (rows * width), and which it is.

    And third, the row of each.

    `shift` is 1 where a position predicts the next one, 0 where targets are shifted already.
    """
    at: list[int] = []
    tokens: list[int] = []
    rows: list[int] = []
    for row, example in enumerate(group):
        for column, token in enumerate(example.targets[shift:]):
            if token != IGNORED:
                at.append(row * width + column)
                tokens.append(token)
                rows.append(row)
    return at, tokens, rows


def counted(example: Encoded, shift: int) -> int:
    """How many tokens of an example are predicted."""
    return sum(token != IGNORED for token in example.targets[shift:])

"""The best evaluation of a run, and the checkpoint nearest to it that was really saved."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple


class Result(NamedTuple):
    """What one evaluation of the fixed set came to; None where it has no such number."""

    step: int
    exact_match: float | None
    cross_entropy: float | None
    ece: float | None


def best(results: Sequence[Result]) -> Result | None:
    """The highest exact match; of equals, or without any, the lowest cross-entropy.

    Of those that are equal in both, the earliest.
    """

    def rank(result: Result) -> tuple[float, float]:
        match, loss = result.exact_match, result.cross_entropy
        good = -1.0 if match is None or math.isnan(match) else match
        return -good, math.inf if loss is None or math.isnan(loss) else loss

    measured = [r for r in results if r.exact_match is not None or r.cross_entropy is not None]
    return min(measured, key=rank, default=None)


def nearest(step: int, saved: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The checkpoint nearest to a step that is still on disk.

    Parameters
    ----------
    step
        Of the best evaluation.
    saved
        The run's `checkpoint` events.

    Returns
    -------
    dict or None
        `checkpoint` (its name), `checkpoint_step` and `path`; of two as near, the later one.
    """
    there = [
        (abs(event["step"] - step), -event["step"], event["data"])
        for event in saved
        if "name" in event["data"]
        and (Path(event["data"].get("directory", "")) / event["data"]["name"]).is_dir()
    ]
    if not there:
        return None
    _, at, data = min(there, key=lambda entry: entry[:2])
    path = Path(data.get("directory", "")) / data["name"]
    return {"checkpoint": data["name"], "checkpoint_step": -at, "path": str(path)}

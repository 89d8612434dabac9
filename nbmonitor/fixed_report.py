"""What an evaluation of a fixed set came to, as the page and the rules read it.

Numbers to series, tensors with JSON beside them, texts of failing examples. It knows neither
a model nor a Run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbmonitor import calibration, trend
from nbmonitor.best import Result, best
from nbmonitor.capture.decoding import cut
from nbmonitor.capture.evaluation import Outcome
from nbmonitor.encoding import Encoded, Encoder
from nbmonitor.fixed_set import Example
from nbmonitor.intervals import wilson
from nbmonitor.patterns import Grid

FAILING = 5
TEXT = 400


def finite(value: float | None) -> float | None:
    """None in place of what JSON can't say."""
    return value if value is not None and math.isfinite(value) else None


def share(flags: Sequence[bool | None]) -> tuple[float | None, int, int]:
    """Return the share of True among those that are not None, their number, and all."""
    known = [flag for flag in flags if flag is not None]
    right = sum(map(bool, known))
    return (right / len(known) if known else None), right, len(known)


def measured(outcome: Outcome, seconds: float) -> dict[str, float | None]:
    """Series of one evaluation; None is not written."""
    verdicts = outcome.verdicts.values()
    any_tokens = outcome.tokens > 0
    return {
        "fixed_eval/exact_match": share([v.exact for v in verdicts])[0],
        "fixed_eval/teacher_forced_match": share([v.forced for v in verdicts])[0],
        "fixed_eval/cross_entropy": outcome.loss if any_tokens else None,
        "fixed_eval/ece": calibration.expected_error(outcome.bins) if any_tokens else None,
        "fixed_eval/token_entropy": outcome.entropy if any_tokens else None,
        "fixed_eval/seconds": seconds,
    }


def state(results: Sequence[Result], outcome: Outcome) -> dict[str, Any]:
    """Where the fixed set stands after its last evaluation, without what a run file knows.

    Parameters
    ----------
    results
        All evaluations of the run, oldest first; the last is that of `outcome`.
    outcome
        Of the last evaluation.
    """
    now = results[-1]
    _, right, answered = share([v.exact for v in outcome.verdicts.values()])
    low, high = wilson(right, answered)
    top = best(results)
    steps, matches, losses, errors = zip(*results, strict=True)
    calibrated = calibration.baseline(list(zip(steps, losses, errors, strict=True)))
    return {
        "n": answered or len(outcome.verdicts),
        "step": now.step,
        "tokens": outcome.tokens,
        "exact_match": finite(now.exact_match),
        "low": low if answered else None,
        "high": high if answered else None,
        "teacher_forced_match": share([v.forced for v in outcome.verdicts.values()])[0],
        "cross_entropy": finite(now.cross_entropy),
        "ece": finite(now.ece),
        "token_entropy": finite(outcome.entropy),
        "best": None
        if top is None
        else {
            "step": top.step,
            "exact_match": finite(top.exact_match),
            "cross_entropy": finite(top.cross_entropy),
            "by": "exact_match" if top.exact_match is not None else "cross_entropy",
        },
        "trend": trend.trends(steps, matches, losses, answered),
        "calibrated": None if calibrated is None else calibrated._asdict(),
        "drift": calibration.drift(now.ece, calibrated, outcome.tokens),
        "evaluations": len(results),
        "proved": outcome.proved,
        "generated": outcome.generated,
        "note": outcome.note,
    }


class Failures:
    """The failing examples that are shown: of each cell the first few.

    Parameters
    ----------
    grid, outcome
        Cells of the examples in the order of `encoded`, and what became of them.
    encoded
        Those that have an answer.
    """

    def __init__(self, grid: Grid, outcome: Outcome, encoded: Sequence[Encoded]) -> None:
        self.shown: dict[tuple[int, int], list[Encoded]] = {}
        for cell, example in zip(grid.cells, encoded, strict=True):
            among = self.shown.setdefault(cell, [])
            if outcome.verdicts[example.index].exact is False and len(among) < FAILING:
                among.append(example)

    def undecoded(self, outcome: Outcome, most: int) -> list[Encoded]:
        """Return those of which only the beginning is known: the first of each cell first."""
        turns = [
            example
            for turn in range(FAILING)
            for among in self.shown.values()
            for example in among[turn : turn + 1]
        ]
        return [e for e in turns if outcome.verdicts[e.index].decoded is None][:most]

    def texts(
        self,
        outcome: Outcome,
        examples: Sequence[Example],
        encoder: Encoder,
        ends: Sequence[int],
        classes: Mapping[int, str],
    ) -> dict[str, list[dict[str, Any]]]:
        """Prompt, expected and got, by cell."""
        return {
            f"{row},{column}": [
                _text(outcome, e, examples, encoder, ends=ends, classes=classes) for e in among
            ]
            for (row, column), among in self.shown.items()
            if among
        }


def _text(
    outcome: Outcome,
    encoded: Encoded,
    examples: Sequence[Example],
    encoder: Encoder,
    *,
    ends: Sequence[int],
    classes: Mapping[int, str],
) -> dict[str, Any]:
    verdict = outcome.verdicts[encoded.index]
    example = examples[encoded.index]
    prompt = example.text() or encoder.decode(encoded.ids[: encoded.start])
    if classes:
        wanted, said = encoded.answer[0], verdict.begins[0]
        return {
            "prompt": _short(prompt),
            "expected": classes.get(wanted, str(wanted)),
            "got": classes.get(said, str(said)),
            "decoded": True,
        }
    if verdict.decoded is None:
        got, whole = verdict.begins, False
    else:
        got, whole = cut(verdict.decoded, ends)
    text = encoder.decode(got)
    return {
        "prompt": _short(prompt),
        "expected": _short(encoder.decode(encoded.answer)),
        "got": _short(text if whole else f"{text} …"),
        # Whether the model was let answer; else it is the beginning that is proved.
        "decoded": verdict.decoded is not None,
    }


def _short(text: str) -> str:
    return text if len(text) <= TEXT else f"{text[: TEXT - 1]}…"


def reliability(outcome: Outcome) -> NDArray[np.float32]:
    """Count, mean confidence, accuracy by bin: (3, 10)."""
    return calibration.reliability(outcome.bins)

"""The fixed evaluation set: exact match, cross-entropy, calibration, patterns, every N steps.

What each of them is, and how it is found, stands in `nbmonitor/capture/evaluation.py` and
`docs/quality.md`. This file decides when, and hands on what came of it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nbmonitor import fixed_report
from nbmonitor.best import Result, nearest
from nbmonitor.calibration import BINS
from nbmonitor.capture import kind as kinds
from nbmonitor.capture.evaluation import Evaluation, Outcome
from nbmonitor.capture.preparation import Preparation
from nbmonitor.capture.undisturbed import undisturbed
from nbmonitor.encoding import Encoded
from nbmonitor.fixed_set import Example, load
from nbmonitor.patterns import Grid, Patterns
from nbmonitor.probe import Batch, Context, Measured, Panel, Probe, Series, Step

EVERY = 500
# Failing examples whose whole answer is decoded: in passing, and when there is time.
_DECODED, _DECODED_AT_LEISURE = 8, 64
# Tokens beyond the expected ones that such an answer may have, and the most in all.
_ROOM, _MOST = 16, 96
_OPTIONS = ("data", "every", "patterns", "tokenizer", "chat", "ends", "limit")
_ABSENT = (
    'no fixed set was given: TrainingMonitor(trainer, fixed_eval="fixed_eval.jsonl"), a list of '
    "{prompt, answer} or a datasets.Dataset"
)


@dataclass(slots=True)
class Links:
    """What a run lends to this probe; each does nothing by itself.

    `spent(seconds)` books time that was no step's; `between()` gives the page a moment;
    `finished()` tells at the end whether the training came to its end; `past(key)` are steps and
    values of a series so far; `saved()` are the run's checkpoint events.
    """

    spent: Callable[[float], None] = lambda _seconds: None
    between: Callable[[], None] = lambda: None
    finished: Callable[[], bool] = lambda: True
    past: Callable[[str], tuple[Sequence[float], Sequence[float]]] = lambda _key: ((), ())
    saved: Callable[[], list[Any]] = list


class FixedEval(Probe):
    """Evaluate a fixed set without disturbing the training."""

    name = "fixed_eval"
    every = EVERY
    cost = "one forward pass over the fixed set, every 500 steps; its seconds are a series"
    series = (
        Series("fixed_eval/exact_match", "exact match", "ratio", "float64"),
        Series("fixed_eval/teacher_forced_match", "teacher-forced match", "ratio", "float64"),
        Series("fixed_eval/cross_entropy", "cross-entropy", "nats", "float64"),
        Series("fixed_eval/ece", "calibration error", "ratio", "float64"),
        Series("fixed_eval/token_entropy", "token entropy", "nats", "float64"),
        Series("fixed_eval/seconds", "seconds of a fixed evaluation", "s"),
        Series("pattern/*/exact_match", "", "ratio", "float64"),
    )
    _EMPTY = "waiting for the first evaluation of the fixed set"
    panels = (
        Panel(
            "fixed_match", "Fixed set: exact match", "line",
            ("fixed_eval/exact_match", "fixed_eval/teacher_forced_match", "pattern/*/exact_match"),
            tab="quality", order=30, span=6, options={"points": True, "empty": _EMPTY},
        ),
        Panel(
            "fixed_loss", "Fixed set: cross-entropy and token entropy", "line",
            ("fixed_eval/cross_entropy", "fixed_eval/token_entropy"),
            tab="quality", order=40, span=6,
            # Told under the chart by the state; named here, it is no metric that is left over.
            options={"points": True, "empty": _EMPTY, "cost": "fixed_eval/seconds"},
        ),
        Panel(
            "reliability", "Calibration", "reliability",
            ("fixed_eval/reliability", "fixed_eval/ece", "fixed_eval/state"),
            tab="quality", order=50, span=4, options={"empty": _EMPTY},
        ),
        Panel(
            "patterns", "Patterns × length", "patterns", ("fixed_eval/patterns",),
            tab="quality", order=60, span=8, options={"empty": _EMPTY},
        ),
    )  # fmt: skip

    def __init__(self) -> None:
        self.links = Links()
        self._examples: list[Example] = []
        self._patterns = Patterns()
        self._own_tokenizer: Any = None
        self._chat = False
        self._ends: bool | str = "auto"
        # The tick, which links checkpoints, and the training thread both put the state.
        self._lock = threading.Lock()
        self._forget(Context())

    def use(self, data: Any, *, every: int | None = None, patterns: Any = None) -> None:
        """Take a fixed set.

        Parameters
        ----------
        data
            As in `nbmonitor.fixed_set.load`; or a mapping with it as `data` and options beside
            it: `every`, `patterns`, `tokenizer`, `chat` (strings, too, become messages in the
            chat template), `ends` (whether answers end with the end token: True, False or
            "auto", which looks at the labels of the first training batch), `limit`.
        every
            Steps between two evaluations.
        patterns
            As in `nbmonitor.patterns.Patterns`.

        Raises
        ------
        TypeError, ValueError, FileNotFoundError
            If one of these is not what it should be.
        """
        options: Mapping[str, Any] = {"data": data}
        if isinstance(data, Mapping) and "data" in data:
            options = data
            unknown = sorted(set(map(str, data)) - set(_OPTIONS))
            if unknown:
                msg = f"fixed_eval got {', '.join(unknown)}; it takes {', '.join(_OPTIONS)}"
                raise TypeError(msg)
        every = options.get("every", EVERY) if every is None else every
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            msg = f"steps between two fixed evaluations: a whole number from 1 on, not {every!r}"
            raise ValueError(msg)
        self._ends = options.get("ends", "auto")
        if self._ends not in {True, False, "auto"}:
            msg = f'ends is True, False or "auto"; {self._ends!r} was given'
            raise ValueError(msg)
        self._patterns = Patterns(options.get("patterns") if patterns is None else patterns)
        self._examples = load(options["data"], options.get("limit"))
        self._own_tokenizer = options.get("tokenizer")
        self._chat, self.every = bool(options.get("chat", False)), every

    # ------------------------------------------------------------------ a run's life

    def _forget(self, context: Context) -> None:
        self._context = context
        self._kind = ""
        self._tokenizer = self._own_tokenizer or context.tokenizer
        self._prepared: Preparation | None = None
        self._ended: bool | None = None
        self._results: list[Result] = []
        self._state: dict[str, Any] = {}
        self._linked: Any = None
        self._spent, self._began = 0.0, time.perf_counter()

    def absent(self, context: Context) -> str:
        """Needs a fixed set, and a model and a tokenizer that suit it."""
        if not self._examples:
            return _ABSENT
        if context.model is None:
            return ""
        _, reason = kinds.kind_of(context.model)
        if reason:
            return reason
        shards = kinds.sharded(context.model, context.wrapped)
        if shards:
            return f"the model is spread over processes ({shards}); one alone can't evaluate it"
        known = self._own_tokenizer or context.tokenizer
        # Before a run begins, nobody has told the tokenizer yet.
        due = context.optimizer is not None
        if due and known is None and any(example.tokens is None for example in self._examples):
            return (
                "no tokenizer is known: Trainer(processing_class=tokenizer), or "
                'fixed_eval={"data": …, "tokenizer": tokenizer}'
            )
        return ""

    def on_begin(self, context: Context) -> None:
        """Get ready, and take up the evaluations of a run that goes on."""
        self._forget(context)
        self._kind, _ = kinds.kind_of(context.model)
        series: dict[str, dict[int, float]] = {}
        for key in ("exact_match", "cross_entropy", "ece"):
            steps, values = self.links.past(f"fixed_eval/{key}")
            series[key] = {int(s): float(v) for s, v in zip(steps, values, strict=True)}
        for step in sorted(set().union(*series.values())):
            found = (series[key].get(step) for key in ("exact_match", "cross_entropy", "ece"))
            self._results.append(Result(step, *found))

    def on_batch(self, batch: Batch) -> None:
        """Look whether training answers end with the end token; at the first batch only."""
        if self._ended is not None or self._kind != "causal":
            return
        labels = batch.inputs.get("labels") if hasattr(batch.inputs, "get") else None
        ends = kinds.end_tokens(self._context.model, self._tokenizer)
        if labels is None or not ends or not hasattr(labels, "tolist"):
            return
        values = np.asarray(labels.tolist())
        self._ended = bool(np.isin(values, ends).any())

    def on_step(self, step: Step) -> Measured:
        """Evaluate."""
        last = step.number == self._context.total_steps
        return self._evaluate(step, _DECODED_AT_LEISURE if last else _DECODED)

    def on_evaluate(self, step: Step) -> Measured | None:
        """Evaluate, unless it was done at this step."""
        if self._results and self._results[-1].step == step.number and self._state:
            return None
        return self._evaluate(step, _DECODED_AT_LEISURE)

    def on_end(self, step: Step) -> Measured | None:
        """Evaluate what a training has come to; one that was interrupted ends at once."""
        fresh = not self._results or self._results[-1].step < step.number
        if fresh and step.number and self.links.finished():
            return self._evaluate(step, _DECODED_AT_LEISURE)
        self.on_tick()
        return None

    def on_tick(self) -> None:
        """Link the best evaluation to a checkpoint that was saved meanwhile."""
        with self._lock:
            if self._state and self._link():
                self._put_state()

    def unavailable(self) -> dict[str, str]:
        """Text without a prompt has no answer to match."""
        if self._examples and all(example.form == "text" for example in self._examples):
            reason = "the records are plain text: there is no answer to match"
            return dict.fromkeys(
                (
                    "fixed_eval/exact_match",
                    "fixed_eval/teacher_forced_match",
                    "pattern/*/exact_match",
                    "fixed_eval/patterns",
                ),
                reason,
            )
        return {}

    # ------------------------------------------------------------------ one evaluation

    def _evaluate(self, step: Step, decoded: int) -> dict[str, Any]:
        started = time.perf_counter()
        model = self._context.model
        try:
            if self._prepared is None:
                self._prepared = self._prepare(model)
            encoded = self._prepared.encoded
            with undisturbed(model):
                fill = self._prepared.fill
                evaluation = Evaluation(model, self._kind, fill, self.links.between)
                outcome = evaluation.run(encoded)
                answered = [e for e in encoded if outcome.verdicts[e.index].exact is not None]
                grid, failures = self._sorted(answered, outcome)
                open_ = failures.undecoded(outcome, decoded) if self._kind != "classes" else []
                if open_:
                    evaluation.decode(outcome, open_, room=_ROOM, most=_MOST)
        finally:
            seconds = time.perf_counter() - started
            self._spent += seconds
            self.links.spent(seconds)
        return self._report(step, outcome, seconds, answered, (grid, failures))

    def _sorted(
        self, answered: list[Encoded], outcome: Outcome
    ) -> tuple[Grid, fixed_report.Failures]:
        names = [self._patterns.name(self._examples[e.index]) for e in answered]
        # Of a classifier it is the text that has a length.
        classes = self._kind == "classes"
        grid = Grid(names, [len(e.ids) if classes else len(e.answer) for e in answered])
        return grid, fixed_report.Failures(grid, outcome, answered)

    def _prepare(self, model: Any) -> Preparation:
        prepared = Preparation(
            self._examples,
            model,
            self._kind,
            self._tokenizer,
            ended=self._ended is not False if self._ends == "auto" else bool(self._ends),
            chat=self._chat,
        )
        for note in prepared.notes:
            self._context.event("note", {"message": f"fixed set: {note}"})
        return prepared

    # ------------------------------------------------------------------ what came of it

    def _report(
        self,
        step: Step,
        outcome: Outcome,
        seconds: float,
        answered: list[Encoded],
        sorted_: tuple[Grid, fixed_report.Failures],
    ) -> dict[str, Any]:
        values = fixed_report.measured(outcome, seconds)
        number, put = step.number, self._context.put
        self._results = [r for r in self._results if r.step < number]
        self._results.append(
            Result(
                number,
                values["fixed_eval/exact_match"],
                values["fixed_eval/cross_entropy"],
                values["fixed_eval/ece"],
            )
        )
        ece = fixed_report.finite(values["fixed_eval/ece"])
        meta = {"ece": ece, "tokens": outcome.tokens, "step": number, "bins": BINS}
        put("fixed_eval/reliability", number, fixed_report.reliability(outcome), meta)
        if answered:
            values |= self._report_patterns(number, outcome, answered, *sorted_)
        with self._lock:
            elapsed = max(time.perf_counter() - self._began, 1e-9)
            self._state = fixed_report.state(self._results, outcome)
            self._state |= {"seconds": seconds, "share_of_training": self._spent / elapsed}
            self._linked = None
            self._link()
            self._put_state()
        return {key: value for key, value in values.items() if value is not None}

    def _report_patterns(
        self,
        number: int,
        outcome: Outcome,
        answered: list[Encoded],
        grid: Grid,
        failures: fixed_report.Failures,
    ) -> dict[str, float | None]:
        counts = grid.count([bool(outcome.verdicts[e.index].exact) for e in answered])
        meta = grid.describe(counts)
        classes = {}
        if self._kind == "classes":
            names = getattr(self._context.model.config, "id2label", None) or {}
            classes = {int(key): str(value) for key, value in names.items()} or {-1: ""}
            meta["length"] = "tokens of the text"
        prepared = self._prepared
        assert prepared is not None
        texts = failures.texts(outcome, self._examples, prepared.encoder, prepared.ends, classes)
        meta |= {"failing": texts, "labelled": self._patterns.labelled, "step": number}
        self._context.put("fixed_eval/patterns", number, counts, meta)
        return {
            f"pattern/{name}/exact_match": row["correct"] / row["seen"]
            for name, row in zip(grid.names, meta["rows"], strict=True)
        }

    def _link(self) -> bool:
        """Find the checkpoint nearest to the best evaluation; whether that is news."""
        best = self._state.get("best")
        if best is None:
            return False
        found = nearest(best["step"], self.links.saved())
        best.update(found or {"checkpoint": None, "checkpoint_step": None, "path": None})
        news: bool = found != self._linked
        self._linked = found
        return news

    def _put_state(self) -> None:
        # What is put belongs to the page from then on.
        state = {**self._state, "best": dict(self._state["best"] or {}) or None}
        self._context.put("fixed_eval/state", state["step"], np.zeros(0, np.uint8), state)


PROBE = FixedEval

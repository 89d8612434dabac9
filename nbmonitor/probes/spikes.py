"""The rows behind a loss that stands out, decoded, with what each of their tokens cost.

Of every step the batch is kept until its loss is known: references, nothing is copied. A
loss that stands out among those before it, more than the worst ones kept so far, has its
batch run again, without dropout. Where losses are on the host (CPU training) that happens
right after the step, otherwise as soon as the loss has arrived: with weights some steps
later, and the spike says how many. To look before each step would cost every step more
than all the rest of this probe.

What stands out: by `SPREADS` mean absolute deviations above the running mean of about the
last 10 steps, or not a finite number at all.
"""

from __future__ import annotations

import copy
import json
import math
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from nbmonitor.probe import Batch, Context, Measured, Panel, Probe, Step
from nbmonitor.row_losses import INDEX, Kept, RowLosses, keep, row_losses

KEEP = 8
ROWS = 8
TOKENS = 256
SPREADS = 4.0
# Bytes of all spikes together, as JSON: small enough for a saved notebook.
ROOM = 56_000
_TEXT = 400
_WARM_UP = 20
# The mean follows a loss that falls fast (about 10 steps); the spread takes its time (100).
_MEAN_DECAY, _SPREAD_DECAY = 0.8, 0.98
# Of a loss that does not vary at all, anything would stand out.
_FLOOR = 0.02 / SPREADS
# So many steps weigh less than the decays say.
_YOUNG = 50
_WAITING = 64
_MICRO_BATCHES = 32
_NO_TEXT = "the batches hold no input_ids: there is no text to show"
_KEY: Final = "insight/spikes"


@dataclass(slots=True)
class _Usual:
    """Running mean and mean absolute deviation of the loss."""

    mean: float = 0.0
    spread: float = 0.0
    steps: int = 0

    def excess(self, loss: float) -> float | None:
        """By how many spreads a loss stands out, or None; and take it in."""
        mean, spread = self.mean, self.spread
        off = loss - mean
        aside = abs(off)
        floor = abs(mean) * _FLOOR
        width = max(floor, spread)
        if self.steps <= _YOUNG or not aside < 3 * width:
            return self._unusual(loss, off, width)
        # As most losses are: this is all that most steps pay.
        self.steps += 1
        self.mean = mean + (1.0 - _MEAN_DECAY) * off
        self.spread = spread + (1.0 - _SPREAD_DECAY) * (aside - spread)
        return None

    def _unusual(self, loss: float, off: float, width: float) -> float | None:
        """Judge a loss that is one of the first, or far off, or no number."""
        if not math.isfinite(loss):
            return math.inf
        self.steps += 1
        if self.steps == 1:
            self.mean = loss
            return None
        ready = self.steps > _WARM_UP and width > 0
        found = off / width if ready and off > SPREADS * width else None
        # A spike is not to make the next one look usual.
        moved = max(-3 * width, min(3 * width, off)) if ready else off
        count = 1.0 / self.steps
        self.mean += max(1.0 - _MEAN_DECAY, count) * moved
        self.spread += max(1.0 - _SPREAD_DECAY, count) * (abs(moved) - self.spread)
        return found


@dataclass(slots=True)
class _Spike:
    """A step that was kept."""

    excess: float
    step: int
    loss: float
    usual: float | None
    batches: list[Kept] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)


class Spikes(Probe):
    """Keep the batches of the steps whose loss stands out most."""

    name = "spikes"
    cost = (
        "a few µs a step; a forward pass of the batch, at most 16,384 tokens, for a step that "
        "stands out more than those kept"
    )
    panels = (
        Panel(
            "spikes", "Loss spikes and their rows", "spikes", (_KEY,),
            tab="quality", order=100, span=12, options={"series": "train/loss"},
        ),
    )  # fmt: skip

    def __init__(self) -> None:
        self.absence = ""
        self._begin(Context())

    def _begin(self, context: Context) -> None:
        self._context = context
        self._usual = _Usual()
        self._batches: list[Any] = []
        self._waiting: dict[int, list[Kept]] = {}
        self._due: deque[_Spike] = deque()
        self._kept: list[_Spike] = []
        self._lock = threading.Lock()
        self._judged, self._picky = -1, False

    def on_begin(self, context: Context) -> Measured | None:
        """Forget the last run."""
        self.absence = ""
        self._begin(context)
        return None

    # ------------------------------------------------------------------ training thread

    def on_batch(self, batch: Batch) -> None:
        """Keep a reference to a micro-batch, or to what of it can be told."""
        if len(self._batches) < _MICRO_BATCHES:
            inputs = batch.inputs
            # Pictures are large, and would be held beyond their turn.
            self._batches.append(keep(inputs) if self._picky else inputs)

    def on_step(self, step: Step) -> Measured | None:
        """Judge the loss, or leave it to `derive`; run again what was found meanwhile."""
        inputs, self._batches = self._batches, []
        if self._due:
            self._tell_due(step)
        loss = step.loss
        if not inputs or loss is None:
            return None
        if self.absence or self._judged < 0:
            kept = _kept(inputs)
            self.absence = "" if kept else _NO_TEXT
            self._picky = not kept or any(batch.missing for batch in kept)
        self._judged = step.number
        if isinstance(loss, float) or getattr(loss, "is_cpu", True):
            value, usual = float(loss), self._usual
            before = usual.mean if usual.steps else None
            excess = usual.excess(value)
            if excess is not None:
                found = self._among(step.number, value, before, excess, _kept(inputs))
                if found is not None:
                    self._tell(found, step.model, 1)
            return None
        self._waiting[step.number] = _kept(inputs)
        if len(self._waiting) > _WAITING:
            self._waiting.pop(min(self._waiting), None)
        return {"waiting": 1.0}

    def derive(self, step: Step, host: Measured) -> Measured:
        """Judge a loss that has arrived from a device; its batch is run again a step later."""
        del host
        batches = self._waiting.pop(step.number, None)
        if batches is not None and step.loss is not None:
            loss, usual = float(step.loss), self._usual
            before = usual.mean if usual.steps else None
            excess = usual.excess(loss)
            if excess is None:
                return {}
            spike = self._among(step.number, loss, before, excess, batches)
            if spike is not None:
                self._due.append(spike)
        return {}

    def on_end(self, step: Step) -> Measured | None:
        """Run again what is left."""
        self._tell_due(step)
        self._waiting.clear()
        self._batches = []
        return None

    # ------------------------------------------------------------------ the worst

    def _among(
        self, number: int, loss: float, usual: float | None, excess: float, batches: list[Kept]
    ) -> _Spike | None:
        """Take a step among the worst, if it is one of them and there is text to show."""
        if not batches:
            return None
        with self._lock:
            if len(self._kept) >= KEEP:
                least = min(self._kept, key=lambda s: s.excess)
                # Of steps without a number the first few tell; what follows is the same trouble.
                if excess <= least.excess:
                    return None
                self._kept.remove(least)
            spike = _Spike(excess, number, loss, usual, batches)
            self._kept.append(spike)
        return spike

    def _tell_due(self, step: Step) -> None:
        while self._due:
            spike = self._due.popleft()
            self._tell(spike, step.model, step.number - spike.step + 1)

    def _tell(self, spike: _Spike, model: Any, steps_later: int) -> None:
        """Run a step's batches again and show what came of it."""
        if model is None:
            model = self._context.model
        model = getattr(model, "_orig_mod", model)
        rows: list[dict[str, Any]] = []
        found = [row_losses(model, kept, self._context.pad_token_id) for kept in spike.batches]
        counted = [x for part in found for row in part.losses for x in row[np.isfinite(row)]]
        reason = next((part.reason for part in found if part.reason), "")
        first = 0
        for kept, part in zip(spike.batches, found, strict=True):
            rows += self._rows(kept, part, first)
            first += len(kept.inputs["input_ids"])
        rows.sort(key=lambda row: -(math.inf if row["loss"] is None else row["loss"]))
        spike.told = {
            "step": spike.step,
            "loss": _json(spike.loss),
            "usual": _json(spike.usual),
            "excess": _json(spike.excess),
            "recomputed": _json(float(np.mean(counted))) if counted else None,
            "steps_later": steps_later,
            "batch_rows": first,
            "reason": reason,
            "rows": rows[:ROWS],
        }
        spike.batches = []
        with self._lock:
            shown = [s.told for s in sorted(self._kept, key=lambda s: s.step) if s.told]
        # Readers hold what was put before.
        told = copy.deepcopy(shown)
        _fit(told)
        meta = {"spikes": told, "decoded": self._tokenizer() is not None, "spreads": SPREADS}
        self._context.put(_KEY, spike.step, np.zeros(0, np.uint8), meta)

    def _tokenizer(self) -> Any:
        given = self._context.tokenizer
        return getattr(given, "tokenizer", given)

    def _rows(self, kept: Kept, part: RowLosses, first: int) -> list[dict[str, Any]]:
        """Tell the worst rows of a micro-batch whose first row is the `first` of its step."""
        means = [float(np.nanmean(x)) if np.isfinite(x).any() else None for x in part.losses]
        order = sorted(range(len(means)), key=lambda n: -(means[n] or 0.0))[:ROWS]
        tokenizer = self._tokenizer()
        out = []
        for n in order:
            cut = _window(part.losses[n])
            ids = part.tokens[n][cut].tolist()
            out.append(
                {
                    "row": first + part.rows[n],
                    "dataset_index": _index(kept, part.rows[n]),
                    "loss": _json(means[n]),
                    "text": _text(tokenizer, ids)[:_TEXT],
                    "tokens": _pieces(tokenizer, ids),
                    "losses": [_json(float(x)) for x in part.losses[n][cut]],
                    "from_token": cut.start,
                    "of_tokens": len(part.tokens[n]),
                }
            )
        return out


def _kept(batches: list[Any]) -> list[Kept]:
    """What of the micro-batches tells their text; those without any are left out."""
    found = (
        batch if batch is None or isinstance(batch, Kept) else keep(batch) for batch in batches
    )
    return [kept for kept in found if kept is not None]


def _json(value: float | None) -> float | None:
    """A number as JSON has it, to four places; None for what is none."""
    return round(value, 4) if value is not None and math.isfinite(value) else None


def _window(losses: NDArray[np.float32]) -> slice:
    """The `TOKENS` tokens of a row that cost most together."""
    if len(losses) <= TOKENS:
        return slice(0, len(losses))
    sums = np.concatenate([[0.0], np.cumsum(np.nan_to_num(losses.astype(np.float64)))])
    start = int(np.argmax(sums[TOKENS:] - sums[:-TOKENS]))
    return slice(start, start + TOKENS)


def _index(kept: Kept, row: int) -> int | None:
    """The row's number in its dataset, if the batch tells it."""
    for key in INDEX:
        value: Any = kept.inputs.get(key)
        if getattr(value, "ndim", 0) == 1 and row < len(value):
            return int(value[row])
    return None


def _text(tokenizer: Any, ids: list[int]) -> str:
    return " ".join(map(str, ids)) if tokenizer is None else str(tokenizer.decode(ids))


def _pieces(tokenizer: Any, ids: list[int]) -> list[str]:
    if tokenizer is None:
        return [str(i) for i in ids]
    return [str(tokenizer.decode([i])) for i in ids]


def _fit(spikes: list[dict[str, Any]]) -> None:
    """Drop the least of the rows of whichever spike takes most, until all fit in `ROOM`."""
    sizes = [len(json.dumps(spike)) for spike in spikes]
    while sum(sizes) > ROOM:
        largest = sizes.index(max(sizes))
        rows = spikes[largest]["rows"]
        if len(rows) > 1:
            rows.pop()
        elif rows and len(rows[0]["tokens"]) > 1:
            half = len(rows[0]["tokens"]) // 2
            rows[0] |= {name: rows[0][name][:half] for name in ("tokens", "losses")}
        else:
            return
        sizes[largest] = len(json.dumps(spikes[largest]))


PROBE = Spikes

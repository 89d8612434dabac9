"""Tokens, padding and throughput, counted on the batches that are trained on.

A batch tells the lengths of its texts in one of five ways, the surest first:

1. `cu_seq_lens_q`: the borders of texts packed into one row;
2. a 2-D `attention_mask`: its non-zero places. Encoder-decoder models count here too, by
   their `input_ids`; decoder tokens are not counted, as in the Trainer's own count;
3. `position_ids` that start over: packed texts without borders, every place a token;
4. `input_ids` that differ from the tokenizer's pad token. Row ends that are the pad token
   count as padding where it is also the end-of-text token, but inner ones do not;
5. none of these: every place is a token.

It never reads a tensor's value on the training thread: lengths stay on the device until
the step's one transfer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from nbmonitor.probe import Batch, Context, Measured, Panel, Probe, Series, Step

_DECAY = 0.9
_MARKS = 20_000


class Tokens(Probe):
    """What the model reads, and how fast.

    Attributes
    ----------
    absence
        Why nothing is counted, once a batch without text was seen; "" while all is well.
    """

    name = "tokens"
    cost = "one small tensor operation a micro-batch, no device sync"
    series = (
        Series("tokens/per_step", "tokens a step", "tokens"),
        Series("tokens/seen", "tokens seen", "tokens", "float64"),
        Series("tokens/samples_seen", "texts seen", "", "float64"),
        Series("tokens/padding_ratio", "padding", "ratio"),
        Series("tokens/mean_length", "mean length", "tokens"),
        Series("tokens/per_second", "tokens/s", "tokens/s"),
        Series("tokens/per_second_smooth", "tokens/s, smoothed", "tokens/s"),
    )
    panels = (
        Panel(
            "tokens",
            "Token throughput",
            "sparkline",
            ("tokens/per_second",),
            order=300,
            options={
                "stats": [
                    {"label": "smooth", "key": "tokens/per_second_smooth", "unit": "tokens/s"},
                    {"label": "padding", "key": "tokens/padding_ratio", "unit": "ratio"},
                    {"label": "seq", "key": "tokens/mean_length", "unit": "tokens"},
                    {"label": "per step", "key": "tokens/per_step", "unit": "tokens"},
                    {"label": "seen", "key": "tokens/seen", "unit": "tokens"},
                ]
            },
        ),
    )

    def __init__(self) -> None:
        self.absence = ""
        self._pad: int | None = None
        self._pad_ends_text = False
        self._ramp: Any = None  # 1, 2, … as long as the widest batch
        # (step, tokens, samples) after recent steps: a resumed run goes on from its step.
        self._marks: deque[tuple[int, float, float]] = deque(maxlen=_MARKS)
        self._clear()

    def _clear(self) -> None:
        self._lengths: list[Any] = []  # per micro-batch (rows,), on its device
        self._starts: list[Any] = []  # per micro-batch (), on its device
        self._places = self._counted = self._samples = 0

    # ------------------------------------------------------------------ training thread

    def on_begin(self, context: Context) -> Measured:
        """Learn the pad token; the empty measurement tells `derive` where the run starts."""
        self.absence = ""
        self._pad = context.pad_token_id
        config = getattr(context.model, "config", None)
        ends = getattr(config, "eos_token_id", None)
        self._pad_ends_text = self._pad is not None and (
            self._pad in ends if isinstance(ends, list | tuple) else self._pad == ends
        )
        self._clear()
        return {"begin": 1.0}

    def on_batch(self, batch: Batch) -> None:
        """Note the lengths of a micro-batch's texts, unread."""
        inputs = batch.inputs
        named = inputs if isinstance(inputs, Mapping) else None
        ids = _ids(inputs if named is None else named)
        if ids is None:
            if not self.absence:
                self.absence = _no_text(inputs)
            return
        self.absence = ""
        rows, width = ids.shape[:2]
        self._places += rows * width
        if named is not None:
            borders = named.get("cu_seq_lens_q")
            if borders is not None:
                self._lengths.append(borders[1:] - borders[:-1])
                return
            mask = named.get("attention_mask")
            if mask is not None and mask.shape == ids.shape[:2]:
                if mask.is_cpu and not mask.is_floating_point():
                    # numpy counts without torch's dispatch, a third of the cost
                    self._counted += int(np.count_nonzero(mask.numpy()))
                    self._samples += rows
                else:
                    self._lengths.append(mask.count_nonzero(-1))
                return
            positions = named.get("position_ids")
            if positions is not None and positions.shape == ids.shape[:2]:
                jumps = positions[:, 1:] - positions[:, :-1]  # (rows, width - 1)
                self._starts.append((jumps != 1).sum())
                self._samples += rows
                self._counted += rows * width
                return
        if self._pad is not None and ids.dim() == 2:
            self._lengths.append(self._unpadded(ids))
            return
        self._samples += rows
        self._counted += rows * width

    def _unpadded(self, ids: Any) -> Any:
        """Lengths of rows by their pad tokens, (rows,); a few operations in the second case."""
        text = ids != self._pad  # (rows, width)
        if not self._pad_ends_text:
            return text.sum(-1)
        width = ids.shape[1]
        ramp = self._ramp
        if ramp is None or ramp.shape[0] < width or ramp.device != ids.device:
            ramp = self._ramp = ids.new_ones(width).cumsum(0)  # 1, 2, …, width
        places = ramp[:width]
        last = (text * places).amax(-1)  # (rows,) the last place that is not padding
        before = width - (text * (width + 1 - places)).amax(-1)  # (rows,) padding on the left
        # One end-of-text behind a text belongs to it.
        return (last - before + (last < width)).clamp_min(0)

    def on_step(self, step: Step) -> Measured | None:
        """Hand over what the step's micro-batches held."""
        del step
        if not self._places:
            return None
        out: dict[str, Any] = {
            "places": self._places,
            "counted": self._counted,
            "samples": self._samples,
        }
        for index, lengths in enumerate(self._lengths):
            out[f"lengths/{index}"] = lengths
        for index, starts in enumerate(self._starts):
            out[f"starts/{index}"] = starts
        self._clear()
        return out

    # ------------------------------------------------------------------ on the host

    def derive(self, step: Step, host: Measured) -> Measured:
        """Sum up; cumulative counts are exact, rates come from the step's duration."""
        if "begin" in host:
            self._start(step.number)
            return {}
        tokens, samples = float(host["counted"]), float(host["samples"])
        for key, value in host.items():
            if key.startswith("lengths/"):
                tokens += float(np.sum(value, dtype=np.float64))
                samples += len(value)
            elif key.startswith("starts/"):
                samples += float(value)
        self._seen += tokens
        self._seen_samples += samples
        self._marks.append((step.number, self._seen, self._seen_samples))
        out = {
            "tokens/per_step": tokens,
            "tokens/seen": self._seen,
            "tokens/samples_seen": self._seen_samples,
            "tokens/padding_ratio": 1.0 - tokens / host["places"],
        }
        if samples:
            out["tokens/mean_length"] = tokens / samples
        if step.duration:
            # Tokens and seconds are smoothed apart and divided: a short step weighs little,
            # and the bias of a young average is in both, so it cancels.
            self._ema_tokens += (1 - _DECAY) * (tokens - self._ema_tokens)
            self._ema_seconds += (1 - _DECAY) * (step.duration - self._ema_seconds)
            out["tokens/per_second"] = tokens / step.duration
            out["tokens/per_second_smooth"] = self._ema_tokens / self._ema_seconds
        return out

    def _start(self, step: int) -> None:
        """Count from nothing, or from what had been seen at the step that is resumed."""
        while self._marks and self._marks[-1][0] > step:
            self._marks.pop()
        if not step:
            self._marks.clear()
        _, self._seen, self._seen_samples = self._marks[-1] if self._marks else (0, 0.0, 0.0)
        self._ema_tokens = self._ema_seconds = 0.0


def _ids(inputs: Any) -> Any:
    """Token ids or embeddings of a batch, or None: (rows, width, …)."""
    if isinstance(inputs, Mapping):
        ids = inputs.get("input_ids")
        if ids is None:
            ids = inputs.get("inputs_embeds")
        return ids if ids is not None and len(ids.shape) >= 2 else None
    # Plain loops: (ids, labels), or ids alone. Small integers are pixels, not tokens.
    first = inputs[0] if isinstance(inputs, tuple | list) and inputs else inputs
    dtype = getattr(first, "dtype", None)
    if dtype is None or len(first.shape) != 2 or not hasattr(first, "new_ones"):
        return None
    return first if not dtype.is_floating_point and dtype.itemsize >= 4 else None


def _no_text(inputs: Any) -> str:
    if isinstance(inputs, Mapping):
        names = ", ".join(str(key) for key in list(inputs)[:6]) or "nothing"
        return f"the batches have no input_ids (they have {names}): no tokens to count"
    if isinstance(inputs, list):
        return "the batches are lists of prompts, tokenised later: no tokens to count here"
    return f"the batches are {type(inputs).__name__}, without token ids: no tokens to count"


PROBE = Tokens

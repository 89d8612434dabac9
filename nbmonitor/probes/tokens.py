"""Tokens, padding and throughput, counted on the batches that are trained on.

How a batch is counted is `nbmonitor/tally.py`'s matter. Of batches on a device only small
tensors are kept, unread, for the step's one transfer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from nbmonitor.probe import Batch, Context, Measured, Panel, Probe, Series, Step
from nbmonitor.tally import Tally, totals, why_no_text

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
    cost = "one pass over the mask on the host, one small tensor operation on a device; no sync"
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
        # (step, tokens, samples) after recent steps: a resumed run goes on from its step.
        self._marks: deque[tuple[int, float, float]] = deque(maxlen=_MARKS)
        self._tally = Tally(None, ends_text=False)
        self._seen = self._seen_samples = 0.0
        self._ema_tokens = self._ema_seconds = 0.0

    # ------------------------------------------------------------------ training thread

    def on_begin(self, context: Context) -> Measured:
        """Learn the pad token; the empty measurement tells `derive` where the run starts."""
        self.absence = ""
        pad = context.pad_token_id
        config = getattr(context.model, "config", None)
        ends = getattr(config, "eos_token_id", None)
        ends_text = pad is not None and (
            pad in ends if isinstance(ends, list | tuple) else pad == ends
        )
        self._tally = Tally(pad, ends_text=ends_text)
        return {"begin": 1.0}

    def resume(self, last: Mapping[str, float]) -> None:
        """Count on from what a run file holds."""
        seen, texts = last.get("tokens/seen", 0.0), last.get("tokens/samples_seen", 0.0)
        # Of step 0, so that the start of the run, still on its way, finds it.
        self._marks.append((0, seen, texts))
        self._seen, self._seen_samples = seen, texts
        self._ema_seconds = last.get("train/step_time", 0.0)
        self._ema_tokens = last.get("tokens/per_second_smooth", 0.0) * self._ema_seconds

    def on_batch(self, batch: Batch) -> None:
        """Count a micro-batch, or note the lengths of its texts unread."""
        if self._tally.add(batch.inputs):
            self.absence = ""
        elif not self.absence:
            self.absence = why_no_text(batch.inputs)

    def on_step(self, step: Step) -> Measured | None:
        """Hand over what the step's micro-batches held."""
        del step
        return self._tally.measured() if self._tally.places else None

    # ------------------------------------------------------------------ on the host

    def derive(self, step: Step, host: Measured) -> Measured:
        """Sum up; cumulative counts are exact, rates come from the step's duration."""
        if "begin" in host:
            self._start(step.number)
            return {}
        places, tokens, samples = totals(host)
        if not places:
            return {}
        self._seen += tokens
        self._seen_samples += samples
        self._marks.append((step.number, self._seen, self._seen_samples))
        out = {
            "tokens/per_step": tokens,
            "tokens/seen": self._seen,
            "tokens/samples_seen": self._seen_samples,
            "tokens/padding_ratio": 1.0 - tokens / places,
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


PROBE = Tokens

"""One evaluation of a fixed set: one forward pass a batch, and decoding only where it is needed.

Greedy decoding yields the expected answer exactly if, with the answer as its input, the model's
highest logit is the expected token at every place: at the first place where it isn't, decoding
leaves the answer. So one pass proves the outcome, except where two logits are nearer than the
numerics of a cached decoding can tell apart, or where the model's generation settings change
logits (a repetition penalty, say). Those examples are decoded.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbmonitor.calibration import BINS
from nbmonitor.capture.batches import counted, grouped, padded, places
from nbmonitor.capture.decoding import can_decode, decode
from nbmonitor.capture.head import AllNeeded, HeadReader
from nbmonitor.capture.kind import processors
from nbmonitor.capture.scoring import CHUNK_BYTES, Sums
from nbmonitor.capture.undisturbed import device_of
from nbmonitor.encoding import Encoded

# Logits that differ by less can come out in another order from a decoding with a cache.
_LEAST_LEAD = 1e-4
_ROUNDINGS = 4
# Tokens a batch where all logits have to be made, and room for them.
_FULL_BYTES = 12 * CHUNK_BYTES


@dataclass(slots=True)
class Verdict:
    """What became of one example."""

    # Mean over its tokens, nats; nan without any.
    loss: float
    # Whether the answer was right with the answer as input, and when decoded; None: no answer.
    forced: bool | None = None
    exact: bool | None = None
    # The answer up to the first wrong token, which is proved to be how decoding begins.
    begins: list[int] = field(default_factory=list)
    # The answer that was decoded, if it was.
    decoded: list[int] | None = None


@dataclass(slots=True)
class Outcome:
    """What an evaluation came to.

    `loss` and `entropy` are means over `tokens`, in nats; `bins` (3, 10) are count, sum of
    confidences and hits; `proved` and `generated` say how the exact matches were found.
    """

    tokens: int
    loss: float
    entropy: float
    bins: NDArray[np.float64]
    verdicts: dict[int, Verdict]
    proved: int = 0
    generated: int = 0
    note: str = ""


class Evaluation:
    """Evaluate a model on encoded examples.

    Parameters
    ----------
    model
        In evaluation mode, without gradients: see `undisturbed`.
    kind
        "causal", "seq2seq" or "classes".
    fill
        The token that pads.
    between
        Called after every batch.
    """

    def __init__(
        self, model: Any, kind: str, fill: int, between: Callable[[], None] = lambda: None
    ) -> None:
        self._model, self._kind, self._fill, self._between = model, kind, fill, between
        self._device = device_of(model)
        self._reader = HeadReader(model)
        self._shift = 1 if kind == "causal" else 0
        config = model.config
        text = config.get_text_config() if hasattr(config, "get_text_config") else config
        self._vocabulary = int(getattr(text, "vocab_size", 0) or 0)
        # Settings of generation because of which everything has to be decoded.
        self._processors = processors(model) if kind != "classes" else []
        self._cache = {"use_cache": False} if hasattr(model.config, "use_cache") else {}

    def run(self, examples: Sequence[Encoded]) -> Outcome:
        """Evaluate all examples."""
        sums = Sums(self._device)
        verdicts: dict[int, Verdict] = {}
        doubtful: list[Encoded] = []
        for group in grouped(examples, self._width):
            self._safely(group, sums, verdicts, doubtful)
        tokens, loss, _, entropy = sums.totals.tolist()
        count = max(tokens, 1)
        bins = np.asarray(sums.bins.tolist()).reshape(3, BINS)
        nothing = float("nan")
        outcome = Outcome(
            int(tokens),
            loss / count if tokens else nothing,
            entropy / count if tokens else nothing,
            bins,
            verdicts,
            note="" if self._kind == "classes" else self._reader.fallback,
        )
        if self._processors:
            why = f"decoded, because of {', '.join(self._processors)}"
            outcome.note = "; ".join(filter(None, [outcome.note, why]))
        self._decide(outcome, doubtful)
        return outcome

    def _width(self, example: Encoded) -> int:
        read = len(example.ids)
        return max(read, len(example.targets)) if self._kind == "seq2seq" else read

    # ------------------------------------------------------------------ one pass

    def _safely(
        self,
        group: list[Encoded],
        sums: Sums,
        verdicts: dict[int, Verdict],
        doubtful: list[Encoded],
    ) -> None:
        """Score a group; in halves where it doesn't fit into the device's memory."""
        rows = len(group)
        if self._reader.fallback and self._vocabulary:
            fits = _FULL_BYTES // (4 * self._vocabulary * max(1, self._width(group[0])))
            rows = max(1, min(rows, fits))
        torch = sys.modules["torch"]
        for start in range(0, len(group), rows):
            part = group[start : start + rows]
            before = sums.totals.clone(), sums.bins.clone()
            try:
                self._score(part, sums, verdicts, doubtful)
            except AllNeeded:
                sums.totals, sums.bins = before
                self._safely(part, sums, verdicts, doubtful)
            except torch.OutOfMemoryError:
                if len(part) == 1:
                    raise
                sums.totals, sums.bins = before
                half = len(part) // 2
                self._safely(part[:half], sums, verdicts, doubtful)
                self._safely(part[half:], sums, verdicts, doubtful)
            self._between()

    def _score(
        self,
        group: list[Encoded],
        sums: Sums,
        verdicts: dict[int, Verdict],
        doubtful: list[Encoded],
    ) -> None:
        torch = sys.modules["torch"]
        inputs, width = self._inputs(group)
        at, tokens, rows = places(group, width, self._shift)
        if not at:
            verdicts.update((example.index, Verdict(float("nan"))) for example in group)
            return
        wanted = torch.tensor(tokens, device=self._device)  # (n,)
        owners = torch.tensor(rows, device=self._device)  # (n,)
        parts: list[Any] = []
        eps = 0.0
        for part, logits in self._logits(inputs, torch.tensor(at, device=self._device)):
            eps = max(eps, self._reader.eps)
            scores = sums.add(logits, wanted[part], owners[part])
            parts.append(
                torch.stack([value.to(sums.totals.dtype) for value in scores]).cpu()
            )  # (5, m)
        loss, hit, lead, top, choice = torch.cat(parts, 1).numpy()  # (n,) each
        tolerance = np.maximum(_LEAST_LEAD, _ROUNDINGS * eps * np.abs(top))  # (n,)
        start = 0
        for example in group:
            part = slice(start, start + counted(example, self._shift))
            start = part.stop
            if part.start == part.stop:
                verdicts[example.index] = Verdict(float("nan"))
                continue
            verdict = verdicts[example.index] = Verdict(float(loss[part].mean()))
            if self._kind == "classes":
                verdict.exact = bool(hit[part].all())
                verdict.begins = [int(choice[part][0])]
                continue
            if example.start is None:
                continue
            verdict.forced = bool(hit[part].all())
            # Not `lead < -tolerance`: what is nan is wrong.
            wrong = bool((~(lead[part] >= -tolerance[part])).any())
            verdict.exact = verdict.forced
            near = not wrong and not bool((lead[part] > tolerance[part]).all())
            if near or self._processors:
                doubtful.append(example)
            if not verdict.forced:
                first = int(np.argmin(hit[part]))
                verdict.begins = [*example.answer[:first], int(choice[part][first])]

    def _inputs(self, group: list[Encoded]) -> tuple[dict[str, Any], int]:
        """Make the model's inputs, and tell the width of its logits."""
        ids, mask = padded([example.ids for example in group], self._fill)  # (rows, width)
        inputs = {"input_ids": ids.to(self._device), "attention_mask": mask.to(self._device)}
        if self._kind == "classes":
            return inputs, 1
        inputs |= self._cache
        if self._kind == "causal":
            return inputs, ids.shape[1]
        # What a decoder reads is what it is to say, one place later.
        begin = self._model.config.decoder_start_token_id
        begin = self._fill if begin is None else begin
        said = [[begin, *example.targets[:-1]][: len(example.targets)] for example in group]
        decoder, decoder_mask = padded(said, self._fill)  # (rows, answer)
        inputs["decoder_input_ids"] = decoder.to(self._device)
        inputs["decoder_attention_mask"] = decoder_mask.to(self._device)
        return inputs, decoder.shape[1]

    def _logits(self, inputs: dict[str, Any], at: Any) -> Any:
        if self._kind == "classes":
            return [(slice(None), self._model(**inputs).logits.float()[at])]  # (rows, classes)
        return self._reader.read(inputs, at)

    # ------------------------------------------------------------------ decoding

    def _decide(self, outcome: Outcome, doubtful: list[Encoded]) -> None:
        """Settle the exact matches that the pass has not proved."""
        if self._kind == "classes":
            outcome.proved = sum(v.exact is not None for v in outcome.verdicts.values())
            return
        answered = sum(v.exact is not None for v in outcome.verdicts.values())
        able = can_decode(self._model)
        if doubtful and able:
            self.decode(outcome, doubtful)
            outcome.generated = len(doubtful)
        elif doubtful:
            open_ = f"{len(doubtful)} answers can't be proved and the model can't generate"
            outcome.note = "; ".join(filter(None, [outcome.note, open_]))
        outcome.proved = answered - outcome.generated

    def decode(
        self, outcome: Outcome, examples: Sequence[Encoded], *, room: int = 0, most: int = 1 << 30
    ) -> None:
        """Let the model answer examples; what it says decides on the exact match."""
        found = decode(
            self._model,
            examples,
            self._kind,
            fill=self._fill,
            room=room,
            most=most,
            between=self._between,
        )
        for example in examples:
            verdict, said = outcome.verdicts[example.index], found[example.index]
            verdict.decoded = said
            if len(example.answer) <= most:
                verdict.exact = said[: len(example.answer)] == example.answer

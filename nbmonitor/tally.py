"""Count the tokens of batches, from whatever a batch tells of the lengths of its texts.

In one of five ways, the surest first:

1. `cu_seq_lens_q`: the borders of texts packed into one row;
2. a 2-D `attention_mask`: its non-zero places. Encoder-decoder models count here too, by
   their `input_ids`; decoder tokens are not counted, as in the Trainer's own count;
3. `position_ids` that start over: packed texts without borders, every place a token;
4. `input_ids` that differ from the tokenizer's pad token. Row ends that are the pad token
   count as padding where it is also the end-of-text token, but inner ones do not;
5. none of these: every place is a token.

Of a tensor on a device no value is read: its lengths stay there for the step's one transfer.
What is on the host is counted at once, by torch: between two steps its code is in the
processor's caches and numpy's is not, which makes numpy four times as dear here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nbmonitor.probe import Measured

_PLAIN = 3  # entries of a measurement without tensors
# A plain dict is known at once; an abstract class is asked only for others.
MAPPINGS = (dict, Mapping)


class Tally:
    """What some batches held, unread.

    Parameters
    ----------
    pad
        The pad token, or None.
    ends_text
        Whether it also ends texts.
    """

    def __init__(self, pad: int | None, *, ends_text: bool) -> None:
        self._pad, self._ends_text = pad, ends_text
        self._ramp: Any = None  # 1, 2, … as long as the widest batch
        self._lengths: list[Any] = []  # per micro-batch (rows,), on its device
        self._starts: list[Any] = []  # per micro-batch (), on its device
        self.places = self._counted = self._samples = 0

    def add(self, inputs: Any) -> bool:
        """Take in a batch; False if there is no text in it."""
        ids = token_ids(inputs)
        if ids is None:
            return False
        shape = ids.shape
        if len(shape) > 2:  # embeddings, (rows, width, features)
            shape = shape[:2]
        rows, width = shape
        self.places += rows * width
        if isinstance(inputs, MAPPINGS):
            borders = inputs.get("cu_seq_lens_q")
            if borders is not None:
                self._take(borders[1:] - borders[:-1])
                return True
            mask = inputs.get("attention_mask")
            if mask is not None and mask.shape == shape:
                if mask.is_cpu:
                    self._counted += mask.ne(0).sum().item()
                    self._samples += rows
                else:
                    self._lengths.append(mask.count_nonzero(-1))
                return True
            positions = inputs.get("position_ids")
            if positions is not None and positions.shape == shape:
                jumps = positions[:, 1:] - positions[:, :-1]  # (rows, width - 1)
                self._starts.append((jumps != 1).sum())  # ()
                self._samples += rows
                self._counted += rows * width
                return True
        if self._pad is not None and ids.dim() == 2:
            self._take(self._unpadded(ids))
            return True
        self._samples += rows
        self._counted += rows * width
        return True

    def _take(self, lengths: Any) -> None:
        if lengths.is_cpu:
            self._counted += lengths.sum().item()
            self._samples += len(lengths)
        else:
            self._lengths.append(lengths)

    def _unpadded(self, ids: Any) -> Any:
        """Lengths of rows by their pad tokens, (rows,); a few operations in the second case."""
        text = ids != self._pad  # (rows, width)
        if not self._ends_text:
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

    def measured(self) -> dict[str, Any]:
        """Hand over what was taken in, for `totals` to read on the host, and forget it."""
        out: dict[str, Any] = {
            "places": self.places,
            "counted": self._counted,
            "samples": self._samples,
        }
        self.places = self._counted = self._samples = 0
        if self._lengths:
            out |= {f"lengths/{index}": lengths for index, lengths in enumerate(self._lengths)}
            self._lengths = []
        if self._starts:
            out |= {f"starts/{index}": starts for index, starts in enumerate(self._starts)}
            self._starts = []
        return out


def totals(measured: Measured) -> tuple[float, float, float]:
    """Places, tokens and texts of what `Tally.measured` handed over, now on the host."""
    tokens, samples = float(measured.get("counted", 0)), float(measured.get("samples", 0))
    for key, value in measured.items() if len(measured) > _PLAIN else ():
        if key.startswith("lengths/"):
            tokens += float(np.sum(np.asarray(value), dtype=np.float64))
            samples += len(value)
        elif key.startswith("starts/"):
            samples += float(value)
    return float(measured.get("places", 0)), tokens, samples


def token_ids(inputs: Any) -> Any:
    """Token ids or embeddings of a batch, or None: (rows, width, …)."""
    if isinstance(inputs, MAPPINGS):
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


def why_no_text(inputs: Any) -> str:
    """Say what a batch without text is instead."""
    if isinstance(inputs, MAPPINGS):
        names = ", ".join(str(key) for key in list(inputs)[:6]) or "nothing"
        return f"the batches have no input_ids (they have {names}): no tokens to count"
    if isinstance(inputs, list):
        return "the batches are lists of prompts, tokenised later: no tokens to count here"
    return f"the batches are {type(inputs).__name__}, without token ids: no tokens to count"

"""Logits and expected tokens to sums: cross-entropy, hits, confidence, entropy.

Works on a chunk of rows at a time, in place, so that the vocabulary never exists in full
precision for more than `CHUNK_BYTES`. Sums stay on the device until the end.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

from nbmonitor.calibration import BINS

# What stays in a processor's cache is scored in 0.8 of the time of 24 MB; measured at 50,257
# tokens. A GPU wants fewer and larger pieces.
CHUNK_BYTES = 8 << 20
_DEVICE_CHUNKS = 4


class Scores(NamedTuple):
    """Of every row of a chunk, on the device."""

    # -log p of the expected token, nats.
    loss: Any  # (n,)
    # Whether the expected token has the highest logit; of equals the first one counts.
    hit: Any  # (n,)
    # By how much the expected token leads the best of the others (> 0), or trails it.
    lead: Any  # (n,)
    # The highest logit.
    top: Any  # (n,)
    # Which token has it: at least where an example is wrong for the first time in the chunk;
    # elsewhere it may be -1.
    choice: Any  # (n,)


class Sums:
    """Sums over everything scored so far, on the device.

    Parameters
    ----------
    device
        Where the logits are.
    """

    def __init__(self, device: Any) -> None:
        torch = sys.modules["torch"]
        kind = torch.float32 if device.type == "mps" else torch.float64
        self._edges = torch.linspace(0, 1, BINS + 1, device=device)[1:-1]  # (BINS - 1,)
        self.totals = torch.zeros(4, dtype=kind, device=device)  # tokens, loss, hits, entropy
        self.bins = torch.zeros(3, BINS, dtype=kind, device=device)  # count, confidence, hits
        self._room: Any = None

    def add(self, logits: Any, targets: Any, groups: Any) -> Scores:
        """Score a chunk.

        Parameters
        ----------
        logits
            (n, vocabulary), float32; overwritten.
        targets
            (n,) int64.
        groups
            (n,) int64, ascending: which rows belong to one example.
        """
        torch = sys.modules["torch"]
        rows = torch.arange(len(targets), device=targets.device)  # (n,)
        expected = logits[rows, targets]  # (n,)
        logits[rows, targets] = -torch.inf
        best = logits.amax(-1)  # (n,), of the others
        logits[rows, targets] = expected
        lead = expected - best  # (n,)
        top = torch.maximum(expected, best)  # (n,)
        hit = lead > 0  # (n,)
        # Of two equals, decoding takes the first.
        tied = (lead == 0).nonzero()[:, 0]  # (t,)
        if len(tied):
            hit[tied] = logits[tied].argmax(-1) == targets[tied]
        choice = _choices(logits, targets, hit, groups)  # (n,)
        shifted = logits.sub_(top[:, None])  # (n, v), highest is 0
        shifted.clamp_(min=-1e4)  # e^-10000 is 0; 0 · -inf would be nan
        shares = self._softmax(shifted)  # (n, v)
        confidence = shares.amax(-1)  # (n,)
        mass = -confidence.log()  # (n,), log-sum-exp of what was shifted
        entropy = mass - torch.linalg.vecdot(shares, shifted)  # (n,)
        loss = mass - (expected - top)  # (n,)
        self._book(loss, hit, entropy, confidence)
        return Scores(loss, hit, lead, top, choice)

    def _softmax(self, logits: Any) -> Any:
        """Softmax into memory that is kept: to ask for it anew takes as long as to fill it."""
        torch = sys.modules["torch"]
        room = self._room
        if room is None or room.shape[1] != logits.shape[1] or len(room) < len(logits):
            room = self._room = torch.empty_like(logits)  # (n, v)
        return torch.softmax(logits, -1, out=room[: len(logits)])

    def _book(self, loss: Any, hit: Any, entropy: Any, confidence: Any) -> None:
        torch = sys.modules["torch"]
        kind = self.totals.dtype
        ones = torch.ones_like(loss, dtype=kind)  # (n,)
        hits = hit.to(kind)  # (n,)
        rows = torch.stack([ones, loss.to(kind), hits, entropy.to(kind)])  # (4, n)
        self.totals += rows.sum(1)
        bins = torch.bucketize(confidence.nan_to_num(0.0), self._edges, right=True)  # (n,)
        self.bins.index_add_(1, bins, torch.stack([ones, confidence.to(kind), hits]))  # (3, n)


def chunk_rows(vocabulary: int, *, on_cpu: bool = True) -> int:
    """Rows of logits that one chunk holds."""
    size = CHUNK_BYTES if on_cpu else CHUNK_BYTES * _DEVICE_CHUNKS
    return max(1, size // (4 * max(1, vocabulary)))


def _choices(logits: Any, targets: Any, hit: Any, groups: Any) -> Any:
    """Which token has the highest logit; on a CPU, where that takes long, only where it counts."""
    torch = sys.modules["torch"]
    if not logits.is_cpu:
        return logits.argmax(-1)  # (n,)
    wrong = (~hit).nonzero()[:, 0]  # (w,)
    first = torch.ones_like(wrong, dtype=torch.bool)  # (w,)
    first[1:] = groups[wrong][1:] != groups[wrong][:-1]
    rows = wrong[first]
    choice = torch.where(hit, targets, -1)  # (n,)
    choice[rows] = logits[rows].argmax(-1)
    return choice

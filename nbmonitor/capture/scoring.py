"""Logits and expected tokens to sums: cross-entropy, hits, confidence, entropy.

Works on a chunk of rows at a time, in place, so that the vocabulary never exists in full
precision for more than `CHUNK_BYTES`. Sums stay on the device until the end.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

from nbmonitor.calibration import BINS

CHUNK_BYTES = 24 << 20


class Scores(NamedTuple):
    """Of every row of a chunk, on the device."""

    # -log p of the expected token, nats.
    loss: Any  # (n,)
    # Whether the expected token has the highest logit; of equals the first one counts.
    hit: Any  # (n,)
    # By how much the expected token leads the next best (> 0) or trails the best (<= 0).
    lead: Any  # (n,)
    # The highest logit.
    top: Any  # (n,)
    # Which token has it.
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

    def add(self, logits: Any, targets: Any) -> Scores:
        """Score a chunk.

        Parameters
        ----------
        logits
            (n, vocabulary), float32; overwritten.
        targets
            (n,) int64.
        """
        torch = sys.modules["torch"]
        rows = torch.arange(len(targets), device=targets.device)  # (n,)
        expected = logits[rows, targets]  # (n,)
        top, choice = logits.max(-1)  # (n,)
        hit = choice == targets  # (n,)
        lead = expected - top  # (n,)
        self._lead_of_hits(logits, targets, hit, lead)
        # Where everything is -inf, the difference would be nan without being anyone's fault.
        shifted = logits.sub_(top[:, None])  # (n, v), highest is 0
        shifted.clamp_(min=-1e4)  # e^-10000 is 0; 0 · -inf would be nan
        powers = shifted.exp()  # (n, v)
        mass = powers.sum(-1)  # (n,), at least 1
        entropy = mass.log() - torch.linalg.vecdot(powers, shifted) / mass  # (n,)
        confidence = mass.reciprocal()  # (n,)
        loss = mass.log() + top - expected  # (n,)
        self._book(loss, hit, entropy, confidence)
        return Scores(loss, hit, lead, top, choice)

    def _lead_of_hits(self, logits: Any, targets: Any, hit: Any, lead: Any) -> None:
        """Find the second best where the expected token is the best."""
        torch = sys.modules["torch"]
        where = hit.nonzero()[:, 0]  # (h,)
        if len(where) == 0:
            return
        best = logits[where, targets[where]]  # (h,)
        if len(where) * 4 > len(targets):
            # In place on all rows, and back: a copy would take as long.
            logits[where, targets[where]] = -torch.inf
            second = logits.amax(-1)[where]  # (h,)
            logits[where, targets[where]] = best
        else:
            some = logits[where]  # (h, v)
            some[torch.arange(len(where), device=where.device), targets[where]] = -torch.inf
            second = some.amax(-1)  # (h,)
        lead[where] = best - second

    def _book(self, loss: Any, hit: Any, entropy: Any, confidence: Any) -> None:
        torch = sys.modules["torch"]
        kind = self.totals.dtype
        ones = torch.ones_like(loss, dtype=kind)  # (n,)
        hits = hit.to(kind)  # (n,)
        rows = torch.stack([ones, loss.to(kind), hits, entropy.to(kind)])  # (4, n)
        self.totals += rows.sum(1)
        bins = torch.bucketize(confidence.nan_to_num(0.0), self._edges, right=True)  # (n,)
        self.bins.index_add_(1, bins, torch.stack([ones, confidence.to(kind), hits]))  # (3, n)


def chunk_rows(vocabulary: int) -> int:
    """Rows of logits that one chunk holds."""
    return max(1, CHUNK_BYTES // (4 * max(1, vocabulary)))

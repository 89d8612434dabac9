"""How often each token comes up in the batches: kept as they come, counted when there is time.

All batches of the first steps tell, later one in ten: a copy at every step would cost the
training more than everything else that is done for the parameters. What is kept is bounded, too:
of a long stretch between two counts, the first of them tell.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbmonitor.parameters.carrier import mark, to_host

# Ids that may wait to be counted: 8 MB.
_MOST = 1 << 20
# Micro-batches that all tell, and of those after them one in so many.
_ALL, _ONE_IN = 100, 10
# The least frequent is told from one that never came by this many decades of share at most.
DECADES = 6.0


class Frequency:
    """Counts tokens.

    Parameters
    ----------
    size
        Rows of the embedding.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._waiting: list[Any] = []
        self._held = self._came = 0
        self._lock = threading.Lock()
        self._counts: NDArray[np.int64] | None = None

    def see(self, inputs: Any) -> None:
        """Take a batch: `input_ids` of a mapping, of any shape; anything else is passed over."""
        self._came += 1
        if self._came > _ALL and self._came % _ONE_IN:
            return
        ids: Any = inputs.get("input_ids") if hasattr(inputs, "get") else None
        if self._held >= _MOST or not hasattr(ids, "is_floating_point") or ids.is_floating_point():
            return
        # A copy, for whoever made the batch may use its memory again.
        kept = ids.detach().reshape(-1).clone()  # (tokens,)
        with self._lock:
            self._waiting.append((kept, mark(kept.device)))
            self._held += kept.numel()

    def shares(self, rows: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """Return the share of each of these tokens in what was seen, as it is shown; or None.

        Returns
        -------
        array or None
            (n,) in [0, 1]: 1 is all of it, 0 a millionth or less; logarithmic between. None
            before anything was seen.
        """
        with self._lock:
            waiting, self._waiting, self._held = self._waiting, [], 0
        for kept, event in waiting:
            (seen,) = to_host([kept], [event])
            ids = seen.astype(np.int64)  # (tokens,)
            inside = ids[(ids >= 0) & (ids < self._size)]
            found = np.bincount(inside, minlength=self._size)  # (V,)
            self._counts = found if self._counts is None else self._counts + found
        if self._counts is None or not self._counts.any():
            return None
        share = self._counts[rows] / self._counts.sum()
        with np.errstate(divide="ignore"):
            decades = np.log10(share)
        out: NDArray[np.float32] = np.clip(1 + decades / DECADES, 0, 1).astype(np.float32)
        return out

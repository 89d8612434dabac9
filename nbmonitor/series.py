"""One scalar series in memory: recent rows exact, old rows folded into buckets.

A column is a list of sealed chunks (4,096 exact rows each) between a *summary* of the
oldest rows and a growing tail. Steps that advance evenly cost nothing: a chunk then keeps
(start, stride) instead of an array. Folding turns the oldest chunk into buckets that keep
minimum, maximum, mean and last value and whether NaN or ±Inf was seen, so that a spike
can never be sampled away.

It knows nothing of keys, units, threads or the wire's bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbmonitor.wire import NAN, NEG_INF, POS_INF, Floats, stride_of

CHUNK = 4096
FOLD = 64
MAX_BUCKETS = 8192
_FIRST_TAIL = 64
_BUCKET_BYTES = 8 + 4 + 16 + 1


@dataclass(frozen=True, slots=True)
class Buckets:
    """Consecutive rows in groups.

    `x` (n,) is the step of each bucket's last row; `values` (4, n) float32 is minimum,
    maximum, mean (of the finite values) and last; `counts` (n,) rows; `marks` (n,) bits.
    """

    x: Floats
    values: NDArray[np.float32]
    counts: NDArray[np.uint32]
    marks: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Chunk:
    values: NDArray[Any]
    start: float
    stride: float | None
    x: Floats | None

    @property
    def steps(self) -> Floats:
        if self.x is not None:
            return self.x
        return self.start + (self.stride or 0.0) * np.arange(len(self.values), dtype=np.float64)

    @property
    def nbytes(self) -> int:
        return self.values.nbytes + (0 if self.x is None else self.x.nbytes)


def marks_of(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Bits that say which values are NaN, +Inf or -Inf; shape (n,)."""
    marks = np.zeros(values.shape, np.uint8)
    marks[np.isnan(values)] = NAN
    marks[np.isposinf(values)] = POS_INF
    marks[np.isneginf(values)] = NEG_INF
    return marks


def bucketed(x: Floats, values: NDArray[Any], size: int) -> Buckets:
    """Group rows `size` at a time; the last bucket may be smaller."""
    starts = np.arange(0, len(x), size)
    ends = np.append(starts[1:], len(x)) - 1
    counts = np.diff(np.append(starts, len(x)))
    wide = values.astype(np.float64)
    finite = np.isfinite(wide)
    masked = np.where(finite, wide, np.nan)
    seen = np.add.reduceat(finite.astype(np.int64), starts)
    total = np.add.reduceat(np.where(finite, wide, 0.0), starts)
    mean = np.divide(total, seen, out=np.full(len(starts), np.nan), where=seen > 0)
    with np.errstate(over="ignore"):
        out = np.stack(
            [
                np.fmin.reduceat(masked, starts),
                np.fmax.reduceat(masked, starts),
                mean,
                wide[ends],
            ]
        ).astype(np.float32)
    marks = np.bitwise_or.reduceat(marks_of(wide), starts)
    return Buckets(x[ends].astype(np.float64), out, counts.astype(np.uint32), marks)


def merged(buckets: Buckets, size: int) -> Buckets:
    """Join `size` buckets into one, over and over; weights the means by their counts."""
    n = len(buckets.x)
    starts = np.arange(0, n, size)
    ends = np.append(starts[1:], n) - 1
    low, high, mean, last = buckets.values
    counts = np.add.reduceat(buckets.counts, starts)
    weight = np.where(np.isfinite(mean), buckets.counts, 0).astype(np.float64)
    total = np.add.reduceat(np.where(weight > 0, mean, 0.0) * weight, starts)
    weights = np.add.reduceat(weight, starts)
    joined = np.divide(total, weights, out=np.full(len(starts), np.nan), where=weights > 0)
    values = np.stack(
        [np.fmin.reduceat(low, starts), np.fmax.reduceat(high, starts), joined, last[ends]]
    ).astype(np.float32)
    marks = np.bitwise_or.reduceat(buckets.marks, starts)
    return Buckets(buckets.x[ends], values, counts.astype(np.uint32), marks)


def concatenated(parts: list[Buckets]) -> Buckets:
    """Join stretches of buckets end to end."""
    return Buckets(
        np.concatenate([p.x for p in parts]),
        np.concatenate([p.values for p in parts], axis=1),
        np.concatenate([p.counts for p in parts]),
        np.concatenate([p.marks for p in parts]),
    )


class Column:
    """Rows of one series, appended at the end, folded at the front."""

    __slots__ = ("_chunks", "_n", "_tail", "_tail_x", "dtype", "rows", "summary")

    def __init__(self, dtype: str = "float32") -> None:
        self.dtype = dtype
        self.rows = 0
        self.summary: Buckets | None = None
        self._chunks: list[_Chunk] = []
        self._n = 0
        self._tail = np.empty(_FIRST_TAIL, dtype)
        self._tail_x = np.empty(_FIRST_TAIL, np.float64)

    def append(self, x: float, value: float) -> bool:
        """Add a row; return whether a chunk was sealed (memory may have to be bounded)."""
        n = self._n
        if n == len(self._tail):
            if n == CHUNK:
                self._seal()
                self.append(x, value)
                return True
            self._tail = np.concatenate([self._tail, np.empty_like(self._tail)])
            self._tail_x = np.concatenate([self._tail_x, np.empty_like(self._tail_x)])
        self._tail[n] = value
        self._tail_x[n] = x
        self._n = n + 1
        self.rows += 1
        return False

    def extend(self, x: Floats, values: Floats) -> bool:
        """Add rows; return whether a chunk was sealed. Cheaper than row by row from a few on."""
        sealed, at = False, 0
        while at < len(x):
            n = self._n
            if n == CHUNK:
                self._seal()
                sealed, n = True, 0
            free = len(self._tail) - n
            if not free:
                # As `append` makes room: it grows the tail, and takes this one row.
                self.append(float(x[at]), float(values[at]))
                at += 1
                continue
            take = min(free, len(x) - at)
            self._tail[n : n + take] = values[at : at + take]
            self._tail_x[n : n + take] = x[at : at + take]
            self._n += take
            self.rows += take
            at += take
        return sealed

    def _seal(self) -> None:
        x, values = self._tail_x[: self._n], self._tail[: self._n].copy()
        stride = stride_of(x)
        kept = x.copy() if stride is None else None
        self._chunks.append(_Chunk(values, float(x[0]), stride, kept))
        self._n = 0

    def fold_oldest(self) -> int:
        """Fold the oldest exact chunk into the summary; return the bytes freed."""
        before = self.nbytes
        chunk = self._chunks.pop(0)
        fresh = bucketed(chunk.steps, chunk.values, FOLD)
        summary = fresh if self.summary is None else concatenated([self.summary, fresh])
        if len(summary.x) > MAX_BUCKETS:
            summary = merged(summary, 2)
        self.summary = summary
        return before - self.nbytes

    def truncate(self, step: float) -> int:
        """Drop every row after `step`; return how many went."""
        x, values = self.exact()
        keep = int(np.searchsorted(x, step, side="right"))
        if keep == 0 and self.summary is not None:
            summary = self.summary
            left = int(np.searchsorted(summary.x, step, side="right"))
            self.summary = (
                Buckets(
                    summary.x[:left],
                    summary.values[:, :left],
                    summary.counts[:left],
                    summary.marks[:left],
                )
                if left
                else None
            )
        before = self.rows
        folded = self.folded
        self._chunks, self._n, self.rows = [], 0, folded
        self.extend(x[:keep], values[:keep])
        return before - self.rows

    @property
    def foldable(self) -> int:
        """Bytes in sealed chunks."""
        return sum(c.nbytes for c in self._chunks)

    @property
    def folded(self) -> int:
        """Rows that only the summary stands for."""
        return 0 if self.summary is None else int(self.summary.counts.sum())

    @property
    def nbytes(self) -> int:
        """Bytes of all rows kept."""
        summary = 0 if self.summary is None else len(self.summary.x) * _BUCKET_BYTES
        return summary + self.foldable + self._tail.nbytes + self._tail_x.nbytes

    @property
    def last(self) -> float | None:
        """The newest value, or None when there is none."""
        if self._n:
            return float(self._tail[self._n - 1])
        if self._chunks:
            return float(self._chunks[-1].values[-1])
        return None if self.summary is None else float(self.summary.values[3, -1])

    @property
    def last_x(self) -> float | None:
        """The step of the newest value, or None when there is none."""
        if self._n:
            return float(self._tail_x[self._n - 1])
        if self._chunks:
            return float(self._chunks[-1].steps[-1])
        return None if self.summary is None else float(self.summary.x[-1])

    @property
    def range(self) -> tuple[float | None, float | None]:
        """Smallest and largest finite value, or None for both when there is none."""
        _, values = self.exact()
        parts = [values[np.isfinite(values)]]
        if self.summary is not None:
            ends = self.summary.values[:2].ravel()
            parts.append(ends[np.isfinite(ends)])
        finite = np.concatenate(parts)
        return (float(finite.min()), float(finite.max())) if len(finite) else (None, None)

    def exact(self, start: int = 0) -> tuple[Floats, NDArray[Any]]:
        """Exact rows from row number `start` (or from the end of the summary), (n,) each."""
        sealed = self.rows - self._n
        if start >= sealed:
            fresh = slice(start - sealed, self._n)
            return self._tail_x[fresh].copy(), self._tail[fresh].copy()
        skip = max(0, start - self.folded)
        xs, values = [], []
        for chunk in self._chunks:
            size = len(chunk.values)
            if skip >= size:
                skip -= size
                continue
            xs.append(chunk.steps[skip:])
            values.append(chunk.values[skip:])
            skip = 0
        xs.append(self._tail_x[skip : self._n].copy())
        values.append(self._tail[skip : self._n].copy())
        return np.concatenate(xs), np.concatenate(values)

"""Choose how a series is told in few bytes: exact where it fits, buckets where it doesn't.

Used for the page's missing rows and for the history that a reloaded page or a saved
notebook starts from. Pure functions over columns.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import numpy as np

from nbmonitor import wire
from nbmonitor.record import Tensor
from nbmonitor.series import Buckets, Column, bucketed, concatenated, merged
from nbmonitor.wire import Rows

POINT_BYTES = 4
BUCKET_BYTES = 29
RECENT = 512
BACKLOG_BYTES = 4096 * POINT_BYTES
_LEAST_BUCKETS = 16
_EVENTS = 500
# A history takes along tensors that are small, and not more of them than this together.
TENSOR_BYTES = 64_000
TENSORS_BYTES = 160_000
# So much of reels goes along, too, with what says what their frames mean; by so much a history
# may grow for it.
REEL_BYTES = 150_000
REEL_MORE = 120_000


def _summary_from(buckets: Buckets, start: int) -> tuple[int, Buckets]:
    """Return the buckets that hold any row from `start` on, with their first row."""
    ends = np.cumsum(buckets.counts)
    first = int(np.searchsorted(ends, start, side="right"))
    offset = int(ends[first - 1]) if first else 0
    rest = Buckets(
        buckets.x[first:], buckets.values[:, first:], buckets.counts[first:], buckets.marks[first:]
    )
    return offset, rest


def stretches(column: Column, series: int, start: int, budget: int) -> list[Rows]:
    """Tell the rows of a column from row `start` on in about `budget` bytes.

    Returns
    -------
    list of Rows
        Buckets for what is old or too much, then the newest rows exactly; [] when
        there are none.
    """
    if start >= column.rows:
        return []
    x, values = column.exact(start)
    if len(x) == column.rows - start and len(x) * POINT_BYTES <= budget:
        return [Rows(series, start, x, values)]
    first_exact = max(start, column.folded)
    old: list[Buckets] = []
    offset = first_exact
    if column.summary is not None and start < column.folded:
        offset, part = _summary_from(column.summary, start)
        old.append(part)
    allowed = max(_LEAST_BUCKETS, (budget - RECENT * POINT_BYTES) // BUCKET_BYTES)
    if len(x) > RECENT and (len(x) * POINT_BYTES > budget or old):
        cut = len(x) - RECENT
        size = max(1, -(-cut // allowed))
        cut -= cut % size  # buckets of one size have evenly spaced steps, which cost nothing
        old.append(bucketed(x[:cut], values[:cut], size))
        x, values, first_exact = x[cut:], values[cut:], first_exact + cut
    out: list[Rows] = []
    if old:
        all_old = concatenated(old)
        while len(all_old.x) > allowed:
            all_old = merged(all_old, -(-len(all_old.x) // allowed))
        out.append(Rows(series, offset, all_old.x, all_old.values, all_old.counts, all_old.marks))
    if len(x):
        out.append(Rows(series, first_exact, x, values))
    return out


def shares(costs: Sequence[int], budget: int) -> int:
    """Bytes that each series may take so that all together keep to `budget`.

    Series that need less than an equal share leave the rest to the others.
    """
    left, share = budget, budget
    for done, cost in enumerate(sorted(costs)):
        share = left // (len(costs) - done)
        if cost > share:
            return share
        left -= cost
    return budget


def keepsakes(
    tensors: Sequence[Tensor], always: Sequence[Tensor], generation: int
) -> tuple[list[wire.Put], list[bytes], int]:
    """Choose the tensors that a history takes along: the smallest first, then what always goes.

    Returns
    -------
    tuple
        Their messages, their bytes, and how many bytes both take.
    """
    chosen = {tensor[0] for tensor in always}
    small = [t for t in tensors if t[2].nbytes <= TENSOR_BYTES and t[0] not in chosen]
    sized = sorted(
        (each for each in _sized(small, generation) if each[0] <= TENSOR_BYTES),
        key=lambda each: each[0],
    )
    total, puts, buffers = 0, [], []
    for size, put, data in sized:
        if total + size > TENSORS_BYTES:
            break
        total += size
        puts.append(put)
        buffers.append(data)
    for size, put, data in _sized(always, generation):
        total += size
        puts.append(put)
        buffers.append(data)
    return puts, buffers, total


def _sized(tensors: Sequence[Tensor], generation: int) -> Iterator[tuple[int, wire.Put, bytes]]:
    for tensor in tensors:
        put, data = wire.put_message(*tensor, seq=0, generation=generation)
        try:
            size = len(json.dumps(put, separators=(",", ":"), allow_nan=False)) + len(data)
        except (TypeError, ValueError):  # meta that is no JSON would take the whole history along
            continue
        yield size, put, data


def everything(
    columns: Sequence[Column],
    specs: Sequence[wire.SeriesSpec],
    events: Sequence[wire.RunEvent],
    budget: int,
) -> tuple[wire.HistoryHeader, list[wire.Rows]]:
    """Whole series and the latest events, in about `budget` bytes, for `wire.pack_history`."""
    latest = list(events[-_EVENTS:])
    costs = [column.rows * POINT_BYTES for column in columns]
    share = shares(costs, budget) if costs else budget
    rows = [
        part
        for number, column in enumerate(columns)
        for part in stretches(column, number, 0, share)
    ]
    header: wire.HistoryHeader = {
        "generation": 0,
        "seq": 0,
        "declare": list(specs),
        "events": latest,
        "events_offset": len(events) - len(latest),
    }
    return header, rows

"""Answer a page that has zoomed into a stretch of which it holds buckets only.

Rows come from memory, or from the run file where memory has folded them. A stretch with many
times more rows than the chart has pixels is told in buckets as fine as those pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nbmonitor import wire
from nbmonitor.export import Points
from nbmonitor.record import Tensor
from nbmonitor.run import Run
from nbmonitor.series import bucketed

KEY = "nbmonitor/detail"
# Rows a pixel up to which every row is sent, and buckets a pixel beyond.
_ROWS, _BUCKETS = 4, 2
_LEAST_POINTS, _MOST_POINTS, _MOST_KEYS = 64, 4096, 64


def answer(run: Run, ask: wire.Detail) -> Tensor:
    """Find the rows that a page asks for.

    Returns
    -------
    Tensor
        A frame as bytes; its meta repeats the question, with `resolution` "full" when every
        row of every series is in it (or finer than the pixels), else "summary", and a `note`
        that says why.
    """
    start, end = float(ask["start"]), float(ask["end"])
    points = min(max(int(ask["points"]), _LEAST_POINTS), _MOST_POINTS)
    keys = [str(key) for key in ask["keys"]][:_MOST_KEYS]
    rows: list[wire.Rows] = []
    missing: list[str] = []
    coarse = 0
    for key, found in _stretches(run, keys, start, end):
        if found is None:
            missing.append(key)
            continue
        number, (x, values) = found
        if len(x) > points * _ROWS:
            size = -(-len(x) // (points * _BUCKETS))
            coarse = max(coarse, size)
            part = bucketed(x, values, size)
            rows.append(wire.Rows(number, 0, part.x, part.values, part.counts, part.marks))
        elif len(x):
            rows.append(wire.Rows(number, 0, x, values))
    note = f"lowest, highest and mean of every {coarse} rows" if coarse else ""
    if missing:
        note = f"no rows of {', '.join(missing)}: not in memory any more, and not in a run file"
    meta = {
        "id": str(ask["id"]),
        "keys": keys,
        "start": start,
        "end": end,
        "resolution": "summary" if missing else "full",
        "note": note,
    }
    return KEY, run.step, np.frombuffer(wire.pack_frame(rows), np.uint8), meta


def _stretches(
    run: Run, keys: Sequence[str], start: float, end: float
) -> list[tuple[str, tuple[int, Points] | None]]:
    """Rows of each series in the stretch, with its number; None for those not to be had."""
    out: dict[str, tuple[int, Points] | None] = {}
    folded: dict[str, int] = {}
    for key in keys:
        try:
            number, held = run.held(key)
        except KeyError:
            continue
        if held.buckets and start <= held.x[held.buckets - 1]:
            folded[key] = number
            out[key] = None
            continue
        inside = (held.x >= start) & (held.x <= end)  # (n,)
        out[key] = number, (held.x[inside], held.values[inside])
    if folded and run.archive is not None:
        for key, found in run.archive(list(folded), start, end).items():
            out[key] = folded[key], found
    return list(out.items())

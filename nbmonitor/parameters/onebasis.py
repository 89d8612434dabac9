"""All snapshots of a run seen in the basis of the newest, as tensors for the page.

From what the reels hold: the newest snapshot's view, and the sketches of all. It needs no model
and no kernel that trains, so that it works on a run file as well.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbmonitor.parameters import blob
from nbmonitor.parameters.blob import Part, quantise
from nbmonitor.parameters.sketch import one_basis
from nbmonitor.parameters.snapshot import SKETCH, SNAPSHOT, VIEW_BITS
from nbmonitor.parameters.unpacked import Unpacked
from nbmonitor.record import Tensor
from nbmonitor.reels import spread

KEY = "parameters/view"
# More of them than this are as good as seen, for a player goes smoothly from one to the next.
MOST = 300
CHUNK_BYTES = 2**20

Steps = Callable[[str], list[int]]
Frames = Callable[[str, int], Tensor | None]


def view_tensors(steps: Steps, frame: Frames, most: int = MOST) -> list[Tensor]:
    """Make `parameters/view/<chunk>`: each a blob of at most 1 MB with parts `view/<step>`.

    Parameters
    ----------
    steps, frame
        `run.reel_steps` and `run.frame`.
    most
        Snapshots that are told, spread evenly over those there are.

    Returns
    -------
    list
        Tensors for `run.put`; [] as long as there is no snapshot of tokens with a sketch. Their
        meta has `latest` (a file needs no older ones), `chunk`, `chunks`, `basis_step`,
        `explained`, `estimate` (whether what is told of other steps is less than exact), and
        `fit`: the share of the newest view's variance that its sketch accounts for, in [0, 1].
    """
    sketched = steps(SKETCH)
    both = sorted(set(sketched) & set(steps(SNAPSHOT)))
    if not both:
        return []
    newest = both[-1]
    about = frame(SNAPSHOT, newest)
    part = Unpacked(functools.partial(frame, SNAPSHOT)).at(newest).parts.get("tokens/view")
    if part is None or about is None:
        return []
    sketches = Unpacked(functools.partial(frame, SKETCH))
    latest = sketches.at(newest)
    values = latest.parts["tokens/sketch"].values  # (n, K)
    chosen = sorted(sketched[place] for place in spread(len(sketched))[:most])
    found = one_basis(_read(sketches, chosen), newest, part.values, values)
    width = latest.extra.get("width")
    extra = {
        "basis_step": newest,
        "explained": list(about[3].get("explained") or ()),
        "estimate": width is None or int(width) > values.shape[1],
        "fit": found.fit,
    }
    blobs = list(_blobs(newest, found.views, extra))
    return [
        (f"{KEY}/{chunk}", newest, np.frombuffer(data, np.uint8), {**extra, **_place(chunk, blobs)})
        for chunk, data in enumerate(blobs)
    ]


def _place(chunk: int, blobs: list[bytes]) -> dict[str, int]:
    return {"latest": True, "chunk": chunk, "chunks": len(blobs)}


def _read(reel: Unpacked, steps: Iterable[int]) -> Iterator[tuple[int, NDArray[Any]]]:
    for step in steps:
        try:
            yield step, reel.at(step).parts["tokens/sketch"].values
        except (KeyError, ValueError):
            continue  # a frame that memory has let go of, and no file has; or a damaged one


def _blobs(
    newest: int, views: Mapping[int, NDArray[Any]], extra: Mapping[str, Any]
) -> Iterator[bytes]:
    """Pack views, all with one scale, as many to a blob as have room before compression."""
    peak = max((float(np.nanmax(np.abs(view), initial=0.0)) for view in views.values()), default=0)
    one: Part = quantise(np.array([peak]), "int16", bits=VIEW_BITS)
    fit = max(1, CHUNK_BYTES // max(1, max(view.size for view in views.values()) * 2))
    steps = sorted(views)
    for first in range(0, len(steps), fit):
        parts = {
            f"view/{step}": quantise(views[step], "int16", one)
            for step in steps[first : first + fit]
        }
        yield blob.encode(newest, parts, extra=extra)

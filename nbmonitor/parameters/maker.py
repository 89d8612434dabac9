"""Snapshots out of what was read: projected, quantised, packed, and put into the Run.

All of it on a thread that has the time. It knows no model and decides nothing about when.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbmonitor.parameters import blob
from nbmonitor.parameters.change import CHANGE, change_header, change_meta, change_parts
from nbmonitor.parameters.coder import Coder
from nbmonitor.parameters.frequency import Frequency
from nbmonitor.parameters.moment import Moment
from nbmonitor.parameters.plan import Plan
from nbmonitor.parameters.product import product
from nbmonitor.parameters.projection import Projector, procrustes
from nbmonitor.parameters.reading import Reading
from nbmonitor.parameters.since import Since
from nbmonitor.parameters.sketch import directions, sketch
from nbmonitor.parameters.snapshot import META, SKETCH, SNAPSHOT, sketch_parts, snapshot_parts

Put = Callable[[str, int, Any, dict[str, Any]], None]
Before = Mapping[str, NDArray[Any]]


class Maker:
    """Makes the snapshots of one training, in order.

    Parameters
    ----------
    plan
        For which moments are read.
    put
        Takes a tensor: key, step, array, meta.
    count
        Snapshots that the run has already.
    before
        Views `tokens` (n, 3) and `positions` (m, 3) of the last of them, as far as there are any:
        those that follow are turned to lie near.
    since
        What moments are told against beside the one before; the first that has units becomes
        its start. None: nothing is told of a start.
    """

    def __init__(
        self,
        plan: Plan,
        put: Put,
        count: int = 0,
        before: Before | None = None,
        since: Since | None = None,
    ) -> None:
        self._plan, self._put, self._count = plan, put, count
        self._since = since
        self._before = dict(before or {})
        self._projectors = {"tokens": Projector(), "positions": Projector(seed=1)}
        self._turns: dict[str, NDArray[np.float32]] = {}
        self._coder, self._sketches = Coder(), Coder()
        self._directions: NDArray[np.float32] | None = None
        self._earlier: Reading | None = None
        self._unread: dict[int, str] | None = None
        self.stopped = False

    def make(
        self, moment: Moment, step: int, reason: str, frequency: Frequency | None, skipped: int = 0
    ) -> float:
        """Make one snapshot and its sketch; and tell what changed since the start, if it can be.

        Parameters
        ----------
        moment, step
            What was read, and when.
        reason
            Why: "begin", "cadence", "evaluation", "checkpoint" or "end".
        frequency
            Of the tokens in the batches; None where there are no tokens.
        skipped
            Snapshots that were due since the one before and were not taken.

        Returns
        -------
        float
            Seconds that were for what changed since the start.
        """
        reading = moment.host()
        since = self._since
        if since is not None and since.step is None and reading.units is not None:
            since.begin(step, reading)
        parts: dict[str, Any] = {"stats": reading.stats, "heat": reading.heat}
        explained: tuple[float, ...] = ()
        if reading.tokens is not None:
            parts["tokens"], explained = self._view("tokens", reading.tokens)
            parts["norms"], parts["moved"] = reading.norms, reading.moved(self._earlier)
            parts["since"] = since.moved(step, reading) if since is not None else None
            if frequency is not None and self._plan.vocabulary is not None:
                parts["frequency"] = frequency.shares(self._plan.vocabulary.ids)
        if reading.positions is not None:
            parts["positions"], _ = self._view("positions", reading.positions)
        about: dict[str, Any] = {"index": self._count, "reason": reason, "basis": "live"}
        about["explained"] = list(explained)
        if skipped:
            about["skipped"] = skipped
        if reading.tokens is not None and reading.estimated:
            about["moved"] = "estimate"
        if since is not None and parts.get("since") is not None:
            about["since"] = since.step
        coded = self._coder.encode(step, snapshot_parts(**parts))
        self._tell_meta(step, reading.unread)
        if reading.tokens is not None:
            self._sketch(step, reading.tokens)
        self._store(SNAPSHOT, step, coded.array, coded.meta(**about))
        self._count += 1
        spent = 0.0
        if since is not None and reading.units is not None:
            began = time.thread_time()
            self._change(step, since, reading)
            spent = time.thread_time() - began
        reading.forget()
        self._earlier = reading
        return spent

    def _change(self, step: int, since: Since, reading: Reading) -> None:
        start = since.step if since.step is not None else step
        units, similar = since.tell(step, reading)
        data = blob.encode(step, change_parts(units, similar), extra=change_header(start, similar))
        # Each stands alone: there is little in it that a difference would make smaller.
        meta = {"reel": True, "blob": blob.VERSION, "base": None, **change_meta(start)}
        self._store(CHANGE, step, np.frombuffer(data, np.uint8), meta)

    def _view(self, name: str, rows: NDArray[Any]) -> tuple[NDArray[Any], tuple[float, ...]]:
        """Return rows in three dimensions (n, 3), and the share of variance along each axis."""
        found = self._projectors[name].project(rows)
        points = found.coordinates
        before = self._before.pop(name, None)
        if before is not None and before.shape == points.shape:
            both = np.isfinite(points).all(1) & np.isfinite(before).all(1)  # (n,)
            self._turns[name] = procrustes(points[both], before[both])  # (3, 3)
        if name in self._turns:
            points = product(points, self._turns[name])  # (n, 3)
        return points, found.explained

    def _sketch(self, step: int, rows: NDArray[Any]) -> None:
        width = rows.shape[1]
        if self._directions is None or len(self._directions) != width:
            self._directions = directions(width)
        parts = sketch_parts(sketch(rows, self._directions))
        coded = self._sketches.encode(step, parts, {"width": width})
        self._store(SKETCH, step, coded.array, coded.meta(page=False))

    def _tell_meta(self, step: int, unread: dict[int, str]) -> None:
        if unread == self._unread:
            return
        self._unread = unread
        text = json.dumps(self._plan.meta(unread), ensure_ascii=False, separators=(",", ":"))
        self._store(META, step, np.frombuffer(text.encode(), np.uint8), {})

    def _store(self, key: str, step: int, array: NDArray[Any], meta: dict[str, Any]) -> None:
        # Whoever has given this up may have begun another history of the run.
        if not self.stopped:
            self._put(key, step, array, meta)

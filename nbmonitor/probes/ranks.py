"""Every process of a training in one place: pace, loss, memory, GPU; who lags, who is silent.

Runs on every rank. All report once a second, over the job's own store; rank 0 turns what it
hears into series.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from nbmonitor import ranks
from nbmonitor.probe import Context, Measured, Panel, Probe, Series, Step
from nbmonitor.rank_report import Reporter
from nbmonitor.ranks import Courier, Place
from nbmonitor.rollcall import SILENCE, RollCall


class Ranks(Probe):
    """The processes of a distributed training."""

    name = "ranks"
    every_rank = True
    cost = "two hooks, a few µs a step; about 0.5 ms a second on a thread of its own"
    series = (
        Series("rank/*/step", "step", "", "float64"),
        Series("rank/*/step_time", "step time", "s"),
        Series("rank/*/work_time", "own work a step, without waiting for others", "s"),
        Series("rank/*/loss", "loss of this rank"),
        Series("rank/*/samples_per_second", "samples/s", "samples/s"),
        Series("rank/*/process_memory", "memory of the process", "bytes"),
        Series("rank/*/gpu_memory", "VRAM used", "bytes"),
        Series("rank/*/gpu_memory_total", "VRAM", "bytes"),
        Series("rank/*/gpu_utilization", "utilisation", "%"),
        Series("rank/*/silent", "silent for", "s"),
        Series("rank/*/state", "at work, lagging, silent, ended, unheard (0–4)"),
        Series("ranks/loss_spread", "spread of losses (highest less lowest)"),
        Series("ranks/slowest", "slowest rank"),
        Series("ranks/straggler", "straggler (below 0: none)"),
        Series("ranks/slowdown", "slowest rank / median of the others"),
        Series("ranks/slowest_time", "time a step of the slowest rank", "s"),
        Series("ranks/median_time", "median of the others' time a step", "s"),
        Series("ranks/window", "window of the comparison", "s"),
        Series("ranks/window_steps", "steps in that window"),
    )
    panels = (Panel("ranks", "Ranks", "ranks", ("rank/*/*", "ranks/*"), order=220, span=12),)

    # Seconds without a report after which a rank is called silent.
    silence: float = SILENCE

    def __init__(self) -> None:
        self._place = Place()
        self._context = Context()
        self._reporter: Reporter | None = None
        self._courier: Courier | None = None
        self._roll: RollCall | None = None
        self._trainings = 0

    def absent(self, context: Context) -> str:
        """Say that one process has nobody to be compared with."""
        del context
        self._place = ranks.place()
        if self._place.world > 1:
            return ""
        return (
            "one process trains here; under torchrun, accelerate launch or notebook_launcher "
            "each process has a row"
        )

    def on_begin(self, context: Context) -> Measured | None:
        """Start the thread that reports and, on rank 0, listens."""
        self._close()
        self._context = context
        self._trainings += 1
        self._reporter = Reporter(context)
        # The same on all ranks, and another after each restart of the job.
        name = f"{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}.{self._trainings}"
        self._roll = RollCall(self._place.world, self.silence) if self._place.leads else None
        self._courier = Courier(self._place, name, self._reporter.report)
        self._courier.start()
        return None

    def derive(self, step: Step, host: Measured) -> Measured:
        """Book a step of this rank; it comes into the record with the others', in `on_tick`."""
        if host:
            return host
        if self._reporter is not None:
            self._reporter.book(step)
        return {}

    def on_tick(self) -> Measured | None:
        """Turn what rank 0 has heard into series."""
        return self._call()

    def on_end(self, step: Step) -> Measured | None:
        """Say goodbye to the others; on rank 0, take their last reports."""
        del step
        return self._close()

    def unavailable(self) -> Mapping[str, str]:
        """Say what rank 0 can't read; it is likely to be the same on the others."""
        out = {}
        if self._reporter is not None:
            reasons = self._reporter.reasons.items()
            out = {f"rank/{r}/{k}": why for r in range(self._place.world) for k, why in reasons}
        if self._courier is not None and self._courier.trouble:
            out["ranks"] = f"the other ranks can't be heard: {self._courier.trouble}"
        return out

    def _call(self, *, last: bool = False) -> Measured | None:
        if self._courier is None or self._roll is None:
            return None
        courier = self._courier
        values, news = self._roll.call(courier.heard, courier.listened, last=last)
        for kind, data in news:
            self._context.event(kind, data)
        return values

    def _close(self) -> Measured | None:
        if self._courier is None:
            return None
        self._courier.close()
        values = self._call(last=True)
        self._courier = None
        if self._reporter is not None:
            self._reporter.close()
        return values


PROBE = Ranks

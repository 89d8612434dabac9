"""What a process of a distributed training tells of itself: pace, loss, memory, GPU.

Steps are booked by whoever settles the Run; the report is made on the courier's thread.
Totals only grow, so that a report that nobody has read is no loss.
"""

from __future__ import annotations

import os
import socket
import threading
from typing import Any

from nbmonitor.devices.host import Host
from nbmonitor.devices.nvml import NoDevices, Nvml
from nbmonitor.probe import Context, Step
from nbmonitor.ranks import Report
from nbmonitor.workclock import WorkClock

GPU = {
    "memory_used": "gpu_memory",
    "memory_total": "gpu_memory_total",
    "utilization": "gpu_utilization",
}


# Seconds by which a device may be behind its host.
_PAUSE = 1.0


class Reporter:
    """The accounts of one rank.

    Parameters
    ----------
    context
        What is trained; its model and optimizer may be None.

    Attributes
    ----------
    reasons : dict
        Why a reading is missing, by its name.
    """

    def __init__(self, context: Context) -> None:
        self._lock = threading.Lock()
        self._total: Report = {
            "step": 0, "steps": 0, "seconds": 0.0, "samples": 0, "worked": 0, "work": 0.0,
        }  # fmt: skip
        self._losses: list[float] = []
        self._first = True
        self._identity = {"pid": os.getpid(), "host": socket.gethostname()}
        self._nvml: Nvml | None = None
        self._device = 0
        self.reasons: dict[str, str] = {}
        self._host: Host | None = None
        try:
            self._host = Host()
        except ImportError as error:
            self.reasons["process_memory"] = str(error)
        self._clock = WorkClock()
        model, optimizer = context.model, context.optimizer
        if model is not None and optimizer is not None:
            self._clock.watch(model, optimizer, context.wrapped, context.exchanges)
        if self._clock.obstacle:
            self.reasons["work_time"] = self._clock.obstacle
        self._find_gpu(model)

    def close(self) -> None:
        """Take the hooks away."""
        self._clock.close()

    def _find_gpu(self, model: Any) -> None:
        parameter = None if model is None else next(iter(model.parameters()), None)
        kind = "an unknown device" if parameter is None else parameter.device.type
        reason = f"the model is on {kind}, not on a GPU"
        if parameter is not None and kind == "cuda":
            self._device, reason = parameter.device.index or 0, ""
            try:
                self._nvml = Nvml()
            except NoDevices as error:
                reason = str(error)
        if reason:
            self.reasons |= dict.fromkeys(GPU.values(), reason)

    def book(self, step: Step) -> None:
        """Enter a step that has ended."""
        work = self._clock.take(step.time)
        with self._lock:
            total = self._total
            total["step"] = step.number
            if step.loss is not None:
                self._losses.append(step.loss)
            # The first step warms caches and compiles: it says nothing of the pace.
            first, self._first = self._first, False
            if first or step.duration is None:
                return
            total["steps"] += 1
            total["seconds"] += step.duration
            total["samples"] += step.samples or 0
            # Where an evaluation, a checkpoint or a viewer's pause (which is in no figure of the
            # step) lay between, the work can't be told from it.
            pure = not step.pause and not step.evaluation
            if work is not None and pure and 0 < work < step.duration + _PAUSE:
                total["worked"] += 1
                total["work"] += work

    def report(self) -> Report:
        """Say where this rank stands; `loss` is the mean since the report before."""
        out = self._identity | self._readings()
        with self._lock:
            out |= self._total
            if self._losses:
                out["loss"] = sum(self._losses) / len(self._losses)
                self._losses.clear()
        return out

    def _readings(self) -> Report:
        out: Report = {}
        if self._host is not None:
            memory = self._host.read().get("process_memory")
            if memory is not None:
                out["process_memory"] = memory
        if self._nvml is not None:
            values = self._nvml.read()
            for name, key in GPU.items():
                place = f"{self._device}/{name}"
                if place in values:
                    out[key] = values[place]
                elif place in self._nvml.reasons:
                    self.reasons[key] = self._nvml.reasons[place]
        return out

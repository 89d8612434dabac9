"""Run the probes: one guard, one order, one record.

Measurements go through an inbox, in order. What is on the host is derived into a row within
the step that made it, so that a run file can have it before the step ends; what is on its way
from a device is waited for by nobody: the next step, or whoever reads the Run, takes it up.
Rows are laid down in the Run many at a time, when somebody reads. A probe that raises is
switched off for the run and reported once, with its traceback; the training never notices.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from nbmonitor import metrics
from nbmonitor.probe import Batch, Context, Measured, Probe, Step
from nbmonitor.run import Row, Run
from nbmonitor.transfer import Transfer
from nbmonitor.wire import PanelSpec


@dataclass(slots=True)
class _Measurement:
    """What a step carries and what probes measured of it, on its way to the host."""

    step: Step
    due: list[Probe]
    measured: list[Probe]
    transfer: Transfer


@dataclass(slots=True)
class _Logged:
    """Metrics as they were logged."""

    step: Step
    metrics: Measured


@dataclass(slots=True)
class _Ready:
    """Values that are series already."""

    step: Step
    values: Measured


class Engine:
    """Probes at work on a Run.

    Parameters
    ----------
    run
        Gets the rows; its `settle` becomes this engine's.
    probes
        In the order in which they are asked.

    Raises
    ------
    TypeError
        If something given is not a `Probe`.
    ValueError
        If two probes have one name.
    """

    def __init__(self, run: Run, probes: Iterable[Any]) -> None:
        self.run = run
        self.probes: list[Probe] = []
        # Guards the inbox: rows leave it in the order in which they were measured.
        self._lock = threading.Lock()
        self._inbox: deque[_Measurement | _Logged | _Ready] = deque()
        # Guards the laying down of derived rows, which takes longer than a step may wait.
        self._laying = threading.Lock()
        self._rows: deque[Row] = deque()
        self._off: dict[str, str] = {}
        self._refused: set[str] = set()
        self._first = True
        self._batch_probes: list[Probe] = []
        self._step_probes: list[Probe] = []
        self._host_probes: list[Probe] = []
        self._log_probes: list[Probe] = []
        self._tick_probes: list[Probe] = []
        self._begun = self._cadenced = False
        names: set[str] = set()
        for probe in probes:
            if not isinstance(probe, Probe):
                msg = f"probes are nbmonitor.Probe objects; {probe!r} was given"
                raise TypeError(msg)
            if probe.name in names:
                msg = f"two probes are named {probe.name!r}; a probe's name is unique"
                raise ValueError(msg)
            names.add(probe.name)
            self.probes.append(probe)
            run.declare(probe.series)
        run.settle = self.settle

    # ------------------------------------------------------------------ the guard

    def _guarded(self, probe: Probe, hook: Callable[..., Any], *args: Any) -> Any:
        try:
            return hook(*args)
        except Exception as error:  # noqa: BLE001 - the one guard: no probe may stop a training
            self._switch_off(probe, hook.__name__, error)
            return None

    def _switch_off(self, probe: Probe, hook: str, error: Exception) -> None:
        if probe.name in self._off:
            return
        reason = f"{type(error).__name__}: {error}"
        self._off[probe.name] = f"switched off for this run: {reason}"
        self._batch_probes = [p for p in self._batch_probes if p is not probe]
        self._step_probes = [p for p in self._step_probes if p is not probe]
        self._host_probes = [p for p in self._host_probes if p is not probe]
        self._log_probes = [p for p in self._log_probes if p is not probe]
        self._tick_probes = [p for p in self._tick_probes if p is not probe]
        self.run.event(
            "probe_error",
            None,
            {
                "message": f"probe {probe.name!r} raised in {hook} and is off: {reason}",
                "probe": probe.name,
                "hook": hook,
                "traceback": "".join(traceback.format_exception(error)),
            },
        )

    def _active(self) -> list[Probe]:
        return [p for p in self.probes if p.name not in self._off]

    # ------------------------------------------------------------------ a run's life

    def assess(self, context: Context) -> None:
        """Ask every probe whether it has work here, so that panels can say so early."""
        self._off.clear()
        for probe in self.probes:
            reason = self._guarded(probe, probe.absent, context)
            if reason:
                self._off[probe.name] = reason
        self._log_probes = [p for p in self._active() if _overrides(p, "on_log")]

    def begin(self, context: Context, step: int = 0) -> None:
        """Assess, and let the probes that have work get ready for a run."""
        self._refused.clear()
        self.assess(context)
        at = Step(step, time.time(), model=context.model)
        self._measure(at, "on_begin", context)
        active = self._active()
        self._batch_probes = [p for p in active if _overrides(p, "on_batch")]
        self._step_probes = [p for p in active if _overrides(p, "on_step")]
        self._host_probes = [
            p for p in active if p not in self._step_probes and _overrides(p, "derive")
        ]
        self._tick_probes = [p for p in active if _overrides(p, "on_tick")]
        self._cadenced = any(p.every > 1 for p in self._host_probes)
        self._first = self._begun = True

    def batch(self, batch: Batch) -> None:
        """Show a micro-batch to the probes, before its forward pass."""
        for probe in self._batch_probes:
            self._guarded(probe, probe.on_batch, batch)

    def step(self, step: Step) -> None:
        """Let the probes measure after an optimiser step."""
        first, self._first = self._first, False
        measured: list[Probe] = []
        values: list[Measured] = [{"loss": step.loss, "grad_norm": step.grad_norm}]
        for probe in self._step_probes:
            if first or step.number % probe.every == 0:
                taken = self._guarded(probe, probe.on_step, step)
                if taken:
                    measured.append(probe)
                    values.append(taken)
        due = self._host_probes
        if not first and self._cadenced:
            due = [p for p in due if step.number % p.every == 0]
        self._leave(_Measurement(step, due, measured, Transfer(values)))

    def log(self, step: int, logged: Measured) -> None:
        """Take in what a Trainer or the user logged; what is not a number is noted once."""
        self._leave(_Logged(Step(step, time.time()), logged))

    def tick(self) -> None:
        """Let the probes measure in the background; called by the sampler's thread."""
        if not self._begun:
            return
        values: dict[str, float] = {}
        for probe in self._tick_probes:
            taken = self._guarded(probe, probe.on_tick)
            if taken:
                values.update(taken)
        if values:
            self._leave(_Ready(Step(self.run.step, time.time()), values))

    def end(self, step: Step) -> None:
        """Let the probes measure the end, and wait for everything to arrive."""
        self._measure(step, "on_end", step)
        self.settle(wait=True)

    def _measure(self, at: Step, hook: str, argument: Any) -> None:
        """Let all probes measure at the edge of a run."""
        taken = [(p, self._guarded(p, getattr(p, hook), argument)) for p in self._active()]
        found = [(probe, values) for probe, values in taken if values]
        if found:
            transfer = Transfer([{}, *(values for _, values in found)])
            self._leave(_Measurement(at, [], [probe for probe, _ in found], transfer))

    def _leave(self, entry: _Measurement | _Logged | _Ready) -> None:
        self._inbox.append(entry)
        self._drain()
        if not self.run.changed.is_set():
            self.run.changed.set()

    # ------------------------------------------------------------------ the inbox

    def _drain(self, *, wait: bool = False) -> None:
        """Derive the rows of what has reached the host, in order; with `wait`, of everything."""
        with self._lock:
            while self._inbox:
                entry = self._inbox[0]
                if isinstance(entry, _Measurement) and not wait and not entry.transfer.ready():
                    return
                self._inbox.popleft()
                values = self._values_of(entry)
                if values:
                    self._rows.append((entry.step.number, values, entry.step.time))

    def settle(self, *, wait: bool = False) -> None:
        """Lay down in the Run what has reached the host; with `wait`, everything."""
        if self._inbox:
            self._drain(wait=wait)
        if not self._rows:
            return
        with self._laying:
            rows = [self._rows.popleft() for _ in range(len(self._rows))]
            if rows:
                self.run.extend(rows)

    def _values_of(self, entry: _Measurement | _Logged | _Ready) -> Measured:
        if isinstance(entry, _Ready):
            return entry.values
        if isinstance(entry, _Logged):
            return self._logged(entry)
        carried, *measured = entry.transfer.host()
        step = entry.step
        step.loss, step.grad_norm = carried.get("loss"), carried.get("grad_norm")
        out: dict[str, float] = {}
        for probe in entry.due:
            self._derive(probe, step, {}, out)
        for probe, host in zip(entry.measured, measured, strict=True):
            self._derive(probe, step, host, out)
        return out

    def _derive(self, probe: Probe, step: Step, host: Measured, out: dict[str, float]) -> None:
        if probe.name in self._off:
            return
        try:
            for key, value in probe.derive(step, host).items():
                if value is not None:
                    out[key] = float(value)
        except Exception as error:  # noqa: BLE001 - as in `_guarded`, without a call more a step
            self._switch_off(probe, "derive", error)

    def _logged(self, entry: _Logged) -> Measured:
        numeric, refused = metrics.clean(entry.metrics)
        number = entry.step.number
        for key, reason in refused.items():
            if key not in self._refused:
                self._refused.add(key)
                message = f"metric {key!r} is not plotted: it is {reason}"
                self.run.event("note", number, {"message": message, "key": key})
        out: dict[str, float] = {}
        for probe in self._log_probes:
            out.update(self._guarded(probe, probe.on_log, number, numeric) or {})
        return out

    # ------------------------------------------------------------------ what viewers see

    def panels(self) -> list[PanelSpec]:
        """Panels of all probes in order; a panel without its probe says why."""
        out: list[PanelSpec] = []
        for probe in self.probes:
            absent = self._off.get(probe.name, "") or str(getattr(probe, "absence", ""))
            reasons = {} if absent else self._guarded(probe, probe.unavailable) or {}
            for panel in probe.panels:
                options = dict(panel.options)
                if reasons:
                    options["reasons"] = dict(reasons)
                out.append(
                    {
                        "id": panel.id,
                        "title": panel.title,
                        "view": panel.view,
                        "keys": list(panel.keys),
                        "tab": panel.tab,
                        "order": panel.order,
                        "span": panel.span,
                        "absent": absent,
                        "options": options,
                    }
                )
        return sorted(out, key=lambda panel: panel["order"])


def _overrides(probe: Probe, hook: str) -> bool:
    return getattr(type(probe), hook) is not getattr(Probe, hook) or hook in vars(probe)

"""Run the probes: one guard, one order, one record.

The training thread only measures and leaves the result in an inbox (`inbox.py`), from where it
becomes rows on another thread. Who is asked at which step is `timetable.py`'s matter. A probe
that raises is switched off for the run and reported once (`guard.py`); the training never notices.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from nbmonitor import metrics, panels
from nbmonitor.entries import Logged, Measurement, Ready
from nbmonitor.guard import Guard
from nbmonitor.inbox import Inbox
from nbmonitor.probe import Batch, Context, Measured, Panel, Probe, Step, overrides
from nbmonitor.record import Row
from nbmonitor.run import Run
from nbmonitor.timetable import Timetable
from nbmonitor.wire import PanelSpec

# What a step may carry and a Trainer's log repeats.
_CARRIED = ("loss", "grad_norm", "learning_rate", "epoch")


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
        self._guard = Guard(run)
        self._guard.drop = self._drop
        self._inbox = Inbox(run, self._guard)
        self.settle = self._inbox.settle
        self._table = Timetable([], self._guard)
        self._repeated: frozenset[str] = frozenset()
        self._refused: set[str] = set()
        self._batch_probes: list[Probe] = []
        self._host_probes: list[Probe] = []
        self._tick_probes: list[Probe] = []
        self._gradients: dict[str, Measured] = {}
        # Panels of what is no probe.
        self.extra_panels: list[Panel] = []
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
        self._inbox.log_probes = self._overriding("on_log")
        run.settle, run.panels = self.settle, self.panels

    @property
    def watchers(self) -> list[Callable[[Sequence[Row]], None]]:
        """Told of rows that were laid down, in order, by whatever thread settles."""
        return self._inbox.watchers

    def _drop(self, probe: Probe) -> None:
        """Ask a probe for nothing more."""
        self._table.drop(probe)
        # New lists: the old ones may be gone through just now.
        self._batch_probes = [p for p in self._batch_probes if p is not probe]
        self._host_probes = [p for p in self._host_probes if p is not probe]
        self._tick_probes = [p for p in self._tick_probes if p is not probe]
        self._inbox.log_probes = [p for p in self._inbox.log_probes if p is not probe]

    def _active(self) -> list[Probe]:
        return [p for p in self.probes if p.name not in self._guard.off]

    def _overriding(self, hook: str) -> list[Probe]:
        return [p for p in self._active() if overrides(p, hook)]

    # ------------------------------------------------------------------ a run's life

    def assess(self, context: Context) -> None:
        """Ask every probe whether it has work here, so that panels can say so early."""
        self._guard.off.clear()
        for probe in self.probes:
            reason = self._guard.call(probe, probe.absent, context)
            if reason:
                self._guard.off[probe.name] = reason
        self._inbox.log_probes = self._overriding("on_log")
        self._repeated = frozenset()

    def begin(
        self, context: Context, step: int = 0, last: Mapping[str, float] | None = None
    ) -> None:
        """Assess, and let the probes that have work get ready for a run.

        `last` is what a run that goes on from its file has come to.
        """
        self._refused.clear()
        context.event = lambda kind, data: self.run.event(kind, None, data)
        context.put, context.step = self.run.put, step
        context.wake = self._wake
        self.assess(context)
        at = Step(step, time.time(), model=context.model)
        self._measure(at, "on_begin", context)
        if last is not None:
            for probe in self._active():
                self._guard.call(probe, probe.resume, last)
        self._batch_probes = self._overriding("on_batch")
        self._tick_probes = self._overriding("on_tick")
        self._gradients.clear()
        self._table = Timetable(self._active(), self._guard)
        measuring = set(self._table.by_steps)
        self._host_probes = [p for p in self._overriding("derive") if p not in measuring]
        self._cadenced = any(p.every > 1 for p in self._host_probes)
        self._begun = True

    def _wake(self) -> None:
        self._table.alarm()

    def set_every(self, name: str, every: int) -> int:
        """Let a probe measure every `every` steps from now on; return what it was.

        Raises
        ------
        ValueError
            If no such probe measures by steps.
        """
        by_steps = {p.name: p for p in (*self._table.by_steps, *self._host_probes)}
        if name not in by_steps:
            known = ", ".join(sorted(by_steps)) or "none"
            msg = f"no probe {name!r} measures by steps here; these do: {known}"
            raise ValueError(msg)
        before = by_steps[name].set_every(every)
        self._table.alarm()
        self._cadenced = any(p.every > 1 for p in self._host_probes)
        return before

    def batch(self, batch: Batch) -> None:
        """Show a micro-batch to the probes, before its forward pass."""
        for probe in self._batch_probes:
            try:
                probe.on_batch(batch)
            except Exception as error:  # noqa: BLE001 - as in `Guard.call`, without a call more
                self._guard.switch_off(probe, "on_batch", error)

    def wants_gradients(self, number: int) -> bool:
        """Whether a probe may have to see the gradients of a step."""
        return number >= self._table.wake

    def gradients(self, step: Step) -> None:
        """Show the gradients of a step that is about to end to the probes that are due."""
        for probe in self._table.asked(step.number):
            taken = self._guard.call(probe, probe.on_gradients, step)
            if taken:
                self._gradients[probe.name] = taken

    def step(self, step: Step) -> None:
        """Let the probes measure after an optimiser step."""
        number, table = step.number, self._table
        waking, first = number >= table.wake, table.first
        asked = table.asked(number) if waking else table.steady
        measured: list[Probe] = []
        values: list[Measured] = []
        for probe in asked:
            if waking or number % probe.every == 0:
                try:
                    taken = probe.on_step(step)
                except Exception as error:  # noqa: BLE001 - as in `Guard.call`
                    self._guard.switch_off(probe, "on_step", error)
                    continue
                if taken:
                    measured.append(probe)
                    values.append(taken)
        if waking:
            table.done(number, asked)
        if first and not any(probe.hears_repeats for probe in self._inbox.log_probes):
            self._repeated = frozenset(k for k in _CARRIED if getattr(step, k) is not None)
        if self._gradients:
            self._join(measured, values)
        due = self._host_probes
        if self._cadenced and not first:
            due = [p for p in due if number % p.every == 0]
        self._inbox.leave(Measurement(step, due, measured, values))

    def _join(self, measured: list[Probe], values: list[Measured]) -> None:
        """Add what was measured of the gradients to what was measured after the step."""
        taken, self._gradients = self._gradients, {}
        for probe in self._table.by_steps:
            if probe.name not in taken:
                continue
            if probe in measured:
                at = measured.index(probe)
                values[at] = {**taken[probe.name], **values[at]}
            else:
                measured.append(probe)
                values.append(taken[probe.name])

    @property
    def evaluates(self) -> bool:
        """Whether a probe evaluates when a viewer asks for it."""
        return bool(self._overriding("on_evaluate"))

    def evaluate(self, step: Step) -> None:
        """Let the probes evaluate, because a viewer asks for it."""
        self._measure(step, "on_evaluate", step)

    def mark(self, step: Step, reason: str) -> None:
        """Let the probes measure what the loop has evaluated or saved."""
        self._measure(step, "on_mark", step, reason)

    def log(self, step: int, logged: Measured) -> None:
        """Take in what a Trainer or the user logged; what is not a number is noted once."""
        if logged.keys() <= self._repeated:
            return
        numeric, refused = metrics.clean(logged)
        for key, reason in refused.items():
            if key not in self._refused:
                self._refused.add(key)
                message = f"metric {key!r} is not plotted: it is {reason}"
                self.run.event("note", step, {"message": message, "key": key})
        if numeric:
            self._inbox.leave(Logged(Step(step, time.time()), numeric))

    def tick(self) -> None:
        """Let the probes measure in the background; called by the sampler's thread."""
        if not self._begun:
            return
        values: dict[str, float] = {}
        for probe in self._tick_probes:
            taken = self._guard.call(probe, probe.on_tick)
            if taken:
                values.update(taken)
        if values:
            numbers = {key: float(value) for key, value in values.items()}
            self._inbox.leave(Ready(Step(self.run.step, time.time()), numbers))

    def end(self, step: Step) -> None:
        """Let the probes measure the end, and wait for everything to arrive."""
        self.settle(wait=True)
        self._measure(step, "on_end", step)
        self.settle(wait=True)

    def _measure(self, at: Step, hook: str, *arguments: Any) -> None:
        """Let all probes measure at the edge of a run."""
        taken = [(p, self._guard.call(p, getattr(p, hook), *arguments)) for p in self._active()]
        found = [(probe, values) for probe, values in taken if values]
        if found:
            probes, values = zip(*found, strict=True)
            self._inbox.leave(Measurement(at, [], list(probes), list(values), edge=True))

    # ------------------------------------------------------------------ what viewers see

    def panels(self) -> list[PanelSpec]:
        """Panels of all probes in order; a panel without its probe says why."""
        out = [panels.spec(panel, "", {}) for panel in self.extra_panels]
        for probe in self.probes:
            absent = self._guard.off.get(probe.name, "") or probe.absence
            reasons = {} if absent else self._guard.call(probe, probe.unavailable) or {}
            out += [panels.spec(panel, absent, reasons) for panel in probe.panels]
        return sorted(out, key=lambda panel: panel["order"])

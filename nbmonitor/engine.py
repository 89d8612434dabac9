"""Run the probes: one guard, one order, one record.

The training thread only measures and leaves the result in an inbox; whoever reads the
Run (the flusher, `history()`) settles the inbox: values reach the host, probes derive
their series, rows are laid down. Before a step ends, what it measured is also written down
raw in the run's journal, if it has one, so that a process that dies loses nothing. A probe
that raises is switched off for the run and reported once, with its traceback; the training
never notices.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from nbmonitor import metrics, panels
from nbmonitor.entries import Entry, Logged, Measurement, Ready
from nbmonitor.probe import Batch, Context, Measured, Panel, Probe, Step
from nbmonitor.record import Journal, Row
from nbmonitor.run import Run
from nbmonitor.transfer import Transfer
from nbmonitor.wire import PanelSpec

# What a step may carry and a Trainer's log repeats.
_CARRIED = ("loss", "grad_norm", "learning_rate", "epoch")
_LISTED = [f"_{hook}_probes" for hook in ("batch", "step", "host", "log", "tick", "gradient")]


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
        # Two locks, so that no step waits for a reader: one around entering, one around settling.
        self._entering = threading.Lock()
        self._settling = threading.RLock()
        self._inbox: deque[Entry] = deque()
        self._unwritten: deque[Entry] = deque()
        self._count = 0
        self._repeated: frozenset[str] = frozenset()
        self._off: dict[str, str] = {}
        self._refused: set[str] = set()
        self._first = True
        self._batch_probes: list[Probe] = []
        self._step_probes: list[Probe] = []
        self._host_probes: list[Probe] = []
        self._log_probes: list[Probe] = []
        self._tick_probes: list[Probe] = []
        self._gradient_probes: list[Probe] = []
        self._gradients: dict[str, Measured] = {}
        # Told of rows that were laid down, in order, by whatever thread settles.
        self.watchers: list[Callable[[Sequence[Row]], None]] = []
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
        self._log_probes = self._overriding("on_log")
        run.settle, run.panels = self.settle, self.panels

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
        for name in _LISTED:  # a new list: the old one may be gone through just now
            setattr(self, name, [p for p in getattr(self, name) if p is not probe])
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

    def _overriding(self, hook: str) -> list[Probe]:
        return [p for p in self._active() if _overrides(p, hook)]

    # ------------------------------------------------------------------ a run's life

    def assess(self, context: Context) -> None:
        """Ask every probe whether it has work here, so that panels can say so early."""
        self._off.clear()
        for probe in self.probes:
            reason = self._guarded(probe, probe.absent, context)
            if reason:
                self._off[probe.name] = reason
        self._log_probes = self._overriding("on_log")
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
        self.assess(context)
        at = Step(step, time.time(), model=context.model)
        self._measure(at, "on_begin", context)
        if last is not None:
            for probe in self._active():
                self._guarded(probe, probe.resume, last)
        self._batch_probes = self._overriding("on_batch")
        self._step_probes = self._overriding("on_step")
        self._tick_probes = self._overriding("on_tick")
        self._gradient_probes = self._overriding("on_gradients")
        self._gradients.clear()
        measuring = {*self._step_probes, *self._gradient_probes}
        self._host_probes = [p for p in self._overriding("derive") if p not in measuring]
        self._cadenced = any(p.every > 1 for p in self._host_probes)
        self._first = self._begun = True

    def set_every(self, name: str, every: int) -> int:
        """Let a probe measure every `every` steps from now on; return what it was.

        Raises
        ------
        ValueError
            If no such probe measures by steps.
        """
        everyone = (*self._step_probes, *self._gradient_probes, *self._host_probes)
        by_steps = {p.name: p for p in everyone}
        if name not in by_steps:
            known = ", ".join(sorted(by_steps)) or "none"
            msg = f"no probe {name!r} measures by steps here; these do: {known}"
            raise ValueError(msg)
        probe = by_steps[name]
        before = probe.set_every(every)
        self._cadenced = any(p.every > 1 for p in self._host_probes)
        return before

    def batch(self, batch: Batch) -> None:
        """Show a micro-batch to the probes, before its forward pass."""
        for probe in self._batch_probes:
            self._guarded(probe, probe.on_batch, batch)

    def wants_gradients(self, number: int) -> bool:
        """Whether a probe has to see the gradients of a step."""
        if self._first:
            return bool(self._gradient_probes)
        for probe in self._gradient_probes:  # noqa: SIM110 - `any` costs a step three times as much
            if number % probe.every == 0:
                return True
        return False

    def gradients(self, step: Step) -> None:
        """Show the gradients of a step that is about to end to the probes that are due."""
        for probe in self._gradient_probes:
            if self._first or step.number % probe.every == 0:
                taken = self._guarded(probe, probe.on_gradients, step)
                if taken:
                    self._gradients[probe.name] = taken

    def step(self, step: Step) -> None:
        """Let the probes measure after an optimiser step."""
        first, self._first = self._first, False
        if first and not any(probe.hears_repeats for probe in self._log_probes):
            self._repeated = frozenset(k for k in _CARRIED if getattr(step, k) is not None)
        measured: list[Probe] = []
        values: list[Measured] = [{"loss": step.loss, "grad_norm": step.grad_norm}]
        for probe in self._step_probes:
            if first or step.number % probe.every == 0:
                taken = self._guarded(probe, probe.on_step, step)
                if taken:
                    measured.append(probe)
                    values.append(taken)
        if self._gradients:
            self._join(measured, values)
        due = self._host_probes
        if not first and self._cadenced:
            due = [p for p in due if step.number % p.every == 0]
        self._leave(Measurement(step, due, measured, Transfer(values)))

    def _join(self, measured: list[Probe], values: list[Measured]) -> None:
        """Add what was measured of the gradients to what was measured after the step."""
        taken, self._gradients = self._gradients, {}
        for probe in self._gradient_probes:
            if probe.name not in taken:
                continue
            if probe in measured:
                at = measured.index(probe) + 1
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
            self._leave(Logged(Step(step, time.time()), numeric))

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
            numbers = {key: float(value) for key, value in values.items()}
            self._leave(Ready(Step(self.run.step, time.time()), numbers))

    def end(self, step: Step) -> None:
        """Let the probes measure the end, and wait for everything to arrive."""
        self.settle(wait=True)
        self._measure(step, "on_end", step)
        self.settle(wait=True)

    def _measure(self, at: Step, hook: str, *arguments: Any) -> None:
        """Let all probes measure at the edge of a run."""
        taken = [(p, self._guarded(p, getattr(p, hook), *arguments)) for p in self._active()]
        found = [(probe, values) for probe, values in taken if values]
        if found:
            transfer = Transfer([{}, *(values for _, values in found)])
            self._leave(Measurement(at, [], [probe for probe, _ in found], transfer, edge=True))

    def _leave(self, entry: Entry) -> None:
        with self._entering:
            self._count += 1
            entry.seq = self._count
            self._inbox.append(entry)
            journal = self.run.journal
            if journal is not None:
                if self._unwritten or not entry.ready():
                    self._unwritten.append(entry)
                    self._write_down()
                else:
                    _note_down(journal, entry)
        if not self.run.changed.is_set():
            self.run.changed.set()

    # ------------------------------------------------------------------ the inbox

    def _write_down(self) -> None:
        """Put into the journal what has reached the host, in order; called while entering."""
        journal = self.run.journal
        while self._unwritten and self._unwritten[0].ready():
            entry = self._unwritten.popleft()
            if journal is not None:
                _note_down(journal, entry)

    def settle(self, *, wait: bool = False) -> None:
        """Lay down in the Run what has reached the host, in order; with `wait`, everything."""
        if self._unwritten:
            with self._entering:
                self._write_down()
        if not self._inbox and not wait:
            return
        with self._settling:
            rows: list[Row] = []
            upto = 0
            while self._inbox and (wait or self._inbox[0].ready()):
                entry = self._inbox.popleft()
                upto = entry.seq
                values = self._values_of(entry)
                if values:
                    rows.append((entry.step.number, values, entry.step.time))
            if rows:
                self.run.extend(rows)
            if upto and self.run.journal is not None:
                self.run.journal.take(rows, upto)
            if rows:
                for watcher in list(self.watchers):
                    self._tell(watcher, rows)

    def _tell(self, watcher: Callable[[Sequence[Row]], None], rows: Sequence[Row]) -> None:
        try:
            watcher(rows)
        except Exception as error:  # noqa: BLE001 - as in `_guarded`
            self.watchers.remove(watcher)
            name = getattr(watcher, "__qualname__", repr(watcher))
            reason = f"{type(error).__name__}: {error}"
            data = {
                "message": f"{name} raised and is off: {reason}",
                "probe": name,
                "hook": "watch",
                "traceback": "".join(traceback.format_exception(error)),
            }
            self.run.event("probe_error", None, data)

    def _values_of(self, entry: Entry) -> dict[str, float]:
        if isinstance(entry, Ready):
            return entry.values
        out: dict[str, float] = {}
        step = entry.step
        if isinstance(entry, Logged):
            for probe in self._log_probes:
                out.update(self._guarded(probe, probe.on_log, step.number, entry.metrics) or {})
            return out
        carried, *measured = entry.host()
        step.loss, step.grad_norm = carried.get("loss"), carried.get("grad_norm")
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

    # ------------------------------------------------------------------ what viewers see

    def panels(self) -> list[PanelSpec]:
        """Panels of all probes in order; a panel without its probe says why."""
        out = [panels.spec(panel, "", {}) for panel in self.extra_panels]
        for probe in self.probes:
            absent = self._off.get(probe.name, "") or probe.absence
            reasons = {} if absent else self._guarded(probe, probe.unavailable) or {}
            out += [panels.spec(panel, absent, reasons) for panel in probe.panels]
        return sorted(out, key=lambda panel: panel["order"])


def _overrides(probe: Probe, hook: str) -> bool:
    return getattr(type(probe), hook) is not getattr(Probe, hook) or hook in vars(probe)


def _note_down(journal: Journal, entry: Entry) -> None:
    try:
        payload = entry.payload()
    except Exception:  # noqa: BLE001 - `derive` meets the same value, and says so
        return
    journal.entry(entry.seq, payload)

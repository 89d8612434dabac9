"""A run whose process was killed: what its journal still holds becomes rows of its file.

The journal has measurements as they were taken. The probes that come with nbmonitor derive
them as they would have done; those of a user's own probes are not known here, and the file
says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nbmonitor import probes, wire
from nbmonitor.engine import Engine
from nbmonitor.probe import Context, Probe, Step, overrides
from nbmonitor.record import Row
from nbmonitor.run import Run
from nbmonitor.runfile import journal, reader
from nbmonitor.runfile.reader import ACTIVE, RunFile
from nbmonitor.runfile.recorder import Recorder

Payload = tuple[Any, ...]


class Deriver:
    """The probes at work on what was measured before.

    Parameters
    ----------
    probes
        As the engine asks them.
    context
        What is known of the run; without its model.
    last
        By key, the step and the value of the newest row of each series.

    Attributes
    ----------
    unknown : set of str
        Names of probes whose measurements nobody here can derive.
    """

    def __init__(
        self, probes: Iterable[Probe], context: Context, last: Mapping[str, tuple[int, float]]
    ) -> None:
        self._probes = [p for p in probes if overrides(p, "derive") or overrides(p, "on_log")]
        self._named = {p.name: p for p in self._probes}
        self._host = [
            p
            for p in self._probes
            if overrides(p, "derive")
            and not (overrides(p, "on_step") or overrides(p, "on_gradients"))
        ]
        self._last = last
        self._stepped = False
        self.unknown: set[str] = set()
        values = {key: value for key, (_, value) in last.items()}
        for probe in self._probes:
            if not self._try(probe.absent, context):
                self._try(probe.on_begin, context)
                self._try(probe.resume, values)

    @staticmethod
    def _try(hook: Callable[..., Any], *args: Any) -> Any:
        try:
            return hook(*args)
        except Exception:  # noqa: BLE001 - a probe that fails costs its own series, never the run
            return None

    def row(self, payload: Payload) -> Row | None:
        """Derive the row of a journal entry; None if it yields nothing."""
        kind, number, time = payload[0], int(payload[1]), float(payload[2])
        values: dict[str, float] = {}
        if kind == "ready":
            values = dict(payload[3])
        elif kind == "log":
            values = self._logged(number, payload[3])
        elif kind in {"step", "edge"}:
            carried = payload[3:-1]
            step = Step(number, time, *_step_arguments(carried)) if carried else Step(number, time)
            if kind == "step":
                self._stepped = True
                for probe in self._host:
                    if number % probe.every == 0:
                        self._derive(probe, step, {}, values)
            for name, measured in payload[-1].items():
                if name not in self._named:
                    self.unknown.add(name)
                    continue
                host = {key: _array(value) for key, value in measured.items()}
                self._derive(self._named[name], step, host, values)
        return (number, values, time) if values else None

    def _derive(
        self, probe: Probe, step: Step, host: Mapping[str, Any], out: dict[str, float]
    ) -> None:
        for key, value in (self._try(probe.derive, step, host) or {}).items():
            if value is not None:
                out[key] = float(value)

    def _logged(self, number: int, metrics: Mapping[str, float]) -> dict[str, float]:
        out: dict[str, float] = {}
        for probe in self._probes:
            if overrides(probe, "on_log"):
                out.update(self._try(probe.on_log, number, metrics) or {})
        if self._stepped:
            return out
        # A probe that begins here doesn't know what its step, already in the file, has measured.
        return {key: v for key, v in out.items() if self._last.get(key, (-1,))[0] != number}


def _step_arguments(carried: Payload) -> Payload:
    """Put what a `step` entry carries in the order of `Step`; the model stays unknown."""
    duration, *rest = carried
    return (duration, None, *rest)


def _array(value: Any) -> Any:
    """Numbers in a list as the array that they were."""
    if not isinstance(value, list):
        return value
    try:
        array = np.asarray(value)
    except ValueError:  # lists of several lengths
        return value
    return array if array.dtype.kind in "biuf" else value


def recover(path: str | Path) -> bool:
    """Complete the file of a run whose process has died.

    Returns
    -------
    bool
        Whether the file is complete now; False while a process writes it, or where it can't
        be written.

    Raises
    ------
    FileNotFoundError, RunFileError
        If it can't be read.
    """
    path = Path(path)
    left = _left_at(path)
    if left is None:
        return False
    if left.empty and not left.active:
        return True
    run = Run()
    cursor = reader.load(run, path)
    known = len(run.events())
    recorder = Recorder.reopen(run, path, lambda: cursor.panels or _panels())
    if len(run.events()) > known:  # it has told why it can't write
        if recorder.is_open:  # otherwise it has nothing to let go of
            recorder.close()
        return False
    run.journal = recorder
    left.replay(run)
    if left.active:
        _end(run, left.time)
    recorder.close()
    with RunFile(path) as file:
        return str(file.meta.get("status") or "waiting") not in ACTIVE


def complete(run: Run, path: str | Path) -> bool:
    """Add to a Run, in memory, what the file of a dead process lacks and could not be given.

    Returns
    -------
    bool
        Whether there was anything to add.
    """
    left = _left_at(Path(path))
    if left is None or (left.empty and not left.active):
        return False
    left.replay(run)
    if left.active:
        _end(run, left.time)
    return True


def _left_at(path: Path) -> _Left | None:
    """Find what a dead process has left; None while one lives."""
    # The journal first: what has left it by then is in the database.
    records = journal.read(path)
    with RunFile(path) as file:
        return None if file.alive else _Left(records, file)


def _panels() -> list[wire.PanelSpec]:
    """Panels of the probes that come with nbmonitor, for a file that got none yet."""
    return Engine(Run(), probes.discover()).panels()


class _Left:
    """What a journal has and its database lacks."""

    def __init__(self, records: journal.Records, file: RunFile) -> None:
        meta = file.meta
        folded, events = int(meta.get("folded_seq") or 0), len(file.events())
        self._entries = [(seq, payload) for seq, payload in records.entries if seq > folded]
        self._events = [(index, event) for index, event in records.events if index >= events]
        # Those before were followed; the last one may be, and then does nothing more.
        self._rewinds = [(seq, step) for seq, step in records.rewinds if seq >= folded]
        times = [float(payload[2]) for _, payload in self._entries]
        times += [float(event["time"]) for _, event in self._events]
        self.time = max([float(meta.get("updated") or 0.0), *times])
        self.active = str(meta.get("status") or "waiting") in ACTIVE

    @property
    def empty(self) -> bool:
        return not self._entries and not self._events

    def replay(self, run: Run) -> None:
        """Derive the rows and lay them down, in the Run and in its journal, if it has one."""
        last = {
            key: (int(s["step"]), float(s["last"]))
            for key, s in run.summary()["series"].items()
            if s["step"] is not None
        }
        context = Context(total_steps=run.total_steps or None, config=run.config)
        deriver = Deriver(probes.discover(), context, last)
        run.lay_events(event for _, event in self._events)
        rewinds = list(self._rewinds)
        rows: list[Row] = []
        for seq, payload in self._entries:
            while rewinds and rewinds[0][0] < seq:
                _lay(run, rows)
                rows = []
                run.rewind(rewinds.pop(0)[1])
            row = deriver.row(payload)
            if row is not None:
                rows.append(row)
        _lay(run, rows)
        for _, step in rewinds:
            run.rewind(step)
        if deriver.unknown:
            names = ", ".join(sorted(deriver.unknown))
            message = (
                f"the last measurements of {names} are lost: only the process that was killed "
                "could make series of them"
            )
            run.event("note", None, {"message": message}, time=self.time)


def _lay(run: Run, rows: list[Row]) -> None:
    columns: dict[str, list[tuple[int, float]]] = {}
    noted = {(e["data"].get("key"), e["step"]) for e in run.events("nonfinite")}
    for step, values, time in rows:
        for key, value in values.items():
            columns.setdefault(key, []).append((step, value))
            if not math.isfinite(value) and (key, step) not in noted:
                message = f"{key} is {value} at step {step}"
                data = {"key": key, "value": str(value), "message": message}
                run.event("nonfinite", step, data, time=time)
    for key, points in columns.items():
        steps, values_of = np.array(points, np.float64).T
        run.lay(key, steps, values_of)
    if rows and run.journal is not None:
        # A recorder's own numbers begin behind those that a journal before it has left.
        run.journal.take(rows, 0)


def _end(run: Run, time: float) -> None:
    """Say what became of the run."""
    run.status, run.status_detail = "interrupted", ""
    run.status_message = f"kernel lost at step {run.step}; its data are safe in {run.path}"
    run.ended = time
    data = {"status": run.status, "message": f"{run.status}: {run.status_message}"}
    run.event("status", None, data, time=time)

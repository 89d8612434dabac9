"""The rules at work on a Run: which looks at what and when, and what becomes of findings.

Told of rows by the engine, on whatever thread settles and never while a step waits. Decides
by counts of rows alone, so that the same rows give the same alerts however they are bundled.
Writes events of kind `alert` and `phase`, and knows no page.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from nbmonitor.engine import Engine
from nbmonitor.lookback import KEEP, Lookback, Track, fits
from nbmonitor.phases import Phases
from nbmonitor.probe import Panel
from nbmonitor.record import Row
from nbmonitor.rule import SEVERITIES, Finding, Rule
from nbmonitor.rules import discover
from nbmonitor.run import Run

PANEL = Panel(
    "alerts", "Alerts", "alerts", (), tab="quality", order=20, span=12,
    options={"empty": "nothing found so far: what the rules watch is in docs/rules.md"},
)  # fmt: skip
_PLANS = 512
_NEVER = 2**62


@dataclass(slots=True)
class _Standing:
    """An alert that is open: its gravity, and how many looks have not found it since."""

    finding: Finding | None
    gravity: int
    quiet: int = 0


@dataclass(slots=True, eq=False)
class _Desk:
    """One rule and its open alerts; `look` is what is called when enough rows are new."""

    name: str
    keys: tuple[str, ...]
    also: tuple[str, ...]
    keep: int
    every: int
    look: Callable[[_Desk], None]
    rule: Rule | None = None
    fresh: int = 0
    standing: dict[str, _Standing] = field(default_factory=dict)
    rest_until: dict[str, int] = field(default_factory=dict)
    rests: dict[str, int] = field(default_factory=dict)

    def room(self, seen: Lookback, columns: Mapping[str, Sequence[float]], at: int) -> int:
        """At which of the rows that come next it has to look, 1 being the next one."""
        if self.every == 1 and self.rule is not None and not self.standing:
            return 1 + max(0, self.rule.skips(seen, columns, at))
        return max(1, self.every - self.fresh)


@dataclass(slots=True)
class _Plan:
    """What to do with rows of one set of keys."""

    tracks: list[tuple[str, Track]]
    desks: list[_Desk]


class Rulebook:
    """All rules, and the phases, of one Run.

    Parameters
    ----------
    run
        Gets the events.
    rules
        The user's own, beside those of `nbmonitor/rules/`.

    Raises
    ------
    TypeError
        If something given is not a `Rule`.
    ValueError
        If two rules have one name.
    """

    def __init__(self, run: Run, rules: Iterable[Any] = ()) -> None:
        self._run = run
        self.rules: list[Rule] = []
        for rule in (*discover(), *rules):
            if not isinstance(rule, Rule):
                msg = f"rules are nbmonitor.Rule objects; {rule!r} was given"
                raise TypeError(msg)
            if any(other.name == rule.name for other in self.rules):
                msg = f"two rules are named {rule.name!r}; a rule's name is unique"
                raise ValueError(msg)
            self.rules.append(rule)
        self._phases = Phases()
        self._desks: list[_Desk] = []
        self._plans: dict[tuple[str, ...], _Plan] = {}
        self._interest: dict[str, tuple[Track | None, list[_Desk]]] = {}
        self._seen = Lookback()
        self._begun: tuple[int, float | None] | None = None

    def attach(self, engine: Engine) -> None:
        """Hear of the engine's rows from now on, and have the alerts shown."""
        engine.watchers.append(self.watch)
        engine.extra_panels.append(PANEL)

    def watch(self, rows: Sequence[Row]) -> None:
        """Take rows that were laid down; look where enough are new."""
        run, seen = self._run, self._seen
        if (run.generation, run.started) != self._begun:
            self._begin()
            seen = self._seen
        seen.status, seen.config, seen.total_steps = run.status, run.config, run.total_steps
        at = 0
        while at < len(rows):
            keys = tuple(rows[at][1])
            end = at + 1
            while end < len(rows) and tuple(rows[end][1]) == keys:
                end += 1
            self._take(keys, rows[at:end])
            at = end

    def _take(self, keys: tuple[str, ...], rows: Sequence[Row]) -> None:
        """Take rows of one set of keys; what rules see is the same as row by row."""
        plan = self._plans.get(keys) or self._plan(keys)
        steps, values, times = zip(*rows, strict=True)
        columns = {key: [row[key] for row in values] for key, _ in plan.tracks}
        at = 0
        while at < len(rows):
            # Together as far as nobody looks between.
            calls = [
                (desk, self._guarded(desk, desk.room, self._seen, columns, at) or _NEVER)
                for desk in plan.desks
            ]
            end = min(len(rows), at + min((room for _, room in calls), default=len(rows)))
            self._seen.step = max(self._seen.step, *steps[at:end])
            self._seen.time = times[end - 1]
            for key, track in plan.tracks:
                part = zip(steps[at:end], columns[key][at:end], times[at:end], strict=True)
                track.extend([*part])
            for desk, room in calls:
                desk.fresh += end - at
                if at + room <= end:
                    desk.fresh = 0
                    desk.look(desk)
            at = end

    # ------------------------------------------------------------------ a run's begin

    def _begin(self) -> None:
        """Start over: another run, or one that goes on from an earlier step."""
        run = self._run
        self._begun = (run.generation, run.started)
        self._plans.clear()
        self._interest.clear()
        self._seen = Lookback(config=run.config, meta=self._meta)
        phases = self._phases
        self._desks = [
            _Desk(r.name, r.keys, r.also, r.keep, r.every, self._look, r) for r in self.rules
        ]
        self._desks.append(
            _Desk("phases", phases.keys, phases.also, KEEP, phases.every, self._look_at_phase)
        )
        phase = ""
        by_name = {desk.name: desk for desk in self._desks}
        # What a run's earlier part left open stands until a rule finds it gone.
        for event in run.events_since(0):
            data = event["data"]
            if event["kind"] == "phase":
                phase = str(data.get("name", ""))
            desk = by_name.get(str(data.get("rule"))) if event["kind"] == "alert" else None
            if desk is None or desk.rule is None:
                continue
            if data["state"] == "cleared":
                desk.standing.pop(data["id"], None)
            else:
                gravity = SEVERITIES.index(data["severity"])
                desk.standing[data["id"]] = _Standing(_again(data), gravity)
        for desk in self._desks:
            if desk.rule is not None:
                desk.rule.opened = frozenset(desk.standing)
                self._guarded(desk, desk.rule.begin, self._seen)
        phases.begin(phase)

    def _meta(self, key: str) -> Mapping[str, Any] | None:
        found = self._run.tensor(key)
        return None if found is None else found[3]

    def _plan(self, keys: tuple[str, ...]) -> _Plan:
        if len(self._plans) >= _PLANS:
            self._plans.clear()
        plan = _Plan([], [])
        for key in keys:
            track, woken = self._interest.get(key) or self._find_interest(key)
            if track is not None:
                plan.tracks.append((key, track))
            plan.desks += [desk for desk in woken if desk not in plan.desks]
        self._plans[keys] = plan
        return plan

    def _find_interest(self, key: str) -> tuple[Track | None, list[_Desk]]:
        """Tell who is woken by rows of a series, and where they are kept if anyone reads them."""
        woken = [d for d in self._desks if any(fits(key, p) for p in d.keys)]
        read = [*woken, *(d for d in self._desks if any(fits(key, p) for p in d.also))]
        tracks = self._seen.tracks
        if read and key not in tracks:
            tracks[key] = Track(max(desk.keep for desk in read))
        self._interest[key] = found = (tracks[key] if read else None, woken)
        return found

    # ------------------------------------------------------------------ looks

    def _guarded(self, desk: _Desk, work: Callable[..., Any], *args: Any) -> Any:
        try:
            return work(*args)
        except Exception as error:  # noqa: BLE001 - as the engine's guard: one rule ends no other
            self._desks = [other for other in self._desks if other is not desk]
            self._plans.clear()
            self._interest.clear()
            desk.every = _NEVER  # also in the plan that is being worked through
            reason = f"{type(error).__name__}: {error}"
            data = {
                "message": f"rule {desk.name!r} raised and is off for this run: {reason}",
                "rule": desk.name,
                "traceback": "".join(traceback.format_exception(error)),
            }
            self._run.event("probe_error", None, data)
            return None

    def _look(self, desk: _Desk) -> None:
        found = self._guarded(desk, _findings, desk.rule, self._seen)
        if found or desk.standing:
            self._judge(desk, found or {})

    def _judge(self, desk: _Desk, found: Mapping[str, Finding]) -> None:
        step, rule = self._seen.step, desk.rule
        if rule is None:
            return
        for name, finding in found.items():
            gravity = SEVERITIES.index(finding.severity)
            standing = desk.standing.get(name)
            if standing is None:
                if step < desk.rest_until.get(name, 0):
                    continue
                desk.standing[name] = _Standing(finding, gravity)
                self._tell("raised", finding)
            else:
                standing.quiet, standing.finding = 0, finding
                if gravity > standing.gravity:
                    standing.gravity = gravity
                    self._tell("raised", finding)
        for name, standing in list(desk.standing.items()):
            if name in found:
                continue
            standing.quiet += 1
            if standing.quiet >= rule.calm:
                del desk.standing[name]
                rest = desk.rests.get(name, rule.rest)
                desk.rests[name], desk.rest_until[name] = 2 * rest, step + rest
                if standing.finding is not None:
                    self._tell("cleared", standing.finding)
        rule.opened = frozenset(desk.standing)

    def _tell(self, state: str, finding: Finding) -> None:
        data = {**asdict(finding), "window": list(finding.window), "state": state}
        if state == "cleared":
            data["message"] = f"{finding.title}: no longer found at step {self._seen.step}"
            data["action"] = ""
        self._run.event("alert", self._seen.step, data)

    def _look_at_phase(self, desk: _Desk) -> None:
        phase = self._guarded(desk, self._phases.look, self._seen)
        if phase is not None:
            data = {
                "name": phase.name,
                "from": phase.start,
                "message": phase.message,
                "confidence": phase.confidence,
            }
            self._run.event("phase", self._seen.step, data)


def _findings(rule: Rule, seen: Lookback) -> dict[str, Finding]:
    return {finding.id: finding for finding in rule.look(seen)}


def _again(data: Mapping[str, Any]) -> Finding:
    """Make the finding of an alert that was recorded before."""
    known = {name: data.get(name) for name in Finding.__dataclass_fields__}
    start, end = data.get("window") or (0, 0)
    known["window"] = (int(start), int(end))
    return Finding(**known)  # type: ignore[arg-type]

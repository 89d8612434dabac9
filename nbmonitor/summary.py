"""What came of a run: as data, and as Markdown for a report, a pull request, a model card.

The third base of `Run`. What a sentence rests on is `evidence.py`'s matter, what it says
`verdict.py`'s.
"""

from __future__ import annotations

import time as clock
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbmonitor.intervals import wilson
from nbmonitor.record import Tensor


class Summarised(ABC):
    """Base of `Run`."""

    config: dict[str, Any]
    status: str
    status_message: str
    step: int
    total_steps: int
    started: float | None
    ended: float | None

    @property
    @abstractmethod
    def keys(self) -> list[str]:
        """Keys of all series that hold a row."""

    @abstractmethod
    def points(self, key: str) -> tuple[NDArray[np.float64], NDArray[Any]]:
        """Return steps and values of a series."""

    @abstractmethod
    def tensor(self, key: str) -> Tensor | None:
        """Return the latest tensor of that key."""

    @abstractmethod
    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Events in order."""

    @abstractmethod
    def spans(self) -> dict[str, dict[str, Any]]:
        """Last, minimum and maximum of every series."""

    def summary(self) -> dict[str, Any]:
        """Where the run stands.

        Returns
        -------
        dict
            `name`, `status`, `message`, `step`, `total_steps` (None if unknown), `seconds`
            (None before the start), `series` (by key: `last`, its `step`, `min`, `max`, `rows`,
            `unit`), `events` (their number), and what judges the run: `verdict` (`text`,
            `action`, `clauses`, `step`, `final`), `fixed_eval` (None without one), `patterns`
            (by name: `seen`, `correct`, `exact_match`, `low`, `high`), `adapters`, `phases`
            (`name`, `from`, `message`), `alerts` (data of those that are open), `checkpoints`.
        """
        # Here, because importing nbmonitor needs neither.
        from nbmonitor import evidence, verdict

        series = self.spans()
        found = evidence.gather(self)
        now = self.ended or clock.time()
        return {
            "name": self.config.get("name", ""),
            "status": self.status,
            "message": self.status_message,
            "step": self.step,
            "total_steps": self.total_steps or None,
            "seconds": None if self.started is None else now - self.started,
            "series": series,
            "events": len(self.events()),
            "verdict": verdict.compose(found),
            "fixed_eval": found.fixed,
            "patterns": _patterns(found.patterns),
            "adapters": list((found.adapters or {}).get("adapters", ())),
            "phases": [event["data"] for event in self.events("phase")],
            "alerts": list(found.alerts),
            "checkpoints": [name for name, _ in found.saved],
        }

    def summary_markdown(self) -> str:
        """Tell the run in Markdown: verdict, fixed set, patterns, adapters, phases, alerts, series.

        What was not measured is left out.
        """
        return markdown(self.summary())


def _patterns(meta: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
    """What the heatmap's rows come to, by the name of the pattern."""
    out = {}
    if meta is not None:
        for name, row in zip(meta.get("patterns", ()), meta.get("rows", ()), strict=False):
            seen, correct = int(row["seen"]), int(row["correct"])
            low, high = wilson(correct, seen)
            out[str(name)] = {
                "seen": seen,
                "correct": correct,
                "exact_match": correct / seen if seen else None,
                "low": low if seen else None,
                "high": high if seen else None,
            }
    return out


# ---------------------------------------------------------------------- Markdown


def markdown(summary: dict[str, Any]) -> str:
    """Tell a `summary()` in Markdown."""
    parts = [
        f"# {_cell(summary['name'] or 'Training run')}",
        _standing(summary),
        _verdict(summary["verdict"]),
        _fixed(summary["fixed_eval"]),
        _section("Patterns", _pattern_table(summary["patterns"])),
        _section("Adapters", _bullets(_adapter(a) for a in summary["adapters"])),
        _section("Phases", _bullets(_phase(p) for p in summary["phases"])),
        _section("Open alerts", _bullets(_alert(a) for a in summary["alerts"])),
        _section("Checkpoints", _bullets(summary["checkpoints"])),
        _section("Series", _series_table(summary["series"])),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _cell(value: object) -> str:
    """Text that may stand in a table."""
    return " ".join(str(value).split()).replace("|", "\\|")


def _number(value: float | None, unit: str = "") -> str:
    if value is None:
        return "–"
    if unit == "bytes":
        return f"{value / 2**30:.2f} GiB"
    shown = f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.4g}"
    return f"{shown} {unit}" if unit and unit != "ratio" else shown


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _interval(row: dict[str, Any]) -> str:
    low, high = row.get("low"), row.get("high")
    return "–" if low is None or high is None else f"{100 * low:.1f}-{100 * high:.1f} %"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [" | ".join(map(_cell, row)) for row in rows]
    if not lines:
        return ""
    rule = " | ".join(["---"] + ["---:"] * (len(head) - 1))
    return "\n".join(f"| {line} |" for line in (" | ".join(head), rule, *lines))


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}" if body else ""


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _standing(summary: dict[str, Any]) -> str:
    total = summary["total_steps"]
    of = f" of {total:,}" if total else ""
    parts = [f"**{summary['status']}** at step {summary['step']:,}{of}"]
    if summary["seconds"] is not None:
        minutes, seconds = divmod(round(summary["seconds"]), 60)
        hours, minutes = divmod(minutes, 60)
        parts.append(f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s")
    if summary["message"]:
        parts.append(_cell(summary["message"]))
    return " · ".join(parts)


def _verdict(found: dict[str, Any]) -> str:
    said = " ".join(clause["text"] for clause in found["clauses"])
    if not said:
        return ""
    action = f"\n\n**→ {found['action']}**" if found["action"] else ""
    return f"## Verdict\n\n{said}{action}"


def _fixed(state: dict[str, Any] | None) -> str:
    if state is None:
        return ""
    best = state.get("best") or {}
    trends = state.get("trend") or {}
    heading = (trends.get("exact_match") or trends.get("cross_entropy") or {}).get("state", "–")
    rows = [
        ("exact match", _share(state.get("exact_match"))),
        ("95 % interval", _interval(state)),
        ("examples", _number(state.get("n"))),
        ("cross-entropy", _number(state.get("cross_entropy"))),
        ("ECE", _number(state.get("ece"))),
        ("trend", str(heading)),
        ("best step", _number(best.get("step"))),
        ("best checkpoint", str(best.get("checkpoint") or "–")),
    ]
    return _section("Fixed evaluation set", _table(("", f"step {state['step']:,}"), rows))


def _pattern_table(patterns: dict[str, dict[str, Any]]) -> str:
    return _table(
        ("pattern", "examples", "correct", "EM", "95 % interval"),
        (
            (
                name,
                str(row["seen"]),
                str(row["correct"]),
                _share(row["exact_match"]),
                _interval(row),
            )
            for name, row in patterns.items()
            if row["seen"]
        ),
    )


def _adapter(adapter: dict[str, Any]) -> str:
    found = adapter.get("verdict") or {}
    reasons = "; ".join(str(r.get("title", "")) for r in found.get("reasons") or ())
    name = _cell(adapter.get("name", "adapter"))
    return f"**{name}**: {found.get('state', '–')}{f' ({_cell(reasons)})' if reasons else ''}"


def _phase(phase: dict[str, Any]) -> str:
    since = phase.get("from")
    at = f" from step {since:,}" if isinstance(since, int) else ""
    return f"**{phase.get('name')}**{at}: {_cell(phase.get('message', ''))}"


def _alert(alert: dict[str, Any]) -> str:
    action = f" *{_cell(alert['action'])}*" if alert.get("action") else ""
    said = f"{_cell(alert.get('title', ''))}: {_cell(alert.get('message', ''))}"
    return f"**{alert.get('severity')}** · {said}{action}"


def _series_table(series: dict[str, dict[str, Any]]) -> str:
    return _table(
        ("series", "last", "min", "max", "rows"),
        (
            (
                key,
                *(_number(row[name], row["unit"]) for name in ("last", "min", "max")),
                f"{row['rows']:,}",
            )
            for key, row in series.items()
        ),
    )

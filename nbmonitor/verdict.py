"""The verdict on a run: one paragraph composed from evidence, and what to do.

Every sentence names a panel that shows what it rests on, and nothing is said that was not
measured. It knows the shapes of the evidence (`Evidence`), and neither a Run nor a probe.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nbmonitor.intervals import wilson
from nbmonitor.probe import Panel
from nbmonitor.record import ENDED

KEY = "quality/verdict"
PANEL = Panel(
    "verdict", "Verdict", "verdict", (KEY,), tab="quality", order=10, span=12,
    options={"empty": "nothing was measured yet that a verdict could rest on"},
)  # fmt: skip

# Of fewer examples nothing is said.
_EXAMPLES = 5
_WEAK, _CRITICAL, _WARNINGS = 3, 2, 2
# More than this to do is read by nobody; warnings add to it only where there is next to nothing.
_ACTIONS, _FEW = 3, 2
# Where the first clause of an action ends, and where the next of several alternatives begins.
_CLAUSE, _ALTERNATIVE = re.compile(r"[,;:(]"), re.compile(r" \(|; |, (?=or )")
# Rules whose findings the sentences on fixed set, calibration and adapters tell already.
_TOLD = {
    "fixed_plateau": "fixed",
    "calibration_drift": "calibration",
    "adapter": "adapters",
}


@dataclass(frozen=True, slots=True)
class Course:
    """How a loss went: the median of its first and of its newest values, its least, and where."""

    first: float
    last: float
    least: float
    least_step: int
    rows: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a verdict may rest on; whatever was not measured is None or empty.

    Attributes
    ----------
    status, message, step, total_steps
        Of the Run.
    fixed, patterns, adapters
        Meta of the tensors `fixed_eval/state`, `fixed_eval/patterns`, `lora/truth`.
    alerts
        Data of the alerts that are open, the latest last.
    phase
        Data of the last event `phase`.
    loss, evaluation
        Course of the training loss and of the Trainer's own evaluation loss.
    saved
        Name and step of every checkpoint that was saved.
    """

    status: str = "waiting"
    message: str = ""
    step: int = 0
    total_steps: int = 0
    fixed: Mapping[str, Any] | None = None
    patterns: Mapping[str, Any] | None = None
    adapters: Mapping[str, Any] | None = None
    alerts: Sequence[Mapping[str, Any]] = ()
    phase: Mapping[str, Any] | None = None
    loss: Course | None = None
    evaluation: Course | None = None
    saved: Sequence[tuple[str, int]] = ()


@dataclass(slots=True)
class _Draft:
    """Sentences and actions as they are found."""

    clauses: list[dict[str, Any]] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    told: set[str] = field(default_factory=set)
    ended: bool = False

    def say(self, text: str, panel: str, step: Any = None) -> None:
        self.clauses.append({"text": text, "panel": panel, "step": step})

    def do(self, action: object) -> None:
        # Of advice in several sentences the first says what to do.
        text = str(action or "").strip().partition(". ")[0].rstrip(".")
        if text and len(self.actions) < _ACTIONS and not any(_same(text, a) for a in self.actions):
            self.actions.append(text)


def compose(evidence: Evidence) -> dict[str, Any]:
    """Make the verdict.

    Returns
    -------
    dict
        `text` (the paragraph, with the action behind an arrow), `action`, `clauses` (each
        `text`, `panel`, `step`), `step`, `final`. Without evidence all of it is empty.
    """
    draft = _Draft(ended=evidence.status in ENDED)
    _tell_end(evidence, draft)
    critical = [a for a in evidence.alerts if a.get("severity") == "critical"]
    for alert in critical[-_CRITICAL:]:
        if alert.get("rule") not in _TOLD:
            _tell_alert(alert, draft, whole=True)
    if evidence.fixed is not None:
        _tell_fixed(evidence.fixed, draft)
    _tell_patterns(evidence.patterns, draft)
    _tell_adapters(evidence.adapters, draft)
    if evidence.fixed is not None:
        _tell_calibration(evidence.fixed, draft)
    _tell_course(evidence, draft)
    rest = [
        alert
        for alert in evidence.alerts
        if alert.get("severity") != "info"
        and (alert not in critical or alert.get("rule") in _TOLD)
        and _TOLD.get(str(alert.get("rule"))) not in draft.told
    ]
    for alert in rest[-_WARNINGS:]:
        _tell_alert(alert, draft, whole=False)
    if len(rest) > _WARNINGS:
        more = len(rest) - _WARNINGS
        said = "warning is" if more == 1 else "warnings are"
        draft.say(f"{more} more {said} open.", "alerts")
    if draft.clauses and evidence.fixed is None and not draft.actions:
        draft.do("Pass fixed_eval=… to learn how good the answers are")
    action = "; ".join(_following(a) if n else a for n, a in enumerate(draft.actions))
    action = f"{action}." if action else ""
    text = " ".join(clause["text"] for clause in draft.clauses)
    return {
        "text": f"{text} → {action}" if action else text,
        "action": action,
        "clauses": draft.clauses,
        "step": evidence.step,
        "final": draft.ended,
    }


def _following(action: str) -> str:
    """An action that follows another goes on in small letters, unless it begins with a name."""
    first = action.split(maxsplit=1)[0]
    plain = first[1:].islower() or len(first) == 1
    return action[0].lower() + action[1:] if plain else action


def _same(action: str, other: str) -> bool:
    """Whether two actions begin with the same advice: "Stop" and "Stop, and use checkpoint-5"."""
    ours, theirs = (_CLAUSE.split(a, maxsplit=1)[0].casefold().split() for a in (action, other))
    few = min(len(ours), len(theirs))
    return ours[:few] == theirs[:few]


def _brief(action: object) -> str:
    """Of alternatives the first, without its particulars: all of them stand with the alert."""
    text = str(action or "").strip()
    first = _ALTERNATIVE.split(text, maxsplit=1)[0]
    return first if " " in first else text


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if 0 < share < 1 else f"{100 * share:.0f} %"


# ---------------------------------------------------------------------- sentences


def _tell_end(evidence: Evidence, draft: _Draft) -> None:
    if evidence.status not in ("failed", "interrupted"):
        return
    of = f" of {evidence.total_steps:,}" if evidence.total_steps else ""
    message = evidence.message.rstrip(".")
    said = f": {message}" if message else ""
    name = evidence.status.capitalize()
    draft.say(f"{name} at step {evidence.step:,}{of}{said}.", "readouts", evidence.step)
    if evidence.status == "failed" and evidence.saved:
        draft.do(f"Mend the error and go on from {evidence.saved[-1][0]}")


def _tell_alert(alert: Mapping[str, Any], draft: _Draft, *, whole: bool) -> None:
    window = alert.get("window") or [None]
    title = str(alert.get("title", "")).rstrip(".")
    message = str(alert.get("message", "")).strip()
    text = f"{title}: {message.rstrip('.')}." if whole and message else f"{title}."
    draft.say(text, str(alert.get("panel") or "alerts"), window[-1])
    # What a warning advises is meant for a run that can still be changed.
    if whole or not draft.actions or (not draft.ended and len(draft.actions) < _FEW):
        draft.do(alert.get("action") if whole else _brief(alert.get("action")))


def _tell_fixed(state: Mapping[str, Any], draft: _Draft) -> None:
    """How good the answers are, where that is heading, and which checkpoint is best."""
    match, loss = state.get("exact_match"), state.get("cross_entropy")
    name = "exact_match" if match is not None else "cross_entropy"
    if match is None and loss is None:
        return
    draft.told.add("fixed")
    trends = state.get("trend") or {}
    trend = trends.get(name) or {}
    heading = str(trend.get("state") or "")
    best = state.get("best") or {}
    notes = [f"n={state['n']:,}"] if state.get("n") else []
    if match is not None and state.get("low") is not None:
        notes[-1:] = [f"{', '.join(notes)}, 95 % interval {_span(state['low'], state['high'])}"]
    notes += [note for note in (_heading(heading, trend.get("since")), _best(best, name)) if note]
    of = f"Fixed-eval EM {_percent(match)}" if match is not None else f"Fixed-eval loss {loss:.3g}"
    draft.say(
        f"{of} ({'; '.join(notes)}).",
        "fixed_match" if match is not None else "fixed_loss",
        state.get("step"),
    )
    loss_improves = (trends.get("cross_entropy") or {}).get("state") == "improving"
    full = match is not None and match >= 1.0
    if heading == "plateau" and not loss_improves and not draft.ended:
        draft.do("Stop" if not full else "Stop: every answer is right")
    elif heading == "regressing" and not draft.ended:
        draft.do("Stop")
    elif heading == "improving" and not draft.actions:
        draft.do("Train longer: it was still improving" if draft.ended else "Go on")
    _advise_checkpoint(best, state, heading, draft)


def _span(low: float, high: float) -> str:
    return f"{100 * low:.0f}-{100 * high:.0f} %"


def _heading(state: str, since: Any) -> str:
    if not state:
        return ""
    if state == "too early":
        return "too early for a trend"
    return f"{state} since step {since:,}" if isinstance(since, int | float) else state


def _best(best: Mapping[str, Any], name: str) -> str:
    if best.get("step") is None:
        return ""
    value = best.get(name)
    shown = ""
    if value is not None:
        shown = _percent(value) if name == "exact_match" else f"{value:.3g}"
    at = f"best {shown} at step {best['step']:,}".replace("  ", " ")
    saved = best.get("checkpoint")
    if not saved:
        return at
    near = best.get("checkpoint_step")
    return f"{at}, {saved}" if near in (None, best["step"]) else f"{at}, nearest saved {saved}"


def _advise_checkpoint(
    best: Mapping[str, Any], state: Mapping[str, Any], heading: str, draft: _Draft
) -> None:
    if best.get("step") is None:
        return
    over = draft.ended or heading in ("plateau", "regressing")
    behind = best["step"] != state.get("step")
    if over and best.get("checkpoint"):
        draft.do(f"Use {best['checkpoint']}")
    elif over and behind:
        draft.do(f"Set save_steps: no checkpoint is left of step {best['step']:,}, the best")


def _tell_patterns(meta: Mapping[str, Any] | None, draft: _Draft) -> None:
    """Patterns that do worse than all the others together, by intervals that don't touch."""
    if not meta:
        return
    counts = [
        (str(name), int(row["seen"]), int(row["correct"]))
        for name, row in zip(meta.get("patterns", ()), meta.get("rows", ()), strict=False)
    ]
    seen, correct = sum(c[1] for c in counts), sum(c[2] for c in counts)
    weak = []
    for name, here, right in counts:
        others, others_right = seen - here, correct - right
        if min(here, others) < _EXAMPLES:
            continue
        if wilson(right, here)[1] < wilson(others_right, others)[0]:
            weak.append((right / here, name, here, others_right / others))
    weak.sort()
    for share, name, here, rest in weak[:_WEAK]:
        text = f"'{name}' {_percent(share)} (n={here:,}) needs data"
        draft.say(f"{text}: the others reach {_percent(rest)}.", "patterns", meta.get("step"))
    if weak:
        names = " and ".join(f"'{name}'" for _, name, _, _ in weak[:_WEAK])
        draft.do(f"Add {names} examples")


def _tell_adapters(meta: Mapping[str, Any] | None, draft: _Draft) -> None:
    """Whether adapters learn, and which layers move most."""
    for adapter in (meta or {}).get("adapters", ()):
        verdict = adapter.get("verdict") or {}
        state = verdict.get("state")
        named = f"Adapter {adapter.get('name')!r}" if adapter.get("name") else "The adapter"
        if state in ("not learning", "partly"):
            draft.told.add("adapters")
            reason: Mapping[str, Any] = next(iter(verdict.get("reasons") or ()), {})
            how = "is not learning" if state == "not learning" else "learns only in part"
            title = str(reason.get("title", "")).rstrip(".")
            draft.say(f"{named} {how}{f': {title}' if title else ''}.", "lora_truth")
            draft.do(reason.get("action"))
        top = adapter.get("top") or ()
        if state in ("learning", "partly") and top:
            layers = _layers([entry.get("layer") for entry in top])
            deltas = [float(entry["delta"]) for entry in top if entry.get("delta") is not None]
            if layers and deltas:
                # A mean, so that it holds for all that are named.
                mean = sum(deltas) / len(deltas)
                draft.say(f"{layers} adapt most (mean Δ={mean:.2g}).", "lora_truth")


def _layers(numbers: Sequence[Any]) -> str:
    """Name layers, neighbours as a range: "Layers 3, 18-21"; without numbers as they are."""
    try:
        ordered = sorted({int(n) for n in numbers})
    except (TypeError, ValueError):
        return ", ".join(str(n) for n in numbers)
    runs = [
        [n for _, n in group]
        for _, group in itertools.groupby(enumerate(ordered), key=lambda pair: pair[1] - pair[0])
    ]
    shown = ", ".join(str(r[0]) if len(r) == 1 else f"{r[0]}-{r[-1]}" for r in runs)
    return f"Layer{'s' if len(ordered) > 1 else ''} {shown}"


def _tell_calibration(state: Mapping[str, Any], draft: _Draft) -> None:
    ece, drift = state.get("ece"), state.get("drift")
    if ece is None:
        return
    text = f"ECE {ece:.2g}"
    if drift:
        draft.told.add("calibration")
        rise = drift.get("rise")
        up = "up" if rise is None else f"up {100 * rise:.0f} %"
        text += f", {up} from its best {drift['best_ece']:.2g}"
    draft.say(f"{text}.", "reliability", state.get("step"))
    if drift and not draft.ended:
        draft.do("Lower the learning rate: it grows overconfident")


def _tell_course(evidence: Evidence, draft: _Draft) -> None:
    """The loss, where it says more than the fixed set: without one, or in trouble."""
    loss, held, phase = evidence.loss, evidence.evaluation, evidence.phase
    if evidence.fixed is None and loss is not None:
        draft.say(f"Training loss {loss.last:.3g}, from {loss.first:.3g}.", "loss", evidence.step)
    if evidence.fixed is None and held is not None:
        text = f"Evaluation loss {held.last:.3g}"
        if held.rows > 1 and held.least < held.last:
            text += f"; it was {held.least:.3g} at step {held.least_step:,}"
        draft.say(f"{text}.", "eval_loss", held.least_step)
    # One that follows from the number of steps alone has no confidence, and says nothing new.
    if phase and phase.get("name") and phase.get("confidence") is not None:
        since = phase.get("from")
        at = f" since step {since:,}" if isinstance(since, int) else ""
        draft.say(f"Phase: {phase['name']}{at}.", "loss", since)

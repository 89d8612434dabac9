"""The other half of the extension API: write a rule, get an alert.

A rule looks at the last rows of the series that it names and says what it finds wrong. It is
one class in a file of `nbmonitor/rules/` (found by name, no list to edit) or any `Rule` object
passed as `TrainingMonitor(trainer, rules=[...])`. It never runs on the training thread, and it
may raise: it is then switched off for the run, and the page says so.

    class Stuck(Rule):
        name = "stuck"
        keys = ("train/loss",)

        def look(self, seen):
            rows = seen.finite("train/loss", 100)      # steps, values, times
            if rows.shape[1] == 100 and rows[1].min() > 9:
                yield self.finding(
                    "The loss stays above 9",
                    f"train/loss was never below {rows[1].min():.3g} in 100 steps.",
                    "Check that labels and inputs belong together.",
                    key="train/loss",
                    window=(rows[0, 0], rows[0, -1]),
                )

A look yields what is wrong *now*. The rulebook makes events of that: one when a condition is
raised (or becomes graver), one when it has been away for `calm` looks; and the same condition
is not raised again for `rest` steps, twice as long each time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from nbmonitor.lookback import KEEP, Lookback

Severity = Literal["info", "warning", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")
# Nothing that is estimated from samples is certain.
_SUREST = 0.999


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong; what `Rule.finding` takes, plus the rule's name.

    Attributes
    ----------
    window : tuple of int
        First and last step of what was measured.
    confidence : float or None
        In [0, 1]: 1 for a fact that was read off, else how sure the statistic is; None where
        nothing tells.
    """

    id: str
    rule: str
    severity: Severity
    title: str
    message: str
    action: str
    key: str | None
    panel: str | None
    window: tuple[int, int]
    confidence: float | None
    value: float | None


class Rule:
    """Base of all rules; override `look`, and `begin` if the rule remembers anything.

    Attributes
    ----------
    name
        Unique; also the id of a condition that has no other.
    keys
        Series whose new rows make it look, `*` as in `Series.key`.
    also
        Further series that it reads.
    keep
        Rows of each that it may look back on.
    every
        Rows that hold a series of `keys`, between two looks.
    calm
        Looks in a row without a finding after which an alert is cleared.
    rest
        Steps after that in which the same alert is not raised again; doubled each time.
    opened
        Ids of this rule's conditions that are open now, so that a rule can ask less of one
        that stands than of one that is new. Kept by the rulebook.
    """

    name: ClassVar[str] = ""
    keys: ClassVar[tuple[str, ...]] = ()
    also: ClassVar[tuple[str, ...]] = ()
    keep: int = KEEP
    every: int = 10
    calm: int = 3
    rest: int = 100
    opened: frozenset[str] = frozenset()

    def begin(self, seen: Lookback) -> None:
        """Forget the run before; called at the start of every run, with nothing seen yet."""

    def look(self, seen: Lookback) -> Iterable[Finding]:
        """Say what is wrong now, as `finding`s; nothing when all is well."""
        del seen
        return ()

    def skips(self, seen: Lookback, values: Mapping[str, Sequence[float]], start: int) -> int:
        """Say at how many of the rows to come a look would find, and remember, nothing.

        Asked of a rule with `every = 1` while nothing is open: to look at each row costs more
        than all that it finds.

        Parameters
        ----------
        seen
            What came before them.
        values
            By key, what the next rows hold of the series that somebody looks at.
        start
            The place of the next row there.
        """
        del seen, values, start
        return 0

    def finding(
        self,
        title: str,
        message: str,
        action: str,
        *,
        severity: Severity = "warning",
        id: str = "",  # noqa: A002 - named as in the event that users see
        key: str | None = None,
        panel: str | None = None,
        window: tuple[float, float] = (0, 0),
        confidence: float | None = None,
        value: float | None = None,
    ) -> Finding:
        """Make a finding.

        Parameters
        ----------
        title
            A few words.
        message
            What was measured, with numbers.
        action
            What to do.
        severity
            "info" is worth knowing, "warning" costs quality or time, "critical" spoils the run.
        id
            Of the condition, where a rule knows several; the same as long as it lasts.
        key, panel
            The series, and the panel on which it is seen.
        window
            First and last step of what was measured.
        confidence
            In [0, 1]; see `Finding`.
        value
            The number that counts.

        Raises
        ------
        ValueError
            If the severity is none of the three.
        """
        if severity not in SEVERITIES:
            msg = f"severity {severity!r} given; one of {', '.join(SEVERITIES)} is allowed"
            raise ValueError(msg)
        if confidence is not None and confidence < 1:
            confidence = max(0.0, min(_SUREST, float(confidence)))
        sound = value is not None and math.isfinite(value)
        return Finding(
            id or self.name,
            self.name,
            severity,
            title,
            message,
            action,
            key,
            panel,
            (int(window[0]), int(window[1])),
            confidence,
            float(value) if sound and value is not None else None,
        )

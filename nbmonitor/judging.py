"""What judges a monitor's Run, put together: rules, verdict, and who is told of alerts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from nbmonitor.announcer import Announcer
from nbmonitor.engine import Engine
from nbmonitor.judge import Judge
from nbmonitor.rule import Rule
from nbmonitor.rulebook import Rulebook
from nbmonitor.run import Run

# Seconds that the end of a run waits for the user's function to hear of the last alerts.
_PATIENCE = 2.0


class Judging:
    """Rules, verdict and announcements of one monitor.

    Parameters
    ----------
    run, engine
        What is judged, and who tells of its rows.
    rules
        The user's own.
    on_alert
        Called with every alert that is raised, on a thread of its own.
    """

    def __init__(
        self,
        run: Run,
        engine: Engine,
        rules: Iterable[Rule],
        on_alert: Callable[[dict[str, Any]], Any] | None,
    ) -> None:
        self._announcer = None if on_alert is None else Announcer(run, on_alert)
        Rulebook(run, rules).attach(engine)
        # After the rules: reading settles, and they are to hear of rows in order.
        self._judge = Judge(run)
        self._judge.attach(engine)

    def ended(self) -> None:
        """Give the final verdict, and let the last alerts be heard of."""
        self._judge.judge()
        if self._announcer is not None:
            self._announcer.drain(_PATIENCE)

    def close(self) -> None:
        """End the thread."""
        if self._announcer is not None:
            self._announcer.close()

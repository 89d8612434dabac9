"""Keep the verdict of a Run up to date while it is written, and final when it is over.

A watcher of rows: it works on whatever thread settles, at most every few seconds, and sets
the tensor `quality/verdict` only where the words have changed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from nbmonitor import evidence, verdict
from nbmonitor.engine import Engine
from nbmonitor.record import ENDED, Row
from nbmonitor.run import Run

# Seconds between two looks at the evidence.
EVERY = 3.0


class Judge:
    """Composes the verdict on one monitor's Run, whichever that is at the time.

    Parameters
    ----------
    run
        Read, and given the tensor.
    every
        Least seconds between two looks.
    """

    def __init__(self, run: Run, every: float = EVERY) -> None:
        self._run, self._every = run, every
        self._not_before = 0.0
        self._said: tuple[float | None, str, bool] | None = None

    def attach(self, engine: Engine) -> None:
        """Hear of the engine's rows from now on, and have the verdict shown."""
        engine.watchers.append(self.watch)
        engine.extra_panels.append(verdict.PANEL)

    def watch(self, rows: Sequence[Row]) -> None:
        """Look at the evidence, if it is time to."""
        del rows
        now = time.monotonic()
        if now >= self._not_before:
            self._not_before = now + self._every
            self.judge()

    def judge(self) -> None:
        """Look now; at the end of a run this gives its final verdict."""
        run = self._run
        found = verdict.compose(evidence.gather(run))
        # A step that goes on alone is no news.
        said = (run.started, found["text"], run.status in ENDED)
        if said == self._said or not found["clauses"]:
            return
        self._said = said
        run.put(verdict.KEY, run.step, np.zeros(0, np.uint8), found)

"""Where a run stands, as `meta` has it."""

from __future__ import annotations

import os
import platform
import time
import uuid
from collections.abc import Callable
from typing import Any

from nbmonitor import wire
from nbmonitor.run import Run

PANELS_EVERY = 5.0


class State:
    """What `meta` should say.

    Parameters
    ----------
    run
        Asked for everything but the panels.
    panels
        Returns the panels; asked every few seconds, because that costs more than the rest.
    """

    def __init__(self, run: Run, panels: Callable[[], list[wire.PanelSpec]]) -> None:
        self._run, self._panels = run, panels
        self._specs: list[wire.PanelSpec] = []
        self._not_before = 0.0

    def look(self, *, news: bool, generation: int) -> dict[str, Any]:
        """Say how things are; `news` if something happened that may have changed the panels."""
        run, now = self._run, time.monotonic()
        if news or now >= self._not_before:
            self._specs, self._not_before = self._panels(), now + PANELS_EVERY
        return {
            "name": run.config.get("name", ""),
            "status": run.status,
            "status_message": run.status_message,
            "status_detail": run.status_detail,
            "step": run.step,
            "total_steps": run.total_steps,
            "total_epochs": run.total_epochs,
            "started": run.started,
            "ended": run.ended,
            "config": run.config,
            "panels": self._specs,
            "generation": generation,
            "pid": os.getpid(),
            "host": platform.node(),
        }


def birth() -> dict[str, Any]:
    """Say what never changes, of a file that is being made."""
    from nbmonitor import __version__

    return {
        "run_id": uuid.uuid4().hex,
        "created": time.time(),
        "nbmonitor_version": __version__,
    }

"""The one place where what a probe raises ends: the probe is off, and the training goes on."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from nbmonitor.probe import Probe
from nbmonitor.run import Run


class Guard:
    """Calls hooks of probes; one that raises switches its probe off for the run, told once.

    Parameters
    ----------
    run
        Learns of it as an event, with the traceback.

    Attributes
    ----------
    off : dict of str
        By name of a probe that is off, the reason.
    drop
        Called with a probe that has been switched off, on the thread on which it raised.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self.off: dict[str, str] = {}
        self.drop: Callable[[Probe], None] = lambda _probe: None

    def call(self, probe: Probe, hook: Callable[..., Any], *args: Any) -> Any:
        """Return what a hook returns, or None where it raises."""
        try:
            return hook(*args)
        except Exception as error:  # noqa: BLE001 - no probe may stop a training
            self.switch_off(probe, hook.__name__, error)
            return None

    def switch_off(self, probe: Probe, hook: str, error: Exception) -> None:
        """Ask a probe for nothing more in this run, because one of its hooks has raised."""
        if probe.name in self.off:
            return
        reason = f"{type(error).__name__}: {error}"
        self.off[probe.name] = f"switched off for this run: {reason}"
        self.drop(probe)
        self.tell(f"probe {probe.name!r} raised in {hook}", probe.name, hook, error)

    def tell(self, what: str, name: str, hook: str, error: Exception) -> None:
        """Record that something raised and is off."""
        data = {
            "message": f"{what} and is off: {type(error).__name__}: {error}",
            "probe": name,
            "hook": hook,
            "traceback": "".join(traceback.format_exception(error)),
        }
        self._run.event("probe_error", None, data)

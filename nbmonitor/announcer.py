"""Tell the user's own function about alerts: the one place where an alert becomes a call.

A thread of its own looks for new events of kind `alert`, so that neither the training nor the
page waits for what the function does. What it raises is reported once.
"""

from __future__ import annotations

import math
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from nbmonitor.run import Run

INTERVAL = 0.2


class Announcer:
    """Calls a function for every alert that is raised from now on.

    Parameters
    ----------
    run
        Whose events are looked at, also when it is restarted.
    call
        Gets the alert's data as one dict, with `step` and `time` beside it.

    Raises
    ------
    TypeError
        If `call` can't be called.
    """

    def __init__(self, run: Run, call: Any) -> None:
        if not callable(call):
            msg = f"on_alert takes a function of one alert (a dict); {call!r} was given"
            raise TypeError(msg)
        self._run = run
        self._call: Callable[[dict[str, Any]], Any] = call
        self._generation, self._count = run.generation, len(run.events_since(0))
        # What is read from a run file is older than this.
        self._since = time.time()
        self._told = 0.0
        self._failed = False
        self._turn = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="nbmonitor-alerts", daemon=True)
        self._thread.start()

    def _loop(self) -> None:
        while not self._closing.wait(INTERVAL):
            self.look()

    def look(self) -> None:
        """Call for what is new; on the caller's thread."""
        with self._turn:
            run = self._run
            if run.generation != self._generation:
                # Events may have been put before these, or all of them taken away.
                self._generation, self._count = run.generation, 0
                self._since = max(self._since, self._told)
            fresh = run.events_since(self._count)
            self._count += len(fresh)
            for event in fresh:
                data = event["data"]
                if event["time"] < self._since:
                    continue
                if event["kind"] == "alert" and data.get("state", "raised") == "raised":
                    self._announce({**data, "step": event["step"], "time": event["time"]})

    def _announce(self, alert: dict[str, Any]) -> None:
        # The next one that is no repetition is later, if only by the clock's smallest step.
        self._told = math.nextafter(float(alert["time"]), math.inf)
        try:
            self._call(alert)
        except Exception as error:  # noqa: BLE001 - the user's function ends neither thread nor run
            if self._failed:
                return
            self._failed = True
            data = {
                "message": f"on_alert raised {type(error).__name__}: {error}; it goes on being "
                "called, and what else it raises is not reported",
                "traceback": "".join(traceback.format_exception(error)),
            }
            self._run.event("note", None, data)

    def drain(self, seconds: float) -> None:
        """Wait until all alerts so far were told, or for so many seconds."""
        done = threading.Thread(target=self.look, name="nbmonitor-alerts-last", daemon=True)
        done.start()
        done.join(seconds)

    def close(self) -> None:
        """Look for the last time and end the thread."""
        self._closing.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=2.0)
        self.drain(2.0)

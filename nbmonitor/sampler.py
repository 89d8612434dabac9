"""The sampling thread: calls a function once a second, without drift.

It knows nothing of what is sampled; errors are the callee's to guard.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

_log = logging.getLogger(__name__)


class Sampler:
    """Call `tick` every `interval` seconds in a daemon thread.

    The n-th call is due n intervals after the start, however long each takes; calls that
    a slow one has made obsolete are left out.

    Parameters
    ----------
    tick
        Expected to guard itself. What it raises all the same is logged, once per kind.
    interval
        Seconds between two calls.
    name
        Of the thread.

    Raises
    ------
    ValueError
        If `interval` is not positive.
    """

    def __init__(
        self, tick: Callable[[], None], interval: float = 1.0, name: str = "nbmonitor-sampler"
    ) -> None:
        if not interval > 0:
            msg = f"interval {interval!r} given; a number of seconds above 0 is needed"
            raise ValueError(msg)
        self._tick = tick
        self._interval = interval
        self._closing = threading.Event()
        self._reported: set[type[Exception]] = set()
        self._thread = threading.Thread(target=self._loop, name=name, daemon=True)

    def start(self) -> None:
        """Begin; the first call comes at once."""
        self._thread.start()

    def close(self) -> None:
        """Stop, and wait for a call in progress."""
        self._closing.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def _loop(self) -> None:
        due = time.monotonic()
        while True:
            self._call()
            due += self._interval
            late = time.monotonic() - due
            if late > 0:
                due += self._interval * (late // self._interval + 1)
            if self._closing.wait(max(0.0, due - time.monotonic())):
                return

    def _call(self) -> None:
        try:
            self._tick()
        except Exception as error:  # noqa: BLE001 - one bad sample is no end of sampling
            if type(error) not in self._reported:
                self._reported.add(type(error))
                _log.exception("a sample failed; sampling goes on")

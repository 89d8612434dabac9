"""A thread that does one job after the other, for whoever must not wait.

Few jobs wait at a time: who has more to do asks `free` first, and rather leaves it. The first job
that fails ends it. It knows nothing of what the jobs are.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

ROOM = 2
Job = Callable[[], None]


class Worker:
    """Does jobs in order, each on its own thread, which is a daemon.

    Parameters
    ----------
    name
        Of the thread.
    room
        Jobs that may wait.
    failed
        Called on its thread when `failure` is there.

    Attributes
    ----------
    failure : Exception or None
        What the job raised that ended it.
    """

    def __init__(
        self, name: str, room: int = ROOM, failed: Callable[[], None] = lambda: None
    ) -> None:
        self._name, self._room, self._failed = name, room, failed
        self._jobs: deque[Job] = deque()
        self._turn = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = self._busy = False
        self.failure: Exception | None = None

    @property
    def free(self) -> bool:
        """Whether `offer` would take a job."""
        return not self._closing and self.failure is None and len(self._jobs) < self._room

    @property
    def idle(self) -> bool:
        """Whether everything that was taken is done."""
        return not self._busy and not self._jobs

    def offer(self, job: Job, *, beyond: bool = False) -> bool:
        """Take a job, if there is room or with `beyond`; whether it was taken."""
        with self._turn:
            if not self.free and not (beyond and not self._closing and self.failure is None):
                return False
            self._jobs.append(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name=self._name, daemon=True)
                self._thread.start()
            self._turn.notify_all()
        return True

    def close(self, timeout: float) -> bool:
        """Do what waits and end; False if that took too long, and what is left is given up."""
        with self._turn:
            self._closing = True
            self._turn.notify_all()
            done = self._turn.wait_for(lambda: self.idle, timeout)
            self._jobs.clear()
        return done

    def abandon(self, timeout: float) -> bool:
        """Give up what waits and end; False if the job at work didn't end in time."""
        with self._turn:
            self._jobs.clear()
        return self.close(timeout)

    def _loop(self) -> None:
        while True:
            with self._turn:
                self._turn.wait_for(lambda: self._jobs or self._closing)
                if not self._jobs:
                    return
                job = self._jobs.popleft()
                self._busy = True
            try:
                job()
            except Exception as error:  # noqa: BLE001 - whatever it is, the training goes on
                self.failure = error
                self._failed()
            del job
            with self._turn:
                self._busy = False
                if self.failure is not None:
                    self._jobs.clear()
                    self._closing = True
                self._turn.notify_all()

"""The flushing thread: brings what is new in a Run to the page, at a pace the page can take.

It owns *when*: at most one flush per interval, within a rate, and silence when nobody
looks, because a server keeps every message for a closed tab without a bound. *What* is
sent is `feed.py`'s matter.
"""

from __future__ import annotations

import contextvars
import functools
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from nbmonitor import detail, wire
from nbmonitor.feed import Feed, Sink
from nbmonitor.record import ACTIVE, ENDED, Tensor
from nbmonitor.run import Run

SILENCE_AFTER = 10.0
HEARTBEAT = 5.0
SILENT_HEARTBEAT = 10.0
# Bytes per second: to a page that answers, and as long as none ever has.
WATCHED_RATE = 2_000_000
UNKNOWN_RATE = 5_000
MESSAGE_RATE = 30
HISTORY_EVERY = 60.0
PICTURE_EVERY = 60.0
_LOOK_AGAIN = 1.0
_SILENT_PAUSE = 0.5
_INBOX = 256
_log = logging.getLogger(__name__)


class Flusher:
    """Stream one Run to one sink.

    Parameters
    ----------
    run
        What is sent. Its `changed` event wakes the thread.
    sink
        Where it goes; called from one thread at a time.
    panels
        Returns the panels as they are now.
    interval
        Least seconds between two flushes.
    """

    def __init__(
        self,
        run: Run,
        sink: Sink,
        panels: Callable[[], list[wire.PanelSpec]],
        interval: float = 0.1,
    ) -> None:
        self._run, self._sink, self._panels, self._interval = run, sink, panels, interval
        self._feed = Feed(run, sink)
        self._inbox: deque[wire.FromPage] = deque(maxlen=_INBOX)
        self._requests: deque[threading.Event] = deque()
        self._hurry = threading.Event()
        self._turn_lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._heard: float | None = None
        self._not_before = self._last_sent = self._looked = -math.inf
        self._last_history = self._last_picture = time.monotonic()
        self._history_of: dict[int, int] = {}
        self._state: tuple[wire.Status, dict[str, Any], list[wire.PanelSpec]] | None = None
        self._failure = ""
        self._was_over = self._ending = False

    # ------------------------------------------------------------------ any thread

    def start(self) -> None:
        """Start the thread; without one, whoever owns the flusher calls `flush`."""
        if self._thread is None:
            # ipykernel 7.0 can't publish from a thread without its context variables; later
            # ones take what is sent to belong to the cell that this is called in.
            self._thread = threading.Thread(
                target=contextvars.copy_context().run,
                args=(self._loop,),
                name="nbmonitor-flusher",
                daemon=True,
            )
            self._thread.start()

    def close(self) -> None:
        """Send what is left and stop."""
        if self._closing:
            return
        self.flush_now()
        self._closing = True
        self._wake()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=2.0)

    def from_page(self, message: wire.FromPage) -> None:
        """Take a message of the page; it is looked at in the next turn."""
        # Answer a page that lacks something at once; an ack is no reason to hurry.
        if message["kind"] in {"hello", "detail"} or self.silent:
            self._hurry.set()
        self._inbox.append(message)
        self._run.changed.set()

    def show(self, tensor: Tensor, *, hurry: bool = False) -> None:
        """Send a tensor that is for the page alone and no part of the Run."""
        self._feed.show(tensor)
        if hurry:
            self._hurry.set()
        self._run.changed.set()

    def flush_now(self, timeout: float = 2.0) -> None:
        """Send everything, without regard to the pace, and wait until that is done.

        The history and the picture of a run's end follow, and are waited for by the next call.
        """
        thread = self._thread
        if thread is None or not thread.is_alive() or thread is threading.current_thread():
            self._take_turn(urgent=True)
            return
        done = threading.Event()
        self._requests.append(done)
        self._wake()
        done.wait(timeout)

    def flush(self) -> None:
        """Take a turn in the caller's thread, if one is due."""
        if self._hurry.is_set() or time.monotonic() >= self._not_before:
            self._hurry.clear()
            self._take_turn(urgent=False)

    @property
    def silent(self) -> bool:
        """Whether pages have been there and none has said anything for ten seconds."""
        return self._heard is not None and time.monotonic() - self._heard > SILENCE_AFTER

    # ------------------------------------------------------------------ the thread

    def _wake(self) -> None:
        self._hurry.set()
        self._run.changed.set()

    def _loop(self) -> None:
        changed = self._run.changed
        while not self._closing:
            changed.wait(None if self._run.status in ENDED else _LOOK_AGAIN)
            self._hurry.wait(max(0.0, self._not_before - time.monotonic()))
            # Cleared before anything is read: what comes from here on wakes the next turn.
            self._hurry.clear()
            changed.clear()
            requests = [self._requests.popleft() for _ in range(len(self._requests))]
            self._guarded(functools.partial(self._turn, urgent=bool(requests)))
            for done in requests:
                done.set()
            # Nobody waits for pictures: they take longer than all the rest together.
            self._guarded(self._refresh)

    def _take_turn(self, *, urgent: bool) -> None:
        self._guarded(functools.partial(self._turn, urgent=urgent))
        self._guarded(self._refresh)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            with self._turn_lock:
                work()
        except Exception as error:  # noqa: BLE001 - no transport may stop a training
            # The page may be gone or the kernel shutting down: rows stay in the Run, and
            # the next turn tries again.
            self._not_before = time.monotonic() + 1.0
            reason = f"{type(error).__name__}: {error}"
            if reason != self._failure:
                self._failure = reason
                _log.warning("nothing reaches the page just now", exc_info=True)

    def _turn(self, *, urgent: bool) -> None:
        now = time.monotonic()
        while self._inbox:
            message = self._inbox.popleft()
            self._heard = now
            if message["kind"] == "hello":
                self._feed.greet(message)
            elif message["kind"] == "detail":
                self._feed.show(detail.answer(self._run, message))
        self._run.settle()
        over = self._run.status in ENDED
        ending, self._was_over = over and not self._was_over, over
        self._ending = self._ending or ending
        self._update_state(now)
        pause = _SILENT_PAUSE
        if not self.silent:
            # Before a page has answered, one large tensor would use up the whole rate.
            self._send(
                tensors=self._heard is not None or urgent or ending,
                frames=self._heard is not None,
                urgent=urgent,
            )
            pause = self._spent()
        if pause and not self.silent:
            self._last_sent = now
        elif self._heartbeat_due(now, over=over):
            self._feed.heartbeat()
            self._last_sent = now
        self._not_before = now + pause

    def _send(self, *, tensors: bool, frames: bool = False, urgent: bool = False) -> None:
        if self._feed.send(tensors=tensors, frames=frames, urgent=urgent):
            # New series and events may change the panels: look again in the next turn.
            self._looked = -math.inf
            self._run.changed.set()
        elif frames and self._feed.owes:
            self._run.changed.set()

    def _heartbeat_due(self, now: float, *, over: bool) -> bool:
        """Say whether to show a sign of life.

        A page of a run that is over answers nothing but messages, so that one is also
        due when there is something for a page that may still be there.
        """
        if self.silent:
            due = now - self._last_sent >= SILENT_HEARTBEAT
            return due and (not over or self._feed.behind)
        return now - self._last_sent >= HEARTBEAT and self._run.status in ACTIVE

    def _spent(self) -> float:
        """Seconds until the next flush may follow what was just sent; 0 after nothing."""
        sizes, self._feed.sizes = self._feed.sizes, []
        if not sizes:
            return 0.0
        rate = UNKNOWN_RATE if self._heard is None else WATCHED_RATE
        return max(self._interval, sum(max(size / rate, 1 / MESSAGE_RATE) for size in sizes))

    # ------------------------------------------------------------------ small state, pictures

    def _update_state(self, now: float) -> None:
        run = self._run
        status: wire.Status = {
            "state": run.status,
            "message": run.status_message,
            "detail": run.status_detail,
            "total_steps": run.total_steps,
            "total_epochs": run.total_epochs,
        }
        # Asking for the panels costs more than a flush: once a second, or when something
        # has happened that may change them.
        known = self._state
        same = known is not None and known[:2] == (status, run.config)
        if same and now - self._looked < _LOOK_AGAIN:
            return
        self._looked = now
        state = (status, dict(run.config), self._panels())
        if state != known:
            self._sink.set_status(*state)
            self._state = state

    def _refresh(self) -> None:
        now = time.monotonic()
        ending, self._ending = self._ending, False
        due = now - self._last_picture >= PICTURE_EVERY and self._run.status in ACTIVE
        if ending or (due and not self.silent):
            self._last_picture = now
            self._sink.refresh_picture()
            # The page saves the notebook when it gets the history: the picture goes first.
            self._send(tensors=True)
        watched = self._heard is not None and not self.silent
        if ending or (watched and now - self._last_history >= HISTORY_EVERY):
            self._last_history = now
            rows = self._run.row_counts()
            if ending or rows != self._history_of:
                self._history_of = rows
                self._sink.send_history()

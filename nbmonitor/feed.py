"""What one widget's pages have been sent of a Run, and the messages that bring the rest.

It numbers and builds messages and hands them to a `Sink`; it decides nothing about time.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nbmonitor import wire
from nbmonitor.arrears import FLUSH_BYTES, URGENT_BYTES, Arrears
from nbmonitor.record import Tensor
from nbmonitor.reels import is_for_page, is_reel
from nbmonitor.run import Run

ENVELOPE = 600  # about what one message takes beside its buffers: headers, signature, JSON
_DECLARATION = 60
_EVENT = 150


class Sink(Protocol):
    """Where messages go: a widget, or a recorder in a test."""

    def send(self, message: wire.ToPage, buffers: list[bytes]) -> None:
        """Send one message."""

    def set_status(
        self, status: wire.Status, config: dict[str, Any], panels: list[wire.PanelSpec]
    ) -> None:
        """Set the small synced state; called when something in it has changed."""

    def send_history(self) -> None:
        """Push the packed history."""

    def refresh_picture(self) -> None:
        """Draw the static picture anew."""


class Feed:
    """The delta between a Run and its pages.

    Two pages of one kernel share a feed: what one of them lacks is sent to both, and rows
    carry their offsets, so that the other drops what it has.

    Parameters
    ----------
    run
        What is sent.
    sink
        Where it goes.

    Attributes
    ----------
    sizes : list of int
        About how many bytes each message took that was sent since this list was emptied.
    """

    def __init__(self, run: Run, sink: Sink) -> None:
        self._run, self._sink = run, sink
        self._seq = 0
        self._shown: dict[str, Tensor] = {}
        self._unseen: set[str] = set()
        self._frames = Arrears(run)
        self.sizes: list[int] = []
        self._forget()

    def _forget(self) -> None:
        self._generation = self._run.generation
        self._frames.forget()
        self._sent: dict[int, int] = {}
        self._declared = self._events = self._tensors = 0

    def greet(self, hello: wire.Hello) -> None:
        """Take over what a page says it has."""
        self._forget()
        self._unseen = set(self._shown)
        if hello["generation"] == self._generation:
            self._sent = {int(number): int(rows) for number, rows in hello["have"].items()}
            self._declared = next(n for n in range(len(self._sent) + 1) if n not in self._sent)
            self._events = int(hello["events"])
            self._frames.forget(hello.get("reels"))

    def show(self, tensor: Tensor) -> None:
        """Take a tensor that is for the page alone and no part of the Run."""
        self._shown[tensor[0]] = tensor
        self._unseen.add(tensor[0])

    def send(self, *, tensors: bool, frames: bool = False, urgent: bool = False) -> bool:
        """Send what the page lacks; return whether there is a new series or event.

        Parameters
        ----------
        tensors
            Whether tensors go along.
        frames
            Whether reels do, so much of them as one flush may have: see `owes`.
        urgent
            Whether that may be more than usual.
        """
        if self._run.generation != self._generation:
            self._forget()
        news = self._send_rows()
        events = self._run.events_since(self._events)
        if events:
            self._send_events(events)
            self._events += len(events)
        if tensors:
            self._send_tensors()
        if frames:
            self._put(self._frames.take(URGENT_BYTES if urgent else FLUSH_BYTES))
            self._frames.sent()
        return news or bool(events)

    @property
    def owes(self) -> bool:
        """Whether frames of reels were left for the next flush."""
        return self._frames.left

    @property
    def behind(self) -> bool:
        """Whether the Run has rows or events that were not sent."""
        if self._run.generation != self._generation or self._run.events_since(self._events):
            return True
        counts = self._run.row_counts()
        return any(rows > self._sent.get(number, 0) for number, rows in counts.items())

    def heartbeat(self) -> None:
        """Send the smallest message there is."""
        self._send_events([])

    def _send_rows(self) -> bool:
        declare = self._run.series_since(self._declared)
        rows = self._run.rows_since(self._sent)
        if not rows and not declare:
            return False
        self._seq += 1
        message: wire.Append = {
            "kind": "append",
            "seq": self._seq,
            "generation": self._generation,
            "declare": declare,
        }
        self._deliver(message, [wire.pack_frame(rows)], _DECLARATION * len(declare))
        self._declared += len(declare)
        for stretch in rows:
            end = stretch.offset + stretch.covered
            self._sent[stretch.id] = max(self._sent.get(stretch.id, 0), end)
        return bool(declare)

    def _send_events(self, events: list[wire.RunEvent]) -> None:
        self._seq += 1
        message: wire.Events = {
            "kind": "event",
            "seq": self._seq,
            "generation": self._generation,
            "offset": self._events,
            "events": events,
        }
        self._deliver(message, [], _EVENT * len(events))

    def _send_tensors(self) -> None:
        version, news = self._run.tensors_since(self._tensors)
        fresh = [tensor for tensor in news if not is_reel(tensor) and is_for_page(tensor)]
        # Struck off before they are read: another thread may show the next ones meanwhile.
        shown = sorted(self._unseen)
        self._unseen.difference_update(shown)
        fresh += [self._shown[key] for key in shown]
        try:
            self._put(fresh)
        except BaseException:
            self._unseen.update(shown)
            raise
        self._tensors = version

    def _put(self, tensors: list[Tensor]) -> None:
        for key, step, array, meta in tensors:
            self._seq += 1
            message, data = wire.put_message(
                key, step, array, meta, seq=self._seq, generation=self._generation
            )
            self._deliver(message, [data], 0)

    def _deliver(self, message: wire.ToPage, buffers: list[bytes], extra: int) -> None:
        self._sink.send(message, buffers)
        self.sizes.append(ENVELOPE + extra + sum(map(len, buffers)))


def page_tensor(key: str, step: int, data: bytes, meta: dict[str, Any]) -> Tensor:
    """Make a tensor of bytes that are not numbers, such as a picture."""
    pixels: NDArray[np.uint8] = np.frombuffer(data, np.uint8)
    return key, step, pixels, meta

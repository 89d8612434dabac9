"""Answers the page from inside a busy cell, where no other thread could.

While a cell runs, what a page sends to the main shell lies in a socket until the cell
ends; a page that was reloaded gets no kernel info and shows nothing. Called at step
boundaries, the pump takes those messages out: the few kinds that a page needs to come
back, and messages for our own widgets, are answered on the spot; all others are handed
to the kernel's event loop in their order, where they wait for the end of the cell as
they would have in the socket.

All of it rests on private parts of ipykernel, so that any surprise switches it off for
good, with the reason in `Pump.reason`.
"""

from __future__ import annotations

import inspect
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from nbmonitor.kernel import current_kernel

VARIABLE = "NBMONITOR_PUMP"
INTERVAL = 0.1
# A page that comes back asks several times in a row, each time waiting for the answer.
EAGER_INTERVAL = 0.01
_EAGER = 2.0
_QUESTIONS = frozenset({"kernel_info_request", "comm_info_request"})
_COMMS = frozenset({"comm_msg", "comm_close"})
_STATE_REQUESTS = frozenset({"request_state", "request_states"})
_CONTROL_TARGET = "jupyter.widget.control"
_NEEDED = ("session", "shell_handlers", "get_parent", "set_parent", "_publish_status")

# zmq.EVENTS and zmq.POLLIN, which never change: zmq is only there where a kernel is.
_EVENTS, _POLLIN = 15, 1

Frames = list[Any]


class Pump:
    """The message pump of one kernel.

    Parameters
    ----------
    kernel
        An ipykernel, or None.

    Attributes
    ----------
    reason : str
        Why it is off, or "".
    next : float
        When a call may do something again, on the clock of `time.monotonic`.
    """

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._stream: Any = None
        self._comms: set[str] = set()
        self._inside = self._hurry = False
        self.next = self._eager_until = 0.0
        self.reason = self._obstacle()

    def _obstacle(self) -> str:
        if os.environ.get(VARIABLE, "1") == "0":
            return f"switched off by {VARIABLE}=0"
        if self._kernel is None:
            return "no Jupyter kernel"
        missing = [name for name in _NEEDED if not hasattr(self._kernel, name)]
        if missing:
            return f"this kernel has no {', '.join(missing)}"
        try:
            self._stream = _main_stream(self._kernel)
        except AttributeError as error:
            return f"this ipykernel is built differently: {error}"
        if not callable(getattr(self._stream, "_recv_callback", None)):
            return "this kernel's shell stream can't be read from outside"
        return ""

    def adopt(self, comm_id: str) -> None:
        """Answer messages for this comm too."""
        self._comms.add(comm_id)

    def disown(self, comm_id: str) -> None:
        """Leave messages for this comm to the kernel."""
        self._comms.discard(comm_id)

    def __call__(self, *, force: bool = False) -> int:
        """Answer what can be answered; return how many messages that were.

        Does nothing more often than ten times a second, outside of the main thread, or
        from inside an answer.
        """
        now = time.monotonic()
        if self._inside or (now < self.next and not force):
            return 0
        self.next = now + (EAGER_INTERVAL if now < self._eager_until else INTERVAL)
        if self.reason:
            return 0
        if threading.current_thread() is not threading.main_thread():
            return 0
        self._inside = True
        try:
            # Half of what `socket.poll` costs, which makes a poller for the one question.
            return self._work(now) if self._stream.socket.getsockopt(_EVENTS) & _POLLIN else 0
        except Exception as error:  # noqa: BLE001 - whatever it is, the training goes on
            self.reason = f"switched off after {type(error).__name__}: {error}"
            return 0
        finally:
            self._inside = False

    def _work(self, now: float) -> int:
        import asyncio  # slow to import, and there wherever a kernel runs

        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return 0  # nobody to hand the rest to: not called from a cell
        answered = 0
        callback = self._stream._recv_callback
        waiting: list[Frames] = []
        try:
            self._take(waiting)
            while waiting:
                self._hurry = True
                if self._is_ours(waiting[0]):
                    answered += 1
                    if self._hurry:
                        self._eager_until = now + _EAGER
                    self._answer(waiting.pop(0))
                else:
                    self._stream._run_callback(callback, waiting.pop(0))
        finally:
            # Neither an interrupt nor a surprise may cost the kernel a message.
            for frames in waiting:
                self._stream._run_callback(callback, frames)
        return answered

    def _take(self, into: list[Frames]) -> None:
        """Take out all messages that have arrived."""
        import zmq

        stream = self._stream
        callback, copy = stream._recv_callback, stream._recv_copy
        with _uninterrupted():
            stream.on_recv(into.append, copy=False)
            try:
                stream.flush(zmq.POLLIN)
            finally:
                stream.on_recv(callback, copy=copy)

    def _is_ours(self, frames: Frames) -> bool:
        if len(frames) < 6:  # not a message, but a note from the kernel to itself
            return False
        session = self._kernel.session
        _, parts = session.feed_identities(frames, copy=False)
        kind = session.unpack(_bytes(parts[1]))["msg_type"]
        if kind in _QUESTIONS:
            return True
        content = session.unpack(_bytes(parts[4])) if kind.startswith("comm_") else {}
        if kind == "comm_open":
            return bool(content.get("target_name") == _CONTROL_TARGET)
        if kind not in _COMMS:
            return False
        # Not the user's own widgets: their handlers expect to run between cells.
        data = content.get("data")
        data = data if isinstance(data, dict) else {}
        method, custom = data.get("method"), data.get("content")
        # A page's regular sign of life announces nothing: looking every few milliseconds
        # because of it would cost the training more than all the rest.
        self._hurry = not (isinstance(custom, dict) and custom.get("kind") == "ack")
        return content.get("comm_id") in self._comms or method in _STATE_REQUESTS

    def _answer(self, frames: Frames) -> None:
        kernel = self._kernel
        idents, parts = kernel.session.feed_identities(frames, copy=False)
        message = kernel.session.deserialize(parts, content=True, copy=False)
        reply = _reply_socket(kernel)
        parent, ident = kernel.get_parent("shell"), kernel._parent_ident["shell"]
        kernel.set_parent(idents, message, channel="shell")
        kernel._publish_status("busy", "shell")
        try:
            handler = kernel.shell_handlers[message["header"]["msg_type"]]
            result = handler(reply, idents, message)
            if inspect.iscoroutine(result):
                _finish(result)
        finally:
            kernel._publish_status("idle", "shell")
            if reply is self._stream:
                import zmq

                self._stream.flush(zmq.POLLOUT)
            kernel.set_parent(ident, parent, channel="shell")


@cache
def shell_pump() -> Pump:
    """Return the one pump of this process."""
    return Pump(current_kernel())


def _main_stream(kernel: Any) -> Any:
    """Return the stream that feeds the main shell: ipykernel 7's inner one, or 6's socket."""
    thread = getattr(kernel, "shell_channel_thread", None)
    if thread is None:
        return kernel.shell_stream
    return thread.manager._shell_channel_to_main.to_stream


def _reply_socket(kernel: Any) -> Any:
    thread = getattr(kernel, "shell_channel_thread", None)
    if thread is None:
        return kernel.shell_stream
    return thread.manager.get_subshell_to_shell_channel_socket(None)


def _bytes(frame: Any) -> bytes:
    return bytes(getattr(frame, "bytes", frame))


def _finish(coroutine: Any) -> None:
    """Run a handler that is async by form only; one that really waits is given up."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    msg = "a message handler of this ipykernel waits for something"
    raise RuntimeError(msg)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold a Ctrl-C back until the end: messages already read would be lost with it."""
    import signal

    previous = signal.getsignal(signal.SIGINT)
    if not callable(previous):
        yield
        return
    held: list[tuple[int, Any]] = []
    signal.signal(signal.SIGINT, lambda number, frame: held.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
        if held:
            previous(*held[0])

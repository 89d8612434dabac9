"""The queue of controls: what viewers have asked for, and what became of it.

Any thread puts a wish on it; the training thread alone takes them off. It owns names, allowed
values and states, and doesn't know what a control does.
"""

from __future__ import annotations

import math
import threading
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

State = Literal["queued", "applied", "refused", "failed"]
Source = Literal["page", "python"]

NAMES = (
    "pause",
    "resume",
    "stop",
    "save_and_stop",
    "checkpoint",
    "evaluate",
    "learning_rate",
    "undo_learning_rate",
    "cadence",
)
TENSOR = "nbmonitor/controls"
_SHOWN = 20
_MOST_WAITING = 16
_REMEMBERED = 1000
_SHORT = 60


@dataclass(slots=True, eq=False)
class Request:
    """One wish: what, from whom, and what became of it at which step."""

    id: str
    name: str
    value: Any = None
    source: Source = "python"
    state: State = "queued"
    message: str = ""
    step: int | None = None


def _nothing() -> None:
    """Stand in until somebody wants to hear of changes."""


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHORT else text[: _SHORT - 1] + "…"


def _positive(what: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = f"{what} takes a number, {type(value).__name__} {_shortened(value)} was given"
        raise TypeError(msg)
    if not math.isfinite(value) or value <= 0:
        msg = f"{what} takes a number above 0, {value!r} was given; to hold the training, pause it"
        raise ValueError(msg)
    return float(value)


def _steps(what: str, value: Any) -> int:
    # A page writes whole numbers as it likes.
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    if isinstance(whole, bool) or not isinstance(whole, int):
        msg = f"{what} takes a whole number of steps, {_shortened(value)} was given"
        raise TypeError(msg)
    if not 1 <= whole <= 1_000_000_000:
        msg = f"{what} takes 1 step or more, {whole} was given"
        raise ValueError(msg)
    return whole


def check(name: Any, value: Any) -> Any:
    """Return the value in its one form.

    Raises
    ------
    TypeError, ValueError
        If there is no such control, or it takes no such value.
    """
    if name not in NAMES:
        msg = f"no control {_shortened(name)}; there are {', '.join(NAMES)}"
        raise ValueError(msg)
    if name == "learning_rate":
        if isinstance(value, Mapping) and len(value) == 1:
            for how in ("multiply", "set"):
                if how in value:
                    return {how: _positive(f"learning_rate {how}", value[how])}
        allowed = '{"multiply": x} or {"set": x}'
    elif name == "cadence":
        if isinstance(value, Mapping) and set(value) == {"logging_steps"}:
            return {"logging_steps": _steps("logging_steps", value["logging_steps"])}
        if isinstance(value, Mapping) and set(value) == {"probe", "every"}:
            return {"probe": str(value["probe"]), "every": _steps("every", value["every"])}
        allowed = '{"logging_steps": n} or {"probe": name, "every": n}'
    elif not value:
        return None
    else:
        allowed = "no value"
    msg = f"{name} takes {allowed}; {_shortened(value)} was given"
    raise ValueError(msg)


class Controls:
    """Wishes waiting for the training thread, and the last ones that it has dealt with.

    Parameters
    ----------
    changed
        Called after every change, on the thread that made it.

    Attributes
    ----------
    closed : str
        Why nothing can be asked for just now, or "".
    waiting : bool
        Whether something is to be taken; cheap enough for every step.
    """

    def __init__(self, changed: Callable[[], None] = _nothing) -> None:
        self._changed = changed
        self._lock = threading.Lock()
        self._arrived = threading.Event()
        self._queue: deque[Request] = deque()
        self._shown: list[Request] = []
        self._known: dict[str, None] = {}
        self.closed = "no training is running yet"

    @property
    def waiting(self) -> bool:
        """Whether something is to be taken."""
        return bool(self._queue)

    # ------------------------------------------------------------------ any thread

    def submit(self, name: str, value: Any = None) -> Request:
        """Ask for something from Python.

        Raises
        ------
        TypeError, ValueError
            If there is no such control, or it takes no such value.
        RuntimeError
            If nothing can be asked for just now.
        """
        request = Request(uuid.uuid4().hex, name, check(name, value))
        if self._queue_up(request) == "refused":
            msg = f"{name}: {request.message}"
            raise RuntimeError(msg)
        self._changed()
        return request

    def receive(self, message: Mapping[str, Any]) -> Request | None:
        """Take a page's message; whatever is wrong with it is answered. None for a repeated one."""
        identity, name = str(message.get("id"))[:100], message.get("name")
        request = Request(identity, str(name)[:_SHORT], source="page")
        with self._lock:
            if identity in self._known:
                return None
            self._known[identity] = None
            if len(self._known) > _REMEMBERED:
                del self._known[next(iter(self._known))]
        try:
            request.value = check(name, message.get("value"))
        except (TypeError, ValueError) as error:
            request.state, request.message = "refused", str(error)
            with self._lock:
                self._show(request)
        else:
            self._queue_up(request)
        self._changed()
        return request

    def _queue_up(self, request: Request) -> State:
        with self._lock:
            if self.closed:
                request.state, request.message = "refused", self.closed
            elif len(self._queue) >= _MOST_WAITING:
                request.state = "refused"
                request.message = f"{_MOST_WAITING} controls wait for the next step already"
            else:
                self._queue.append(request)
            self._show(request)
        self._arrived.set()
        return request.state

    def _show(self, request: Request) -> None:
        self._shown.append(request)
        while len(self._shown) > _SHOWN:
            self._shown.remove(next(r for r in self._shown if r not in self._queue))

    def recent(self) -> list[dict[str, Any]]:
        """The last controls, oldest first, as the page gets them."""
        with self._lock:
            return [
                {
                    "id": r.id,
                    "name": r.name,
                    "value": r.value,
                    "state": r.state,
                    "message": r.message,
                    "step": r.step,
                }
                for r in self._shown
            ]

    # ------------------------------------------------------------------ the training thread

    def open(self) -> None:
        """Let controls be asked for."""
        with self._lock:
            self.closed = ""

    def close(self, reason: str) -> None:
        """Refuse what waits and whatever comes, and say why."""
        with self._lock:
            self.closed = reason
            for request in self._queue:
                request.state, request.message = "refused", reason
            self._queue.clear()
        self._changed()

    def take(self) -> Request | None:
        """Return the oldest wish that waits, or None."""
        with self._lock:
            return self._queue.popleft() if self._queue else None

    def wait(self, seconds: float) -> None:
        """Sleep until something is asked for, but not longer."""
        if self._arrived.wait(seconds):
            self._arrived.clear()

    def settle(self, request: Request, state: State, message: str, step: int) -> None:
        """Say what became of a wish."""
        request.state, request.message, request.step = state, message, step
        self._changed()

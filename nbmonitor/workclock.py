"""How long a process works on a step by itself, without waiting for the other processes.

Ranks that train together end every step together, so that the length of a step tells nothing
of who holds up whom. What does is the time from the end of one optimiser step to the moment
in which this process's own last gradient is there (after it, gradients are exchanged), less
the waits before: those of the loop for the others' batches, and DDP's for their buffers. On a
GPU all of it is measured on the device, with events and without a sync.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from nbmonitor.patch import Patches

_MOST = 1024
# Seconds between two steps that are measured: short steps are sampled.
_INTERVAL = 0.05
# An evaluation, too, waits for the others, again and again; such a step isn't counted anyway.
_MOST_WAITS = 64

_Waits = list[tuple[Any, Any]]


class WorkClock:
    """Hooks at the places where a step begins, waits and has its gradients.

    Attributes
    ----------
    obstacle : str
        Why there is nothing to measure, or "".
    """

    def __init__(self) -> None:
        self.obstacle = "nothing is watched"
        self._patches = Patches()
        self._cuda = self._due = False
        self._next = self._at = 0.0
        self._start: Any = None
        self._arrived: Any = None
        self._waits: _Waits = []
        self._entered: Any = None
        self._done: deque[tuple[float, Any, Any, _Waits]] = deque(maxlen=_MOST)

    def watch(
        self,
        model: Any,
        optimizer: Any,
        wrapped: Any = None,
        exchanges: Iterable[tuple[Any, str]] = (),
    ) -> None:
        """Set the hooks; those set before are taken away.

        Parameters
        ----------
        model, optimizer
            What is trained.
        wrapped
            The model as the loop calls it, inside `DistributedDataParallel` for example.
        exchanges
            Objects and names of methods in which the loop waits for other processes.
        """
        self.close()
        wrapped = model if wrapped is None else wrapped
        inner = getattr(wrapped, "module", None)
        # accelerate's wrapper has the methods of an optimiser and not what they need.
        optimizer = getattr(optimizer, "optimizer", optimizer)
        # Gradients come in the reverse order of use: the first parameter's is the last.
        first = next((p for p in model.parameters() if p.requires_grad), None)
        if first is None:
            self.obstacle = "no parameter is trained"
            return
        self._cuda = first.device.type == "cuda"
        add = self._patches.add
        try:
            add(first.register_post_accumulate_grad_hook(self._on_gradient).remove)
            add(optimizer.register_step_post_hook(self._on_step).remove)
            if inner is not None:
                add(wrapped.register_forward_pre_hook(self._enter).remove)
                add(inner.register_forward_pre_hook(self._leave).remove)
        except (AttributeError, RuntimeError) as error:
            self.close()
            self.obstacle = f"no hook could be set: {error}"
            return
        for owner, name in exchanges:
            self._patches.wrap(owner, name, self._exchange)
        self.obstacle = ""

    def close(self) -> None:
        """Take the hooks away."""
        self._patches.undo()
        self._start = self._arrived = self._entered = None
        self._due = False
        self._done.clear()

    def _mark(self) -> Any:
        if not self._cuda:
            return time.perf_counter()
        event = sys.modules["torch"].cuda.Event(enable_timing=True)
        event.record()
        return event

    def _enter(self, *_: Any) -> None:
        if self._due and len(self._waits) < _MOST_WAITS:
            self._entered = self._mark()

    def _leave(self, *_: Any) -> None:
        entered, self._entered = self._entered, None
        if entered is not None:
            self._waits.append((entered, self._mark()))

    def _exchange(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._enter()
        try:
            return original(*args, **kwargs)
        finally:
            self._leave()

    def _on_gradient(self, _parameter: Any) -> None:
        # Once a micro-batch; the last of a step counts.
        if self._due:
            self._arrived, self._at = self._mark(), time.time()

    def _on_step(self, *_: Any) -> None:
        if self._due and self._arrived is not None:
            self._done.append((self._at, self._start, self._arrived, self._waits))
        self._arrived = self._entered = None
        self._waits = []
        now = time.perf_counter()
        self._due = now >= self._next
        if self._due:
            self._start, self._next = self._mark(), now + _INTERVAL

    def take(self, until: float) -> float | None:
        """Seconds of the newest measured step whose work was done by then (epoch), once."""
        out = None
        while self._done and self._done[0][0] <= until:
            _, start, arrived, waits = self._done.popleft()
            if not self._cuda:
                out = arrived - start - sum(left - entered for entered, left in waits)
            elif arrived.query():
                spans = [entered.elapsed_time(left) for entered, left in waits]
                out = (start.elapsed_time(arrived) - sum(spans)) / 1000
        return out

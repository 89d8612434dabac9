"""Hooks on modules of somebody's model that can't break its training.

A tap looks at what goes into a module, or comes out, while it trains and while the tap is open.
An exception in it is kept for the probe, which raises it where the engine's guard is. A copy of
the model has inert taps, and so has one that is pickled. Under torch.compile there are no taps:
a hook within a compiled module compiles it anew at every step, or is ignored.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

COMPILED = (
    "off under torch.compile: a hook inside of a compiled model would compile it anew at every step"
)


def compiled(*models: Any) -> bool:
    """Whether a model, or a part of it, is compiled."""
    for model in models:
        if hasattr(model, "_orig_mod"):
            return True
        if hasattr(model, "modules") and any(
            getattr(module, "_compiled_call_impl", None) is not None or hasattr(module, "_orig_mod")
            for module in model.modules()
        ):
            return True
    return False


class Tap:
    """One hook. `take(value)` gets the module's first input, or its output."""

    def __init__(self, module: Any = None, take: Callable[[Any], None] | None = None) -> None:
        self._module, self._take = module, take
        self.open = True
        self.seconds = 0.0
        self.error: Exception | None = None

    def __call__(self, module: Any, inputs: Any, *output: Any) -> None:
        """Be the hook, before (two arguments) or after the forward pass (three)."""
        if not self.open or self._take is None or module is not self._module:
            return
        # Evaluations are no training; neither is what a checkpoint computes again on its way back.
        if not module.training or sys.modules["torch"]._C._current_graph_task_id() != -1:  # noqa: SLF001 - there is no public way to know
            return
        began = time.perf_counter()
        try:
            self._take(output[0] if output else inputs[0])
        except Exception as error:  # noqa: BLE001 - no probe may stop a training; the probe raises it
            self.open, self.error = False, error
        self.seconds += time.perf_counter() - began

    def __deepcopy__(self, memo: Any) -> Tap:
        """Make one that does nothing."""
        del memo
        return Tap()

    def __reduce__(self) -> tuple[type[Tap], tuple[()]]:
        """Become one that does nothing, elsewhere."""
        return Tap, ()


class Taps:
    """All taps of a probe."""

    def __init__(self) -> None:
        self._taps: list[Tap] = []
        self._handles: list[Any] = []

    def __len__(self) -> int:
        return len(self._taps)

    def before(self, module: Any, take: Callable[[Any], None]) -> None:
        """Look at the first positional input of a module."""
        tap = Tap(module, take)
        self._taps.append(tap)
        self._handles.append(module.register_forward_pre_hook(tap))

    def after(self, module: Any, take: Callable[[Any], None]) -> None:
        """Look at the output of a module."""
        tap = Tap(module, take)
        self._taps.append(tap)
        self._handles.append(module.register_forward_hook(tap))

    def turn(self, *, opened: bool) -> None:
        """Open or close all; raise what went wrong in one of them."""
        for tap in self._taps:
            if tap.error is not None:
                error = tap.error
                self.remove()
                raise error
            tap.open = opened

    def take_seconds(self) -> float:
        """Seconds that were spent in all taps since the last call."""
        seconds = 0.0
        for tap in self._taps:
            seconds, tap.seconds = seconds + tap.seconds, 0.0
        return seconds

    def remove(self) -> None:
        """Take the hooks off the model."""
        for handle in self._handles:
            handle.remove()
        self._handles, self._taps = [], []


def due(number: int, spacing: int) -> bool:
    """Whether the taps have to be open for the step after `number`.

    It is a multiple of `spacing`, the steps between two measurements.
    """
    return (number + 1) % spacing == 0


def following(number: int, spacing: int, *, opened: bool) -> int:
    """Return the next step after which a probe with taps has to be asked.

    The one at which taps are open, to read them, or else the one at which to open them.
    """
    return number + 1 if opened else number + spacing - (number + 1) % spacing

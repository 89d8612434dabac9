"""Dead units: the share of an MLP's units that stay silent, layer by layer.

What counts is the input of the down projection, which is the activation, gated or not. A unit is
dead when the largest |activation| that it showed is at most a thousandth of the mean of those of
its layer, over up to 1,024 positions of each micro-batch of the step (padding among them).
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from typing import Any

from nbmonitor.naming import NO_LAYER, name_modules
from nbmonitor.pace import Pace
from nbmonitor.probe import Context, Measured, Panel, Probe, Series, Step
from nbmonitor.sampling import stride
from nbmonitor.taps import COMPILED, Taps, compiled, due, following

POSITIONS = 1024
SILENT = 1e-3
_DOWN = re.compile(
    r"(^|\.)(down_proj|w2|wo|fc2|lin2|dense_4h_to_h|linear_fc2|mlp\.c_proj)$"
    r"|^(?!.*attention).*(^|\.)output\.dense$"
)
_NONE = (
    "no MLP was found whose down projection is a module of a known name (down_proj, fc2, c_proj, "
    "wo, ...): experts of a mixture are often fused into one tensor"
)


class DeadUnits(Probe):
    """Share of silent units per layer.

    Attributes
    ----------
    spacing
        Steps between two measurements. The probe itself is asked before each of them, too, to
        open its hooks: the activations of a step are there only while it runs.
    """

    name = "dead_units"
    spacing: int = 10
    cost = "a maximum over up to 1,024 positions per layer, every 10 steps or more seldom; no sync"
    series = (Series("dead/*/share", "dead units", "ratio"),)
    panels = (
        Panel(
            "dead", "Dead units", "line", ("dead/*/share",), tab="quality", order=95,
            options={"empty": "waiting for the first activations of an MLP"},
        ),
    )  # fmt: skip

    def __init__(self) -> None:
        self._taps = Taps()
        # Largest |activation| of each unit, (units,), by layer and place in it.
        self._peaks: dict[tuple[str, int], Any] = {}
        self._open = False
        self._pace = Pace(self.spacing)

    def set_every(self, every: int) -> int:
        """Space the measurements."""
        before, self.spacing = self.spacing, every
        return before

    def following(self, number: int) -> int:
        """Be asked when hooks are to be opened, and when they have been open."""
        return following(number, self.spacing, opened=self._open)

    def absent(self, context: Context) -> str:
        """Look for MLPs that can be listened to."""
        if not hasattr(context.model, "named_modules"):
            return "no model to be read"
        if compiled(context.model, context.wrapped):
            return COMPILED
        return "" if _downs(context.model) else _NONE

    def on_begin(self, context: Context) -> Measured | None:
        """Put a hook before every down projection."""
        self._taps.remove()
        self._peaks = {}
        self.spacing = self._pace.begin(self.spacing)
        for place, (layer, module) in enumerate(_downs(context.model)):
            self._taps.before(module, self._taker(layer, place))
        self._open = True
        return None

    def _taker(self, layer: str, place: int) -> Callable[[Any], None]:
        def take(activation: Any) -> None:
            torch = sys.modules["torch"]
            rows = activation.detach().flatten(0, -2)  # (positions, units)
            if not len(rows):  # an expert that got nothing
                return
            rows = rows[:: stride(len(rows), POSITIONS, activation.shape[-2])]
            # Twenty times as fast on a CPU as a norm of infinite order, and without a copy.
            peaks = torch.maximum(rows.amax(0), -rows.amin(0)).float()  # (units,)
            before = self._peaks.get((layer, place))
            self._peaks[layer, place] = peaks if before is None else torch.maximum(before, peaks)

        return take

    def on_step(self, step: Step) -> Measured | None:
        """Count, if this step was listened to; open the hooks for the next one that is due."""
        opened = due(step.number, self.spacing)
        measured = None
        if self._open and self._peaks:
            began = time.perf_counter()
            measured = self._shares()
            self._pace.add(self._taps.take_seconds() + time.perf_counter() - began)
            self.spacing = self._pace.measured(step.number, self.spacing)
        if opened != self._open or measured:
            self._taps.turn(opened=opened)
        self._open, self._peaks = opened, {}
        return measured

    def _shares(self) -> Measured:
        torch = sys.modules["torch"]
        layers: dict[str, list[Any]] = {}
        for (layer, _), peaks in self._peaks.items():
            layers.setdefault(layer, []).append(peaks)
        out = {}
        for layer, found in layers.items():
            peaks = torch.cat([p.to(found[0].device) for p in found])  # (units,)
            mean = peaks.mean()
            # What is not a number in one unit makes the share of its layer none.
            share = (peaks <= SILENT * mean).float().mean() + 0 * mean
            out[f"dead/{layer}/share"] = share  # ()
        return out

    def derive(self, step: Step, host: Measured) -> Measured:
        """Hand over the shares; also those that a journal holds, in another process."""
        del step
        return host

    def on_end(self, step: Step) -> Measured | None:
        """Take the hooks away."""
        del step
        self._taps.remove()
        self._peaks = {}
        return None


def _downs(model: Any) -> list[tuple[str, Any]]:
    """(layer, module) of every down projection; of an adapter's, the outermost module."""
    found = {
        path: module
        for path, module in model.named_modules()
        if _DOWN.search(path.lower()) and hasattr(module, "weight")
    }
    names = name_modules(found)
    return [
        (names[path][0].replace("/", "_"), module)
        for path, module in found.items()
        if names[path][0] != NO_LAYER
    ]


PROBE = DeadUnits

"""Everything else that is logged: custom metrics, rewards, a Trainer's closing figures.

Where a Trainer's own loop yields no loss per step, the logged one takes its place.
"""

from __future__ import annotations

from nbmonitor.probe import Context, Measured, Panel, Probe, Step

_AREAS = ("eval/", "test/")
_PER_STEP = ("train/loss", "train/grad_norm", "train/learning_rate", "train/epoch")
_CLOSING = (
    "train/train_*", "train/total_flos", "train/step_time", "train/samples_*", "train/eta",
    "train/epoch", "eval/runtime", "eval/*_per_second", "eval/epoch",
)  # fmt: skip


class Logs(Probe):
    """Record logged metrics that no other probe measures by itself."""

    name = "logs"
    cost = "nothing between logs"
    panels = (
        Panel("metrics", "Logged metrics", "metrics", ("*",), order=400, span=12,
              options={"exclude": list(_CLOSING)}),
        Panel("events", "Events", "log", (), tab="log", order=900, span=12),
    )  # fmt: skip

    def __init__(self) -> None:
        self._measured: set[str] = set()

    def on_begin(self, context: Context) -> Measured | None:
        """Forget what the last run measured."""
        del context
        self._measured = set()

    def on_step(self, step: Step) -> Measured | None:
        """Notice which of the usual keys are measured on every step."""
        if step.loss is not None:
            self._measured.add("train/loss")
        if step.grad_norm is not None:
            self._measured.add("train/grad_norm")
        if step.learning_rate is not None:
            self._measured.add("train/learning_rate")
        if step.epoch is not None:
            self._measured.add("train/epoch")

    def on_log(self, step: int, metrics: Measured) -> Measured:
        """Take what is not measured elsewhere."""
        del step
        return {
            key: value
            for key, value in metrics.items()
            if not key.startswith(_AREAS) and not (key in _PER_STEP and key in self._measured)
        }


PROBE = Logs

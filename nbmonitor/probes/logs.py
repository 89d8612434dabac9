"""Everything else that is logged: custom metrics, rewards, a Trainer's closing figures."""

from __future__ import annotations

from nbmonitor.probe import Measured, Panel, Probe

_AREAS = ("eval/", "test/")
_PER_STEP = ("train/loss", "train/grad_norm", "train/learning_rate", "train/epoch")
_CLOSING = (
    "train/train_*", "train/total_flos", "train/step_time", "train/samples_*", "train/eta",
    "train/epoch", "tokens/*", "eval/runtime", "eval/*_per_second", "eval/epoch",
)  # fmt: skip


class Logs(Probe):
    """Record logged metrics that no other probe measures by itself."""

    name = "logs"
    cost = "nothing between logs"
    hears_repeats = False
    panels = (
        Panel("metrics", "Logged metrics", "metrics", ("*",), order=400, span=12,
              options={"exclude": list(_CLOSING)}),
        Panel("events", "Events", "log", (), tab="log", order=900, span=12),
    )  # fmt: skip

    def on_log(self, step: int, metrics: Measured) -> Measured:
        """Take what is not measured elsewhere."""
        del step
        return {
            key: value
            for key, value in metrics.items()
            if not key.startswith(_AREAS) and key not in _PER_STEP
        }


PROBE = Logs

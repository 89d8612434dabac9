"""Loss, gradient norm and learning rate of every optimiser step.

The loss is the raw one, before the Trainer's log filter replaces NaN and Inf; the gradient
norm is the one before clipping. Where a loop of its own yields no value per step, the
logged one takes its place.
"""

from __future__ import annotations

from nbmonitor.probe import Context, Measured, Panel, Probe, Series, Step


class Loss(Probe):
    """Record what the training step itself yields."""

    name = "loss"
    cost = "nothing on the training thread"
    hears_repeats = False
    series = (
        Series("train/loss", "loss"),
        Series("train/grad_norm", "gradient norm"),
        Series("train/learning_rate", "learning rate", dtype="float64"),
        Series("train/epoch", "epoch", dtype="float64"),
    )
    panels = (
        Panel(
            "loss", "Loss", "line", ("train/loss",), order=100,
            options={"color": "loss", "smooth": True, "log": True},
        ),
        Panel(
            "learning_rate", "Learning rate", "line", ("train/learning_rate",), order=110,
            options={"color": "lr"},
        ),
        Panel(
            "grad_norm", "Gradient norm", "line", ("train/grad_norm",), order=120,
            options={"color": "grad", "log": True},
        ),
    )  # fmt: skip

    def __init__(self) -> None:
        self._measured: set[str] = set()

    def on_begin(self, context: Context) -> Measured | None:
        """Forget what the last run measured."""
        del context
        self._measured = set()
        return None

    def derive(self, step: Step, host: Measured) -> Measured:
        """Hand over what the step carries; what it doesn't carry is not recorded."""
        del host
        carried = {
            "train/loss": step.loss,
            "train/grad_norm": step.grad_norm,
            "train/learning_rate": step.learning_rate,
            "train/epoch": step.epoch,
        }
        out = {key: value for key, value in carried.items() if value is not None}
        self._measured.update(out)
        return out

    def on_log(self, step: int, metrics: Measured) -> Measured:
        """Take the logged value of what the training loop does not yield by itself."""
        del step
        return {
            spec.key: metrics[spec.key]
            for spec in self.series
            if spec.key in metrics and spec.key not in self._measured
        }


PROBE = Loss

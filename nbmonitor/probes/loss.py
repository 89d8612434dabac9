"""Loss, gradient norm and learning rate of every optimiser step.

The loss is the raw one, before the Trainer's log filter replaces NaN and Inf; the gradient
norm is the one before clipping. It does not know where they come from.
"""

from __future__ import annotations

from nbmonitor.probe import Measured, Panel, Probe, Series, Step


class Loss(Probe):
    """Record what the training step itself yields."""

    name = "loss"
    cost = "three references; no tensor operation"
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

    def on_step(self, step: Step) -> Measured:
        """Hand over what the step carries; what it doesn't carry is not recorded."""
        out = {}
        if step.loss is not None:
            out["train/loss"] = step.loss
        if step.grad_norm is not None:
            out["train/grad_norm"] = step.grad_norm
        if step.learning_rate is not None:
            out["train/learning_rate"] = step.learning_rate
        if step.epoch is not None:
            out["train/epoch"] = step.epoch
        return out


PROBE = Loss

"""Evaluation results, whatever they are named: `eval_loss`, `eval_a_loss`, and the like."""

from __future__ import annotations

from nbmonitor.probe import Measured, Panel, Probe, Series

_AREAS = ("eval/", "test/")


class Evaluation(Probe):
    """Record every metric of an evaluation and draw its losses."""

    name = "evaluation"
    cost = "nothing between evaluations"
    hears_repeats = False
    series = (Series("eval/loss", "eval loss", dtype="float64"),)
    panels = (
        Panel(
            "eval_loss", "Eval loss", "line", ("eval/loss", "eval/*_loss"), order=130,
            options={"color": "eval", "points": True, "empty": "waiting for the first evaluation"},
        ),
    )  # fmt: skip

    def on_log(self, step: int, metrics: Measured) -> Measured:
        """Take what belongs to an evaluation."""
        del step
        return {key: value for key, value in metrics.items() if key.startswith(_AREAS)}


PROBE = Evaluation

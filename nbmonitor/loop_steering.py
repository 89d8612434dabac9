"""A plain loop as something to steer: what of it can be, and how it is told.

The loop is the user's: it can be held between two steps, but it has to look itself whether it
is to stop, and only its own functions can save and evaluate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any

from nbmonitor.learning_rate import LearningRate
from nbmonitor.steering import Refused


class LoopSteering:
    """What of a loop can be steered: the `Training` that it is.

    Parameters
    ----------
    scheduler
        Of the optimiser.
    save, evaluate
        The loop's own functions, called between two steps.
    """

    def __init__(
        self,
        *,
        scheduler: Any = None,
        save: Callable[[], Any] | None = None,
        evaluate: Callable[[], Any] | None = None,
    ) -> None:
        self.optimizer: Any = None
        self.take: Callable[[Mapping[str, Any]], None] | None = None
        self._scheduler, self._save, self._evaluate = scheduler, save, evaluate
        self._stop = self._asks = False

    def obstacles(self) -> dict[str, str]:
        """Say, by name of a control, why it can't be applied here."""
        out = {}
        if not self._asks:
            out["stop"] = "the loop doesn't look at monitor.should_stop"
            out["save_and_stop"] = out["stop"]
        if self._save is None:
            out["checkpoint"] = "the loop gave watch() no checkpoint=function"
            out.setdefault("save_and_stop", out["checkpoint"])
        if self._evaluate is None:
            out["evaluate"] = "the loop gave watch() no evaluate=function"
        scheduled = hasattr(getattr(self.optimizer, "step", None), "_wrapped_by_lr_sched")
        if self._scheduler is None and scheduled:
            out["learning_rate"] = "a scheduler sets the rate: tell watch() scheduler=…"
        return out

    def learning_rate(self) -> LearningRate | None:
        """Return the rate and its schedule."""
        if not getattr(self.optimizer, "param_groups", None):
            return None
        return LearningRate(self.optimizer, self._scheduler)

    def stop(self) -> None:
        """Let the loop know when it asks next."""
        self._stop = True

    def asked_to_stop(self) -> bool:
        """Answer the loop; from now on it is known to ask."""
        self._asks = True
        return self._stop

    def save(self) -> str:
        """Call the loop's own function."""
        assert self._save is not None
        saved = self._save()
        return f"saved {saved}" if isinstance(saved, str | PathLike) else "saved"

    def evaluate(self) -> str:
        """Call the loop's own function and record what it returns."""
        assert self._evaluate is not None
        found = self._evaluate()
        if isinstance(found, Mapping) and self.take is not None:
            self.take({_eval_key(str(key)): value for key, value in found.items()})
        return "evaluated"

    def log_every(self, steps: int) -> str:
        """Refuse: the loop logs when it likes."""
        msg = f"a plain loop logs by itself; it can't be told to every {steps} steps"
        raise Refused(msg)


def _eval_key(key: str) -> str:
    return key if "/" in key or key.startswith("eval_") else f"eval/{key}"

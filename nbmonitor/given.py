"""What a monitor is given, looked at before anything is made of it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

THEMES = ("neon", "light", "auto")
OPTIONS = (
    "name",
    "run_dir",
    "probes",
    "theme",
    "rules",
    "on_alert",
    "fixed_eval",
    "eval_every",
    "patterns",
    "parameters",
    "autosave",
)


def check(trainer: Any, theme: str, unknown: Mapping[str, Any]) -> None:
    """Look at what `TrainingMonitor` is called with.

    Raises
    ------
    TypeError
        If `trainer` is no Trainer, or there are unknown keywords.
    ValueError
        If there is no such theme.
    """
    if unknown:
        msg = (
            f"TrainingMonitor got unknown {', '.join(sorted(unknown))}; "
            f"besides the trainer it takes {', '.join(OPTIONS)}"
        )
        raise TypeError(msg)
    if theme not in THEMES:
        msg = f"theme {theme!r} given; one of {', '.join(THEMES)} is allowed"
        raise ValueError(msg)
    if trainer is not None:
        check_trainer(trainer)


def check_trainer(trainer: Any) -> None:
    """Raise TypeError unless `trainer` is one; without transformers loaded nothing can be."""
    if "transformers" in sys.modules:
        from nbmonitor.callback import is_trainer

        if is_trainer(trainer):
            return
    shown = repr(trainer)
    msg = (
        f"TrainingMonitor takes a transformers.Trainer (or a subclass, as TRL's are); "
        f"{type(trainer).__name__} {shown[:60]} was given. For a plain PyTorch loop: "
        f"monitor = TrainingMonitor(); monitor.watch(model, optimizer, total_steps)"
    )
    raise TypeError(msg)

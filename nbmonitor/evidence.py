"""What a Run holds that a verdict may rest on: tensors, events, the course of the loss.

It reads any Run, live or from a file, and judges nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nbmonitor.record import Tensor
from nbmonitor.verdict import Course, Evidence

# Values at either end of a series whose median stands for it.
_ENDS = 10


class Readable(Protocol):
    """The part of a Run that is read here."""

    status: str
    status_message: str
    step: int
    total_steps: int

    @property
    def keys(self) -> list[str]:
        """Keys of all series that hold a row."""

    def points(self, key: str) -> tuple[NDArray[np.float64], NDArray[Any]]:
        """Return steps and values of a series."""

    def tensor(self, key: str) -> Tensor | None:
        """Return the latest tensor of that key."""

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Events in order."""


def gather(run: Readable) -> Evidence:
    """Read what there is."""
    keys = set(run.keys)
    phases = run.events("phase")
    return Evidence(
        status=run.status,
        message=run.status_message,
        step=run.step,
        total_steps=run.total_steps,
        fixed=meta(run, "fixed_eval/state"),
        patterns=meta(run, "fixed_eval/patterns"),
        adapters=meta(run, "lora/truth"),
        alerts=open_alerts(run.events("alert")),
        phase=phases[-1]["data"] if phases else None,
        loss=course(run, "train/loss") if "train/loss" in keys else None,
        evaluation=course(run, "eval/loss") if "eval/loss" in keys else None,
        saved=checkpoints(run),
    )


def meta(run: Readable, key: str) -> dict[str, Any] | None:
    """What goes along with a tensor, and the step it is of; None if it was never set."""
    found = run.tensor(key)
    return None if found is None else {"step": found[1], **found[3]}


def open_alerts(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Data of the alerts that were raised and not cleared, the latest last.

    What a user says by `alert` is a message and no condition, so it is never open; neither is
    what has no id, because nothing could clear it.
    """
    standing: dict[str, dict[str, Any]] = {}
    for event in events:
        data = event["data"]
        name = str(data.get("id") or "")
        if not name or data.get("rule") == "user":
            continue
        standing.pop(name, None)
        if data.get("state", "raised") == "raised":
            standing[name] = data
    return list(standing.values())


def checkpoints(run: Readable) -> list[tuple[str, int]]:
    """Name and step of what was saved, in order."""
    saved = run.events("checkpoint")
    return [(str(e["data"]["name"]), int(e["step"])) for e in saved if "name" in e["data"]]


def course(run: Readable, key: str) -> Course | None:
    """How a series went, without the values that are no numbers; None if there is no other."""
    steps, values = run.points(key)
    sound = np.isfinite(values)
    steps, values = steps[sound], values[sound]
    if not len(values):
        return None
    least = int(np.argmin(values))
    return Course(
        first=float(np.median(values[:_ENDS])) if len(values) > 2 * _ENDS else float(values[0]),
        last=float(np.median(values[-_ENDS:])) if len(values) > 2 * _ENDS else float(values[-1]),
        least=float(values[least]),
        least_step=int(steps[least]),
        rows=len(values),
    )

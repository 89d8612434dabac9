"""Join the fixed evaluation with the run that it judges: `fixed_eval=…` of a monitor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from nbmonitor.probe import Probe
from nbmonitor.probes.fixed_eval import FixedEval, Links
from nbmonitor.session import Session


def join(probes: Iterable[Probe], session: Session, between: Callable[[], None]) -> None:
    """Lend a run to the probe of the fixed set, if it is among the probes.

    Parameters
    ----------
    probes
        Of the monitor.
    session
        Whose run it is.
    between
        Gives the page a moment; called between two batches of an evaluation.
    """
    run = session.run

    def past(key: str) -> tuple[Sequence[float], Sequence[float]]:
        # Asked while a run begins: what another process has left is in the Run by then.
        if key not in run.keys:
            return (), ()
        steps, values = run.points(key)
        return steps.tolist(), values.tolist()

    def saved() -> list[Any]:
        # Not `events`, which settles: this is asked in the middle of a step.
        return [event for event in run.events_since(0) if event["kind"] == "checkpoint"]

    for probe in probes:
        if isinstance(probe, FixedEval):
            probe.links = Links(
                session.set_aside, between, lambda: session.ending == "finished", past, saved
            )


def choose(probes: Iterable[Probe], data: Any, every: int | None, patterns: Any) -> None:
    """Give the probe its fixed set; see `FixedEval.use`.

    Raises
    ------
    TypeError
        If there is none, but something is said about it; and what `FixedEval.use` raises.
    """
    if data is None:
        given = {"eval_every": every, "patterns": patterns}
        extra = [name for name, value in given.items() if value is not None]
        if extra:
            msg = f"{' and '.join(extra)} given without a fixed set: pass fixed_eval=…, too"
            raise TypeError(msg)
        return
    for probe in probes:
        if isinstance(probe, FixedEval):
            probe.use(data, every=every, patterns=patterns)

"""Parameters: snapshots of embeddings and weights while they are trained, for the Parameters tab.

This file decides when, and takes them on the training thread; `nbmonitor/parameters/moment.py`
reads, and `maker.py` makes a snapshot of it on a thread of its own. The first is of the state
before the training; then at every step to 100, every ten to 1,000 and every hundred after, at
evaluations and checkpoints, and at the end, but never for more than 1 % of the training's time.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nbmonitor.parameters.cadence import Cadence
from nbmonitor.parameters.clusters import cluster_tensors
from nbmonitor.parameters.frequency import Frequency
from nbmonitor.parameters.maker import Maker
from nbmonitor.parameters.moment import Moment, read, read_gradients
from nbmonitor.parameters.onebasis import view_tensors
from nbmonitor.parameters.plan import Plan
from nbmonitor.parameters.samples import Samples
from nbmonitor.parameters.since import Since
from nbmonitor.parameters.snapshot import META, SNAPSHOT
from nbmonitor.parameters.turns import Turns
from nbmonitor.parameters.units import Sampler
from nbmonitor.parameters.unpacked import Unpacked
from nbmonitor.parameters.wishes import Wishes, wishes
from nbmonitor.parameters.worker import Worker
from nbmonitor.probe import Batch, Context, Panel, Probe, Step
from nbmonitor.record import Tensor

# Seconds that the end of a run waits for what is still being made, and a new one for an old one.
_END, _AGAIN = 20.0, 2.0
_OFF = "parameters=False was given: TrainingMonitor(trainer) alone watches them"


@dataclass(slots=True)
class Links:
    """What a run lends to this probe.

    `steps(key)` and `frame(key, step)` are those of its reels; `rewind(step)` drops what comes
    after a step; `whole()` tells at the end whether the weights are those of the last step.
    """

    steps: Callable[[str], list[int]] = lambda _key: []
    frame: Callable[[str, int], Tensor | None] = lambda _key, _step: None
    rewind: Callable[[int], Any] = lambda _step: None
    whole: Callable[[], bool] = lambda: True


class Parameters(Probe):
    """Take snapshots of the parameters.

    Attributes
    ----------
    plan : Plan or None
        What is read of the model, once a run has begun.
    """

    name = "parameters"
    cost = (
        "one pass over the weights that are read, and copies of samples, of units of each matrix "
        "and of up to 5,000 rows of the embedding; no sync. With what a thread of its own makes "
        "of it, 1 % of the training's time at most; the plan at the start is beside that"
    )
    panels = (
        Panel(
            "parameters", "Parameters", "parameters",
            (META, SNAPSHOT), tab="parameters", order=10, span=12,
            options={"empty": "waiting for the first snapshot"},
        ),
    )  # fmt: skip

    def __init__(self) -> None:
        self.links = Links()
        self.plan: Plan | None = None
        self._wishes = Wishes()
        self._cadence = Cadence()
        self._worker = Worker("nbmonitor-parameters")
        self._maker: Maker | None = None
        self._since: Since | None = None
        self._forget(Context())

    def use(self, value: Any) -> None:
        """Take what a user wants; see `nbmonitor.parameters.wishes.wishes`.

        Raises
        ------
        TypeError, ValueError
            If it is nothing that can be wanted.
        """
        self._wishes = wishes(value)
        self._cadence = Cadence(self._wishes.every, self._wishes.share)

    @property
    def every(self) -> int:
        """Steps between two snapshots, for now."""
        return self._cadence.every

    @every.setter
    def every(self, steps: int) -> None:
        self._cadence.fix(steps)

    def following(self, number: int) -> int:
        """Return the next step to look at: in turn, or the last one, or to tell what has failed."""
        if self._worker.failure is not None:
            return number + 1
        last, turn = self._context.total_steps or 0, super().following(number)
        return min(turn, last) if last > number else turn

    @property
    def spent(self) -> tuple[float, float]:
        """Seconds that this run's snapshots took on the training thread, and on their own."""
        here, elsewhere = self._cadence.taken
        return here, elsewhere

    # ------------------------------------------------------------------ a run's life

    def _forget(self, context: Context) -> None:
        self._context = context
        self._previous: Moment | None = None
        self._gradients: Samples | None = None
        self._frequency: Frequency | None = None
        # The last step that was decided on, and how; and the last that was looked at.
        self._decided: tuple[int, bool] = (-1, False)
        self._looked = -1
        self._skipped = self._lost = 0
        self._reading = 0.0
        self._taken, self._turns = 0, Turns()

    def absent(self, context: Context) -> str:
        """Say that there has to be a model, and the wish to see it."""
        if not self._wishes.on:
            return _OFF
        return "" if hasattr(context.model, "named_parameters") else "no model to be read"

    def on_begin(self, context: Context) -> None:
        """Plan what is read, and look at the state before the training."""
        self._retire(context.step)
        self._forget(context)
        self._cadence.begin(context.step)
        self.plan = plan = Plan(context.model, context.tokenizer, self._wishes.options)
        if plan.tokens is not None:
            self._frequency = Frequency(plan.tokens.shape[0])
        before = [step for step in self.links.steps(SNAPSHOT) if step < context.step]
        self._worker = Worker("nbmonitor-parameters", failed=context.wake)
        self._since = since = self._start(plan, before)
        self._maker = Maker(plan, context.put, len(before), self._last_view(before), since)
        if not plan.absent.get("model"):
            self._take(context.step, "begin")
        self._cadence.pardon()

    def _start(self, plan: Plan, before: list[int]) -> Since:
        """Return what to tell changes against: the run's own start, where it is still known."""
        held = self._since
        if held is not None and before and held.step == before[0] and held.fits(plan):
            return held
        return Since(plan, Sampler(plan))

    def _last_view(self, steps: list[int]) -> dict[str, Any]:
        """Return where points lay in the last snapshot of a run that goes on."""
        if not steps:
            return {}
        try:
            parts = Unpacked(functools.partial(self.links.frame, SNAPSHOT)).at(steps[-1]).parts
        except (KeyError, ValueError):  # damaged, or gone: then the view begins anew
            return {}
        names = ("tokens", "positions")
        return {n: parts[f"{n}/view"].values for n in names if f"{n}/view" in parts}

    def _retire(self, step: int) -> None:
        """End what a training that has begun anew, without an end, had at work."""
        if self._maker is None:
            return
        self._worker.abandon(_AGAIN)
        self._maker.stopped = True
        late = [s for s in self.links.steps(SNAPSHOT) if s > step]
        if late:
            self.links.rewind(step)

    def on_batch(self, batch: Batch) -> None:
        """Keep the tokens of a batch, to be counted later."""
        if self._frequency is not None:
            self._frequency.see(batch.inputs)

    def on_gradients(self, step: Step) -> None:
        """Take samples of the gradients if this step is to be looked at."""
        due = self._due(step.number)
        self._decided = step.number, due
        if due and self.plan is not None:
            began = time.perf_counter()
            self._gradients = read_gradients(self._context.model, self.plan)
            self._reading = time.perf_counter() - began

    def on_step(self, step: Step) -> None:
        """Look, if it is time to."""
        self._check()
        number = step.number
        self._cadence.passed(number, step.duration)
        known, due = self._decided
        if due if known == number else self._due(number):
            self._take(number, "cadence")
        else:
            self._gradients, self._reading = None, 0.0
        self._cadence.plan(number)

    def on_mark(self, step: Step, reason: str) -> None:
        """Look at what was evaluated or saved."""
        self._check()
        if self._looked != step.number and self._cadence.affordable():
            self._take(step.number, reason)

    def on_end(self, step: Step) -> None:
        """Look at the end, and wait for all that was looked at."""
        if self._maker is None:
            return
        try:
            if self._looked != step.number and self.links.whole():
                self._take(step.number, "end", beyond=True)
            self._worker.offer(self._see_all, beyond=True)
        finally:
            done = self._worker.close(_END)
            self._maker.stopped = True
            self._previous = self._gradients = None
        self._check()
        if not done:
            self._note(f"the last of them were not done within {_END:.0f} s and are given up")
        if self._lost:
            self._note(f"{self._lost} were not taken: the ones before were still being made")

    def _note(self, message: str) -> None:
        self._context.event("note", {"message": f"snapshots of parameters: {message}"})

    def _check(self) -> None:
        """Raise what a snapshot has failed with, for the engine to tell."""
        if self._worker.failure is not None:
            self._previous = self._gradients = None
            raise self._worker.failure

    # ------------------------------------------------------------------ one snapshot

    def _due(self, number: int) -> bool:
        return number == self._context.total_steps or self._cadence.due(number)

    def _take(self, number: int, reason: str, *, beyond: bool = False) -> None:
        gradients, self._gradients = self._gradients, None
        spent, self._reading = self._reading, 0.0
        if self.plan is None or self._maker is None or number == self._looked:
            return
        beyond = beyond or number == self._context.total_steps
        if not self._worker.free and not beyond:
            # Not even read: the next one would tell its change against one that nobody saw.
            self._skipped += 1
            self._lost += 1
            return
        whole = beyond or self._turns.due(self._taken, reason)
        sampler = self._since.sampler if self._since is not None and whole else None
        began = time.perf_counter()
        moment = read(self._context.model, self.plan, self._previous, gradients, sampler)
        spent += time.perf_counter() - began
        self._previous, self._looked = moment, number
        self._taken += 1
        self._cadence.paid(number, spent, here=True)
        make = functools.partial(self._maker.make, skipped=self._skipped)
        job = functools.partial(self._make, make, moment, number, reason, spent)
        self._skipped = 0
        self._worker.offer(job, beyond=beyond)

    def _make(
        self, make: Callable[..., float], moment: Moment, number: int, reason: str, spent: float
    ) -> None:
        """Make a snapshot that took `spent` seconds to read; on the worker's thread."""
        units = moment.units.seconds if moment.units is not None else None
        began = time.thread_time()
        change = make(moment, number, reason, self._frequency)
        took = time.thread_time() - began
        self._cadence.paid(number, took, here=False)
        if reason == "begin":
            self._cadence.pardon()
        elif units is not None:
            self._turns.paid(units + change, spent + took - units - change)

    def _see_all(self) -> None:
        """Put all snapshots in one basis, and clusters, for whoever looks at the run later."""
        for make in (view_tensors, cluster_tensors):
            for tensor in make(self.links.steps, self.links.frame):
                self._context.put(*tensor)


PROBE = Parameters

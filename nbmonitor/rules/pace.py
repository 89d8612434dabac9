"""How fast it goes: a pace that has dropped, and a training that stands still."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nbmonitor.changes import median
from nbmonitor.lookback import Lookback
from nbmonitor.rule import Finding, Rule

TOKENS, SAMPLES, STEP = "tokens/per_second", "train/samples_per_second", "train/step_time"
_EVALUATED = ("eval/loss", "eval/runtime")


class ThroughputDrop(Rule):
    """Fewer tokens (or samples) a second than this run used to do, for a while.

    Seen in blocks of ten steps and five seconds or more, by their medians: the lengths of
    batches and single hiccups are no drop.
    """

    name = "throughput_drop"
    keys = (STEP,)
    also = (TOKENS, SAMPLES)
    every = 10
    calm = 2
    seconds = 5.0
    # Blocks before that tell what is usual, and that lie below it; share of the usual rate.
    needed, low = 4, 3
    share, opened_share = 0.6, 0.8

    def begin(self, seen: Lookback) -> None:
        """Forget the blocks."""
        del seen
        self._blocks: list[tuple[int, float]] = []
        self._open_at = -1.0
        self._rows = 0
        self._usual = 0.0

    def look(self, seen: Lookback) -> Iterator[Finding]:
        """Close a block when it is long enough, and compare the last ones with those before."""
        now = seen.tracks[STEP].last[2]
        if self._open_at < 0:  # the first steps warm caches and compile
            self._open_at, self._rows = now, seen.rows(STEP)
            return
        key = TOKENS if seen.rows(TOKENS) else SAMPLES
        if now - self._open_at >= self.seconds and seen.rows(key):
            rates = seen.finite(key, max(1, seen.rows(STEP) - self._rows))[1]
            self._blocks.append((seen.step, median(rates)))
            del self._blocks[:-256]
            self._open_at, self._rows = now, seen.rows(STEP)
        blocks = self._blocks
        if len(blocks) < self.needed + self.low:
            return
        last = np.array([rate for _, rate in blocks[-self.low :]])
        if not self.opened:
            self._usual = median(np.array([rate for _, rate in blocks[: -self.low]]))
        share = self.opened_share if self.opened else self.share
        if not (last < share * self._usual).all():
            return
        unit = key.split("/")[0] if key == TOKENS else "samples"
        yield self.finding(
            "Throughput has dropped",
            f"{median(last):.4g} {unit}/s since step {blocks[-self.low][0]}; "
            f"{self._usual:.4g} {unit}/s were usual ({100 * (1 - median(last) / self._usual):.0f} "
            "% less).",
            "See whether another process uses the GPU or the CPUs, whether the GPU is hot, whether "
            "data comes from a slower place, and whether sequences have become longer.",
            key=key,
            panel="tokens" if key == TOKENS else "readouts",
            window=(blocks[-self.low][0], seen.step),
            confidence=1 - 1 / (len(blocks) - self.low + 1),
            value=float(median(last)),
        )


class Stalled(Rule):
    """No step ends, for far longer than any took. Told by the clock of the host's readings."""

    name = "stalled"
    keys = ("host/cpu", "host/memory_used")
    also = ("train/loss", STEP, *_EVALUATED)
    every = 1
    calm = 1
    rest = 0
    # Seconds without a step: at least; before the first one; while an evaluation may take long
    # and none has been seen. Times the longest and the usual pause between two steps.
    least, first, evaluation = 120.0, 900.0, 900.0
    longest, usual = 3.0, 20.0

    def begin(self, seen: Lookback) -> None:
        """Forget all times."""
        del seen
        self._since: float | None = None
        self._step = 0
        self._pause = self._total = 0.0
        self._steps = 0

    def look(self, seen: Lookback) -> Iterator[Finding]:
        """Compare the time since the last step with the pauses so far."""
        if self._since is None or seen.status == "paused":
            self._since, self._step = seen.time, seen.step
            return
        waited = seen.time - self._since
        if seen.step > self._step:
            self._go_on(seen, self._since)
            return
        if waited < self.least or seen.status != "running":
            return
        usual = self._total / self._steps if self._steps else 0.0
        most = max(self.least, self.longest * self._pause, self.usual * usual)
        if not self._steps:
            most = self.first
        elif self._may_evaluate(seen):
            most = max(most, self.evaluation)
        if seen.total_steps and seen.step >= seen.total_steps:
            return  # what follows the last step is no step
        if waited >= most:
            yield self.finding(
                "Training stands still",
                f"No step has ended for {waited:.0f} s, since step {seen.step}; "
                f"{self._pause:.3g} s was the longest so far, and {usual:.3g} s usual.",
                "If no evaluation or checkpoint is under way: `py-spy dump --pid` shows where the "
                "process waits. Often it is a worker of the data loader, another rank, or a disk.",
                key=STEP,
                panel="readouts",
                window=(seen.step, seen.step),
                value=waited,
            )

    def _go_on(self, seen: Lookback, since: float) -> None:
        """Learn from the steps since the last look how long one takes, and the longest of all."""
        key = max((STEP, "train/loss"), key=seen.rows)
        times = seen.tail(key)[2]
        fresh = times[times > since]
        if not len(fresh):
            fresh = np.array([seen.time])
        pauses = np.diff(fresh, prepend=since)
        # Of what is no longer looked back on, only the whole is known.
        lost = len(fresh) == len(times) < seen.rows(key)
        known = pauses[1:] if lost and len(fresh) > 1 else pauses
        self._pause = max(self._pause, float(known.max()))
        self._total += float(pauses.sum())
        self._steps += seen.step - self._step
        self._since, self._step = float(fresh[-1]), seen.step

    def _may_evaluate(self, seen: Lookback) -> bool:
        """Whether evaluations are planned, and how long one takes is not known yet."""
        planned = str(seen.config.get("eval_strategy", "no")) != "no"
        return planned and not any(map(seen.rows, _EVALUATED))


RULES = (Stalled, ThroughputDrop)

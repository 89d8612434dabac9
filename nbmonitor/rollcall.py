"""Rank 0's side of a distributed training: reports in, series and news out.

Told once: who lags, who has fallen silent and is back, who has left, who never reported.
It knows no store and no Run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from nbmonitor.ranks import Heard, Report
from nbmonitor.straggler import Finding, Pace, Straggler

SILENCE = 10.0
AT_WORK, LAGS, SILENT, ENDED, UNHEARD = range(5)

News = tuple[str, dict[str, Any]]

_AS_REPORTED = (
    "step", "loss", "process_memory", "gpu_memory", "gpu_memory_total", "gpu_utilization",
)  # fmt: skip
_NOTHING: Report = {
    "n": 0, "steps": 0, "seconds": 0.0, "samples": 0, "worked": 0, "work": 0.0,
}  # fmt: skip
# About as many values a second may all ranks together add to the record.
_VALUES = 160
# Seconds between two notes of a straggler: a job that is even but for noise is left alone.
_CALM = 60.0


class RollCall:
    """What is known of all ranks.

    Parameters
    ----------
    world
        Number of processes.
    silence
        Seconds without a report after which a rank is called silent.
    """

    def __init__(self, world: int, silence: float = SILENCE) -> None:
        self._world, self._silence = world, silence
        self._before: dict[int, Report] = {}
        self._states: dict[int, int] = {}
        self._losses: dict[int, float] = {}
        self._straggler = Straggler()
        self._named: int | None = None
        self._told_at = -math.inf
        self._told: set[tuple[str, int]] = set()
        self._every = max(1, world * 9 // _VALUES)
        self._calls = 0

    def call(
        self, heard: Mapping[int, Heard], listened: float, *, last: bool = False
    ) -> tuple[dict[str, float], list[News]]:
        """Compare with what was heard before.

        Parameters
        ----------
        heard
            By rank; those that never reported are missing.
        listened
            Seconds for which anybody could have been heard, as in `Courier`.
        last
            Whether the run is over.

        Returns
        -------
        values, news
            Series by key; events as (kind, data).
        """
        out: dict[str, float] = {}
        due = last or self._calls % self._every == 0
        found = self._take(heard, listened, out) if due else None
        self._calls += 1
        news: list[News] = []
        if found is not None:
            news += self._name(found, listened)
        for rank in range(self._world):
            known = heard.get(rank)
            silent = listened if known is None else known.silent
            was = self._states.get(rank)
            state = self._state(rank, known, silent)
            self._states[rank] = state
            if state != was or last or silent >= self._silence:
                out[f"rank/{rank}/state"] = state
                out[f"rank/{rank}/silent"] = silent
            # At the end nobody is missed any more, but a return still is news.
            if not last or (was == SILENT and state != SILENT):
                news += self._news(rank, known, silent, (was, state))
        return out, news

    # ------------------------------------------------------------------ series

    def _take(
        self, heard: Mapping[int, Heard], now: float, out: dict[str, float]
    ) -> Finding | None:
        """Series of all ranks, from the difference between their last two reports."""
        alive: dict[int, Report] = {}
        for rank, known in heard.items():
            report, before = known.report, self._before.get(rank, _NOTHING)
            self._before[rank] = report
            change = {key: report[key] - before[key] for key in _NOTHING}
            if not report["ended"] and known.silent < self._silence:
                alive[rank] = change
            if change["n"] <= 0:
                continue
            values = {key: report[key] for key in _AS_REPORTED if key in report}
            if change["steps"] > 0 and change["seconds"] > 0:
                values["step_time"] = change["seconds"] / change["steps"]
                if change["samples"] > 0:
                    values["samples_per_second"] = change["samples"] / change["seconds"]
            if change["worked"] > 0:
                values["work_time"] = change["work"] / change["worked"]
            if "loss" in report:
                self._losses[rank] = report["loss"]
            out.update({f"rank/{rank}/{key}": float(value) for key, value in values.items()})
        finite = [loss for loss in self._losses.values() if math.isfinite(loss)]
        if len(finite) > 1:
            out["ranks/loss_spread"] = max(finite) - min(finite)
        self._works = bool(alive) and all(heard[rank].report["worked"] for rank in alive)
        steps, seconds = ("worked", "work") if self._works else ("steps", "seconds")
        found = self._straggler.look(now, {r: Pace(c[steps], c[seconds]) for r, c in alive.items()})
        if found is not None:
            out |= {
                "ranks/slowest": found.rank,
                "ranks/straggler": found.rank if found.named else -1,
                "ranks/slowdown": found.slowdown,
                "ranks/slowest_time": found.mean,
                "ranks/median_time": found.median,
                "ranks/window": found.window,
                "ranks/window_steps": found.steps,
            }
        return found

    # ------------------------------------------------------------------ news

    def _name(self, found: Finding, now: float) -> Iterator[News]:
        named = found.rank if found.named else None
        was, self._named = self._named, named
        if named == was or now - self._told_at < _CALM:
            return
        self._told_at = now
        if named is None:
            yield "note", {"message": f"rank {was} keeps pace with the others again", "rank": was}
            return
        what = "own work" if self._works else "time"
        wait = found.mean - found.median
        message = (
            f"rank {named} is the straggler: {_ms(found.mean)} {what} a step, "
            f"{found.slowdown:.2f} times the median of the others ({_ms(found.median)}), over the "
            f"last {found.window:.0f} s ({found.steps} steps measured). They wait about "
            f"{_ms(wait)} a step for it: compare what else runs on its machine, the clocks and "
            "temperature of its GPU, and the lengths of its batches"
        )
        data = {"message": message, "rank": named, "slowdown": found.slowdown}
        yield "note", {**data, "seconds": found.window, "steps": found.steps}

    def _state(self, rank: int, known: Heard | None, silent: float) -> int:
        if known is None:
            return UNHEARD
        if known.report["ended"]:
            return ENDED
        if silent > self._silence:
            return SILENT
        return LAGS if rank == self._named else AT_WORK

    def _news(
        self, rank: int, known: Heard | None, silent: float, change: tuple[int | None, int]
    ) -> Iterator[News]:
        was, state = change
        if known is None:
            if silent > 3 * self._silence and self._once("unheard", rank):
                message = (
                    f"rank {rank} has not reported since the run began, {silent:.0f} s ago: only "
                    "ranks that make a TrainingMonitor do; make it on every rank"
                )
                yield "note", {"message": message, "rank": rank}
            return
        report = known.report
        who = f"process {report['pid']} on {report['host']}"
        if state == SILENT and was != SILENT:
            message = (
                f"rank {rank} has said nothing for {silent:.0f} s, last at step {report['step']} "
                f"({who}). The others wait for it in their next exchange of gradients. If its "
                "process is gone, stop the run and resume from the last checkpoint; if it hangs, "
                "`py-spy dump --pid` shows where; if it is stopped, `kill -CONT` lets it go on"
            )
            yield (
                "alert",
                {
                    "severity": "warning",
                    "title": f"rank {rank} is silent",
                    "message": message,
                    "rank": rank,
                    "seconds": silent,
                },
            )
        elif was == SILENT and state != SILENT:
            message = f"rank {rank} is back, at step {report['step']}"
            yield "note", {"message": message, "rank": rank}
        elif state == ENDED and silent > self._silence and self._once("left", rank):
            message = (
                f"rank {rank} left the training at step {report['step']} ({who}) while rank 0 goes "
                "on. Look at its log for an exception; ranks that exchange gradients wait for it"
            )
            title = f"rank {rank} has left"
            yield "alert", {"severity": "warning", "title": title, "message": message, "rank": rank}

    def _once(self, what: str, rank: int) -> bool:
        fresh = (what, rank) not in self._told
        self._told.add((what, rank))
        return fresh


def _ms(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"

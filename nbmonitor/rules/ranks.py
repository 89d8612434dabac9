"""Processes that hold the others up."""

from __future__ import annotations

from collections.abc import Iterator

from nbmonitor.lookback import Lookback
from nbmonitor.rule import Finding, Rule

KEY = "ranks/straggler"


class Straggler(Rule):
    """The same rank named as the straggler, reading after reading."""

    name = "straggler"
    keys = (KEY,)
    also = ("ranks/slowdown", "ranks/slowest_time", "ranks/median_time")
    every = 5
    calm = 6
    rest = 0
    readings = 30

    def look(self, seen: Lookback) -> Iterator[Finding]:
        """Look whether the last readings name one rank, and the same."""
        rows = seen.tail(KEY, self.readings)
        rank = int(rows[1, -1])
        if rank < 0 or (not self.opened and rows.shape[1] < self.readings):
            return
        named = float((rows[1] == rank).mean())
        if named < (0.5 if self.opened else 1.0):
            return
        times = seen.last("ranks/slowdown") or 1.0
        slow, usual = seen.last("ranks/slowest_time"), seen.last("ranks/median_time")
        told = f" ({slow:.3g} s against {usual:.3g} s)" if slow and usual else ""
        seconds = rows[2, -1] - rows[2, 0]
        yield self.finding(
            f"Rank {rank} holds the others up",
            f"For {seconds:.0f} s it has needed {times:.2f} times the median of the others for a "
            f"step{told}; they wait for it.",
            "Compare what else runs on its machine, clocks and temperature of its GPU, its data "
            "source, and the lengths of its batches.",
            key=KEY,
            panel="ranks",
            window=(rows[0, 0], rows[0, -1]),
            confidence=named,
            value=times,
        )


RULES = (Straggler,)

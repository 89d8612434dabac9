"""Which probes are asked at which step.

Most steps are nobody's but the few probes' that look at all of them. So whatever has a cadence
is planned ahead, and a step at which none of it is due costs one comparison of two numbers.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from nbmonitor.guard import Guard
from nbmonitor.probe import Probe, overrides

_NEVER = 2**62


class Timetable:
    """The steps ahead.

    Parameters
    ----------
    probes
        Those that may be asked, in order.
    guard
        Calls their hooks.

    Attributes
    ----------
    wake : int
        The next step at which anybody but `steady` is to be asked.
    steady : list of Probe
        Asked after every step that is a multiple of their `every`.
    by_steps : list of Probe
        All that are asked by the number of a step.
    first : bool
        Whether no step has been done; the first is everybody's.
    """

    def __init__(self, probes: Iterable[Probe], guard: Guard) -> None:
        self._guard = guard
        self.by_steps = [
            p for p in probes if overrides(p, "on_step") or overrides(p, "on_gradients")
        ]
        self.steady = [p for p in self.by_steps if _is_steady(p)]
        self._next = {p.name: 0 for p in self.by_steps if p not in self.steady}
        self.wake, self.first = 0, True
        self._woken = False
        self._lock = threading.Lock()

    def drop(self, probe: Probe) -> None:
        """Ask a probe no more."""
        # New lists: the old ones may be gone through just now.
        self.by_steps = [p for p in self.by_steps if p is not probe]
        self.steady = [p for p in self.steady if p is not probe]

    def alarm(self) -> None:
        """Hear, on any thread, that a cadence has changed: plan anew at the next step."""
        with self._lock:
            self._woken, self.wake = True, 0

    def asked(self, number: int) -> list[Probe]:
        """Return who is asked at a step that `wake` has come to, in order."""
        if self.first:
            return self.by_steps
        with self._lock:
            woken, self._woken = self._woken, False
        if woken:
            self._plan(number - 1, [p for p in self.by_steps if p.name in self._next])
        return [
            p
            for p in self.by_steps
            if (self._next[p.name] <= number if p.name in self._next else not number % p.every)
        ]

    def done(self, number: int, asked: Iterable[Probe]) -> None:
        """Plan ahead, now that a step is over."""
        self.first = False
        self._plan(number, [p for p in asked if p.name in self._next])
        known = [self._next[p.name] for p in self.by_steps if p.name in self._next]
        with self._lock:
            self.wake = 0 if self._woken else min(known, default=_NEVER)

    def _plan(self, number: int, probes: Iterable[Probe]) -> None:
        for probe in probes:
            following = self._guard.call(probe, probe.following, number)
            self._next[probe.name] = max(number + 1, following or 0)


def _is_steady(probe: Probe) -> bool:
    return not (
        probe.every != 1
        or type(probe).every != 1
        or overrides(probe, "following")
        or overrides(probe, "on_gradients")
    )

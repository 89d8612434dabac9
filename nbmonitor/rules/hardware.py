"""GPU and host: memory that runs out, a GPU that waits, a GPU that is too hot to run at full pace.

All from readings once a second; what a device does not tell, no rule looks at.
"""

from __future__ import annotations

from collections.abc import Iterator

from nbmonitor.changes import median
from nbmonitor.lookback import Lookback
from nbmonitor.rule import Finding, Rule

STEP = "train/step_time"
_GIB = 2**30


def devices(seen: Lookback, reading: str) -> list[str]:
    """Prefixes `gpu/<i>` of the GPUs that have a reading."""
    return [key.rsplit("/", 1)[0] for key in seen.matching(f"gpu/*/{reading}")]


class MemoryLimit(Rule):
    """Memory of a GPU or of the host that is nearly all in use."""

    name = "memory_limit"
    keys = ("gpu/*/memory_used", "host/memory_used")
    also = (
        "gpu/*/memory_total",
        "gpu/*/torch_allocated",
        "gpu/*/torch_reserved",
        "host/memory_total",
    )
    keep = 32
    every = 5
    calm = 4
    readings = 5
    # Of what torch's cache can't give back; of all that is used; of the host's.
    bound, used, host = 0.92, 0.97, 0.95

    def look(self, seen: Lookback) -> Iterator[Finding]:
        """Look at the least use within the last readings, so that a peak is no state."""
        for gpu in devices(seen, "memory_used"):
            used = seen.tail(f"{gpu}/memory_used", self.readings)
            total = seen.last(f"{gpu}/memory_total")
            if used.shape[1] < self.readings or not total:
                continue
            held = float(used[1].min())
            limit, what = self.used, "in use"
            reserved = seen.tail(f"{gpu}/torch_reserved", self.readings)
            allocated = seen.tail(f"{gpu}/torch_allocated", self.readings)
            if reserved.shape[1] == allocated.shape[1] == self.readings:
                held = float((used[1] - reserved[1] + allocated[1]).min())
                limit, what = self.bound, "in use, torch's cache not counted"
            yield from self._tell(gpu, what, held / total, limit, (held, total, used[0]))
        used = seen.tail("host/memory_used", self.readings)
        total = seen.last("host/memory_total")
        if used.shape[1] == self.readings and total:
            held = float(used[1].min())
            yield from self._tell("host", "in use", held / total, self.host, (held, total, used[0]))

    def _tell(
        self, where: str, what: str, share: float, limit: float, found: tuple[float, float, object]
    ) -> Iterator[Finding]:
        name = f"memory_limit_{where.replace('/', '_')}"
        if share <= limit - (0.02 if name in self.opened else 0.0):
            return
        held, total, steps = found
        on_host = where == "host"
        who = "the host" if on_host else where.replace("/", " ").upper()
        action = (
            "Use fewer data loader workers, stream the data set, or close other programs; the "
            "system ends a process when memory runs out."
            if on_host
            else "A longer batch may not fit: lower the batch size (and accumulate), use gradient "
            "checkpointing, or limit the sequence length."
        )
        yield self.finding(
            f"Memory of {who} is nearly full",
            f"{held / _GIB:.1f} of {total / _GIB:.1f} GiB {what} ({100 * share:.0f} %), in each of "
            f"the last {self.readings} readings.",
            action,
            id=name,
            key=f"{where}/memory_used",
            panel="host" if on_host else "gpu",
            window=(steps[0], steps[-1]),  # type: ignore[index]
            confidence=1.0,
            value=share,
        )


class GpuIdle(Rule):
    """A GPU that does little while steps are made: it waits for data, or has too little to do."""

    name = "gpu_idle"
    keys = ("gpu/*/utilization",)
    also = (STEP,)
    keep = 64
    every = 10
    calm = 3
    readings, seconds = 30, 25.0
    least, opened_least = 30.0, 45.0
    # Share of the time that steps must make up, and how many there must be.
    share, steps = 0.7, 5

    def look(self, seen: Lookback) -> Iterator[Finding]:
        """Look at the median of the last readings, if steps filled that time."""
        for gpu in devices(seen, "utilization"):
            rows = seen.finite(f"{gpu}/utilization", self.readings)
            if rows.shape[1] < self.readings or rows[2, -1] - rows[2, 0] < self.seconds:
                continue
            now = median(rows[1])
            name = f"gpu_idle_{gpu.split('/')[1]}"
            if now >= (self.opened_least if name in self.opened else self.least):
                continue
            paces = seen.finite(STEP, 64)
            recent = paces[:, paces[2] >= rows[2, 0]]
            if recent.shape[1] < self.steps:
                continue
            spanned = recent[2, -1] - recent[2, 0] or 1.0
            if float(recent[1, 1:].sum()) < self.share * spanned:
                continue  # evaluation or saving fills the time
            yield self.finding(
                f"{gpu.replace('/', ' ').upper()} is mostly idle",
                f"Its median utilisation in the last {rows[2, -1] - rows[2, 0]:.0f} s is "
                f"{now:.0f} %, while steps of {median(recent[1]):.3g} s were made.",
                "Use more data loader workers, tokenise beforehand, pin memory, or make the batch "
                "larger; it waits for data, or each batch is too small.",
                id=name,
                key=f"{gpu}/utilization",
                panel="gpu",
                window=(rows[0, 0], rows[0, -1]),
                confidence=float((rows[1] < self.opened_least).mean()),
                value=now,
            )


class GpuThrottled(Rule):
    """A GPU so hot that it slows itself down, by its temperature and what power it still draws."""

    name = "gpu_throttled"
    keys = ("gpu/*/temperature",)
    also = ("gpu/*/power", "gpu/*/utilization")
    every = 10
    calm = 3
    recent, usual = 20, 40
    # °C at which any data centre or consumer GPU slows down, and at which it may.
    surely, maybe = 88.0, 80.0
    busy, share = 80.0, 0.75

    def look(self, seen: Lookback) -> Iterator[Finding]:
        """Look at the last readings; power counts where the GPU was busy all the time."""
        for gpu in devices(seen, "temperature"):
            rows = seen.finite(f"{gpu}/temperature", self.recent)
            if rows.shape[1] < self.recent:
                continue
            name = f"gpu_throttled_{gpu.split('/')[1]}"
            less = 3.0 if name in self.opened else 0.0
            hot = median(rows[1])
            drawn = self._drawn(seen, gpu) if hot >= self.maybe - less else None
            if hot < self.surely - less and drawn is None:
                continue
            power = f", and its power fell from {drawn[0]:.0f} to {drawn[1]:.0f} W" if drawn else ""
            yield self.finding(
                f"{gpu.replace('/', ' ').upper()} is throttled by heat",
                f"Its median temperature in the last {self.recent} readings is {hot:.0f} °C{power}"
                ": a GPU answers that with a lower clock.",
                "Check fans, air flow and dust, and what else heats the machine; "
                "`nvidia-smi -q -d PERFORMANCE` names the reason of the clock.",
                id=name,
                key=f"{gpu}/temperature",
                panel="gpu",
                window=(rows[0, 0], rows[0, -1]),
                value=hot,
            )

    def _drawn(self, seen: Lookback, gpu: str) -> tuple[float, float] | None:
        """Power before and now (W), if it fell although the GPU was busy."""
        power = seen.tail(f"{gpu}/power", self.recent + self.usual)
        busy = seen.tail(f"{gpu}/utilization", self.recent + self.usual)
        count = min(power.shape[1], busy.shape[1])
        if count < self.recent + self.usual:
            return None
        for stretch in (busy[1, : -self.recent], busy[1, -self.recent :]):
            if median(stretch) < self.busy:
                return None
        before, now = median(power[1, : -self.recent]), median(power[1, -self.recent :])
        return (before, now) if now < self.share * before else None


RULES = (GpuIdle, GpuThrottled, MemoryLimit)

"""CPU and memory of this machine and of this process; the only importer of psutil.

It knows nothing of series, panels or runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nbmonitor.extras import require


class Host:
    """Readings by name; what could not be read is left out, with its reason in `reasons`."""

    def __init__(self) -> None:
        self._psutil: Any = require("psutil", extra="all", feature="Host telemetry")
        self._process = self._psutil.Process()
        self.reasons: dict[str, str] = {}
        # Both count since the call before: a first one would always say 0.
        self._psutil.cpu_percent(None)
        self._process.cpu_percent(None)

    def read(self) -> dict[str, float]:
        """Measure once; percentages are means since the reading before."""
        out: dict[str, float] = {}
        reasons: dict[str, str] = {}

        def ask(names: tuple[str, ...], read: Callable[[], tuple[float, ...]]) -> None:
            try:
                out.update(zip(names, map(float, read()), strict=True))
            except (self._psutil.Error, OSError, RuntimeError) as error:
                reasons.update(dict.fromkeys(names, f"psutil: {error}"))

        ask(("cpu",), lambda: (self._psutil.cpu_percent(None),))
        ask(("process_cpu",), lambda: (self._process.cpu_percent(None),))
        ask(("process_memory",), lambda: (self._process.memory_info().rss,))
        ask(("memory_used", "memory_total"), self._memory)
        self.reasons = reasons
        return out

    def _memory(self) -> tuple[float, float]:
        memory = self._psutil.virtual_memory()
        # `used` of psutil leaves out shared memory; what is not available is in use.
        return memory.total - memory.available, memory.total

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
        self._ask(out, "cpu", lambda: self._psutil.cpu_percent(None))
        self._ask(out, "process_cpu", lambda: self._process.cpu_percent(None))
        self._ask(out, "process_memory", lambda: self._process.memory_info().rss)
        try:
            memory = self._psutil.virtual_memory()
        except (self._psutil.Error, OSError, RuntimeError) as error:
            self.reasons["memory_used"] = self.reasons["memory_total"] = str(error)
        else:
            # `used` of psutil leaves out shared memory; what is not available is in use.
            out["memory_used"] = float(memory.total - memory.available)
            out["memory_total"] = float(memory.total)
        return out

    def _ask(self, out: dict[str, float], name: str, read: Callable[[], float]) -> None:
        try:
            out[name] = float(read())
        except (self._psutil.Error, OSError, RuntimeError) as error:
            self.reasons[name] = str(error) or type(error).__name__
        else:
            self.reasons.pop(name, None)

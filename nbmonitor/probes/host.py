"""CPU, memory and this process, once a second: the gauges of a machine without a GPU."""

from __future__ import annotations

from collections.abc import Mapping

from nbmonitor.devices.host import Host
from nbmonitor.probe import Context, Measured, Panel, Probe, Series


class HostTelemetry(Probe):
    """The machine that trains."""

    name = "host"
    cost = "none on the training thread; about 0.2 ms a second on the sampler's"
    series = (
        Series("host/cpu", "CPU", "%"),
        Series("host/memory_used", "RAM used", "bytes"),
        Series("host/memory_total", "RAM", "bytes"),
        Series("host/process_memory", "memory of this process", "bytes"),
        Series("host/process_cpu", "CPU of this process (100 % is one core)", "%"),
    )
    panels = (
        Panel(
            "host",
            "Host",
            "gauges",
            tuple(s.key for s in series),
            order=210,
            span=12,
            options={
                "arcs": [
                    {"label": "CPU", "key": "host/cpu", "max": 100},
                    {"label": "RAM", "used": "host/memory_used", "total": "host/memory_total"},
                ],
                "bars": [
                    {
                        "label": "PROCESS",
                        "key": "host/process_memory",
                        "limit": "host/memory_total",
                    }
                ],
            },
        ),
    )

    def __init__(self) -> None:
        self._host: Host | None = None

    def on_begin(self, context: Context) -> Measured | None:
        """Start the clocks that percentages are measured with."""
        del context
        self._host = Host()
        return None

    def on_tick(self) -> Measured | None:
        """Read everything."""
        if self._host is None:
            return None
        return {f"host/{name}": value for name, value in self._host.read().items()}

    def unavailable(self) -> Mapping[str, str]:
        """Say what psutil could not read."""
        if self._host is None:
            return {}
        return {f"host/{name}": reason for name, reason in self._host.reasons.items()}


PROBE = HostTelemetry

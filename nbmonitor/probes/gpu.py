"""GPU telemetry once a second: memory, utilisation, temperature, power, torch's allocator.

`gpu/<i>` is device i of this process, as in `cuda:<i>`. What a GPU can't tell has a reason
instead of a value. It knows the two sources only by what they offer.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Protocol

from nbmonitor.devices.nvml import NoDevices, Nvml
from nbmonitor.devices.rocm import Rocm
from nbmonitor.probe import Context, Measured, Panel, Probe, Series


class Source(Protocol):
    """Readings by `<number>/<reading>`, and the reasons of those that are missing."""

    reasons: dict[str, str]

    def read(self) -> dict[str, float]:
        """Measure once."""


class Gpu(Probe):
    """The GPUs that this process can use."""

    name = "gpu"
    cost = "none on the training thread; about 1 ms a second and GPU on the sampler's"
    series = (
        Series("gpu/*/memory_used", "VRAM used", "bytes"),
        Series("gpu/*/memory_total", "VRAM", "bytes"),
        Series("gpu/*/utilization", "utilisation", "%"),
        Series("gpu/*/temperature", "temperature", "°C"),
        Series("gpu/*/power", "power", "W"),
        Series("gpu/*/power_limit", "power limit", "W"),
        Series("gpu/*/torch_allocated", "VRAM in tensors (torch)", "bytes"),
        Series("gpu/*/torch_reserved", "VRAM held by torch", "bytes"),
    )
    panels = (
        Panel(
            "gpu",
            "GPU",
            "gauges",
            tuple(s.key for s in series),
            order=200,
            span=12,
            options={
                "arcs": [
                    {
                        "label": "VRAM",
                        "used": "gpu/{i}/memory_used",
                        "total": "gpu/{i}/memory_total",
                    },
                    {"label": "UTIL", "key": "gpu/{i}/utilization", "max": 100},
                ],
                "bars": [
                    {"label": "TEMP", "key": "gpu/{i}/temperature", "max": 100},
                    {"label": "POWER", "key": "gpu/{i}/power", "limit": "gpu/{i}/power_limit"},
                    {
                        "label": "TENSORS",
                        "key": "gpu/{i}/torch_allocated",
                        "limit": "gpu/{i}/memory_total",
                    },
                    {
                        "label": "HELD BY TORCH",
                        "key": "gpu/{i}/torch_reserved",
                        "limit": "gpu/{i}/memory_total",
                    },
                ],
            },
        ),
    )

    def __init__(self) -> None:
        self._source: Source | None = None

    def absent(self, context: Context) -> str:
        """Look for GPUs; say what each way of finding them answered."""
        del context
        if self._source is not None:
            return ""
        try:
            self._source = Nvml()
        except NoDevices as nvidia:
            try:
                self._source = Rocm()
            except LookupError as amd:
                return f"no NVIDIA or AMD GPU found ({nvidia}; {amd})"
        return ""

    def on_tick(self) -> Measured | None:
        """Read everything."""
        if self._source is None:
            return None
        values = self._source.read()
        values |= _torch_memory(getattr(self._source, "uuids", []))
        return {f"gpu/{key}": value for key, value in values.items()}

    def unavailable(self) -> Mapping[str, str]:
        """Say what the GPUs could not tell."""
        source = self._source
        return {} if source is None else {f"gpu/{k}": why for k, why in source.reasons.items()}


def _torch_memory(uuids: list[str]) -> dict[str, float]:
    """Torch's own figures, once training has put something on a GPU; never wakes one up.

    torch may number mixed GPUs in another order than NVML, so they are told by identifier.
    """
    cuda: Any = getattr(sys.modules.get("torch"), "cuda", None)
    if cuda is None or not cuda.is_initialized():
        return {}
    out: dict[str, float] = {}
    for index in range(cuda.device_count()):
        uuid = str(getattr(cuda.get_device_properties(index), "uuid", ""))
        place = uuids.index(uuid) if uuid in uuids else index
        out[f"{place}/torch_allocated"] = float(cuda.memory_allocated(index))
        out[f"{place}/torch_reserved"] = float(cuda.memory_reserved(index))
    return out


PROBE = Gpu

"""NVIDIA GPUs through NVML; the only importer of pynvml.

Device numbers are those of this process: 0 is the first device that CUDA_VISIBLE_DEVICES
lets it see. Every reading is asked for alone, so that one that a GPU doesn't support costs
none of the others. It knows nothing of series, panels or runs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nbmonitor.devices.visible import visible
from nbmonitor.extras import require

READINGS = (
    "memory_used",
    "memory_total",
    "utilization",
    "temperature",
    "power",
    "power_limit",
)
RETRY = 10.0


class NoDevices(Exception):  # noqa: N818 - a finding, not a fault
    """There is nothing to read; the message says why."""


@dataclass(slots=True)
class _Device:
    handle: Any
    uuid: str
    name: str
    lost: str = ""


class Nvml:
    """The visible NVIDIA GPUs.

    Parameters
    ----------
    clock
        Seconds, for deciding when a lost GPU is looked for again.

    Raises
    ------
    NoDevices
        If NVML is missing, has no driver or sees no GPU.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        try:
            self._nvml: Any = require("pynvml", extra="all", feature="NVIDIA telemetry")
        except ImportError as error:
            raise NoDevices(str(error)) from error
        self._clock = clock
        self._retry_at = 0.0
        self.reasons: dict[str, str] = {}
        self._devices: list[_Device] = []
        try:
            self._nvml.nvmlInit()
        except self._nvml.NVMLError as error:
            message = _said(error)
            raise NoDevices(message) from error
        try:
            self._enumerate()
        except self._nvml.NVMLError as error:
            self.close()
            message = _said(error)
            raise NoDevices(message) from error
        if not self._devices:
            self.close()
            setting = os.environ.get("CUDA_VISIBLE_DEVICES")
            message = "NVML: no GPU"
            if setting is not None:
                message += f"; CUDA_VISIBLE_DEVICES={setting!r} lets this process see none"
            raise NoDevices(message)

    @property
    def names(self) -> list[str]:
        """Product name of each GPU."""
        return [device.name for device in self._devices]

    @property
    def uuids(self) -> list[str]:
        """Identifier of each GPU, without its `GPU-`, as torch tells it; "" if unknown."""
        return [device.uuid.removeprefix("GPU-") for device in self._devices]

    def close(self) -> None:
        """Let go of NVML."""
        try:
            self._nvml.nvmlShutdown()
        except self._nvml.NVMLError as error:
            self.reasons["close"] = str(error)

    def _enumerate(self) -> None:
        nvml = self._nvml
        count = int(nvml.nvmlDeviceGetCount())
        for entry in visible(count, os.environ.get("CUDA_VISIBLE_DEVICES")):
            handle = self._find(entry, count)
            if handle is None:
                break
            self._devices.append(
                _Device(
                    handle,
                    self._text(nvml.nvmlDeviceGetUUID, handle),
                    self._text(nvml.nvmlDeviceGetName, handle),
                )
            )

    def _find(self, entry: int | str, count: int) -> Any:
        """Handle of a number or an identifier, which may be shortened as CUDA allows."""
        nvml = self._nvml
        if isinstance(entry, int):
            return nvml.nvmlDeviceGetHandleByIndex(entry)
        try:
            return nvml.nvmlDeviceGetHandleByUUID(entry.encode())
        except nvml.NVMLError:
            handles = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(count)]
            found = [h for h in handles if self._text(nvml.nvmlDeviceGetUUID, h).startswith(entry)]
            return found[0] if len(found) == 1 else None

    def _text(self, ask: Callable[[Any], Any], handle: Any) -> str:
        try:
            text = ask(handle)
        except self._nvml.NVMLError:
            return ""
        return text.decode(errors="replace") if isinstance(text, bytes) else str(text)

    # ------------------------------------------------------------------ reading

    def read(self) -> dict[str, float]:
        """Measure once: values by `<number>/<reading>`; the others' reasons in `reasons`."""
        if any(d.lost for d in self._devices) and self._clock() >= self._retry_at:
            self._look_again()
        values: dict[str, float] = {}
        reasons: dict[str, str] = {}
        for number, device in enumerate(self._devices):
            for name, value in self._measure(device).items():
                if isinstance(value, str):
                    reasons[f"{number}/{name}"] = value
                else:
                    values[f"{number}/{name}"] = value
        self.reasons = reasons
        return values

    def _measure(self, device: _Device) -> dict[str, float | str]:
        nvml, handle = self._nvml, device.handle
        out: dict[str, float | str] = {}

        def ask(names: tuple[str, ...], read: Callable[[], tuple[float, ...]]) -> None:
            if device.lost:
                return
            try:
                out.update(zip(names, read(), strict=True))
            except nvml.NVMLError as error:
                if error.value in {nvml.NVML_ERROR_GPU_IS_LOST, nvml.NVML_ERROR_NOT_FOUND}:
                    device.lost = f"this GPU is gone ({error}); it is looked for again"
                    self._retry_at = self._clock() + RETRY
                else:
                    out.update(dict.fromkeys(names, self._reason(error, device)))

        ask(("memory_used", "memory_total"), lambda: self._memory(handle))
        ask(("utilization",), lambda: (nvml.nvmlDeviceGetUtilizationRates(handle).gpu,))
        ask(("temperature",), lambda: (self._temperature(handle),))
        ask(("power",), lambda: (nvml.nvmlDeviceGetPowerUsage(handle) / 1000,))
        ask(("power_limit",), lambda: (nvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000,))
        return dict.fromkeys(READINGS, device.lost) if device.lost else out

    def _memory(self, handle: Any) -> tuple[float, float]:
        nvml = self._nvml
        try:
            # Version 2 leaves the driver's reserve out of what is used, as nvidia-smi does.
            memory = nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2)
        except nvml.NVMLError as error:
            self._reraise_unless_old(error)
            memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        return float(memory.used), float(memory.total)

    def _temperature(self, handle: Any) -> float:
        nvml = self._nvml
        if hasattr(nvml, "nvmlDeviceGetTemperatureV"):
            try:
                return float(nvml.nvmlDeviceGetTemperatureV(handle, nvml.NVML_TEMPERATURE_GPU))
            except nvml.NVMLError as error:
                self._reraise_unless_old(error)
        return float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))

    def _reraise_unless_old(self, error: Any) -> None:
        nvml = self._nvml
        if error.value not in {
            nvml.NVML_ERROR_FUNCTION_NOT_FOUND,
            nvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
        }:
            raise error

    def _reason(self, error: Any, device: _Device) -> str:
        reason = _said(error)
        nvml = self._nvml
        if error.value != nvml.NVML_ERROR_NOT_SUPPORTED:
            return reason
        if device.uuid.startswith("MIG-"):
            return f"{reason} on a MIG slice, only on its whole GPU"
        try:
            if nvml.nvmlDeviceGetMigMode(device.handle)[0]:
                return f"{reason} while MIG is on"
        except nvml.NVMLError:
            return f"{reason} by {device.name or 'this GPU'}"
        return f"{reason} by {device.name or 'this GPU'}"

    def _look_again(self) -> None:
        """Find lost GPUs anew; handles outlive neither a shutdown nor a fallen bus."""
        nvml = self._nvml
        self._retry_at = self._clock() + RETRY
        self.close()
        try:
            nvml.nvmlInit()
        except nvml.NVMLError as error:
            for device in self._devices:
                device.lost = f"{_said(error)}; it is tried again"
            return
        for device in self._devices:
            try:
                device.handle = nvml.nvmlDeviceGetHandleByUUID(device.uuid.encode())
                nvml.nvmlDeviceGetName(device.handle)
                device.lost = ""
            except nvml.NVMLError as error:
                device.lost = f"this GPU is gone ({error}); it is looked for again"


def _said(error: Any) -> str:
    text = str(error)
    return text if text.startswith("NVML") else f"NVML: {text}"

"""AMD GPUs through the JSON of `amd-smi`, or of the older `rocm-smi`.

Both are command line programs that take a good part of a second, so they are asked no more
often than they can answer in a fifth of the time. Device numbers are those of this process;
a reading that is missing has a reason. It knows nothing of series, panels or runs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nbmonitor.devices.rocm_json import (
    READINGS,
    Readings,
    from_amd_smi,
    from_rocm_smi,
    limits_from_amd_smi,
    parse,
)
from nbmonitor.devices.visible import visible

TIMEOUT = 5.0
_SHARE = 5.0
_FOLDERS = "/opt/rocm/bin"
_KERNEL_INTERFACE = Path("/dev/kfd")
_SELECTED = ["metric", "--usage", "--power", "--temperature", "--mem-usage"]
_ROCM_SMI = ["--showuse", "--showmeminfo", "vram", "--showpower", "--showmaxpower", "--showtemp"]


class Rocm:
    """The visible AMD GPUs.

    Parameters
    ----------
    tool
        Path of `amd-smi` or `rocm-smi`; None: found by `find`.
    clock
        Seconds, for deciding when the tool is asked again.

    Raises
    ------
    LookupError
        If there is no tool, or it tells of no GPU; the message says why.
    """

    def __init__(
        self, tool: str | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tool = tool or self.find()
        self._amd = Path(self._tool).name.startswith("amd-smi")
        self._clock = clock
        self._next = 0.0
        self._limits: dict[int, float] = {}
        self.reasons: dict[str, str] = {}
        self._arguments = _SELECTED if self._amd else _ROCM_SMI
        found = self._ask()
        if isinstance(found, str) and self._amd:
            self._arguments = ["metric"]  # a version without these options tells everything
            found = self._ask()
        if isinstance(found, str) or not found:
            raise LookupError(found or f"{Path(self._tool).name}: no GPU")
        self._order = self._visible(sorted(found))
        if not self._order:
            msg = f"{Path(self._tool).name}: the environment lets this process see no GPU"
            raise LookupError(msg)
        if self._amd:
            limits = self._command(["static", "--limit", "--json"])
            self._limits = {} if isinstance(limits, str) else limits_from_amd_smi(limits[0])

    @staticmethod
    def find() -> str:
        """Path of the tool, if this machine has an AMD GPU's driver."""
        path = os.pathsep.join([os.environ.get("PATH", ""), _FOLDERS])
        tool = shutil.which("amd-smi", path=path) or shutil.which("rocm-smi", path=path)
        if tool is None:
            msg = "ROCm: no amd-smi or rocm-smi"
            raise LookupError(msg)
        if not _KERNEL_INTERFACE.exists():
            msg = f"ROCm: no driver loaded ({_KERNEL_INTERFACE} is missing)"
            raise LookupError(msg)
        return tool

    @staticmethod
    def _visible(found: list[int]) -> list[int]:
        """GPUs in the order of this process: ROCR selects first, HIP from what is left."""
        order = found
        hip = os.environ.get("HIP_VISIBLE_DEVICES", os.environ.get("CUDA_VISIBLE_DEVICES"))
        for setting in (os.environ.get("ROCR_VISIBLE_DEVICES"), hip):
            chosen = visible(len(order), setting)
            # The tools don't tell the identifiers that ROCm takes: those select nothing.
            if all(isinstance(entry, int) for entry in chosen):
                order = [order[entry] for entry in chosen if isinstance(entry, int)]
        return order

    # ------------------------------------------------------------------ reading

    def read(self) -> dict[str, float]:
        """Measure if it is time: values by `<number>/<reading>`, reasons in `reasons`."""
        if self._clock() < self._next:
            return {}
        found = self._ask()
        name = Path(self._tool).name
        values: dict[str, float] = {}
        reasons: dict[str, str] = {}
        for place, index in enumerate(self._order):
            readings = {} if isinstance(found, str) else found.get(index, {})
            if index in self._limits:
                readings = {"power_limit": self._limits[index], **readings}
            for key in READINGS:
                if key in readings and not isinstance(found, str):
                    values[f"{place}/{key}"] = readings[key]
                elif isinstance(found, str):
                    reasons[f"{place}/{key}"] = found
                elif index not in found:
                    reasons[f"{place}/{key}"] = f"{name} tells of no GPU {index} any more"
                else:
                    reasons[f"{place}/{key}"] = f"{name} does not tell it for this GPU"
        self.reasons = reasons
        return values

    def _ask(self) -> Readings | str:
        start = self._clock()
        answer = self._command([*self._arguments, "--json"])
        end = self._clock()
        self._next = end + (_SHARE - 1) * (end - start)
        if isinstance(answer, str):
            return answer
        return from_amd_smi(answer[0]) if self._amd else from_rocm_smi(answer[0])

    def _command(self, arguments: list[str]) -> tuple[Any] | str:
        """Run the tool; its JSON, in a tuple, or why there is none."""
        name = Path(self._tool).name
        try:
            done = subprocess.run(  # noqa: S603 - the tool found on PATH, with fixed arguments
                [self._tool, *arguments],
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            return f"{name} did not answer within {TIMEOUT:g} s"
        except OSError as error:
            return f"{name} could not be run: {error}"
        try:
            return (parse(done.stdout),)
        except ValueError as error:
            said = (done.stderr or done.stdout).strip().splitlines()
            last = f": {said[-1][:120]}" if said else ""
            return f"{name} gave no answer (exit code {done.returncode}, {error}){last}"

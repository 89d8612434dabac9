"""What `amd-smi` and `rocm-smi` write as JSON, in the shapes that their versions have had.

Pure: text and parsed JSON in, readings by GPU out. Everything is looked up by name; what
isn't there, or is "N/A", is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_UNITS = {"": 1.0, "B": 1.0, "KB": 2**10, "MB": 2**20, "GB": 2**30, "W": 1.0, "MW": 1e-3}
_NUMBER = re.compile(r"^\s*(-?\d+(?:\.\d+)?)\s*(\S*)\s*$")

# Reading -> section and the names it has had, the one to be preferred first.
AMD_SMI: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "memory_used": (("mem_usage", "fb_usage"), ("used_vram", "vram_used")),
    "memory_total": (("mem_usage", "fb_usage"), ("total_vram", "vram_total")),
    "utilization": (("usage",), ("gfx_activity", "gfx_usage")),
    "temperature": (("temperature",), ("edge", "hotspot", "junction")),
    "power": (("power",), ("socket_power", "current_socket_power", "average_socket_power")),
}
_LIMITS = ("socket_power_limit", "socket_power", "max_power_limit", "max_power")
_ROCM_SMI: dict[str, tuple[str, ...]] = {
    "memory_used": ("vram total used memory (b)",),
    "memory_total": ("vram total memory (b)",),
    "utilization": ("gpu use (%)",),
    "temperature": (
        "temperature (sensor edge) (c)",
        "temperature (sensor junction) (c)",
        "temperature (sensor hotspot) (c)",
    ),
    "power": (
        "current socket graphics package power (w)",
        "average graphics package power (w)",
    ),
    "power_limit": ("max graphics package power (w)",),
}

READINGS = (*AMD_SMI, "power_limit")
Readings = dict[int, dict[str, float]]


def number(value: Any, *, unit: str = "") -> float | None:
    """Return a number of 5, "5 %" or {"value": 5, "unit": "MB"}; None of "N/A"."""
    if isinstance(value, Mapping):
        return number(value.get("value"), unit=str(value.get("unit", "")))
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return float(value) * _UNITS.get(unit.upper(), 1.0)
    match = _NUMBER.match(str(value))
    if match is None:
        return None
    return float(match[1]) * _UNITS.get((match[2] or unit).upper(), 1.0)


def parse(text: str) -> Any:
    """Return the JSON in a tool's output, which may begin with warnings."""
    start = min((i for i in (text.find("{"), text.find("[")) if i >= 0), default=-1)
    if start < 0:
        msg = "no JSON in its output"
        raise ValueError(msg)
    value, _ = json.JSONDecoder().raw_decode(text[start:])
    return value


def _cards(data: Any) -> dict[int, Mapping[str, Any]]:
    """GPUs of any amd-smi output: a list, a list under `gpu_data`, or one GPU alone."""
    if isinstance(data, Mapping):
        inner = data.get("gpu_data", data)
        data = inner if isinstance(inner, list) else [inner]
    if not isinstance(data, list):
        return {}
    found = [card for card in data if isinstance(card, Mapping)]
    numbers = [number(card.get("gpu")) for card in found]
    return {
        i if n is None else int(n): c for i, (n, c) in enumerate(zip(numbers, found, strict=True))
    }


def from_amd_smi(data: Any) -> Readings:
    """Readings by GPU from `amd-smi metric --json`."""
    out: Readings = {}
    for index, card in _cards(data).items():
        readings = out.setdefault(index, {})
        for name, (sections, keys) in AMD_SMI.items():
            for section in (card.get(s) for s in sections):
                if isinstance(section, Mapping):
                    values = (number(section.get(key)) for key in keys)
                    value = next((v for v in values if v is not None), None)
                    if value is not None:
                        readings.setdefault(name, value)
    return out


def limits_from_amd_smi(data: Any) -> dict[int, float]:
    """Power limits by GPU from `amd-smi static --limit --json`."""
    out: dict[int, float] = {}
    for index, card in _cards(data).items():
        limit = card.get("limit")
        if not isinstance(limit, Mapping):
            continue
        # Newer versions have one section for each power cap type, ppt0 being the socket's.
        places = [limit, *(v for v in limit.values() if isinstance(v, Mapping))]
        values = (number(place.get(key)) for place in places for key in _LIMITS)
        value = next((v for v in values if v is not None), None)
        if value is not None:
            out[index] = value
    return out


def from_rocm_smi(data: Any) -> Readings:
    """Readings by GPU from `rocm-smi … --json`."""
    out: Readings = {}
    if not isinstance(data, Mapping):
        return out
    for card, values in data.items():
        match = re.fullmatch(r"(?:card|gpu)\D?(\d+)\D?", str(card), re.IGNORECASE)
        if match is None or not isinstance(values, Mapping):
            continue
        lower = {str(key).lower(): value for key, value in values.items()}
        readings = out.setdefault(int(match[1]), {})
        for name, keys in _ROCM_SMI.items():
            found = (number(lower.get(key)) for key in keys)
            value = next((v for v in found if v is not None), None)
            if value is not None:
                readings[name] = value
    return out

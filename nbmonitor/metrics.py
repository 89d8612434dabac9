"""Turn what users and Trainers log into floats, and say what could not be turned.

Pure functions; knows neither the Run nor torch (a tensor is anything with `detach`).
"""

from __future__ import annotations

import numbers
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

_EVAL = re.compile(r"^(eval|test)_(.+)$")
_ALLOWED = "numbers, booleans, 0-d arrays and one-element tensors are plotted"


@lru_cache(maxsize=4096)
def rewrite_key(key: str) -> str:
    """Rename a Trainer log key to `area/name`, as `transformers.rewrite_logs` does."""
    if "/" in key:
        return key
    match = _EVAL.match(key)
    return f"{match[1]}/{match[2]}" if match else f"train/{key}"


def as_float(value: Any) -> float:
    """Return `value` as a float; NaN and ±Inf stay what they are.

    Raises
    ------
    TypeError
        If it is not a single number.
    """
    if isinstance(value, bool | np.bool_):
        return float(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if hasattr(value, "detach"):
        value = value.detach()
        if value.numel() == 1 and not value.is_complex():
            return float(value)
        msg = f"a tensor of shape {tuple(value.shape)}; {_ALLOWED}"
        raise TypeError(msg)
    if isinstance(value, np.ndarray | np.generic) and np.size(value) == 1:
        return float(np.asarray(value, dtype=np.float64).reshape(()))
    text = repr(value)
    shown = text if len(text) <= 60 else text[:57] + "…"
    msg = f"{type(value).__name__} {shown}; {_ALLOWED}"
    raise TypeError(msg)


def clean(metrics: Mapping[Any, Any]) -> tuple[dict[str, float], dict[str, str]]:
    """Split metrics into floats by series key and, by key, why the others are not plotted."""
    numeric: dict[str, float] = {}
    refused: dict[str, str] = {}
    for raw, value in metrics.items():
        key = rewrite_key(str(raw))
        kind = type(value)
        if kind is float or kind is int:  # most of what is ever logged
            numeric[key] = float(value)
            continue
        try:
            numeric[key] = as_float(value)
        except (TypeError, ValueError) as error:
            refused[key] = str(error)
    return numeric, refused

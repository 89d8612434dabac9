"""Bring measured values from the device to the host without making the training wait.

On a CPU there is nothing to wait for: values are read at once. On an accelerator the values
of one step are flattened into one float32 vector, copied to pinned memory asynchronously
behind an event, and read only once the event has passed. torch is used only if it is loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from nbmonitor.probe import Measured

# Types of numbers that are what they are; `marshal` writes them so, too.
PLAIN = frozenset({float, int, type(None), bool})


def at_hand(value: Any) -> Any:
    """Return a number that is on the host as one of Python's; anything else as it is."""
    if type(value) in PLAIN:
        return value
    try:
        return value.item() if value.is_cpu else value
    except Exception:  # noqa: BLE001 - no number: `derive` meets the same value, and says so
        return value


def _on_device(value: Any) -> bool:
    return not getattr(value, "is_cpu", True)


def _to_host(value: Any) -> Any:
    """One value as a float or a numpy array; numbers pass through."""
    if not hasattr(value, "detach"):
        return value
    if value.dim() == 0:
        return value.item()
    value = value.detach()
    kind = str(value.dtype)
    return (value.float() if kind == "torch.bfloat16" else value).numpy()


def _read(measured: list[Measured]) -> list[Measured] | None:
    """Read everything, or nothing if any of it is on a device."""
    out: list[Measured] = []
    for values in measured:
        whole = True
        for value in values.values():
            if type(value) not in PLAIN:
                whole = False
                if _on_device(value):
                    return None
        try:
            out.append(values if whole else {k: _to_host(v) for k, v in values.items()})
        except Exception:  # noqa: BLE001 - `derive` meets the same value, and says so
            out.append(values)
    return out


class Transfer:
    """The measurements of one step, on their way.

    Parameters
    ----------
    measured
        One mapping a probe; tensors on a device are flattened and come
        back in their shape; none may change afterwards.
    """

    __slots__ = ("_event", "_here", "_places", "_staged", "measured")

    def __init__(self, measured: list[Measured]) -> None:
        self.measured = measured
        self._here = _read(measured)
        if self._here is None:
            self._start()

    def _start(self) -> None:
        torch = sys.modules["torch"]
        flat = []
        self._event: Any = None
        self._places: list[tuple[int, str, tuple[int, ...], int]] = []
        for index, values in enumerate(self.measured):
            for key, value in values.items():
                if _on_device(value):
                    part = value.detach().reshape(-1).float()  # (n,)
                    shape = tuple(value.shape)
                    self._places.append((index, key, shape, part.numel()))
                    flat.append(part)
        home = flat[0].device
        vector = torch.cat([p.to(home, non_blocking=True) for p in flat])  # (sum of n,)
        if home.type == "cuda":
            self._staged: Any = torch.empty(vector.shape, dtype=vector.dtype, pin_memory=True)
            self._staged.copy_(vector, non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record()
        else:
            # Without events there is no telling when a copy is done: this one waits.
            self._staged = vector.cpu()

    def ready(self) -> bool:
        """Whether `host` would return at once."""
        return self._here is not None or self._event is None or bool(self._event.query())

    def host(self) -> list[Measured]:
        """Return the measurements as numbers and numpy arrays, waiting if they are not here."""
        if self._here is None:
            self._here = self._arrived()
        return self._here

    def _arrived(self) -> list[Measured]:
        if self._event is not None:
            self._event.synchronize()
        out: list[dict[str, Any]] = [
            {k: None if _on_device(v) else _to_host(v) for k, v in values.items()}
            for values in self.measured
        ]
        vector, at = self._staged.numpy(), 0
        for index, key, shape, size in self._places:
            part = vector[at : at + size]
            out[index][key] = part.reshape(shape) if shape else float(part[0])
            at += size
        result: list[Mapping[str, Any]] = [*out]
        return result

"""Evenly spaced elements of tensors, side by side in one vector: what is told from a sample.

The same elements every time, so that two samples of a weight tell how it moved. A small tensor's
sample is the whole of it, in order.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbmonitor.parameters.carrier import to_host
from nbmonitor.sampling import stride

# Elements of all samples of one kind together: 4 MB.
_MOST = 1_000_000
_FEWEST = 256


def budget(counts: Iterable[int], most: int) -> int:
    """Elements of one sample, so that all of them stay within 4 MB.

    Parameters
    ----------
    counts
        Elements of each tensor.
    most
        Elements of one sample that are asked for.
    """
    counts = list(counts)
    while most > _FEWEST and sum(min(count, most) for count in counts) > _MOST:
        most //= 2
    return most


@dataclass(slots=True)
class Samples:
    """Samples of one kind of tensor (weights, gradients), for each device one vector.

    Parameters
    ----------
    vectors
        (ids, number of elements of each, vector on the device).
    events
        What to wait for, as `to_host` takes it.
    """

    vectors: list[tuple[tuple[int, ...], tuple[int, ...], Any]] = field(default_factory=list)
    events: list[Any] = field(default_factory=list)
    _host: dict[int, NDArray[np.float32]] | None = None

    def host(self) -> dict[int, NDArray[np.float32]]:
        """Return the samples by id, (at most `most`,) each; waits for the device."""
        if self._host is None:
            arrays = to_host([vector for _, _, vector in self.vectors], self.events)
            self._host = {
                number: part
                for (ids, counts, _), array in zip(self.vectors, arrays, strict=True)
                for number, part in zip(ids, np.split(array, np.cumsum(counts)[:-1]), strict=True)
            }
            # What is here needs no room there.
            self.vectors = []
        return self._host

    def release(self) -> None:
        """Let go of everything: the samples have told what they could."""
        self.vectors, self._host = [], {}


def take(found: Sequence[tuple[int, Any]], most: Callable[[int], int]) -> list[Any]:
    """Copy samples of tensors of one device.

    Parameters
    ----------
    found
        (id, tensor); tensors of any shape and floating-point type.
    most
        Elements of a sample at most, by id.

    Returns
    -------
    list
        [(ids, counts, vector)], the vector float32; empty if nothing was found.
    """
    if not found:
        return []
    torch = sys.modules["torch"]
    views = [(number, _view(tensor.detach(), most(number))) for number, tensor in found]
    ids = tuple(number for number, _ in views)
    counts = tuple(view.numel() for _, view in views)
    vector = torch.empty(sum(counts), device=found[0][1].device)  # (elements of all samples,)
    for view, part in zip((v for _, v in views), vector.split(counts), strict=True):
        part.copy_(view)
    return [(ids, counts, vector)]


def _view(tensor: Any, most: int) -> Any:
    """Evenly spaced elements from all columns, (at most `most`,), or all of them in order."""
    count = tensor.numel()
    if count <= most:
        return tensor.reshape(-1)
    if not tensor.is_contiguous():
        # Its elements in the order of memory: to copy the whole for a sample would be dear.
        tensor = tensor.permute(sorted(range(tensor.dim()), key=lambda d: -tensor.stride(d)))
        if not tensor.is_contiguous():
            rows = stride(tensor.shape[0], max(1, most // (count // tensor.shape[0])))
            return tensor[::rows].reshape(-1)[:most]
    return tensor.view(-1)[:: stride(count, most, tensor.shape[-1])]

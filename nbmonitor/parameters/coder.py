"""Which blobs are keys: the first, every seventeenth, and what differs too much from the last.

It remembers the last key and nothing else, and knows neither what parts mean nor where blobs go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nbmonitor.parameters import blob
from nbmonitor.parameters.blob import Blob, Part, quantise

# A difference is to a key at most so many blobs back: that many are unpacked to show any one.
EVERY = 16
# A new key is made when more than this part of the bytes could not be told as a difference.
_MOST_WHOLE = 0.5


class Quantised(NamedTuple):
    """Values to be stored as integers of a type, with so many of its bits (None: all)."""

    values: NDArray[Any]
    dtype: str
    bits: int | None = None


@dataclass(frozen=True, slots=True)
class Coded:
    """A blob and the step of the key that it is a difference to, if it is no key itself."""

    data: bytes
    base: int | None

    @property
    def array(self) -> NDArray[np.uint8]:
        """The bytes as a tensor, (n,)."""
        return np.frombuffer(self.data, np.uint8)

    def meta(self, **rest: Any) -> dict[str, Any]:
        """What the tensor of this blob says of itself, so that its reel keeps what it needs."""
        return {"reel": True, "blob": blob.VERSION, "base": self.base, **rest}


class Coder:
    """Makes the blobs of one reel, in order of steps."""

    def __init__(self) -> None:
        self._key: Blob | None = None
        self._since = 0

    def encode(
        self,
        step: int,
        parts: Mapping[str, Quantised | Part | NDArray[Any]],
        extra: Mapping[str, Any] | None = None,
    ) -> Coded:
        """Quantise and pack; arguments and errors as of `blob.encode`."""
        key = self._key
        if key is not None and (self._since >= EVERY or step <= key.step):
            key = None
        made = _parts(parts, key)
        if key is not None and not _worth(made, key):
            key, made = None, _parts(parts, None)
        data = blob.encode(step, made, key, extra)
        if key is None:
            self._key, self._since = Blob(step, None, made), 0
        else:
            self._since += 1
        return Coded(data, None if key is None else key.step)

    def rewind(self, step: int) -> None:
        """Hear that blobs after `step` are void: none may stand on them."""
        if self._key is not None and self._key.step > step:
            self._key = None


def _parts(
    parts: Mapping[str, Quantised | Part | NDArray[Any]], key: Blob | None
) -> dict[str, Part]:
    out: dict[str, Part] = {}
    for name, given in parts.items():
        like = None if key is None else key.parts.get(name)
        if isinstance(given, Quantised):
            out[name] = quantise(given.values, given.dtype, like, given.bits)
        else:
            out[name] = given if isinstance(given, Part) else Part(given)
    return out


def _worth(parts: Mapping[str, Part], key: Blob) -> bool:
    """Whether most of the integers can be told as differences."""
    sizes = {name: p.stored.nbytes for name, p in parts.items() if p.stored.dtype.kind in "iu"}
    whole = sum(size for name, size in sizes.items() if not parts[name].fits(key.parts.get(name)))
    return whole <= _MOST_WHOLE * sum(sizes.values())

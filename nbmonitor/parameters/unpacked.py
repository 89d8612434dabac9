"""The blobs of a reel, unpacked: each with the key that it is a difference to."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from nbmonitor.parameters.blob import Blob, decode, header
from nbmonitor.record import Tensor

# Snapshots are mostly read in order: the last key is the one that is wanted next.
_KEYS = 4


class Unpacked:
    """Reads blobs of one reel.

    Parameters
    ----------
    frame
        Returns the tensor at a step, or None: `functools.partial(run.frame, key)`.
    """

    def __init__(self, frame: Callable[[int], Tensor | None]) -> None:
        self._frame = frame
        self._keys: OrderedDict[int, Blob] = OrderedDict()

    def at(self, step: int) -> Blob:
        """Unpack the blob at a step.

        Raises
        ------
        KeyError
            If it, or the key that it stands on, is not there.
        ValueError
            If it is damaged.
        """
        if step in self._keys:
            return self._keys[step]
        data = self._bytes(step)
        base = header(data)["base"]
        if base is not None:
            return decode(data, self.at(int(base)))
        key = self._keys[step] = decode(data)
        while len(self._keys) > _KEYS:
            self._keys.popitem(last=False)
        return key

    def _bytes(self, step: int) -> bytes:
        found = self._frame(step)
        if found is None:
            msg = f"no blob at step {step}"
            raise KeyError(msg)
        return found[2].tobytes()

"""The tensors of a Run: of each key the newest, of reels every one.

A base of `Run`. What memory has let go of a reel comes from the run file.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from nbmonitor.record import Tensor
from nbmonitor.reels import MEMORY, Film, Frame, Reels, is_for_page, is_reel


class Reeled:
    """Base of `Run`.

    Attributes
    ----------
    film : Film or None
        Reads reels from the run file, where there is one.
    reel_memory : int
        Bytes that reels may take before what is dense is thinned.
    """

    changed: threading.Event
    film: Film | None = None
    reel_memory: int = MEMORY
    _lock: threading.RLock
    _tensors: dict[str, tuple[int, Tensor]]
    _reels: Reels
    _tensor_version: int

    def _clear_tensors(self) -> None:
        self._tensors = {}
        self._reels = Reels(self.reel_memory)
        self._tensor_version = 0

    def put(
        self, key: str, step: int, array: NDArray[Any], meta: dict[str, Any] | None = None
    ) -> None:
        """Set the latest value of a tensor.

        With `meta["reel"]`, every value is kept, by step: a *reel*. One that says `base` is a
        difference to the value at that step, which then stays as long as it does. With
        `meta["page"]` False, it goes to no page.
        """
        tensor = (key, step, array, meta or {})
        with self._lock:
            self._tensor_version += 1
            if is_reel(tensor):
                self._reels.put(self._tensor_version, tensor)
            else:
                self._tensors[key] = (self._tensor_version, tensor)
        self.changed.set()

    def tensor(self, key: str) -> Tensor | None:
        """Return the latest tensor of that key (key, step, array, meta), or None."""
        with self._lock:
            found = self._tensors.get(key) or self._reels.newest(key)
            return None if found is None else found[1]

    def tensors_since(self, version: int) -> tuple[int, list[Tensor]]:
        """Tensors set after `version`, and the version to ask with next time.

        Of a reel, all of them, each after what it stands on.
        """
        with self._lock:
            fresh = [each for each in self._tensors.values() if each[0] > version]
            fresh += self._reels.since(version)
            fresh.sort(key=lambda each: each[0])
            return self._tensor_version, [tensor for _, tensor in fresh]

    # ------------------------------------------------------------------ reels

    @property
    def reels(self) -> list[str]:
        """Keys of the reels."""
        with self._lock:
            return self._reels.keys

    def reel_steps(self, key: str) -> list[int]:
        """Steps of a reel, ascending, in memory or in the run file; [] if there is no such reel."""
        with self._lock:
            held = self._reels.steps(key)
        if self.film is None or not held:
            return held
        # After a rewind, the file drops what is void a moment later than memory.
        kept = [step for step in self.film.steps(key) if step <= held[-1]]
        return sorted({*held, *kept})

    def frame(self, key: str, step: int) -> Tensor | None:
        """Return one value of a reel, from memory or from the run file; None if there is none."""
        with self._lock:
            found = self._reels.get(key, step)
        return self.film.read(key, step) if found is None and self.film is not None else found

    def held_frames(self) -> list[Tensor]:
        """Return what memory has of all reels."""
        with self._lock:
            return [tensor for _, tensor in self._reels.since(0)]

    def frames_lacking(
        self, had: Mapping[str, Mapping[int, int]]
    ) -> dict[str, list[tuple[int, Tensor, Frame]]]:
        """Version, value and frame of what a page lacks, by reel.

        Parameters
        ----------
        had
            Versions by step, by reel; as this function and `frame_versions` give them.
        """
        with self._lock:
            found = {key: self._reels.lacking(key, had.get(key, {})) for key in self._reels.keys}
        return {key: rows for key, rows in found.items() if rows and is_for_page(rows[0][1])}

    def frame_versions(self, steps: Mapping[str, list[int]]) -> dict[str, dict[int, int]]:
        """Versions of the values that a page says it has."""
        with self._lock:
            return {key: self._reels.versions(key, held) for key, held in steps.items()}

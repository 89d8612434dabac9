"""The tensors of a Run: of each key the newest, of reels every one.

A base of `Run`. What memory has let go of a reel comes from the run file.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from nbmonitor.parameters import export
from nbmonitor.parameters.blob import Blob, decode
from nbmonitor.parameters.change import CHANGE
from nbmonitor.parameters.keepsake import Keepsakes
from nbmonitor.parameters.snapshot import META, SNAPSHOT, Snapshot, read_meta, snapshot
from nbmonitor.parameters.unpacked import Unpacked
from nbmonitor.record import Tensor, finite
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
    _keepsakes: Keepsakes

    def _clear_tensors(self) -> None:
        self._tensors = {}
        self._reels = Reels(self.reel_memory)
        self._keepsakes = Keepsakes()
        self._tensor_version = 0

    def put(
        self, key: str, step: int, array: NDArray[Any], meta: dict[str, Any] | None = None
    ) -> None:
        """Set the latest value of a tensor.

        With `meta["reel"]`, every value is kept, by step: a *reel*. One that says `base` is a
        difference to the value at that step, which then stays as long as it does. With
        `meta["page"]` False, it goes to no page. NaN and infinities in `meta` become None: JSON
        has neither, and one of them would keep the tensor from pages, files and notebooks.
        """
        tensor = (key, step, array, finite(meta or {}))
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

    @property
    def reel_version(self) -> int:
        """Grows with each value that a reel gets; goes down where all are forgotten."""
        with self._lock:
            return self._reels.version

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
        """Versions of the values that a page says it has, but for those it may have in small."""
        small = self._keepsakes.was_condensed
        with self._lock:
            return {
                key: self._reels.versions(key, [step for step in held if not small(key, step)])
                for key, held in steps.items()
            }

    # ------------------------------------------------------------------ snapshots of parameters

    def snapshots(self) -> list[int]:
        """Steps of the snapshots of parameters, ascending."""
        return self.reel_steps(SNAPSHOT)

    def snapshot(self, step: int) -> Snapshot:
        """Return the snapshot of parameters at a step.

        Raises
        ------
        KeyError
            If there is none; `snapshots()` tells the steps of those that there are.
        """
        about = self.frame(SNAPSHOT, step)
        if about is None:
            there = self.snapshots()
            known = (
                f"there are {len(there)}, from {there[0]} to {there[-1]}" if there else "none is"
            )
            msg = f"no snapshot of parameters at step {step}: {known}; run.snapshots() lists them"
            raise KeyError(msg)
        blob = Unpacked(functools.partial(self.frame, SNAPSHOT)).at(step)
        return snapshot(blob, read_meta(self.tensor(META)), about[3], self._change(step))

    def _change(self, step: int) -> Blob | None:
        """Return what a snapshot tells of the changes since the start; None where it doesn't."""
        found = self.frame(CHANGE, step)
        return None if found is None else decode(found[2].tobytes())

    def export_snapshots(self, path: str | Path, steps: Iterable[int] | None = None) -> Path:
        """Write snapshots of parameters to one file of named arrays.

        `steps`, `tokens` (s, n, 3), `token_ids`, `norms`, `moved`, `since`, `frequency`,
        `positions`, `heat/<matrix>` (s, h, w), `stats` (s, matrices, statistics), `explained`
        (s, 3), `units` (s, matrices, unit statistics), `similarity` (s, k, k) of the matrices
        `similarity_ids`; NaN where a snapshot lacks it. Texts and names are arrays of strings, or
        in safetensors' metadata.

        Parameters
        ----------
        path
            Ends in `.npz` or `.safetensors`.
        steps
            Of the snapshots; all, when left out.

        Raises
        ------
        ValueError
            If there is no snapshot, or the suffix is another one.
        KeyError
            If one of `steps` has no snapshot.
        """
        wanted = self.snapshots() if steps is None else sorted(steps)
        if not wanted:
            msg = "no snapshot of parameters to export; run.snapshots() lists those there are"
            raise ValueError(msg)
        unpacked = Unpacked(functools.partial(self.frame, SNAPSHOT))
        blobs = [unpacked.at(step) for step in wanted]
        about = [self.frame(SNAPSHOT, step) for step in wanted]
        shares = [[] if each is None else each[3].get("explained") or [] for each in about]
        changes = [self._change(step) for step in wanted]
        export.write(path, blobs, read_meta(self.tensor(META)), shares, changes)
        return Path(path)

    def keepsakes(self, budget: int) -> list[Tensor]:
        """Choose what of the reels goes along where there is room for `budget` bytes of frames.

        The first are the tensors that say what the frames mean: `<area>/meta`.
        """
        frames = self.held_frames()
        areas = dict.fromkeys(f"{key.rsplit('/', 1)[0]}/meta" for key, *_ in frames)
        beside = [found for key in areas if (found := self.tensor(key)) is not None]
        return [*beside, *self._keepsakes.choose(frames, budget, self.frame)]

"""Which frames of a Run's reels go into a saved notebook or a page, within some bytes."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from nbmonitor.parameters.condensed import condense
from nbmonitor.parameters.unpacked import Unpacked
from nbmonitor.record import Tensor
from nbmonitor.reels import base_of, is_for_page, spread

# A page that interpolates needs no more than this.
_MOST = 100


class Keepsakes:
    """Chooses and condenses frames, and remembers what it has condensed."""

    def __init__(self) -> None:
        # By key and step: the frame, and what became of it.
        self._made: dict[tuple[str, int], tuple[Tensor, Tensor]] = {}
        self._ever: set[tuple[str, int]] = set()
        # The flusher asks, and whoever saves a page.
        self._lock = threading.Lock()

    def was_condensed(self, key: str, step: int) -> bool:
        """Whether a page that says it has this frame may have a small one in its place."""
        return (key, step) in self._ever

    def choose(
        self, frames: Sequence[Tensor], budget: int, frame: Callable[[str, int], Tensor | None]
    ) -> list[Tensor]:
        """Tell reels in about `budget` bytes.

        Parameters
        ----------
        frames
            Of all reels, as memory has them, by steps.
        budget
            Bytes of the arrays.
        frame
            `run.frame`, for what memory has let go of.

        Returns
        -------
        list
            All frames that go to a page, when they fit. Otherwise the newest and the first of
            each reel, and an even choice of the others, each standing alone; blobs are condensed
            and say so in their meta.
        """
        reels: dict[str, list[Tensor]] = {}
        for tensor in frames:
            if is_for_page(tensor):
                reels.setdefault(tensor[0], []).append(tensor)
        with self._lock:
            return self._choose(reels, budget, frame)

    def _choose(
        self,
        reels: Mapping[str, Sequence[Tensor]],
        budget: int,
        frame: Callable[[str, int], Tensor | None],
    ) -> list[Tensor]:
        films = [(rows, Unpacked(functools.partial(frame, key))) for key, rows in reels.items()]
        if sum(_size(rows) for rows in reels.values()) <= budget:
            out = [tensor for rows in reels.values() for tensor in rows]
        else:
            out = self._even(films, budget)
        chosen = {(tensor[0], tensor[1]) for tensor in out}
        self._made = {at: made for at, made in self._made.items() if at in chosen}
        self._ever |= self._made.keys()
        return out

    def _even(
        self, films: Sequence[tuple[Sequence[Tensor], Unpacked]], budget: int
    ) -> list[Tensor]:
        out: list[Tensor] = []
        # By what their frames take in small: reels that belong together, one of which may be
        # condensed to a tenth and the other not at all, are told at about the same steps.
        newest = [self._small(rows[-1], reel) or rows[-1] for rows, reel in films]
        sizes = [
            len(rows) * small[2].nbytes for (rows, _), small in zip(films, newest, strict=True)
        ]
        left = sum(sizes)
        for (rows, reel), size in sorted(zip(films, sizes, strict=True), key=lambda film: film[1]):
            share = budget * size // max(1, left)
            left -= size
            taken = rows if _size(rows) <= share else self._some(rows, share, reel)
            budget -= _size(taken)
            out += taken
        return out

    def _some(self, rows: Sequence[Tensor], budget: int, unpacked: Unpacked) -> list[Tensor]:
        chosen: list[Tensor] = []
        for place in spread(len(rows))[:_MOST]:
            small = self._small(rows[place], unpacked)
            if small is None:
                continue
            if small[2].nbytes > budget:
                break
            budget -= small[2].nbytes
            chosen.append(small)
        return sorted(chosen, key=lambda tensor: tensor[1])

    def _small(self, tensor: Tensor, unpacked: Unpacked) -> Tensor | None:
        key, step, _, meta = tensor
        if not meta.get("blob"):
            return tensor if base_of(tensor) is None else None
        known = self._made.get((key, step))
        if known is not None and known[0] is tensor:
            return known[1]
        try:
            data = condense(unpacked.at(step))
        except (KeyError, ValueError):
            return None  # its key is gone, or it is damaged: others tell the run
        small = (key, step, np.frombuffer(data, np.uint8), {**meta, "base": None, **_CONDENSED})
        self._made[key, step] = tensor, small
        return small


_CONDENSED: Mapping[str, bool] = {"condensed": True}


def _size(rows: Sequence[Tensor]) -> int:
    return sum(tensor[2].nbytes for tensor in rows)

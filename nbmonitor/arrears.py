"""Which frames of reels a page is sent next: what is new first, then the past, coarse to fine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nbmonitor.record import Tensor
from nbmonitor.reels import Frame, spread
from nbmonitor.run import Run

# Bytes of frames in one flush: rows that come meanwhile wait no longer than that takes.
FLUSH_BYTES = 256 * 1024
URGENT_BYTES = 2**20


class Arrears:
    """The frames of a Run that its pages lack.

    Parameters
    ----------
    run
        Whose reels are sent.

    Attributes
    ----------
    left : bool
        Whether there was more than `take` gave, the last time.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self.left = False
        # Versions by step, by reel.
        self._sent: dict[str, dict[int, int]] = {}
        self._taken: list[tuple[str, int, int]] = []
        # All up to this version has been sent, and will have been once `sent` is told.
        self._upto = self._newest = -1

    def forget(self, had: Mapping[str, Iterable[int]] | None = None) -> None:
        """Begin anew with a page that has these steps of each reel."""
        held = {key: [int(step) for step in steps] for key, steps in (had or {}).items()}
        self._sent = self._run.frame_versions(held)
        self._taken = []
        self._upto = self._newest = -1

    def take(self, room: int = FLUSH_BYTES) -> list[Tensor]:
        """Choose about `room` bytes of frames, one at least; `sent` is told once they are.

        Each reel's newest comes first, what a frame stands on before the frame, then an even
        choice of those that stand alone, ever finer, and likewise the rest.
        """
        out: list[Tensor] = []
        used = 0
        self.left, self._taken = False, []
        newest = self._run.reel_version
        if newest == self._upto:
            self._newest = newest
            return []
        for key, version, tensor, frame in self._ordered():
            if out and used + frame.nbytes > room:
                self.left = True
                break
            used += frame.nbytes
            out.append(tensor)
            self._taken.append((key, frame.step, version))
        self._newest = -1 if self.left else newest
        return out

    def sent(self) -> None:
        """Hear that what was taken is on its way."""
        for key, step, version in self._taken:
            self._sent.setdefault(key, {})[step] = version
        self._taken, self._upto = [], self._newest

    def _ordered(self) -> list[tuple[str, int, Tensor, Frame]]:
        lacking = self._run.frames_lacking(self._sent)
        queues: list[list[tuple[str, int, Tensor, Frame]]] = []
        for key, rows in lacking.items():
            places = {frame.step: place for place, (_, _, frame) in enumerate(rows)}
            alone = [place for place, (_, _, frame) in enumerate(rows) if frame.base is None]
            order = [len(rows) - 1]
            order += [alone[place] for place in spread(len(alone))]
            order += spread(len(rows))
            chosen: dict[int, None] = {}
            for place in order:
                base = rows[place][2].base
                if base is not None and base in places:
                    chosen[places[base]] = None
                chosen[place] = None
            queues.append([(key, *rows[place]) for place in chosen])
        longest = max(map(len, queues), default=0)
        # Turn and turn about, so that no reel waits for all of another.
        return [queue[turn] for turn in range(longest) for queue in queues if turn < len(queue)]

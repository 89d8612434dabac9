"""Moments told against the first of a run: units that moved, died or explode, and their likeness.

It keeps the sample of the start (`units.py`, 12 MB at most) and the rows of the tokens, as a
reading has them (20 MB at most). All of it on the thread that makes snapshots.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbmonitor.parameters.change import COLUMNS, UNIT, Floats, Similarity
from nbmonitor.parameters.health import judge, sizes
from nbmonitor.parameters.plan import Plan
from nbmonitor.parameters.reading import Reading, norms
from nbmonitor.parameters.similarity import compare
from nbmonitor.parameters.units import Sampler

# Of their rows, only those move whose token or place comes up.
_TABLES = ("embedding", "position")
_COARSER = 2


class Since:
    """Remembers a start, and tells what came after it.

    Parameters
    ----------
    plan
        What is read.
    sampler
        Which of its units.

    Attributes
    ----------
    step : int or None
        Of the start, once there is one.
    """

    def __init__(self, plan: Plan, sampler: Sampler) -> None:
        self._matrices = plan.matrices
        self.sampler = sampler
        self.vocabulary = plan.vocabulary
        self._tokens = plan.tokens
        self.step: int | None = None
        self._rows: NDArray[Any] | None = None
        self._norms: Floats | None = None
        self._units: dict[int, NDArray[Any]] = {}
        self._sizes: dict[int, NDArray[np.float64]] = {}
        # Frozen matrices that somebody has written to: as they are, while nobody reads them.
        self._written: dict[int, NDArray[Any]] = {}

    def fits(self, plan: Plan) -> bool:
        """Whether another plan reads the same: then what follows can be told against this start."""
        shapes = [(m.name, m.shape) for m in self._matrices]
        same = shapes == [(m.name, m.shape) for m in plan.matrices]
        here, there = (v.ids.tolist() if v else None for v in (self.vocabulary, plan.vocabulary))
        return self.step is not None and same and here == there

    def begin(self, step: int, reading: Reading) -> None:
        """Take a reading, which has units, as the start."""
        self.step, rows = step, reading.followed
        self._norms = reading.norms
        # Where they are columns already, for want of room, half of those are enough.
        self._rows = rows[:, ::_COARSER].copy() if rows is not None and reading.estimated else rows
        self._units = dict(reading.units or {})
        with np.errstate(invalid="ignore", over="ignore"):
            self._sizes = {n: sizes(rows) for n, rows in self._units.items()}

    def moved(self, step: int, reading: Reading) -> Floats | None:
        """How far each token's row went since the start, (n,); None at the start itself.

        Where `reading.estimated`, about 6 % off.
        """
        now, then = reading.followed, self._rows
        if now is None or then is None or step == self.step:
            return None
        some = now[:, ::_COARSER] if reading.estimated else now  # (n, columns)
        if some.shape != then.shape:
            return None
        return norms(some, then) * np.float32((reading.width / then.shape[1]) ** 0.5)

    @np.errstate(invalid="ignore", over="ignore")
    def tell(self, step: int, reading: Reading) -> tuple[Floats, Similarity]:
        """Tell the reading of a step, which has units.

        Returns
        -------
        (array, Similarity)
            (matrices, 6), columns are `change.COLUMNS`, NaN for what is not sampled or could not
            be read; and how alike the updates are.
        """
        rows = np.full((len(self._matrices), len(COLUMNS)), np.nan, np.float32)
        updates: dict[int, NDArray[Any]] = {}
        readers = set(self.sampler.readers)
        for number, start in self._units.items():
            if number in reading.unread:
                continue
            now = self._now(number, reading)
            norms = self._sizes[number]
            if now is start:
                update, went, reached = None, np.zeros(len(start)), norms
            else:
                update = np.subtract(now, start, dtype=np.float32)  # (units, inputs)
                went, reached = sizes(update), sizes(now)
            idle = self._matrices[number].kind in _TABLES
            rows[number], worst = judge(reached, norms, went, idle=idle)
            rows[number, UNIT] = self.sampler.grids[number].number(worst)
            if number in readers:
                updates[number] = np.zeros_like(start, np.float32) if update is None else update
        self._tell_tokens(rows, self.moved(step, reading), reading)
        lengths = {n: float(np.sqrt(np.square(self._sizes[n]).sum())) for n in updates}
        return rows, compare(updates, lengths)

    def _tell_tokens(self, rows: Floats, moved: Floats | None, reading: Reading) -> None:
        """Fill in the row of the token embedding: a batch moves few of its rows, so many count."""
        tokens, vocabulary, start = self._tokens, self.vocabulary, self._norms
        if tokens is None or vocabulary is None or start is None or reading.norms is None:
            return
        went = np.zeros(len(start)) if moved is None else moved.astype(np.float64)  # (n,)
        now, then = reading.norms.astype(np.float64), start.astype(np.float64)
        rows[tokens.id], worst = judge(now, then, went, idle=True)
        rows[tokens.id, UNIT] = vocabulary.ids[worst]

    def _now(self, number: int, reading: Reading) -> NDArray[Any]:
        """Return the sample of a matrix; of one that is frozen, as it was last."""
        assert reading.units is not None
        found = reading.units.get(number)
        if found is None:
            return self._written.get(number, self._units[number])
        if not self._matrices[number].trains:
            self._written[number] = found
        return found

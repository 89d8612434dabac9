"""What was read, on the host: completed, in numpy, with names.

Knows no device. `Moment.host` makes it, on a thread that has the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbmonitor.parameters.plan import Plan
from nbmonitor.parameters.pooling import finish, pool
from nbmonitor.parameters.statistics import (
    CHANGE,
    GRADIENT,
    L2,
    OWN,
    STATISTICS,
    size,
    tell_large,
    tell_small,
)

Floats = NDArray[np.float32]
_ROWS_AT_ONCE = 128


@dataclass(slots=True)
class Raw:
    """As it comes from the devices: rows by what they are; the rest with ids of matrices."""

    rows: dict[str, NDArray[Any]]
    swept: list[tuple[tuple[int, ...], NDArray[Any]]]
    heat: list[tuple[tuple[int, ...], NDArray[Any]]]
    weights: Mapping[int, Floats]
    before: Mapping[int, Floats]
    gradients: Mapping[int, Floats]
    still: tuple[int, ...]
    versions: Mapping[int, tuple[int, int]]


@dataclass(slots=True)
class Reading:
    """A model at one step.

    Parameters
    ----------
    tokens
        (n, d) rows of the tokens that are followed; float16 where they would take more than
        16 MB, else float32. None where they can't be read.
    norms
        (n,) their L2 norms.
    positions
        (m, d) rows of the table of positions, or None.
    heat
        (h, w) each, by id of the matrix: root mean square, or largest magnitude of each block.
    stats
        (matrices, 10), columns are `STATISTICS`; NaN is unknown.
    unread
        Why a matrix could not be read, by id.
    nonfinite
        Ids of matrices in which something is NaN or infinite.
    columns
        (n, c) evenly spaced columns of `tokens` in full precision, where those are float16.
    width
        d, also of a reading that has forgotten its rows.
    units
        (units, inputs) each, by id of the matrix: sampled units, where they were taken.
    """

    tokens: NDArray[Any] | None
    norms: Floats | None
    positions: Floats | None
    heat: dict[int, Floats]
    stats: Floats
    unread: dict[int, str] = field(default_factory=dict)
    nonfinite: tuple[int, ...] = ()
    columns: NDArray[Any] | None = None
    width: int = 0
    units: dict[int, NDArray[Any]] | None = None

    @property
    def estimated(self) -> bool:
        """Whether `moved` is an estimate from 256 columns (about 4 % off), and not exact."""
        return self.columns is not None

    def moved(self, earlier: Reading | None) -> Floats | None:
        """How far each token's row went since an earlier reading, (n,)."""
        now, then = self.followed, earlier.followed if earlier else None
        if now is None or then is None or now.shape != then.shape:
            return None
        return norms(now, then) * np.float32((self.width / now.shape[1]) ** 0.5)

    def forget(self) -> None:
        """Let go of what a later reading needs no more to be told `moved` against this one."""
        self.heat, self.positions, self.units = {}, None, None
        if self.columns is not None:
            self.tokens = None

    @property
    def followed(self) -> NDArray[Any] | None:
        """What `moved` goes by: the rows, or some of their columns."""
        return self.tokens if self.columns is None else self.columns


@np.errstate(invalid="ignore", over="ignore")
def complete(plan: Plan, raw: Raw, unread: Mapping[int, str]) -> Reading:
    """Make statistics and heat maps of what was copied; NaN in weights is theirs, no warning."""
    stats = np.full((len(plan.matrices), len(STATISTICS)), np.nan, np.float32)
    pieces, heat = _pieces(raw), _heat(plan, raw)
    for number, sample in raw.weights.items():
        matrix = plan.matrices[number]
        if number in pieces:
            stats[number, OWN] = tell_large(pieces[number], matrix.elements, sample)
        else:
            stats[number, OWN] = tell_small(sample)
            if number in plan.heat:
                whole = sample.reshape(matrix.shape)
                heat[number] = pool(whole, plan.heat[number], plan.options.heat_of)
        stats[number, GRADIENT] = size(raw.gradients.get(number), matrix.elements)
        before = raw.before.get(number)
        if before is not None and before.shape == sample.shape:
            stats[number, CHANGE] = size(sample - before, matrix.elements)
        if number in raw.versions:
            kept = stats[number, OWN].copy(), heat.get(number)
            plan.remember(number, raw.versions[number], kept)
    for number in raw.still:
        stats[number, OWN], cells = plan.remembered(number)
        stats[number, CHANGE] = 0.0
        if cells is not None:
            heat[number] = cells
    tokens, positions = raw.rows.get("tokens"), raw.rows.get("positions")
    read = (*raw.weights, *raw.still)
    return Reading(
        tokens=tokens,
        norms=None if tokens is None else norms(tokens),
        positions=None if positions is None else positions.astype(np.float32),
        heat=dict(sorted(heat.items())),
        stats=stats,
        unread=dict(unread),
        nonfinite=tuple(n for n in read if not np.isfinite(stats[n, L2])),
        columns=raw.rows.get("columns"),
        width=0 if tokens is None else tokens.shape[1],
    )


def _pieces(raw: Raw) -> dict[int, NDArray[np.float64]]:
    """What was swept, by id: (4, pieces of one tensor)."""
    out = {}
    for owners, told in raw.swept:
        starts = [0, *(np.flatnonzero(np.diff(owners)) + 1).tolist()]
        for start, end in zip(starts, [*starts[1:], len(owners)], strict=True):
            out[owners[start]] = told[:, start:end].astype(np.float64)
    return out


def _heat(plan: Plan, raw: Raw) -> dict[int, Floats]:
    """Heat maps of what was swept, by id."""
    out = {}
    for ids, flat in raw.heat:
        at = 0
        for number in ids:
            rows, columns = plan.heat[number]
            cells = flat[at : at + rows * columns].reshape(rows, columns)
            out[number] = finish(cells, plan.matrices[number].shape, plan.options.heat_of)
            at += rows * columns
    return out


def norms(rows: NDArray[Any], less: NDArray[Any] | None = None) -> Floats:
    """L2 norm of each row, or of its difference to another, (n,); a part at a time."""
    out = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        x = rows[part].astype(np.float32)  # (some, d)
        if less is not None:
            x -= less[part]
        out[part] = np.sqrt(np.einsum("nd,nd->n", x, x))
    return out

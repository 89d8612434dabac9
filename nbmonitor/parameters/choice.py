"""Which matrices are read, and in which order they get heat maps. Pure; knows records only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nbmonitor.parameters.classify import Matrix

# Parameters up to which all are read.
LARGE = 500_000_000


def choose(
    matrices: Sequence[Matrix], trains: set[int], everything: bool | None
) -> tuple[Matrix, ...]:
    """Return the matrices that are read.

    Parameters
    ----------
    matrices
        All of them.
    trains
        Ids of those that ask for a gradient.
    everything
        Whether to read all; None: if they are not too many. Else what is outside of layers, the
        first, middle and last layer of each stack, and adapters.
    """
    total = sum(m.elements for m in matrices)
    if everything or (everything is None and total <= LARGE):
        return tuple(matrices)
    depth: dict[str, int] = {}
    for m in matrices:
        if m.layer is not None:
            depth[m.stack] = max(depth.get(m.stack, 0), m.layer + 1)
    wanted = {
        m.id
        for m in matrices
        if m.layer is None or m.layer in {0, depth[m.stack] // 2, depth[m.stack] - 1}
    }
    # Adapters are small, and they are what moves.
    if trains and sum(m.elements for m in matrices if m.id in trains) <= LARGE // 10:
        wanted |= trains
    return tuple(m for m in matrices if m.id in wanted)


def spread(matrices: Sequence[Matrix], trains: set[int]) -> list[Matrix]:
    """Order matrices: those that train first; layer by layer, so that any beginning is spread."""
    groups: dict[tuple[str, int], list[Matrix]] = {}
    rest: list[Matrix] = []
    for m in matrices:
        if m.layer is None:
            rest.append(m)
        else:
            groups.setdefault((m.stack, m.layer), []).append(m)
    keys = list(groups)
    layered = [m for at in _bisected(len(keys)) for m in groups[keys[at]]]
    # Of the embedding there is the cloud of its rows.
    rest.sort(key=lambda m: m.role == "token")
    return sorted([*layered, *rest], key=lambda m: m.id not in trains)


def _bisected(count: int) -> Iterable[int]:
    """Numbers below `count`: both ends, then always the middle of the widest gap."""
    taken = [0, count - 1][:count]
    while len(taken) < count:
        placed = sorted(taken)
        gap = max(range(len(placed) - 1), key=lambda at: placed[at + 1] - placed[at])
        taken.append((placed[gap] + placed[gap + 1]) // 2)
    return dict.fromkeys(taken)

"""Which matrices read the residual stream, and are compared with one another: one or two a layer.

What they have in common is the width of their input, and that nothing stands between it and the
stream but a norm: the first projections of attention and MLP. Pure; knows records only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from nbmonitor.parameters.classify import Matrix

# Matrices that are compared, at most.
_MOST = 48
# Stack and layer.
Place = tuple[str, int | None]
# By family, what reads the stream, the best first.
_FIRST = {
    "attention": ("qkv", "q"),
    "mlp": ("gate_up", "up", "gate"),
    "expert": ("gate_up", "up", "gate"),
    "lora": ("A",),
}


def readers(matrices: Sequence[Matrix], inputs: Mapping[int, int]) -> tuple[int, ...]:
    """Choose the matrices that are compared.

    Parameters
    ----------
    matrices
        Those that are sampled.
    inputs
        How many inputs each has, by id.

    Returns
    -------
    tuple of int
        Ids, in the order of the model; of each layer at most one of each family. () where
        nothing tells that there is such a stream.
    """
    fit = [
        m
        for m in matrices
        if m.layer is not None and m.id in inputs and m.role in _FIRST.get(m.kind, ())
    ]
    widths = Counter(inputs[m.id] for m in fit if m.kind == "attention")
    widths = widths or Counter(inputs[m.id] for m in fit)
    if not widths:
        return ()
    width = widths.most_common(1)[0][0]
    best: dict[tuple[str, int | None, str], Matrix] = {}
    for m in fit:
        at = (m.stack, m.layer, m.kind)
        if inputs[m.id] == width and (at not in best or _rank(m) < _rank(best[at])):
            best[at] = m
    layers = list(dict.fromkeys(at[:2] for at in best))
    families = len({at[2] for at in best})
    kept = set(_even(layers, max(1, _MOST // families)))
    return tuple(sorted(m.id for at, m in best.items() if at[:2] in kept))


def _rank(matrix: Matrix) -> tuple[int, int]:
    return _FIRST[matrix.kind].index(matrix.role), matrix.id


def _even(items: Sequence[Place], most: int) -> list[Place]:
    """At most so many layers, both ends among them."""
    if len(items) <= most:
        return list(items)
    if most == 1:
        return [items[0]]
    return [items[round(n * (len(items) - 1) / (most - 1))] for n in range(most)]

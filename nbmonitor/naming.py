"""Short names for modules of a model: which layer of which stack, and which part of it.

Pure; module paths in, names out. It knows nothing of torch or of any architecture: a layer is
the first number in a path, a stack is what stands before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Path = tuple[str, ...]

# What wrappers put into a path that says nothing about the model.
_WRAPPERS = {"base_layer", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
_SHORT = {"encoder": "enc", "decoder": "dec"}
NO_LAYER = "-"


def name_modules(paths: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Name modules as briefly as keeps them apart.

    Parameters
    ----------
    paths
        As `named_modules` tells them: `model.layers.3.self_attn.q_proj`.

    Returns
    -------
    dict
        By path: the layer (`"3"`; `"enc.3"` when there are several stacks; `"-"` outside of
        layers) and the module (`"q_proj"`, with as many parents as it needs: `"mlp.c_proj"`).
    """
    parts = {path: _split(path) for path in paths}
    stacks = _stack_names({stack for stack, layer, _ in parts.values() if layer != NO_LAYER})
    inner: dict[Path | None, set[Path]] = {}
    for stack, layer, rest in parts.values():
        inner.setdefault(stack if layer != NO_LAYER else None, set()).add(rest)
    brief = {key: _suffixes(rests) for key, rests in inner.items()}
    out: dict[str, tuple[str, str]] = {}
    for path, (stack, layer, rest) in parts.items():
        if layer == NO_LAYER:
            out[path] = (NO_LAYER, brief[None][rest])
        else:
            label = stacks[stack]
            out[path] = (f"{label}.{layer}" if label else layer, brief[stack][rest])
    return out


def _split(path: str) -> tuple[Path, str, Path]:
    """Stack, layer and the path within the layer."""
    parts = [part for part in path.split(".") if part not in _WRAPPERS]
    at = next((i for i, part in enumerate(parts) if part.isdecimal()), None)
    if at is None or at == len(parts) - 1:
        return (), NO_LAYER, tuple(parts)
    return tuple(parts[:at]), parts[at], tuple(parts[at + 1 :])


def _stack_names(stacks: set[Path]) -> dict[Path, str]:
    """Tell stacks apart by the first part in which they differ; a lone stack needs no name."""
    if len(stacks) <= 1:
        return dict.fromkeys(stacks, "")
    same = 0
    shortest = min(len(stack) for stack in stacks)
    while same < shortest and len({stack[same] for stack in stacks}) == 1:
        same += 1
    rests = {stack: stack[same:] for stack in stacks}
    firsts = {stack: rest[0] if rest else "" for stack, rest in rests.items()}
    if len(set(firsts.values())) < len(stacks):
        firsts = {stack: ".".join(rest) for stack, rest in rests.items()}
    return {stack: _SHORT.get(name, name) for stack, name in firsts.items()}


def _suffixes(paths: set[Path]) -> dict[Path, str]:
    """Return the shortest ending of each path that no other has and that begins with a word."""
    return {path: ".".join(_suffix(path, paths)) for path in paths}


def _suffix(path: Path, paths: set[Path]) -> Sequence[str]:
    for size in range(1, len(path)):
        end = path[-size:]
        if not end[0].isdecimal() and sum(other[-size:] == end for other in paths) == 1:
            return end
    return path

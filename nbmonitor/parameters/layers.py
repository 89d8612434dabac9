"""Layers of a model: which container repeats a block, and where in it a parameter stands.

Told by module types alone: members of a `ModuleList`, or of a `Sequential` that repeats itself.
It looks at attributes and class names, never at an architecture's own names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# What wrappers put into a path that says nothing about the model.
_WRAPPERS = {
    "base_layer", "modules_to_save", "_orig_mod", "_fsdp_wrapped_module",
    "_checkpoint_wrapped_module",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Layer:
    """One repeated block: `index` counts within its stack, `path` leads to its module."""

    index: int
    stack: str
    label: str
    path: str


def find_layers(modules: Mapping[str, Any]) -> dict[str, Layer]:
    """Find the repeated blocks of a model.

    Parameters
    ----------
    modules
        `dict(model.named_modules())`.

    Returns
    -------
    dict
        By path of the block. Lists within a block are part of it: the outermost one counts.
    """
    lists = [path for path, module in modules.items() if _is(module, "ModuleList")]
    chains = [path for path, m in modules.items() if _is(m, "Sequential") and _repeats(m)]
    outer: list[str] = []
    for path in lists:
        if not _within(path, outer) and _members(modules[path]):
            outer.append(path)
    for path in chains:
        if not _within(path, outer) and not any(_within(other, [path]) for other in outer):
            outer.append(path)
    names = name_stacks(outer)
    out: dict[str, Layer] = {}
    for path in sorted(outer, key=list(modules).index):
        for index, name in enumerate(_members(modules[path])):
            stack = names[path]
            label = f"{stack} {index}" if len(outer) > 1 else f"layer {index}"
            place = f"{path}.{name}" if path else name
            out[place] = Layer(index, stack, label, place)
    return out


def bare(path: str) -> str:
    """Return a path without what wrappers (DDP, FSDP, `torch.compile`, peft) put into it."""
    parts = [part for part in path.split(".") if part not in _WRAPPERS]
    if parts[:2] == ["base_model", "model"]:
        parts = parts[2:]
    while len(parts) > 1 and parts[0] == "module":
        parts = parts[1:]
    return ".".join(parts)


def name_stacks(paths: Iterable[str]) -> dict[str, str]:
    """Name each container as briefly as keeps it apart: `h`, `encoder`, `layer2`."""
    parts = {path: tuple(bare(path).split(".")) if path else ("model",) for path in paths}
    last = {path: each[-1] for path, each in parts.items()}
    if len(set(last.values())) == len(last):
        return last
    same = 0
    shortest = min(len(each) for each in parts.values())
    while same < shortest and len({each[same] for each in parts.values()}) == 1:
        same += 1
    first = {path: each[same] if same < len(each) else each[-1] for path, each in parts.items()}
    if len(set(first.values())) == len(first):
        return first
    return {path: ".".join(each[same:] or each) for path, each in parts.items()}


def _is(module: Any, kind: str) -> bool:
    return any(base.__name__ == kind for base in type(module).__mro__)


def _within(path: str, containers: list[str]) -> bool:
    return any(outer == "" or path.startswith(f"{outer}.") for outer in containers)


def _members(container: Any) -> list[str]:
    """Names of the children that hold parameters."""
    return [name for name, m in container.named_children() if any(True for _ in m.parameters())]


def _repeats(chain: Any) -> bool:
    """Whether a `Sequential` is a row of blocks: of one class, or each a single operation."""
    members = [getattr(chain, "_modules", {})[name] for name in _members(chain)]
    if len(members) < 2:
        return False
    one_class = len({type(member) for member in members}) == 1
    return one_class or not any(any(True for _ in member.children()) for member in members)

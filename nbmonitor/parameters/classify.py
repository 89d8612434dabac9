"""The parameters of a model as records: what each is, where it stands, what to call it.

Tied weights come once. It reads shapes and types, never a value.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from nbmonitor.parameters.layers import Layer, bare, find_layers
from nbmonitor.parameters.roles import Place, role_of


@dataclass(frozen=True, slots=True)
class Matrix:
    """One parameter tensor, of whatever shape.

    Parameters
    ----------
    id
        Its place in the order of everything that is told per matrix.
    name
        As in `named_parameters()` and the state dict.
    module, leaf
        Where it is found at any time: `getattr(modules[module], leaf)`.
    tied
        Further names under which the same tensor is known.
    trains
        Whether it asks for a gradient: frozen ones stay as they are.
    """

    id: int
    name: str
    label: str
    kind: str
    role: str
    layer: int | None
    stack: str
    shape: tuple[int, ...]
    module: str
    leaf: str
    tied: tuple[str, ...] = ()
    trains: bool = True

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        count = 1
        for size in self.shape:
            count *= size
        return count


@dataclass(frozen=True, slots=True)
class Classified:
    """All parameters of a model, and its layers."""

    matrices: tuple[Matrix, ...]
    layers: tuple[Layer, ...]
    tokens: Matrix | None = None
    positions: Matrix | None = None


def classify(model: Any) -> Classified:
    """Tell what each parameter of a model is.

    Parameters
    ----------
    model
        A `torch.nn.Module`, wrapped or not.

    Returns
    -------
    Classified
        Matrices in the order of the model; the table of token embeddings and that of absolute
        positions, where there is one.
    """
    modules: dict[str, Any] = dict(model.named_modules())
    layers = find_layers(modules)
    uses = _uses(model, modules)
    names: dict[int, list[str]] = {}
    tensors: dict[str, Any] = {}
    for name, tensor in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(tensor), []).append(name)
        tensors[name] = tensor
    last_layer = _last_layered(list(tensors), layers)
    positions = _positions(model)
    matrices: list[Matrix] = []
    for at, name in enumerate(tensors):
        tensor = tensors[name]
        first, *tied = names[id(tensor)]
        if first != name:
            continue
        module, _, leaf = name.rpartition(".")
        layer = _layer_of(module, layers)
        inner = module[len(layer.path) + 1 :] if layer else module
        place = Place(
            path=bare(inner),
            leaf=leaf,
            owner=modules[module],
            classes=tuple(_classes(module, modules, layer)),
            layered=layer is not None,
            shape=tuple(tensor.shape),
            use=uses.get(id(modules[module]), ""),
            last=layer is None and last_layer is not None and at > last_layer,
            positions=positions,
        )
        kind, role = role_of(place)
        label = _label(place, layer)
        matrices.append(
            Matrix(
                len(matrices), name, label, kind, role,
                layer.index if layer else None, layer.stack if layer else "",
                place.shape, module, leaf, tuple(tied), bool(tensor.requires_grad),
            )
        )  # fmt: skip
    tokens = _table(matrices, "token")
    return Classified(
        tuple(matrices), tuple(layers.values()), tokens, _table(matrices, "absolute", tokens)
    )


def _table(matrices: list[Matrix], role: str, near: Matrix | None = None) -> Matrix | None:
    """Find the table of a role: the one next to another, the largest, and of copies what trains."""
    found = [m for m in matrices if m.role == role and len(m.shape) >= 2]
    place = near.name.split(".") if near else []

    def rank(matrix: Matrix) -> tuple[int, int, bool]:
        pairs = zip(place, matrix.name.split("."), strict=False)
        shared = len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)))
        return shared, matrix.elements, matrix.trains

    return max(found, key=rank, default=None)


def _uses(model: Any, modules: Mapping[str, Any]) -> dict[int, str]:
    """What the model says that its modules are, by `id`."""
    uses: dict[int, str] = {}
    for use, method in (("head", "get_output_embeddings"), ("token", "get_input_embeddings")):
        for owner in (model, getattr(model, "module", None)):
            found: Any = None
            with contextlib.suppress(Exception):  # models that have none raise what they like
                found = getattr(owner, method)()
            for module in found.modules() if hasattr(found, "modules") else ():
                uses[id(module)] = use
    embeddings = [m for m in modules.values() if _is_embedding(m)]
    if "token" not in uses.values() and embeddings:
        # The largest table is the vocabulary's, if any is: ties and names come on top of that.
        size = _vocabulary(model)
        known = [m for m in embeddings if m.weight.shape[0] == size] if size else []
        named = [m for m in embeddings if not _is_position(m, modules)]
        for module in known[:1] or sorted(named, key=lambda m: -m.weight.numel())[:1]:
            uses[id(module)] = "token"
    return {key: use for key, use in uses.items() if use != "token" or _keeps_rows(key, modules)}


def _keeps_rows(key: int, modules: Mapping[str, Any]) -> bool:
    """Whether a module that takes the input is a table: of an image model it is a convolution."""
    return any(id(m) == key and _is_embedding(m) for m in modules.values())


def _is_embedding(module: Any) -> bool:
    named = any(base.__name__ == "Embedding" for base in type(module).__mro__)
    return named and getattr(module, "weight", None) is not None


def _is_position(module: Any, modules: Mapping[str, Any]) -> bool:
    path = next((path for path, m in modules.items() if m is module), "")
    place = Place(bare(path), "weight", module, (), False, tuple(module.weight.shape))
    return role_of(place)[0] == "position"


def _config(model: Any, *names: str) -> int:
    config = getattr(model, "config", None)
    for name in names:
        value = config.get(name) if isinstance(config, dict) else getattr(config, name, None)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return 0


def _vocabulary(model: Any) -> int:
    return _config(model, "vocab_size", "n_vocab")


def _positions(model: Any) -> int:
    return _config(model, "max_position_embeddings", "n_positions", "block_size", "n_ctx")


def _layer_of(module: str, layers: Mapping[str, Layer]) -> Layer | None:
    parts = module.split(".")
    for size in range(1, len(parts) + 1):
        found = layers.get(".".join(parts[:size]))
        if found:
            return found
    return None


def _classes(module: str, modules: Mapping[str, Any], layer: Layer | None) -> Iterator[str]:
    """Class names from the owner outwards; the layer's own class, and the model's, say nothing."""
    path = module
    while path and path != (layer.path if layer else ""):
        yield type(modules[path]).__name__
        path = path.rpartition(".")[0]


def _last_layered(names: list[str], layers: Mapping[str, Layer]) -> int | None:
    inside = [at for at, n in enumerate(names) if _layer_of(n.rpartition(".")[0], layers)]
    return inside[-1] if inside else None


def _label(place: Place, layer: Layer | None) -> str:
    parts = place.path.split(".") if place.path else []
    inner = ".".join(parts if layer else parts[-2:])
    if place.leaf != "weight":
        inner = f"{inner}.{place.leaf}" if inner else place.leaf
    return f"{layer.stack}.{layer.index} {inner}".rstrip() if layer else inner or place.leaf

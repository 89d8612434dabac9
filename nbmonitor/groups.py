"""Groups of a model's parameters, named `<layer>.<role>`: "12.attention", "enc.3.mlp", "head".

What is outside of layers has its role alone, or the name of its part of the model where no role
fits. Roles are told by the class that owns a parameter and by the words in its path.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from nbmonitor.naming import NO_LAYER, name_modules

_ATTENTION = re.compile(
    r"attn|attention|(^|\.)([qkvo]|[qkvo]_proj|query|key|value|qkv(_proj)?|out_proj)(\.|$)"
)
_MLP = re.compile(
    r"mlp|ffn|feed_?forward|densereludense|intermediate|expert|moe|router"
    r"|(^|\.)(fc\d?|w[123o]|wi(_\d)?|(gate|up|down|gate_up)_proj|lin[12]|output\.dense)(\.|$)"
)
_EMBEDDING = re.compile(r"embed|(^|\.)(wte|wpe|shared)(\.|$)")
_HEAD = re.compile(r"(^|\.)(lm_head|score|classifier|cls|pooler|qa_outputs|proj_out)(\.|$)")


def group_parameters(model: Any, more: Iterable[Any] = ()) -> list[tuple[Any, str]]:
    """Put every parameter of a model into a group, each once.

    Parameters
    ----------
    model
        A `torch.nn.Module`.
    more
        Parameters that an optimiser holds; those that are not in the model form a group too.

    Returns
    -------
    list
        (parameter, group), in the order of the model.
    """
    owners = dict(model.named_modules())
    found = [(name.rpartition(".")[0], p) for name, p in model.named_parameters()]
    layers = name_modules(dict.fromkeys(path for path, _ in found))
    out = []
    for path, parameter in found:
        layer = layers[path][0]
        kind = type(owners.get(path)).__name__
        role = _role(path.lower(), kind, layered=layer != NO_LAYER)
        if layer != NO_LAYER:
            group = f"{layer}.{role}"
        else:
            group = path.split(".")[0] or "model" if role == "other" else role
        out.append((parameter, group.replace("/", "_")))
    known = {id(parameter) for parameter, _ in out}
    return out + [(p, "outside the model") for p in more if id(p) not in known]


def _role(path: str, kind: str, *, layered: bool) -> str:
    if "Norm" in kind:
        return "norm"
    if layered and _ATTENTION.search(path):
        return "attention"
    if layered and _MLP.search(path):
        return "mlp"
    if "Embedding" in kind or _EMBEDDING.search(path):
        return "embedding"
    return "head" if _HEAD.search(path) else "other"

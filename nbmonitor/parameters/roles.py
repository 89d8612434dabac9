"""What a parameter is for: its kind (embedding, attention, ...) and its role in that (q, up, ...).

Told by the classes of the modules around it, by how the model uses the module that owns it, by
shapes, and last by words that many families share. What nothing tells is "other".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

KINDS = (
    "embedding", "position", "attention", "mlp", "norm",
    "head", "lora", "expert", "convolution", "other",
)  # fmt: skip

_NORM = re.compile(r"Norm(\dd)?$|^(Layer|RMS|Batch|Group|Instance)Norm|ScaleNorm")
_CONVOLUTION = re.compile(r"^(Lazy)?Conv(Transpose)?[123]d$")
_ATTENTION = re.compile(r"(?<!Layer)Attention(?!Block$|Layer$)|Attn|SelfOutput$")
_MLP = re.compile(
    r"MLP|Mlp|FeedForward|FFN|Dense(Relu|Gated|Act)|LayerFF|Intermediate$|(?<!Self)Output$"
)
# At the end: "Qwen2MoeAttention" is named after a family.
_MIXTURE = re.compile(r"Experts?$|Mo[Ee](Block|Layer|MLP)?$|MixtureOf|Sparse(Moe|MLP)")
_ROUTER = re.compile(r"Router|TopK|Gating|MoEGate")
_MIXER = re.compile(r"Mamba|SSM|Mixer$|DeltaNet|RecurrentBlock|RgLru|ShortConv")
_CLASSES = (
    (_ROUTER, "expert"),
    (_MIXER, "mixer"),
    (_ATTENTION, "attention"),
    (_MIXTURE, "expert"),
    (_MLP, "mlp"),
)
_LORA = re.compile(r"(?:^|\.)(?:lora|vera)_(?:embedding_|lambda_)?(\w+?)(?:_vector)?(?:\.|$)")

_POSITION = re.compile(
    r"(^|[._])(wpe|pos(ition)?(al)?(_?(emb|enc|ids)\w*)?|embed_positions?)(\.|$)|PositionalEmb",
)
_RELATIVE = re.compile(r"relative_?(position|attention)|rel_pos|alibi")
_HEAD = re.compile(
    r"(^|\.)(lm_head|heads?|fc|classifier|score|cls|qa_outputs|pooler|embed_out|proj_out"
    r"|output_projection|(text|visual)_projection)(\.|$)"
)
_SELF = re.compile(r"(^|[._])(self_?)?attn|attention", re.IGNORECASE)
_FORWARD = re.compile(
    r"(^|[._])(mlp|ffn?(_\w+)?|feed_?forward|intermediate|fc\d|lin\d|linear\d|w[123io]|wi_\d|pw_?conv\d"
    r"|(gate|up|down|gate_up)_proj|dense_\w+_to_\w+)(\.|$)",
    re.IGNORECASE,
)

_ROLES = {
    "attention": (
        ("qkv", r"qkv(_proj)?|c_attn|query_key_value|Wqkv|in_proj|qkvz?_\w+"),
        ("kv", r"kv(_proj)?|kv_a_proj\w*|kv_b_proj|key_value"),
        ("q", r"q|q_proj\w*|query(_proj)?|wq|q_lin|q_[ab]_proj|c_q|to_q"),
        ("k", r"k|k_proj\w*|key(_proj)?|wk|k_lin|c_k|to_k"),
        ("v", r"v|v_proj\w*|value(_proj)?|wv|v_lin|c_v|to_v"),
        ("o", r"o|o_proj|out_proj|out_lin|wo|c_proj|proj(ection)?|dense|to_out|out|0"),
    ),
    "mlp": (
        ("gate_up", r"gate_up_proj|gate_and_up\w*|c_fc_gate"),
        ("gate", r"gate(_proj)?|w1|wi_0"),
        ("up", r"up(_proj)?|w3|wi(_1)?|fc1|lin1|linear1|c_fc|dense_h_to_4h|linear_fc1|fc_in"),
        ("down", r"down(_proj)?|w2|wo|fc2|lin2|linear2|c_proj|dense_4h_to_h|linear_fc2|fc_out"),
    ),
}


@dataclass(frozen=True, slots=True)
class Place:
    """A parameter and what is around it.

    Parameters
    ----------
    path
        Of the module that owns it, without wrappers; within its layer, if it is in one.
    leaf
        Its own name there: "weight".
    owner
        The module.
    classes
        Class names of the modules around it, innermost (the owner) first, up to the layer.
    layered
        Whether it is in a layer.
    shape
        As the tensor has it.
    use
        What the model says the owner is: "token", "head", or "".
    last
        Whether it stands behind all layers.
    positions
        How many positions the model's config knows; 0 if it doesn't say.
    """

    path: str
    leaf: str
    owner: Any
    classes: Sequence[str]
    layered: bool
    shape: tuple[int, ...]
    use: str = ""
    last: bool = False
    positions: int = 0

    @property
    def whole(self) -> str:
        """Path and leaf."""
        return f"{self.path}.{self.leaf}" if self.path else self.leaf


def role_of(place: Place) -> tuple[str, str]:  # noqa: PLR0911 - one return a rule
    """Tell kind and role of a parameter.

    Returns
    -------
    (str, str)
        One of `KINDS`, and the role within it: "q", "down", "router", "token", ...; "" where a
        kind has but one.
    """
    lora = _LORA.search(place.whole)
    if lora:
        return "lora", lora.group(1)
    outside = _by_type(place)
    if outside:
        return outside
    inside = _inner(place)
    if inside in {"attention", "mlp"}:
        return inside, _role(inside, place)
    if inside == "expert":
        router = any(_ROUTER.search(name) for name in place.classes[:1]) or _last(place) in {
            "gate", "router", "wg", "shared_expert_gate",
        }  # fmt: skip
        return "expert", "router" if router else _role("mlp", place)
    if inside == "mixer":
        return "other", "mixer"
    if not place.layered and (_HEAD.search(place.path) or (place.last and _linear(place))):
        return "head", ""
    return "other", ""


def _by_type(place: Place) -> tuple[str, str] | None:  # noqa: PLR0911 - one return a rule
    """What the type or the use of the owning module tells."""
    names = [base.__name__ for base in type(place.owner).__mro__]
    if place.use == "token":
        return "embedding", "token"
    relative = _RELATIVE.search(place.whole) is not None
    if "Embedding" in names or relative or _POSITION.search(place.whole):
        relative = relative or place.layered
        if _POSITION.search(place.whole) or "Position" in names[0] or relative:
            return "position", "relative" if relative else "absolute"
        if "Embedding" in names:
            by_size = place.positions and place.shape[0] == place.positions
            return ("position", "absolute") if by_size else ("embedding", _other_embedding(place))
    if any(_NORM.search(name) for name in names[:-1]) or _norm_by_name(place):
        return "norm", "shift" if place.leaf == "bias" else "scale"
    if place.use == "head":
        return "head", ""
    if any(_CONVOLUTION.match(name) for name in names):
        patches = not place.layered and re.search(r"[Pp]atch|embed", place.path)
        return ("embedding", "patch") if patches else ("convolution", "")
    if not place.layered and re.search(r"(cls|class|mask|dist\w*)_(token|embedding)$", place.leaf):
        return "embedding", "special"
    return None


def _norm_by_name(place: Place) -> bool:
    """A vector of a module that is called a norm; its class may be anybody's own."""
    named = re.search(r"(^|_)(ln|norm)(_|\d|$)|layer_?norm", _last(place))
    return len(place.shape) == 1 and named is not None


def _other_embedding(place: Place) -> str:
    return "type" if "type" in place.path else "other"


def _inner(place: Place) -> str:
    """What the innermost telling class, or else the words of the path, say."""
    in_experts = re.search(r"(^|\.)experts?(\.|$)", place.path)
    for name in place.classes:
        for pattern, kind in _CLASSES:
            if pattern.search(name):
                return "expert" if kind == "mlp" and in_experts else kind
    if not (place.layered or _SELF.search(place.path) or _FORWARD.search(place.path)):
        return ""
    for word in reversed(place.path.split(".")):
        if _FORWARD.search(word):
            return "mlp"
        if _SELF.search(word) or _known("attention", word) in {"q", "k", "v", "qkv"}:
            return "attention"
    return ""


def _role(kind: str, place: Place) -> str:
    word = place.leaf if place.leaf not in {"weight", "bias"} else _last(place)
    found = _known(kind, word)
    if found:
        return found
    into, out = _widths(place)
    if kind == "attention":
        return "qkv" if into and out == 3 * into else ""
    if into and out and into != out:
        return "up" if out > into else "down"
    return ""


def _known(kind: str, word: str) -> str:
    word = re.sub(r"_(weight|bias)$", "", word)
    for role, pattern in _ROLES[kind]:
        if re.fullmatch(pattern, word, re.IGNORECASE):
            return role
    return ""


def _last(place: Place) -> str:
    return place.path.rpartition(".")[2]


def _linear(place: Place) -> bool:
    return bool(_widths(place)[0])


def _widths(place: Place) -> tuple[int, int]:
    """Inputs and outputs of a linear map, whichever way its weight lies; (0, 0) of others."""
    owner = place.owner
    for into, out in (("in_features", "out_features"), ("nx", "nf")):
        if isinstance(getattr(owner, into, None), int):
            return int(getattr(owner, into)), int(getattr(owner, out, 0))
    return 0, 0

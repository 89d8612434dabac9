"""Does an adapter learn? A plain answer from what was seen of its modules, with what to do.

Pure. Each way in which a LoRA adapter silently doesn't train is one `_Cause`: it was seen in
somebody's run before (B still zero, frozen after loading, no gradient through checkpointing,
an optimiser made too early, updates lost to rounding). Nothing is said that wasn't measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# Steps with a learning rate above zero after which a module that stands still is a finding. A
# scaler of half-precision gradients skips the first few.
PATIENCE = 5
_NAMED = 6
_EARLY = "early"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen of one module.

    Attributes
    ----------
    gradient
        The most that was seen so far: "unseen" (nobody looked), "none" (no gradient at all),
        "zero", "some"; or "nan", if that is what it is now.
    held
        Whether the optimiser holds its matrices; also true where that isn't known.
    b_zero
        Whether B is all zeros, so that the update is.
    moved
        Whether the update B·A differs from what it was at the start.
    """

    module: str
    moved: bool
    trains_a: bool = True
    trains_b: bool = True
    active: bool = True
    held: bool = True
    gradient: str = "unseen"
    b_zero: bool = False
    dtype: str = "float32"


@dataclass(frozen=True, slots=True)
class _Cause:
    title: str
    text: str
    action: str


_CAUSES = {
    "inactive": _Cause(
        "Adapter not in use",
        "the forward pass doesn't use the adapter: another one is active, or it is disabled or "
        "merged",
        "Call model.set_adapter(name), unless it is a reference that has to stay as it is.",
    ),
    "frozen": _Cause(
        "Frozen",
        "the matrices don't require gradients",
        "Load the adapter with PeftModel.from_pretrained(..., is_trainable=True), or call "
        "model.set_adapter(name) before training.",
    ),
    "unheld": _Cause(
        "Not in the optimiser",
        "the optimiser doesn't hold the matrices, so it never changes them",
        "Make the optimiser after the adapter: first get_peft_model(...), then the Trainer.",
    ),
    "nan": _Cause(
        "Gradient is not a number",
        "the gradient holds NaN or Inf",
        "Lower the learning rate or the loss scale, and look for the batch that begins it.",
    ),
    "none": _Cause(
        "No gradient",
        "no gradient reaches the matrices",
        "With gradient checkpointing, call model.enable_input_require_grads() or pass "
        "gradient_checkpointing_kwargs={'use_reentrant': False}; else check that the loss "
        "depends on these modules.",
    ),
    "zero": _Cause(
        "Gradient is zero",
        "the gradient is exactly zero",
        "Check that the labels are not all -100 and that the modules take part in the loss.",
    ),
    "b_zero": _Cause(
        "B still zero",
        "B is still all zeros, so the adapter changes nothing, although it has a gradient",
        "Check the optimiser's state and precision (DeepSpeed: stage and fp32 weights), and that "
        "no step is skipped.",
    ),
    "rounding": _Cause(
        "Updates lost to rounding",
        "the weights haven't changed although there is a gradient: at this precision an update "
        "smaller than a rounding step disappears",
        "Keep the adapter in float32 (autocast_adapter_dtype=True), or raise the learning rate.",
    ),
    "still": _Cause(
        "Stands still",
        "the weights haven't changed although there is a gradient",
        "Check the learning rate of its parameter group, and whether optimiser steps are skipped.",
    ),
}


def judge(
    evidence: Sequence[Evidence],
    steps: int,
    rate: float | None = None,
    unmatched: Sequence[str] = (),
) -> dict[str, Any]:
    """Say whether an adapter learns, and why not.

    Parameters
    ----------
    evidence
        Its modules.
    steps
        Steps with a learning rate above zero that were looked at.
    rate
        The learning rate now, if known.
    unmatched
        Targets of its configuration that no module answers to.

    Returns
    -------
    dict
        `state` ("learning", "partly", "not learning" or "too early") and `reasons`, each with
        `title`, `text` and `action`.
    """
    found: dict[str, list[Evidence]] = {}
    for seen in evidence:
        found.setdefault(_cause(seen, steps), []).append(seen)
    good, early = found.pop("", []), found.pop(_EARLY, [])
    reasons = [_reason(cause, found[cause], len(evidence)) for cause in _CAUSES if cause in found]
    if unmatched:
        reasons.append(_missed(unmatched))
    if early:
        reasons.append(_patience(_named([e.module for e in early], len(evidence)), steps, rate))
    half = [e.module for e in evidence if e.dtype == "float16" and (e.trains_a or e.trains_b)]
    if half:
        reasons.append(
            {
                "title": "Weights in float16",
                "text": f"{_named(half, len(evidence))}: small updates underflow in float16.",
                "action": "Keep the adapter in float32 and let fp16=True do the mixing.",
            }
        )
    if found and not good and not early:
        state = "not learning"
    elif found:
        state = "partly"
    elif early and not good:
        state = "too early"
    else:
        state = "partly" if unmatched else "learning"
    return {"state": state, "reasons": reasons}


def _cause(seen: Evidence, steps: int) -> str:
    """Key of what keeps a module from learning; "" if it learns, `_EARLY` if that isn't known."""
    ways = (
        ("inactive", not seen.active),
        # With B at zero A has no effect: A alone can't learn.
        ("frozen", not seen.trains_b and (seen.b_zero or not seen.trains_a)),
        ("unheld", not seen.held),
        ("nan", seen.gradient == "nan"),
        ("", seen.moved),
        (_EARLY, steps < PATIENCE),
        (seen.gradient, seen.gradient in {"none", "zero"}),
        ("b_zero", seen.b_zero),
        ("rounding", seen.dtype in {"bfloat16", "float16"}),
    )
    return next((cause for cause, true in ways if true), "still")


def _named(modules: Sequence[str], total: int) -> str:
    if len(modules) == total:
        return f"All {total} modules" if total > 1 else f"Its one module ({modules[0]})"
    more = len(modules) - _NAMED
    names = ", ".join(modules[:_NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"{len(modules)} of {total} modules ({names})"


def _reason(cause: str, seen: Sequence[Evidence], total: int) -> dict[str, str]:
    told = _CAUSES[cause]
    text = f"{_named([e.module for e in seen], total)}: {told.text}."
    return {"title": told.title, "text": text, "action": told.action}


def _missed(unmatched: Sequence[str]) -> dict[str, str]:
    names = ", ".join(unmatched)
    return {
        "title": "Targets that matched nothing",
        "text": f"No module of the model answers to {names}: nothing is adapted there.",
        "action": "Compare target_modules with the names in model.named_modules().",
    }


def _patience(who: str, steps: int, rate: float | None) -> dict[str, str]:
    now = " The learning rate is 0 now." if rate == 0 else ""
    seen = f"{steps} of {PATIENCE} steps with a learning rate above 0 were seen"
    text = f"{who}: not moved yet; {seen}.{now}"
    return {"title": "Too early to tell", "text": text, "action": ""}

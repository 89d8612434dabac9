"""Use a model in the middle of its training and leave everything as it was.

Random states of Python, numpy, torch and the model's device; the mode of every module (a user
may keep some of them in evaluation mode while training); gradients, which are not recorded; and
the cache of weights that autocast keeps, which must not pass between what records gradients
and what does not.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np


@contextmanager
def undisturbed(model: Any) -> Iterator[None]:
    """Let a model be used in evaluation mode without gradients, and put everything back."""
    torch = sys.modules["torch"]
    device = device_of(model)
    modes = [(module, module.training) for module in model.modules()]
    chance = _random_states(torch, device)
    with ExitStack() as stack:
        # Not inference_mode: a buffer that a model makes anew meanwhile must serve later, too.
        stack.enter_context(torch.no_grad())
        if hasattr(torch.compiler, "set_stance"):
            # Nothing is compiled anew for our shapes, nor counted towards a limit.
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        torch.clear_autocast_cache()
        try:
            model.eval()
            yield
        finally:
            for module, training in modes:
                module.training = training
            torch.clear_autocast_cache()
            _restore(torch, device, chance)


def device_of(model: Any) -> Any:
    """Where a model takes its inputs."""
    embed = getattr(model, "get_input_embeddings", None)
    try:
        weight = getattr(embed(), "weight", None) if embed is not None else None
    except (NotImplementedError, AttributeError):  # transformers' way to say that there is none
        weight = None
    return next(model.parameters()).device if weight is None else weight.device


def _random_states(torch: Any, device: Any) -> tuple[Any, ...]:
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002 - the state that others use
    if device.type == "cuda":
        return (*states, torch.cuda.get_rng_state_all())
    if device.type == "mps":
        return (*states, torch.mps.get_rng_state())
    return states


def _restore(torch: Any, device: Any, states: tuple[Any, ...]) -> None:
    random.setstate(states[0])
    np.random.set_state(states[1])  # noqa: NPY002 - as above
    torch.set_rng_state(states[2])
    if device.type == "cuda":
        torch.cuda.set_rng_state_all(states[3])
    elif device.type == "mps":
        torch.mps.set_rng_state(states[3])

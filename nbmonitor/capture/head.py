"""The logits of chosen positions only, without ever making those of all.

A causal model's output layer takes most of the memory of an evaluation and, in a small model,
most of its time. So the model runs as it always does, but what reaches its output layer is kept
and replaced by one position; the layer is then applied to the positions that count, in chunks.
What a model does to its logits behind that layer (`final_logit_softcapping`, `logit_scale`, …)
is taken from its config, and the whole is checked against the model's own logits of that one
position in every batch. A model for which this doesn't hold answers with its full logits.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from nbmonitor.capture.scoring import chunk_rows

# Largest difference to the model's own logits, relative to their size, in units of its precision.
_EXACT = 64


class AllNeeded(Exception):  # noqa: N818 - nothing has gone wrong
    """The model turned out to need all of its logits: smaller batches are due."""


class HeadReader:
    """Runs a model and yields logits of chosen positions.

    Parameters
    ----------
    model
        As the loop has it, with adapters and all.

    Attributes
    ----------
    fallback : str
        Why all logits are made after all, or "".
    eps : float
        Relative precision of the logits that were last read.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._head = output_layer(model)
        config: Any = getattr(model, "config", None)
        text = config.get_text_config() if hasattr(config, "get_text_config") else config
        self._scale = _scaling(text)
        self.fallback = "" if self._head is not None else "the model names no output layer"
        self.eps = 0.0

    def read(self, inputs: dict[str, Any], places: Any) -> Iterator[tuple[slice, Any]]:
        """Yield logits of chosen positions, chunk by chunk.

        Parameters
        ----------
        inputs
            For the model; without labels.
        places
            (n,) int64 on the device: positions in the flattened (rows * width).

        Yields
        ------
        (slice, tensor)
            Which of `places`, and their logits, (m, vocabulary) float32, to be overwritten.

        Raises
        ------
        AllNeeded
            Once, before anything is yielded, when `fallback` has just got its reason.
        """
        if not self.fallback:
            kept, own, precision = self._run(inputs)
            if kept is not None:
                yield from self._chunks(kept, own, precision, places)
            if self.fallback:
                raise AllNeeded
            return
        logits = self._model(**inputs).logits
        self.eps = max(_eps(logits), _eps(next(self._model.parameters())))
        flat = logits.reshape(-1, logits.shape[-1])  # (rows * width, v)
        size = chunk_rows(flat.shape[-1], on_cpu=flat.is_cpu)
        for start in range(0, len(places), size):
            part = slice(start, start + size)
            yield part, flat[places[part]].float()  # (m, v)

    def _run(self, inputs: dict[str, Any]) -> tuple[Any, Any, Any]:
        """Run the model; return what its output layer was given, and one position's logits."""
        torch = sys.modules["torch"]
        kept: list[Any] = []
        precision: list[Any] = []

        def keep(_module: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
            hidden = args[0]
            kept.append(hidden)
            kind = hidden.device.type
            precision.append(
                (torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind), kind)
            )
            return hidden[:1, -1:], *args[1:]  # (1, 1, width)

        hook = self._head.register_forward_pre_hook(keep)
        try:
            own = self._model(**inputs).logits
        except (RuntimeError, ValueError, IndexError) as error:
            if "out of memory" in str(error):
                raise
            self.fallback = f"the model needs all of its logits ({type(error).__name__})"
            return None, None, None
        finally:
            hook.remove()
        if len(kept) != 1 or kept[0].dim() != 3 or own.shape[:2] != (1, 1):
            self.fallback = "the model's logits don't come from one pass of its output layer"
            return None, None, None
        return kept[0], own.reshape(1, -1), precision[0]

    def _chunks(
        self, kept: Any, own: Any, precision: Any, places: Any
    ) -> Iterator[tuple[slice, Any]]:
        with _autocast(precision):
            probe = self._scale(self._head(kept[:1, -1:])).reshape(1, -1)  # (1, v)
        if not _alike(probe, own):
            self.fallback = "the model changes its logits in a way that its config doesn't tell"
            return
        flat = kept.reshape(-1, kept.shape[-1])  # (rows * width, h)
        size = chunk_rows(own.shape[-1], on_cpu=flat.is_cpu)
        for start in range(0, len(places), size):
            part = slice(start, start + size)
            with _autocast(precision):
                logits = self._scale(self._head(flat[places[part]]))  # (m, v)
            self.eps = _eps(logits)
            yield part, logits.float()


def _eps(tensor: Any) -> float:
    torch = sys.modules["torch"]
    return float(torch.finfo(tensor.dtype).eps) if tensor.is_floating_point() else 0.0


def output_layer(model: Any) -> Any:
    """Return the module that makes logits over a vocabulary, or None.

    Models without one have no `get_output_embeddings`, or one that raises or returns None.
    """
    get = getattr(model, "get_output_embeddings", None)
    try:
        layer = get() if get is not None else None
    except (NotImplementedError, AttributeError):  # transformers' way to say that there is none
        return None
    return layer if hasattr(layer, "register_forward_pre_hook") else None


def _scaling(config: Any) -> Callable[[Any], Any]:
    torch = sys.modules["torch"]
    multiply = getattr(config, "logit_scale", None)
    divide = getattr(config, "logits_scaling", None)
    cap = getattr(config, "final_logit_softcapping", None)

    def scale(logits: Any) -> Any:
        if isinstance(multiply, int | float):
            logits = logits * multiply
        if divide:
            logits = logits / divide
        return torch.tanh(logits / cap) * cap if cap else logits

    return scale


def _alike(ours: Any, theirs: Any) -> bool:
    """Whether two rows of logits agree up to rounding; what is not finite must be so in both."""
    torch = sys.modules["torch"]
    if ours.shape != theirs.shape:
        return False
    coarse = max(torch.finfo(x.dtype).eps for x in (ours, theirs))
    a, b = ours.float(), theirs.float()
    finite = a.isfinite()
    if not bool((finite == b.isfinite()).all()):
        return False
    size = float(b[finite].abs().amax()) if bool(finite.any()) else 0.0
    tolerance = _EXACT * coarse * max(size, 1e-3)
    return bool(((a - b)[finite].abs() <= tolerance).all())


@contextmanager
def _autocast(precision: tuple[bool, Any, str]) -> Iterator[None]:
    enabled, dtype, kind = precision
    if not enabled:
        yield
        return
    with sys.modules["torch"].autocast(kind, dtype=dtype):
        yield

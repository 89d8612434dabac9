"""The loss of every token of a batch that was trained on, by a second forward pass.

For the few batches that somebody is going to look at: a pass costs about a third of a
training step. It leaves the training as it was: no gradients, no dropout, every module's
mode and the random generators put back, nothing compiled anew. It knows no probe.

What is kept of a batch are its whole numbers (ids, masks, positions, labels); a batch that
holds anything else, pictures say, cannot be run again from them.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbmonitor.capture.undisturbed import device_of, undisturbed
from nbmonitor.tally import MAPPINGS

# Places of a batch that are run again at most, and the widest row.
CELLS = 16_384
WIDTH = 1024
# Bytes that the logits of one pass may take; a single row may take more.
_LOGITS = 64 * 2**20
# Places whose logits are brought to float32 at a time.
_CHUNK = 64
_IGNORED = -100
_LABELS = ("labels", "label")
# Names of a column that tells a row's place in its dataset.
INDEX = ("dataset_index", "index", "idx", "row_id", "example_id")
_UNSHIFTED = ("ForMaskedLM", "ForTokenClassification", "ForPreTraining")


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of a micro-batch: references, nothing is copied.

    Attributes
    ----------
    inputs : dict
        Tensors of whole numbers, and plain values, by name.
    missing : str
        Why the batch cannot be run again, or "".
    """

    inputs: dict[str, Any]
    missing: str = ""


@dataclass(frozen=True, slots=True)
class RowLosses:
    """Tokens of the rows of a batch and what each of them cost.

    Attributes
    ----------
    tokens
        Per row, shape (n,) int64: without padding.
    losses
        Per row, shape (n,) float32 nats: NaN where the model was not asked for the token.
    rows
        Row of each in its batch.
    reason
        Why there are no losses, or "".
    """

    tokens: list[NDArray[np.int64]]
    losses: list[NDArray[np.float32]]
    rows: list[int]
    reason: str = ""


def keep(inputs: Any) -> Kept | None:
    """Keep references to what a batch can be told by; None if there is no text in it."""
    if not isinstance(inputs, MAPPINGS):
        return None
    ids = inputs.get("input_ids")
    if len(getattr(ids, "shape", ())) != 2:
        return None
    kept: dict[str, Any] = {}
    missing = ""
    for name, value in inputs.items():
        plain = value is None or isinstance(value, bool | int | str)
        tensor = hasattr(value, "is_floating_point")
        # The targets of a regression are small, too.
        if plain or (tensor and (name in _LABELS or not value.is_floating_point())):
            kept[name] = value
        else:
            missing = f"the batch holds {name}, which is not kept"
    return Kept(kept, missing)


def obstacle(model: Any) -> str:
    """Say why a model cannot be run by one process alone, or ""."""
    if model is None or not callable(model) or not hasattr(model, "parameters"):
        return "there is no model to run again"
    for parameter in model.parameters():
        if type(parameter).__name__ == "DTensor" or "FlatParameter" in type(parameter).__name__:
            return "the weights are spread over several processes"
        if parameter.device.type == "meta" or parameter.numel() == 0:
            return "the weights are not all in this process's memory"
    return ""


def row_losses(model: Any, kept: Kept, pad: int | None = None) -> RowLosses:
    """Run a batch again and tell what each token of it cost, with the weights as they are now.

    Parameters
    ----------
    model
        As it is trained, unwrapped.
    kept
        Of one micro-batch.
    pad
        The pad token, for a batch without a mask.

    Notes
    -----
    A token's loss is `-log softmax(logits)[label]`, in float32. Label smoothing, loss weights
    and dropout are left out.
    """
    inputs = kept.inputs
    ids = inputs["input_ids"]  # (rows, width)
    reason = kept.missing or obstacle(model)
    labels: Any = inputs.get("labels", inputs.get("label"))
    if not reason and labels is None:
        reason = "the batch has no labels"
    count = max(1, min(len(ids), CELLS // max(1, ids.shape[1])))
    seq2seq = bool(getattr(getattr(model, "config", None), "is_encoder_decoder", False))
    causal = labels is not None and labels.ndim == 2 and not seq2seq and _shifts(model)
    width = min(ids.shape[1], WIDTH) if causal else ids.shape[1]
    if not reason and not causal and max(width, labels.shape[-1]) > WIDTH:
        reason = f"its rows are longer than {WIDTH} tokens"
    found: NDArray[np.float32] | None = None
    if not reason:
        try:
            with undisturbed(model):
                found = _run(model, inputs, labels, count, width, shifted=causal, seq2seq=seq2seq)
        except Exception as error:  # noqa: BLE001 - models are strangers; the rows are shown without
            reason = f"the model cannot be run again: {type(error).__name__}: {error}"[:300]
    shown = labels if seq2seq and labels is not None else ids
    tokens = _host(shown[:count, :width] if shown is ids else shown[:count])  # (count, width)
    there = tokens != _IGNORED if shown is not ids else _present(inputs, tokens, pad)
    per_row = [_losses_of(found, row, there[row]) for row in range(count)]
    return RowLosses(
        [tokens[row][there[row]] for row in range(count)], per_row, list(range(count)), reason
    )


def _losses_of(
    found: NDArray[np.float32] | None, row: int, there: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Pick the losses of a row's tokens; one for the whole row stands at its last token."""
    out = np.full(int(there.sum()), np.nan, np.float32)  # (tokens,)
    if found is None or not len(out):
        return out
    if found.ndim == 1:
        out[-1] = found[row]
        return out
    picked: NDArray[np.float32] = found[row][there]  # (tokens,)
    return picked


def _shifts(model: Any) -> bool:
    """Whether a model's label at a place is what it says one place before."""
    return not type(_base(model)).__name__.endswith(_UNSHIFTED)


def _base(model: Any) -> Any:
    """The model inside adapters."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _host(tensor: Any) -> NDArray[Any]:
    return np.asarray(tensor.detach().cpu().numpy())


def _present(inputs: Mapping[str, Any], ids: NDArray[Any], pad: int | None) -> NDArray[np.bool_]:
    """Which places are text: by the mask, or else by the pad token, (rows, width)."""
    mask = inputs.get("attention_mask")
    if getattr(mask, "ndim", 0) == 2:
        return np.asarray(_host(mask)[: ids.shape[0], : ids.shape[1]] != 0)
    if pad is None:
        return np.ones(ids.shape, np.bool_)
    labels = inputs.get("labels")
    wanted = np.zeros(ids.shape, np.bool_)
    if getattr(labels, "shape", None) == inputs["input_ids"].shape:
        wanted = _host(labels)[: ids.shape[0], : ids.shape[1]] != _IGNORED
    return np.asarray((ids != pad) | wanted)


def _run(
    model: Any,
    inputs: Mapping[str, Any],
    labels: Any,
    count: int,
    width: int,
    *,
    shifted: bool,
    seq2seq: bool,
) -> NDArray[np.float32]:
    """Run `count` rows in portions: (count, places) float32, or (count,) for one label a row."""
    device = device_of(model)
    rows, columns = inputs["input_ids"].shape
    base = _base(model)
    takes = inspect.signature(base.forward).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in takes.values())
    vocabulary = int(getattr(getattr(model, "config", None), "vocab_size", 0) or 1)
    portion = max(1, _LOGITS // (4 * vocabulary * width))
    out = []
    for start in range(0, count, portion):
        part = slice(start, min(count, start + portion))
        given: dict[str, Any] = {}
        for name, value in inputs.items():
            if name in (*_LABELS, *INDEX) or not (name in takes or open_ended):
                continue
            if not hasattr(value, "shape"):
                given[name] = value
                continue
            if len(value.shape) and value.shape[0] == rows:
                value = value[part]  # noqa: PLW2901 - the part of it that is run
                if len(value.shape) == 2 and value.shape[1] == columns:
                    value = value[:, :width]  # noqa: PLW2901
            given[name] = value.to(device)
        wanted = labels[part].to(device)
        if wanted.ndim == 2 and not seq2seq:
            wanted = wanted[:, :width]
        if seq2seq and "decoder_input_ids" not in given:
            given["decoder_input_ids"] = base.prepare_decoder_input_ids_from_labels(labels=wanted)
        if "use_cache" in takes:
            given["use_cache"] = False
        logits = model(**given).logits
        out.append(_cost(logits, wanted, shifted=shifted))
    return np.concatenate(out)


def _cost(logits: Any, labels: Any, *, shifted: bool) -> NDArray[np.float32]:
    """What each label cost: (rows, places), NaN where there is none; (rows,) for one a row."""
    torch = sys.modules["torch"]
    functional = torch.nn.functional
    if labels.ndim == 1 and logits.ndim == 2:
        if logits.shape[-1] == 1:
            return _host((logits[:, 0].float() - labels.float()).square())  # (rows,)
        return _host(functional.cross_entropy(logits.float(), labels, reduction="none"))
    if shifted:
        logits, labels = logits[:, :-1], labels[:, 1:]  # (rows, places - 1, …)
    parts = [
        functional.cross_entropy(
            logits[:, at : at + _CHUNK].float().transpose(1, 2),  # (rows, vocabulary, chunk)
            labels[:, at : at + _CHUNK],
            reduction="none",
            ignore_index=_IGNORED,
        )
        for at in range(0, labels.shape[1], _CHUNK)
    ]
    if not parts:
        return np.full((len(labels), int(shifted)), np.nan, np.float32)
    costs = torch.cat(parts, 1)  # (rows, places)
    costs = costs.masked_fill(labels == _IGNORED, float("nan"))
    out = _host(costs).astype(np.float32)
    if shifted:
        out = np.concatenate([np.full((len(out), 1), np.nan, np.float32), out], 1)
    return out

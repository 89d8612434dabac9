"""Token entropy of the training batch: how undecided the model is, in nats, without a pass more.

TRL logs it for every token; that value is taken where there is one. Otherwise a hook on the output
head looks at the logits of up to 128 predicted tokens of each micro-batch, every 10 steps, and
keeps none of them. A head that is fused with the loss shows no logits: then the reason is told.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from nbmonitor.capture.head import output_layer
from nbmonitor.pace import Pace
from nbmonitor.probe import Batch, Context, Measured, Panel, Probe, Series, Step
from nbmonitor.tally import MAPPINGS
from nbmonitor.taps import COMPILED, Taps, compiled, due, following

KEY = "train/token_entropy"
TOKENS = 128
_CHUNK = 8
_LOGGED = "train/entropy"
_IGNORED = -100
_LATE = (
    "a loop of its own shows its batch when the forward pass is over: which tokens are predicted "
    "is known too late"
)
# Knuth's multiplicative hash: spreads positions without a random number of the training's.
_HASH, _RANGE = 2_654_435_761, 1 << 32


class TokenEntropy(Probe):
    """Mean entropy of the model's predictions for the tokens that it is trained on.

    Attributes
    ----------
    spacing
        Steps between two measurements by the hook. The probe itself is asked before each of
        them, too, to open it: logits are there only while a step runs.
    """

    name = "entropy"
    spacing: int = 10
    hears_repeats = False
    cost = "where it isn't logged: a softmax of up to 128 rows of logits, now and then; no sync"
    series = (Series(KEY, "token entropy of the training batch (nats)"),)
    panels = (
        Panel(
            "token_entropy", "Token entropy", "line", (KEY,), tab="quality", order=97,
            options={"empty": "waiting for the first predictions, or for a logged entropy"},
        ),
    )  # fmt: skip

    def __init__(self) -> None:
        self._taps = Taps()
        self._reason = ""
        self._config: Any = None
        self._shifted = True
        # The micro-batch at work.
        self._inputs: Any = None
        # Sums of entropies and of tokens, () each, on the logits' device.
        self._sums: list[tuple[Any, Any]] = []
        self._open = self._logged = False
        self._pace = Pace(self.spacing)

    # ------------------------------------------------------------------ training thread

    def on_begin(self, context: Context) -> Measured | None:
        """Put a hook behind the output head."""
        self._taps.remove()
        self._sums, self._inputs, self._reason = [], None, ""
        self._logged = False
        self.spacing = self._pace.begin(self.spacing)
        model = context.model
        self._config = getattr(model, "config", None)
        head = output_layer(model)
        if head is None:
            self._reason = "this model has no output head over a vocabulary"
        elif compiled(model, context.wrapped):
            self._reason = COMPILED
        else:
            self._taps.after(head, self._take)
        base = model.get_base_model() if hasattr(model, "get_base_model") else model
        # Masked and encoder-decoder models predict the token in its own place.
        named = type(base).__name__
        own_place = bool(getattr(self._config, "is_encoder_decoder", False)) or any(
            word in named for word in ("Masked", "PreTraining")
        )
        self._shifted = not own_place
        self._open = True
        return None

    def set_every(self, every: int) -> int:
        """Space the measurements."""
        before, self.spacing = self.spacing, every
        return before

    def following(self, number: int) -> int:
        """Be asked when the hook is to be opened, and when it has been open."""
        return following(number, self.spacing, opened=self._open)

    def on_batch(self, batch: Batch) -> None:
        """Keep a micro-batch at hand; its labels tell which positions are predicted."""
        self._inputs = batch.inputs

    def _take(self, output: Any) -> None:
        inputs = self._inputs
        if inputs is None:
            self._reason = _LATE
            return
        labels = inputs.get("labels") if isinstance(inputs, MAPPINGS) else None
        logits = output.detach()
        if labels is None or not hasattr(labels, "dim") or labels.dim() != 2:
            self._reason = "the batch has no labels of tokens that could tell what is predicted"
            return
        if logits.shape[:-1] != labels.shape:
            self._reason = "the logits are not those of the labels' positions (cut or packed)"
            return
        self._reason = ""
        torch = sys.modules["torch"]
        wanted = labels.to(logits.device, non_blocking=True) != _IGNORED  # (batch, tokens)
        if self._shifted:
            wanted = torch.nn.functional.pad(wanted[:, 1:], (0, 1), value=False)
        flat = wanted.reshape(-1)  # (positions,)
        order = torch.arange(flat.numel(), device=flat.device) * _HASH % _RANGE + 1
        rank, rows = (order * flat).topk(min(TOKENS, flat.numel()))  # (rows,) each
        counts = (rank > 0).float()  # with fewer predicted tokens than rows, some rows don't count
        total = counts.new_zeros(())
        vocabulary = logits.reshape(-1, logits.shape[-1])  # (positions, vocabulary)
        for part, weight in zip(rows.split(_CHUNK), counts.split(_CHUNK), strict=True):
            entropy = _entropies(self._scaled(vocabulary[part].float()))  # (at most 8,)
            total = total + torch.where(weight > 0, entropy, 0.0).sum()
        self._sums.append((total, counts.sum()))

    def _scaled(self, logits: Any) -> Any:
        """Do to logits what the model does to them behind its head."""
        config = self._config
        scale = getattr(config, "logit_scale", None)  # Cohere
        if isinstance(scale, int | float):
            logits = logits * scale
        scaling = getattr(config, "logits_scaling", None)  # Granite
        if isinstance(scaling, int | float):
            logits = logits / scaling
        cap = getattr(config, "final_logit_softcapping", None)  # Gemma
        return logits if not cap else cap * (logits / cap).tanh()

    def on_step(self, step: Step) -> Measured | None:
        """Hand over the sums of this step; open the hook for the next one that is due."""
        wanted = due(step.number, self.spacing)
        measured: Measured | None = None
        if self._logged:
            self._taps.remove()
            self._sums = []
        if self._sums:
            total, count = self._sums[0]
            for more, tokens in self._sums[1:]:
                total, count = total + more, count + tokens
            measured = {"entropy": total, "tokens": count}
            self._pace.add(self._taps.take_seconds())
            self.spacing = self._pace.measured(step.number, self.spacing)
        elif self._open and self._inputs is not None and not self._reason and len(self._taps):
            self._reason = "the output head isn't called as a module (its product is fused)"
        self._open = bool(len(self._taps)) and wanted
        self._taps.turn(opened=self._open)
        # The batch is over: its labels are not those of the next one.
        self._sums, self._inputs = [], None
        return measured

    def on_end(self, step: Step) -> Measured | None:
        """Take the hook away."""
        del step
        self._taps.remove()
        self._sums, self._inputs = [], None
        return None

    # ------------------------------------------------------------------ on the host

    def derive(self, step: Step, host: Measured) -> Measured:
        """Take the mean."""
        del step
        return {KEY: host["entropy"] / host["tokens"]} if host.get("tokens") else {}

    def on_log(self, step: int, metrics: Measured) -> Measured:
        """Prefer what the trainer logs: the mean over all tokens. The hook is then closed."""
        del step
        if _LOGGED not in metrics:
            return {}
        self._logged, self._reason = True, ""
        return {KEY: metrics[_LOGGED]}

    def unavailable(self) -> Mapping[str, str]:
        """Say why there is no entropy."""
        return {KEY: self._reason} if self._reason else {}


def _entropies(logits: Any) -> Any:
    """Return ln Σeˣ - Σx·eˣ / Σeˣ of each row, x less its maximum: (rows, vocabulary) to (rows,).

    What is -Inf counts as so small that its share is 0, because 0·Inf would be NaN.
    """
    torch = sys.modules["torch"]
    # In place: these are our own copies, and fresh memory costs as much as the rest.
    low = logits.sub_(logits.amax(-1, keepdim=True)).clamp_(min=-1e4)  # (rows, vocabulary)
    shares = low.exp()  # (rows, vocabulary)
    whole = shares.sum(-1)  # (rows,)
    return whole.log() - torch.linalg.vecdot(shares, low) / whole


PROBE = TokenEntropy

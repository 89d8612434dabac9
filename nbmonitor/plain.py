"""Plain PyTorch loops to session: what `watch`, `step` and `finish` do.

The counterpart of `callback.py` where the user owns the loop. It uses torch only if the
loop does. The gradient norm is taken where the optimiser steps, so it is the one that the
optimiser sees: after clipping, if the loop clips. A loop that knows the norm before
clipping passes it as `grad_norm`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from nbmonitor import metrics
from nbmonitor.describe import describe_model
from nbmonitor.loop_steering import LoopSteering
from nbmonitor.patch import Patches
from nbmonitor.probe import Context
from nbmonitor.session import Session

_OWN = ("grad_norm", "learning_rate", "epoch")


class PlainLoop:
    """Watch one loop.

    Parameters
    ----------
    session
        Told of everything that happens.
    model, optimizer
        What is trained; the optimiser's `step` is where norm and learning rate are read.
    total_steps
        Optimiser steps that the loop is going to make, if known.
    controls
        What of it can be steered.
    tokenizer
        Of the model, if it has one.
    """

    def __init__(
        self,
        session: Session,
        model: Any,
        optimizer: Any = None,
        total_steps: int | None = None,
        controls: LoopSteering | None = None,
        *,
        tokenizer: Any = None,
    ) -> None:
        self._session, self._optimizer, self._model = session, optimizer, model
        self._patches = Patches()
        self._grad_norm: Any = None
        self._learning_rate: float | None = None
        self._step = 0
        self._noted: set[str] = set()
        if hasattr(optimizer, "register_step_pre_hook"):
            self._patches.add(optimizer.register_step_pre_hook(self._before_step).remove)
        config = describe_model(model)
        if optimizer is not None:
            config["optimizer"] = type(optimizer).__name__
        controls = LoopSteering() if controls is None else controls
        controls.optimizer, controls.take = optimizer, self._take_evaluation
        pad = getattr(tokenizer, "pad_token_id", None)
        context = Context(model, optimizer, total_steps, pad, config, tokenizer=tokenizer)
        session.begin(context, training=controls)

    def close(self) -> None:
        """Leave the optimiser as it was."""
        self._patches.undo()

    def _before_step(self, *_: Any) -> None:
        groups = self._optimizer.param_groups
        self._learning_rate = float(groups[0]["lr"]) if groups else None
        grads = [p.grad for group in groups for p in group["params"] if p.grad is not None]
        dense = [g for g in grads if not g.is_sparse and not g.is_meta]
        if dense:
            torch = sys.modules["torch"]
            self._grad_norm = torch.nn.utils.get_total_norm(dense)  # ()
        self._session.gradients(self._step + 1, self._learning_rate)

    def _note(self, key: str, message: str) -> None:
        if key not in self._noted:
            self._noted.add(key)
            self._session.run.event("note", self._step, {"message": message})

    def step(self, loss: Any, batch: Any, logged: Mapping[str, Any]) -> None:
        """Close an optimiser step of the loop."""
        session = self._session
        self._step += 1
        if batch is not None:
            session.micro_batch(batch, self._model)
        if loss is not None:
            self._take_loss(loss)
        own = {key: logged[key] for key in _OWN if key in logged}
        numeric, refused = metrics.clean(own)
        for key, reason in refused.items():
            self._note(key, f"{key} is not plotted: it is {reason}")
        session.step(
            self._step,
            grad_norm=numeric.get("train/grad_norm", self._grad_norm),
            learning_rate=numeric.get("train/learning_rate", self._learning_rate),
            epoch=numeric.get("train/epoch"),
        )
        self._grad_norm = None
        rest = {key: value for key, value in logged.items() if key not in _OWN}
        if rest:
            session.engine.log(self._step, rest)
        session.steer()

    def _take_evaluation(self, found: Mapping[str, Any]) -> None:
        self._session.paused(evaluation=True)
        self._session.engine.log(self._step, found)
        self._session.run.event("evaluate", self._step, {"message": "evaluated"})
        self._session.marked("evaluation")

    def _take_loss(self, loss: Any) -> None:
        if hasattr(loss, "detach"):
            if getattr(loss, "requires_grad", False):
                self._note("graph", "step() was given a loss with its graph; it was detached")
            loss = loss.detach()
            if loss.numel() != 1:
                shape = tuple(loss.shape)
                self._note("loss", f"the loss has shape {shape}; step() takes one number a step")
                return
            # The caller may go on to change it in place (an accumulated loss often is).
            self._session.add_loss(loss.reshape(()).clone())
            return
        try:
            self._session.add_loss(metrics.as_float(loss))
        except TypeError as error:
            self._note("loss", f"the loss is not plotted: it is {error}")

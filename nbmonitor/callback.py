"""Hugging Face Trainer to session: events, the raw loss and the gradient norm.

The only importer of transformers' trainer. It knows neither a widget nor a probe. Logs do
not tell NaN (`logging_nan_inf_filter`) and come every `logging_steps` only, so the loss is
read from `training_step` and the norm from `_get_grad_norm`, wrapped on the instance.
"""

from __future__ import annotations

import functools
from typing import Any

from transformers import Trainer, TrainerCallback
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.utils import logging as hf_logging

from nbmonitor.describe import describe
from nbmonitor.patch import Patches
from nbmonitor.probe import Context
from nbmonitor.session import Session
from nbmonitor.trainer_steering import TrainerSteering


def is_trainer(thing: Any) -> bool:
    """Whether `thing` can be attached to."""
    return isinstance(thing, Trainer)


def _epochs(args: Any, state: Any, batches: Any) -> float:
    """Epochs that the run is going to make: fractional when it is given in steps."""
    if args.max_steps <= 0:
        return float(args.num_train_epochs)
    try:
        count = len(batches)
    except TypeError:  # a stream has no length, and its epochs no end
        return 0.0
    steps = max(1, -(-count // args.gradient_accumulation_steps))
    return float(state.max_steps / steps)


class MonitorCallback(TrainerCallback):
    """Watch one Trainer.

    Parameters
    ----------
    trainer
        A `transformers.Trainer` or a subclass of it.
    session
        Told of everything that happens.
    """

    def __init__(self, trainer: Trainer, session: Session) -> None:
        self._trainer, self._session = trainer, session
        self._steering = TrainerSteering(trainer)
        self._patches = Patches()
        self._grad_norm: Any = None
        self._learning_rate: float | None = None
        self._begun = False
        self._take_over_output()
        handler = trainer.callback_handler
        # Right behind DefaultFlowCallback: later callbacks take keys out of shared dicts.
        handler.callbacks.insert(1 if handler.callbacks else 0, self)
        self._patches.add(lambda: trainer.remove_callback(self))
        self._patches.wrap(trainer, "train", self._train)
        self._patches.wrap(trainer, "training_step", self._training_step)
        self._patches.wrap(trainer, "_get_grad_norm", self._keep_grad_norm)
        config = describe(trainer)
        session.run.config.update(config)
        session.engine.assess(Context(model=trainer.model, config=config))

    def close(self) -> None:
        """Leave the Trainer as it was."""
        self._patches.undo()

    def _take_over_output(self) -> None:
        """Remove what prints progress into the cell, to be put back by `close`."""
        kinds = [ProgressCallback, PrinterCallback]
        try:
            from transformers.utils.notebook import NotebookProgressCallback

            kinds.append(NotebookProgressCallback)
        except ImportError:  # needs IPython
            self._session.run.event("note", 0, {"message": "no notebook: no table to replace"})
        callbacks = self._trainer.callback_handler.callbacks
        for callback in list(callbacks):
            named = type(callback).__name__ == "RichProgressCallback"  # TRL's
            if named or isinstance(callback, tuple(kinds)):
                callbacks.remove(callback)
                self._patches.add(functools.partial(callbacks.append, callback))

    # ------------------------------------------------------------------ wrapped methods

    def _train(self, original: Any, *args: Any, **kwargs: Any) -> Any:
        self._begun = False
        self._steering.begin(kwargs.get("ignore_keys_for_eval"))
        # Bars for "writing model shards" would pile up under the dashboard at every save.
        bars = hf_logging.is_progress_bar_enabled()
        hf_logging.disable_progress_bar()
        try:
            result = original(*args, **kwargs)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                self._save_interrupted()
            self._session.fail(error)
            raise
        finally:
            if bars:
                hf_logging.enable_progress_bar()
        self._session.finish("finished")
        return result

    def _save_interrupted(self) -> None:
        """Save a checkpoint where the user saves any; a second interrupt ends that."""
        session = self._session
        if not session.active or not self._steering.worth_saving():
            return
        step = int(self._trainer.state.global_step)
        session.run.set_status("running", f"interrupted: saving checkpoint-{step}")
        try:
            self._steering.save()
        except KeyboardInterrupt:
            message = f"a second interrupt ended the saving of checkpoint-{step}"
            session.run.event("note", step, {"message": message})
        except Exception as error:  # noqa: BLE001 - the interrupt is what the user has to see
            message = f"checkpoint-{step} was not saved: {type(error).__name__}: {error}"
            data = {"severity": "warning", "title": "Checkpoint failed", "message": message}
            session.run.event("alert", step, data)

    def _training_step(self, original: Any, model: Any, inputs: Any, *args: Any, **kw: Any) -> Any:
        self._session.micro_batch(inputs, model)
        loss = original(model, inputs, *args, **kw)
        self._session.add_loss(loss)
        return loss

    def _keep_grad_norm(self, original: Any, *args: Any, **kwargs: Any) -> Any:
        self._grad_norm = original(*args, **kwargs)
        return self._grad_norm

    # ------------------------------------------------------------------ events

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the run, or go on with it after a resume."""
        del control
        model = kwargs.get("model")
        tokenizer = kwargs.get("processing_class")
        step = int(state.global_step)
        run = self._session.run
        if self._begun:
            # auto_find_batch_size starts over inside one train() call, without an end.
            run.event("note", step, {"message": "training starts over with a smaller batch"})
            # What waits is of the steps that are void.
            self._session.engine.settle(wait=True)
            run.rewind(0)
            run.step = 0
        self._begun = True
        fresh = step > 0 and run.step == 0
        continued = self._session.begin(
            Context(
                model=model,
                optimizer=kwargs.get("optimizer"),
                total_steps=int(state.max_steps) or None,
                pad_token_id=getattr(tokenizer, "pad_token_id", None),
                config=describe(self._trainer, model),
                tokenizer=tokenizer,
                wrapped=self._trainer.model_wrapped,
                exchanges=((self._trainer.accelerator, "gather"),),
            ),
            step=step,
            epochs=_epochs(args, state, kwargs.get("train_dataloader")),
            training=self._steering,
        )
        self._steering.consistent = True
        # A run file that holds the steps before tells more than the checkpoint's log.
        if fresh and not continued:
            self._backfill(state.log_history)

    def _backfill(self, log_history: list[dict[str, Any]]) -> None:
        """Show what a checkpoint tells of the steps before it."""
        run = self._session.run
        top = run.step
        run.rewind(0)
        for entry in log_history:
            logged = {k: v for k, v in entry.items() if k not in {"step", "total_flos"}}
            self._session.engine.log(int(entry.get("step", 0)), logged)
        run.settle()
        run.step = top
        message = (
            f"steps up to {top} come from the checkpoint's log: its logged values, not every step"
        )
        run.event("note", top, {"message": message})

    def on_pre_optimizer_step(
        self, args: Any, state: Any, control: Any, optimizer: Any = None, **kwargs: Any
    ) -> None:
        """Read the learning rate that this step is going to use."""
        del args, control, kwargs
        self._steering.consistent = False
        groups = getattr(optimizer, "param_groups", None)
        self._learning_rate = float(groups[0]["lr"]) if groups else None
        self._session.gradients(state.global_step + 1, self._learning_rate)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Close the step."""
        del args, kwargs
        self._steering.control, self._steering.consistent = control, True
        grad_norm, self._grad_norm = self._grad_norm, None
        self._session.step(
            state.global_step,
            grad_norm=grad_norm,
            learning_rate=self._learning_rate,
            epoch=state.epoch,
        )
        self._session.steer()

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Keep a stop short: the Trainer would evaluate and save as if the epoch were over."""
        del args, state, kwargs
        if self._steering.stopping:
            control.should_evaluate = control.should_save = False

    def on_substep_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Keep the page alive between the micro-batches of a long step."""
        del args, state, control, kwargs
        self._session.host.boundary()

    def on_prediction_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Keep the page alive during an evaluation."""
        del args, state, control, kwargs
        self._session.host.boundary()

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        """Take in what was logged; the dict is shared with other callbacks and not ours."""
        del args, control, kwargs
        self._session.engine.log(int(state.global_step), logs or {})

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Count the evaluation's time apart from the steps'."""
        del args, control, kwargs
        self._session.paused(evaluation=True)
        self._session.run.event("evaluate", int(state.global_step), {"message": "evaluated"})
        self._session.marked("evaluation")

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Mark the checkpoint and count its time apart from the steps'."""
        del control, kwargs
        self._session.paused()
        step = int(state.global_step)
        self._steering.saved(step)
        name = f"checkpoint-{step}"
        data = {"message": f"saved {name}", "name": name, "directory": str(args.output_dir)}
        self._session.run.event("checkpoint", step, data)
        self._session.marked("checkpoint")

"""A real Trainer with something done to it at chosen steps; what tests of controls look at."""

import pytest
from transformers import TrainerCallback

from nbmonitor import TrainingMonitor
from tests.tiny import tiny_trainer


class At(TrainerCallback):
    """Do something while a step is being computed."""

    def __init__(self, **deeds):
        self.deeds = {int(name.removeprefix("s")): deed for name, deed in deeds.items()}
        self.monitor = None

    def on_step_begin(self, args, state, control, **kwargs):
        deed = self.deeds.get(state.global_step + 1)
        if deed is not None:
            deed(self.monitor)


def training(tmp_path):
    """A fixture: train with deeds at steps, and return the monitor and the Trainer."""
    monitors = []

    def go(deeds=None, *, error=None, resume=None, before=None, **arguments):
        at = At(**(deeds or {}))
        arguments.setdefault("output_dir", str(tmp_path / "out"))
        arguments.setdefault("max_steps", 8)
        trainer = tiny_trainer(callbacks=[at], **arguments)
        at.monitor = monitor = TrainingMonitor(trainer, run_dir=False)
        monitors.append(monitor)
        if before is not None:
            before(trainer)
        if error is None:
            trainer.train(resume_from_checkpoint=resume)
        else:
            with pytest.raises(error):
                trainer.train(resume_from_checkpoint=resume)
        return monitor, trainer

    yield go
    for monitor in monitors:
        monitor.close()


def applied(monitor):
    return [(e["data"]["name"], e["step"]) for e in monitor.run.events("control")]


def answers(monitor):
    """Name, state and message of every control, as the page was last told."""
    meta = monitor._flusher._feed._shown["nbmonitor/controls"][3]
    return [(c["name"], c["state"], c["message"]) for c in meta["pending"]]


def click(name, value=None, identity=None):
    """What a page sends, as ipywidgets hands it on."""
    message = {"kind": "control", "id": identity or name, "name": name, "value": value}
    return lambda monitor: monitor._handle_custom_msg(message, [])


def available(monitor):
    """Why each control is not possible, or "", as the page was last told."""
    return monitor._flusher._feed._shown["nbmonitor/controls"][3]["available"]

"""One process of a tiny distributed training, as torchrun or `notebook_launcher` starts it.

Rank 0 writes `alerts.json` into the directory as they come, and at its end `history.csv`,
`events.json` and `panels.json`; every rank writes `<rank>.json`: what it has kept.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--silence", type=float, default=10.0, help="after which a rank is silent")
    parser.add_argument("--slow", nargs=2, type=float, default=(-1, 0), metavar=("RANK", "SECONDS"))
    nowhere = {"nargs": 2, "type": int, "default": (-1, 0), "metavar": ("RANK", "STEP")}
    parser.add_argument("--stop", help="stop the process, after writing its number", **nowhere)
    parser.add_argument("--raise", dest="leave", help="raise an exception", **nowhere)
    parser.add_argument("--display", action="store_true", help="display the monitor")
    return parser.parse_args(arguments)


def write(path: Path, text: str) -> None:
    """All at once: others wait for the file."""
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(text)
    draft.replace(path)


def report_alerts(run: Any, path: Path) -> None:
    """Write alerts as they come, from a thread: the training itself may be blocked."""
    known = 0
    while True:
        alerts = run.events("alert")
        if len(alerts) > known:
            known = len(alerts)
            write(path, json.dumps(alerts))
        time.sleep(0.1)


def main(arguments: list[str]) -> None:
    given = options(arguments)
    import torch
    from tiny import tiny_trainer
    from transformers import TrainerCallback

    from nbmonitor import TrainingMonitor
    from nbmonitor.probes.ranks import Ranks

    Ranks.silence = given.silence

    class Trouble(TrainerCallback):
        """What goes wrong on one rank."""

        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            del args, control, kwargs
            rank = torch.distributed.get_rank()
            if rank == given.slow[0]:
                time.sleep(given.slow[1])
            if (rank, state.global_step) == tuple(given.stop):
                write(given.directory / "stopped", str(os.getpid()))
                os.kill(os.getpid(), signal.SIGSTOP)
            if (rank, state.global_step) == tuple(given.leave):
                msg = "this rank leaves"
                raise RuntimeError(msg)

    trainer = tiny_trainer(
        given.directory / "out",
        callbacks=[Trouble()],
        max_steps=given.steps,
        per_device_train_batch_size=2,
        ddp_backend="gloo",
        ddp_timeout=60,
    )
    monitor = TrainingMonitor(trainer)
    if given.display:
        from IPython.display import display

        display(monitor)
    rank, run = torch.distributed.get_rank(), monitor.run
    if rank == 0:
        alerts = given.directory / "alerts.json"
        threading.Thread(target=report_alerts, args=(run, alerts), daemon=True).start()
    try:
        trainer.train()
    finally:
        if rank == 0:
            run.history().to_csv(given.directory / "history.csv", index=False)
            (given.directory / "events.json").write_text(json.dumps(run.events()))
            panels = {panel["id"]: panel for panel in run.panels()}
            (given.directory / "panels.json").write_text(json.dumps(panels))
        about = {"keys": run.keys, "path": str(run.path), "status": run.status}
        (given.directory / f"{rank}.json").write_text(json.dumps(about))


if __name__ == "__main__":
    main(sys.argv[1:])

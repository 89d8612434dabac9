"""One process of a tiny distributed training, as torchrun starts it.

    train.py directory [--steps n] [--slow rank seconds] [--silence seconds] [--stop rank step]
             [--leave rank step] [--launch]

Rank 0 writes `history.csv`, `events.json` and `panels.json` into the directory at its end, and
every rank `<rank>.json`: what it displayed, recorded and kept. `--stop` stops a rank's process
(SIGSTOP) after a step; `--leave` lets one raise.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--slow", nargs=2, type=float, default=(-1, 0))
    parser.add_argument("--silence", type=float, default=10.0)
    parser.add_argument("--stop", nargs=2, type=int, default=(-1, 0))
    parser.add_argument("--leave", nargs=2, type=int, default=(-1, 0))
    return parser.parse_args(arguments)


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
            time.sleep(given.pause)
            if rank == given.slow[0]:
                time.sleep(given.slow[1])
            if (rank, state.global_step) == tuple(given.stop):
                (given.directory / "stopped").write_text(str(os.getpid()))
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
    rank = torch.distributed.get_rank()
    try:
        trainer.train()
    finally:
        run = monitor.run
        if rank == 0:
            run.history().to_csv(given.directory / "history.csv", index=False)
            (given.directory / "events.json").write_text(json.dumps(run.events()))
            panels = {panel["id"]: panel for panel in run.panels()}
            (given.directory / "panels.json").write_text(json.dumps(panels))
        about = {"keys": run.keys, "path": str(run.path), "status": run.status}
        (given.directory / f"{rank}.json").write_text(json.dumps(about))


if __name__ == "__main__":
    main(sys.argv[1:])

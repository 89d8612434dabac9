"""A training in a process of its own, recorded in a run file; tests drive it line by line."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parent

_SCRIPT = """
import sys
sys.path[:0] = [{tests!r}, {root!r}]
import tiny, transformers
from nbmonitor import TrainingMonitor

class Gates(transformers.TrainerCallback):
    "Wait at each of these steps until a line comes in, after the monitor has had the step."
    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step in {gates!r}:
            print("at", state.global_step, flush=True)
            sys.stdin.readline()

trainer = tiny.tiny_trainer({out!r}, callbacks=[Gates()], **{options!r})
monitor = TrainingMonitor(trainer, run_dir={run_dir!r}, name={name!r})
trainer.train(resume_from_checkpoint={resume!r})
monitor.run.history().to_pickle({out!r} + "/history.pickle")
monitor.close()
print("done", flush=True)
"""


class Writer:
    """Train, and stop at the gates.

    Parameters
    ----------
    out
        Output directory; run files go to `run_dir`.
    gates
        Steps after which the training waits for `go`.
    """

    def __init__(
        self,
        out: Path,
        run_dir: Path,
        gates: tuple[int, ...] = (),
        *,
        name: str = "other",
        resume: str | None = None,
        **options: Any,
    ) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.out = out
        code = _SCRIPT.format(
            tests=str(TESTS), root=str(TESTS.parent), out=str(out), run_dir=str(run_dir),
            gates=gates, name=name, resume=resume, options=options,
        )  # fmt: skip
        self._errors = (out / "stderr.txt").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def wait_for(self, line: str) -> None:
        """Read until the process says it."""
        assert self.process.stdout is not None
        for said in self.process.stdout:
            if said.strip() == line:
                return
        msg = f"the writer ended before {line!r}: {(self.out / 'stderr.txt').read_text()[-2000:]}"
        raise AssertionError(msg)

    def go(self) -> None:
        """Let it train on."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        """End it as the system would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        """End it, whatever it does."""
        self.kill()
        for stream in (self.process.stdin, self.process.stdout, self._errors):
            with contextlib.suppress(OSError):
                stream.close()


def until(condition: Callable[[], Any], seconds: float, what: str) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(0.02)

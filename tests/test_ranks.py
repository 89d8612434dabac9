"""Several processes under real launchers: one record, the straggler named, silence told."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import kernels
import pandas as pd
import pytest
from jupyter_client.manager import KernelManager

HERE = Path(__file__).resolve().parent
WORKER = HERE / "ranks" / "train.py"
LIMIT = 120.0
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Job:
    """Processes that end with the test, in whatever state they are."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.processes: list[subprocess.Popen[bytes]] = []

    def _start(self, command: list[str], environment: dict[str, str]) -> None:
        with (self.directory / f"log{len(self.processes)}").open("wb") as log:
            process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        self.processes.append(process)

    def torchrun(self, *options: str) -> None:
        launcher = ["-m", "torch.distributed.run", "--nproc_per_node=2", "--max_restarts=0"]
        launcher.append(f"--rdzv_endpoint=127.0.0.1:{free_port()}")
        launcher.append("--rdzv_backend=c10d")
        worker = [str(WORKER), str(self.directory), *options]
        self._start([sys.executable, *launcher, *worker], ENVIRONMENT)

    def alone(self, *options: str) -> None:
        """Start two ranks without a launcher that would end both when one dies."""
        shared = {**ENVIRONMENT, "WORLD_SIZE": "2", "MASTER_PORT": str(free_port())}
        for rank in ("0", "1"):
            worker = [sys.executable, str(WORKER), str(self.directory), *options]
            self._start(worker, {**shared, "RANK": rank, "LOCAL_RANK": rank})

    def until(self, condition: Callable[[], Any]) -> None:
        end = time.monotonic() + LIMIT
        while not condition():
            assert time.monotonic() < end, self.log()
            time.sleep(0.05)

    def wait(self, number: int = 0) -> int:
        self.until(lambda: self.processes[number].poll() is not None)
        return int(self.processes[number].returncode)

    def wait_for(self, name: str) -> str:
        path = self.directory / name
        self.until(lambda: path.exists() or self.processes[0].poll() is not None)
        assert path.exists(), self.log()
        return path.read_text()

    def log(self) -> str:
        return "\n".join(path.read_text()[-3000:] for path in self.directory.glob("log*"))

    def json(self, name: str) -> Any:
        return json.loads((self.directory / name).read_text())

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.json("events.json") if event["kind"] == kind]

    @property
    def history(self) -> pd.DataFrame:
        return pd.read_csv(self.directory / "history.csv")

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                # What is stopped doesn't end otherwise, and a launcher's children are its group's.
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=20)
        stopped = self.directory / "stopped"
        if stopped.exists():
            with_pid = int(stopped.read_text())
            if Path(f"/proc/{with_pid}").exists():
                os.kill(with_pid, signal.SIGKILL)


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    made = Job(tmp_path)
    yield made
    made.end()


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    """A training that went through, and whose rank 1 was slow outside forward and backward."""
    made = Job(tmp_path_factory.mktemp("uneven"))
    try:
        made.torchrun("--steps", "110", "--slow", "1", "0.1")
        assert made.wait() == 0, made.log()
        yield made
    finally:
        made.end()


MEASURED = ("step", "step_time", "work_time", "loss", "samples_per_second", "process_memory")


@pytest.mark.parametrize("rank", [0, 1])
def test_every_rank_reaches_rank_0(uneven, rank) -> None:
    history = uneven.history
    for name in MEASURED:
        values = history[f"rank/{rank}/{name}"].dropna()
        assert len(values) > 3, name
        assert (values > 0).sum() >= len(values) - 2, name  # its first reports are of step 0
    assert history[f"rank/{rank}/step"].max() == 110


def test_what_a_rank_reports_is_its_own(uneven) -> None:
    history = uneven.history
    assert history["rank/0/loss"].mean() != history["rank/1/loss"].mean()
    assert history["ranks/loss_spread"].dropna().gt(0).all()
    work = [history[f"rank/{rank}/work_time"].dropna().median() for rank in (0, 1)]
    step = [history[f"rank/{rank}/step_time"].dropna().median() for rank in (0, 1)]
    # They wait for each other: the steps are alike, the work in them is not.
    assert step[1] < 1.2 * step[0]
    assert work[1] > 1.5 * work[0]


def test_the_straggler_is_named_once(uneven) -> None:
    named = [e for e in uneven.events("note") if "straggler" in e["data"]["message"]]
    assert [event["data"]["rank"] for event in named] == [1]
    data = named[0]["data"]
    assert data["slowdown"] > 1.5
    message = data["message"]
    assert "own work a step" in message
    assert "median of the others" in message
    assert f"last {data['seconds']:.0f} s" in message
    assert uneven.history["ranks/straggler"].dropna().iloc[-1] == 1
    assert not uneven.events("alert")


def test_only_rank_0_records(uneven) -> None:
    first, second = uneven.json("0.json"), uneven.json("1.json")
    assert "train/loss" in first["keys"]
    assert second == {"keys": [], "path": "None", "status": "finished"}
    # One record, with one row a step of what is the same everywhere.
    assert uneven.history["train/loss"].count() == 110
    files = [p for p in (uneven.directory / "out").rglob("*.sqlite") if p.is_file()]
    assert [str(path) for path in files] == ([first["path"]] if first["path"] != "None" else [])


def test_another_process_follows_all_ranks_live(job) -> None:
    from nbmonitor.viewer import open_run

    job.torchrun("--steps", "60", "--silence", "2", "--stop", "1", "30")
    stopped = int(job.wait_for("stopped"))
    (path,) = (job.directory / "out" / "nbmonitor").glob("*.sqlite")
    view = open_run(path)
    try:
        # Rank 0 waits in an exchange of gradients by now, and its record still grows.
        job.until(lambda: view.run.events("alert"))
        assert view.run.status == "running"
        assert {"rank/0/loss", "rank/1/process_memory", "train/loss"} <= set(view.run.keys)
        (panel,) = [panel for panel in view.run.panels() if panel["id"] == "ranks"]
        assert panel["absent"] == ""
        os.kill(stopped, signal.SIGCONT)
        job.until(lambda: view.run.status == "finished")
        assert view.run.last("rank/1/step") == 60
    finally:
        view.close()
    assert job.wait() == 0, job.log()
    assert str(path) == job.json("0.json")["path"]


def test_the_panel_is_there_and_says_what_is_missing(uneven) -> None:
    panel = uneven.json("panels.json")["ranks"]
    assert panel["absent"] == ""
    assert "not on a GPU" in panel["options"]["reasons"]["rank/1/gpu_memory"]


def test_a_rank_that_is_stopped_is_told_of_once_and_comes_back(job) -> None:
    job.torchrun("--steps", "60", "--silence", "2", "--stop", "1", "20")
    stopped = int(job.wait_for("stopped"))
    alerts = json.loads(job.wait_for("alerts.json"))
    assert alerts[0]["data"]["title"] == "rank 1 is silent"
    assert alerts[0]["data"]["message"].startswith("rank 1 has said nothing for ")
    assert f"process {stopped} on " in alerts[0]["data"]["message"]
    os.kill(stopped, signal.SIGCONT)
    assert job.wait() == 0, job.log()
    assert len(job.events("alert")) == 1
    back = [e["data"]["message"] for e in job.events("note") if e["data"].get("rank") == 1]
    assert back[0].startswith("rank 1 is back, at step ")
    states = job.history["rank/1/state"].dropna().tolist()
    assert 2 in states
    assert states[-1] == 3


@pytest.mark.parametrize(("dying", "left"), [(1, 0), pytest.param(0, 1, marks=pytest.mark.long)])
def test_a_rank_that_dies_holds_no_other_up(job, dying, left) -> None:
    job.alone("--steps", "500", "--stop", str(dying), "20")
    os.kill(int(job.wait_for("stopped")), signal.SIGKILL)
    # The other's exchange of gradients fails, and the error is the training's own.
    assert job.wait(left) == 1
    assert job.json(f"{left}.json")["status"] == "failed"
    assert "gloo" in job.log()
    if left == 0:
        assert not job.events("probe_error")


@pytest.mark.long
def test_an_exception_on_one_rank_ends_the_others_record(job) -> None:
    job.alone("--steps", "500", "--raise", "1", "20")
    assert [job.wait(0), job.wait(1)] == [1, 1]
    assert [job.json(f"{rank}.json")["status"] for rank in (0, 1)] == ["failed", "failed"]
    # What rank 1 had done until then was still heard.
    assert job.history["rank/1/step"].max() == 20


LAUNCH = """
import sys
sys.path[:0] = [{tests!r}, {worker!r}]
from accelerate import notebook_launcher
def train(*arguments):
    from train import main
    main(arguments)
notebook_launcher(train, args={arguments!r}, num_processes=2, use_port="{port}")
"""


@pytest.mark.slow
def test_notebook_launcher_in_a_kernel(tmp_path) -> None:
    """Forks of a kernel: they may neither write into its cell nor touch its sockets."""
    manager = KernelManager(kernel_name=kernels.name("7.4"))
    manager.kernel_spec_manager.kernel_dirs = [str(kernels.HOME / "share/jupyter/kernels")]
    manager.start_kernel(env={**kernels.environment(), "OMP_NUM_THREADS": "1"})
    client = manager.client()
    try:
        client.start_channels()
        client.wait_for_ready(timeout=60)
        arguments = (str(tmp_path), "--steps", "60", "--slow", "1", "0.03", "--display")
        code = LAUNCH.format(
            tests=str(HERE), worker=str(WORKER.parent), arguments=arguments, port=free_port()
        )
        kinds, text = [], ""
        asked = client.execute(code)
        while True:
            message = client.get_iopub_msg(timeout=LIMIT)
            if message["parent_header"].get("msg_id") != asked:
                continue
            kinds.append(message["msg_type"])
            text += message["content"].get("text", "")
            assert message["msg_type"] != "error", message["content"]["traceback"]
            if message["content"].get("execution_state") == "idle":
                break
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    made = Job(tmp_path)
    assert not {"display_data", "comm_open", "comm_msg"} & set(kinds)
    assert "attempted to send message from fork" not in text
    assert "TrainingMonitor" not in text
    assert made.json("1.json") == {"keys": [], "path": "None", "status": "finished"}
    assert made.history["train/loss"].count() == 60
    assert made.history["rank/1/step"].max() == 60

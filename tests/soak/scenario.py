"""Hours in short: a training of 100 steps a second, and pages that come, go and lag meanwhile.

One page stays open nearly all the time. The other comes through a relay and is reloaded,
dropped, throttled and closed in turn. Once both are closed: then a server keeps whatever
the kernel sends.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from browser.jupyter import Notebook, Server, until
from browser.records import covered, exported
from playwright.sync_api import Browser, BrowserContext
from soak.memory import Memory
from soak.relay import Relay

RATE = 100
# Bytes per second of the slow line: less than what the stream takes when all is well.
SLOW = 6000
_SAMPLE = 2.0
_DROP = "() => jupyterapp.shell.currentWidget.sessionContext.session.kernel._ws.close()"

TRAIN = """
import array, itertools, json, os, pathlib, time, numpy, torch
torch.set_num_threads(1)
from nbmonitor import TrainingMonitor
model = torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.Tanh(), torch.nn.Linear(64, 1))
optimizer = torch.optim.SGD(model.parameters(), 0.01)
monitor = TrainingMonitor(name="soak", run_dir="soak")
display(monitor)
monitor.watch(model, optimizer)
losses = array.array("d")
with monitor:
    due = time.perf_counter()
    for step in itertools.count(1):
        due += 1 / {rate}
        x = torch.randn(16, 32)
        loss = (model(x) - x[:, :1]).pow(2).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        monitor.step(loss, {{"x": x}}, accuracy=0.5)
        losses.append(loss.item())
        if step % 50 == 0:
            told = [step, os.getpid(), monitor.run.nbytes, monitor._flusher.silent]
            pathlib.Path("told.new").write_text(json.dumps(told))
            pathlib.Path("told.new").replace("told.json")
            if pathlib.Path("stop").exists():
                break
        time.sleep(max(0.0, due - time.perf_counter()))
history = monitor.run.history(["train/loss"]).dropna()
rows = {{key: series["rows"] for key, series in monitor.run.summary()["series"].items()}}
numpy.savez("recorded", losses=losses, steps=history["step"], loss=history["train/loss"])
pathlib.Path("rows.new").write_text(json.dumps(rows))
pathlib.Path("rows.new").replace("rows.json")
"""


@dataclass
class Result:
    """What came of it: memories, what happened, and what is missing anywhere."""

    memories: list[Memory]
    happened: dict[str, int] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)


class Soak:
    """One soak.

    Parameters
    ----------
    browser
        Chromium.
    home
        An empty directory.
    kernel
        Name of a kernel.
    seconds
        How long to train at least; every disturbance comes once, however long that takes.
    """

    def __init__(self, browser: Browser, home: Path, kernel: str, seconds: float) -> None:
        self._browser, self._seconds = browser, seconds
        self._server = Server(home)
        self._relay = Relay(self._server.port)
        self._server.write("soak", [TRAIN.format(rate=RATE)], kernel)
        self._kernel, self._serving, self._page = (
            Memory("kernel, without the record it keeps"),
            Memory("server"),
            Memory("page: JS heap and arrays"),
        )
        self._result = Result([self._kernel, self._serving, self._page])
        self._contexts: list[BrowserContext] = []

    def run(self) -> Result:
        """Do it all."""
        try:
            self._train()
        finally:
            for context in self._contexts:
                context.close()
            self._relay.close()
            self._server.close()
        return self._result

    def _open(self, port: int) -> Notebook:
        context = self._browser.new_context(viewport={"width": 1300, "height": 1000})
        self._contexts.append(context)
        address, self._server.address = self._server.address, f"http://127.0.0.1:{port}"
        try:
            return Notebook(context, self._server, "lab", "soak")
        finally:
            self._server.address = address

    def _close(self, book: Notebook) -> None:
        book.page.context.close()
        self._contexts.remove(book.page.context)

    def _train(self) -> None:
        steady = self._open(self._server.port)
        steady.ready()
        steady.run(0, wait=False)
        steady.wait_step(1, 60)
        steady.wait_saved(0)
        until((self._server.files / "told.json").is_file, 30, "fifty steps")
        self._began = time.monotonic()
        self._close(steady)
        self._wait(lambda: self._told()[3])
        self._happen("silence: no page open")
        steady = self._open(self._server.port)
        self._heap = steady.page.context.new_cdp_session(steady.page)
        while not self._over:
            self._disturb()
        self._relay.rate = 0
        disturbed = self._open(self._relay.port)
        (self._server.files / "stop").touch()
        until((self._server.files / "rows.json").is_file, 30, "the training to end")
        for number, book in enumerate((steady, disturbed)):
            book.wait_step(len(self._recorded()["losses"]), 60)
            book.expect_state("finished")
            book.wait_idle(0)
            self._check(book, f"page {number}")
        self._check_kernel()

    @property
    def _over(self) -> bool:
        return time.monotonic() - self._began >= self._seconds

    def _told(self) -> tuple[int, int, int, bool]:
        step, process, nbytes, silent = json.loads((self._server.files / "told.json").read_text())
        return step, process, nbytes, silent

    def _happen(self, what: str) -> None:
        self._result.happened[what] = self._result.happened.get(what, 0) + 1

    def _wait(self, until: Any) -> None:
        """Sample until something is so."""
        while not until():
            self._sample()
            time.sleep(_SAMPLE)

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self._wait(lambda: time.monotonic() >= end)

    def _sample(self) -> None:
        at = time.monotonic() - self._began
        _, process, nbytes, _ = self._told()
        self._kernel.add(at, psutil.Process(process).memory_info().rss - nbytes)
        self._serving.add(at, psutil.Process(self._server.process).memory_info().rss)
        if hasattr(self, "_heap"):
            self._heap.send("HeapProfiler.collectGarbage")
            usage = self._heap.send("Runtime.getHeapUsage")
            self._page.add(at, usage["usedSize"] + usage["backingStorageSize"])

    def _disturb(self) -> None:
        """Do to the second page all that there is to do to a page."""
        unit = max(2.0, min(30.0, self._seconds / 20))
        book = self._open(self._relay.port)
        book.wait_step(1, 60)
        self._pause(unit)
        self._happen("page opened")
        book.open()
        book.wait_step(1, 60)
        self._pause(unit)
        self._happen("page reloaded")
        self._relay.rate = SLOW
        self._pause(3 * unit)
        self._relay.rate = 0
        self._happen("socket throttled")
        book.page.evaluate(_DROP)
        self._pause(unit)
        self._happen("websocket dropped")
        self._close(book)
        self._pause(unit)
        self._happen("tab closed")

    def _check(self, book: Notebook, who: str) -> None:
        rows = json.loads((self._server.files / "rows.json").read_text())
        held = covered(book)
        for key, count in rows.items():
            if held.get(key) != (0, count):
                self._result.missing.append(f"{who}: {key} {held.get(key)} of {count} rows")
        kept, _ = exported(book)
        losses = self._recorded()["losses"]
        shown = kept[["step", "train/loss"]].dropna()
        wrong = np.float32(losses[shown["step"] - 1]) != np.float32(shown["train/loss"])
        if wrong.any():
            self._result.missing.append(f"{who}: {wrong.sum()} losses differ")

    def _recorded(self) -> Any:
        return np.load(self._server.files / "recorded.npz")

    def _check_kernel(self) -> None:
        recorded = self._recorded()
        same = np.array_equal(recorded["steps"], np.arange(1, len(recorded["losses"]) + 1))
        if not same or not np.array_equal(
            np.float32(recorded["loss"]), np.float32(recorded["losses"])
        ):
            self._result.missing.append("kernel: its own history is not what was trained")

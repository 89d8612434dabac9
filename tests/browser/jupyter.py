"""A real Jupyter server, and one notebook page in a real browser; what tests do with them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kernels
import nbformat
from playwright.sync_api import BrowserContext, Page, expect
from playwright.sync_api import TimeoutError as Late

from nbmonitor import wire

TESTS = Path(__file__).resolve().parent.parent
HOSTS = ("lab", "notebook")
# Without a reset JupyterLab opens the notebooks of earlier tests too.
_ADDRESS = {"lab": "/lab/tree/{name}.ipynb?reset", "notebook": "/notebooks/{name}.ipynb"}
_STARTED = 90_000
ARGUMENTS = (
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Said by the hosts themselves, also on a page without a widget.
_NOT_OURS = (
    "Failed to load resource",
    "favicon",
    "ResizeObserver loop",
    "cdn.jsdelivr",
    "cdnjs",
    "unpkg",
    "fonts.g",
    "mathjax",
    "reading 'schema'",
    "filebrowser:open-path",
    "WebSocket connection to",
)

IMPORTS = f"""
import sys, time, warnings
sys.path.insert(0, {str(TESTS)!r})
import tiny, torch, transformers
torch.set_num_threads(1)
from nbmonitor import TrainingMonitor

class Slow(transformers.TrainerCallback):
    def on_step_end(self, *args, **kwargs):
        time.sleep(pause)

pause = 0.02
def trainer(steps, **options):
    options = dict(max_steps=steps, learning_rate=1e-3, callbacks=[Slow()]) | options
    return tiny.tiny_trainer("out", model=tiny.tiny_model("gpt2"), **options)
"""


class Server:
    """A Jupyter server with JupyterLab and Notebook 7, its files in a directory of its own.

    With `port`, it takes the place of a server that was there before.
    """

    def __init__(self, home: Path, *options: str, port: int | None = None) -> None:
        self.files = home / "files"
        self.files.mkdir(parents=True, exist_ok=port is not None)
        self.port = port = port or free_port()
        self.address = f"http://127.0.0.1:{port}"
        env = kernels.environment()
        for name in ("CONFIG", "DATA", "RUNTIME"):
            env[f"JUPYTER_{name}_DIR"] = str(home / name.lower())
        env["JUPYTERLAB_SETTINGS_DIR"] = str(home / "settings")
        env["JUPYTERLAB_WORKSPACES_DIR"] = str(home / "workspaces")
        env["IPYTHONDIR"] = str(home / "ipython")
        self._log = (home / "server.log").open("a")
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
                *("--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"),
                *("--IdentityProvider.token=", "--ServerApp.password="),
                "--ServerApp.disable_check_xsrf=True",
                f"--ServerApp.root_dir={self.files}",
                "--LabApp.expose_app_in_browser=True",
                "--JupyterNotebookApp.expose_app_in_browser=True",
                *options,
            ],
            env=env,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        until(self._answers, 60, "the Jupyter server to answer")

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            msg = f"the Jupyter server ended; see {self._log.name}"
            raise RuntimeError(msg)
        with contextlib.suppress(urllib.error.URLError, OSError):
            self.api("/api/status")
            return True
        return False

    def api(self, path: str, method: str = "GET", data: Any = None) -> Any:
        """Ask the server's REST interface."""
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(self.address + path, body, method=method)
        with urllib.request.urlopen(request, timeout=20) as reply:
            text = reply.read()
        return json.loads(text) if text else None

    def write(self, name: str, cells: list[str], kernel: str) -> None:
        """Make a notebook."""
        spec = {"name": kernel, "display_name": kernel, "language": "python"}
        book = nbformat.v4.new_notebook(metadata={"kernelspec": spec})
        book.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
        nbformat.write(book, self.files / f"{name}.ipynb")

    def attach(self, name: str, kernel: str) -> None:
        """Let a notebook that was written use a kernel that runs already."""
        model = {"path": f"{name}.ipynb", "name": "", "type": "notebook", "kernel": {"id": kernel}}
        self.api("/api/sessions", "POST", model)

    def stop_kernels(self) -> None:
        """End every kernel and forget which notebook it belonged to."""
        for session in self.api("/api/sessions"):
            # Two notebooks of one kernel: it went with the first of them.
            with contextlib.suppress(urllib.error.HTTPError):
                self.api(f"/api/sessions/{session['id']}", "DELETE")

    @property
    def process(self) -> int:
        """Number of the server's process."""
        return self._process.pid

    def kill(self) -> None:
        """End the server as a crash does: nothing is put in order before."""
        self._process.kill()
        self._process.wait()
        self._log.close()

    def close(self) -> None:
        """Stop kernels and server."""
        with contextlib.suppress(OSError):
            self.stop_kernels()
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


class Notebook:
    """A notebook open in JupyterLab or Notebook 7."""

    def __init__(self, context: BrowserContext, server: Server, host: str, name: str) -> None:
        self.server, self.host, self.name = server, host, name
        self.page: Page = context.new_page()
        self.errors: list[str] = []
        self.page.on("console", lambda m: self._note(m.text) if m.type == "error" else None)
        self._histories: list[bytes] = []
        self.page.on("websocket", lambda ws: ws.on("framereceived", self._frame))
        self.page.on("pageerror", lambda error: self._note(str(error)))
        self.open()

    def _note(self, text: str) -> None:
        if not any(part in text for part in _NOT_OURS):
            self.errors.append(text)

    def told(self) -> str:
        """What the page has on it besides the code: its dashboards, and whether the kernel works."""
        return str(
            self.page.evaluate(
                """() => {
                    const book = window.jupyterapp?.shell?.currentWidget;
                    const kernel = book?.sessionContext?.session?.kernel;
                    const boards = [...document.querySelectorAll('.nbmonitor')];
                    return JSON.stringify({
                        kernel: `${kernel?.status} ${kernel?.connectionStatus}`,
                        dashboards: boards.map((e) => e.innerText.replace(/\\s+/g, ' ').slice(0, 900)),
                    });
                }"""
            )
        )

    def forgive(self, text: str) -> None:
        """Take no offence at an error of the host that the test itself provoked."""
        self.errors = [error for error in self.errors if text not in error]

    def open(self) -> None:
        """Load the page, or load it again."""
        url = self.server.address + _ADDRESS[self.host].format(name=self.name)
        if self.page.url.startswith(self.server.address):
            self.page.reload()
        else:
            self.page.goto(url)
        try:
            self.page.wait_for_function(
                """(path) => {
                    const book = window.jupyterapp?.shell?.currentWidget;
                    return book?.context?.path === path && book.context.isReady
                        && book.content?.widgets?.length > 0;
                }""",
                arg=f"{self.name}.ipynb",
                timeout=_STARTED,
            )
        except Late as error:
            picture = self.server.files.parent / "not-opened.png"
            self.page.screenshot(path=picture)
            msg = f"{url} did not open: {self.told()}; errors: {self.errors}; see {picture}"
            raise AssertionError(msg) from error

    def ready(self) -> None:
        """Wait until the kernel is idle."""
        self.page.wait_for_function(
            "() => jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status === 'idle'",
            timeout=_STARTED,
        )

    def run(self, index: int, *, wait: bool = True, seconds: float = 90) -> None:
        """Run a cell; with `wait`, until its prompt shows a number."""
        self.page.evaluate(
            """(index) => {
                const book = jupyterapp.shell.currentWidget.content;
                book.activeCellIndex = index;
                book.deselectAll?.();
                void jupyterapp.commands.execute('notebook:run-cell');
            }""",
            index,
        )
        if wait:
            self.page.wait_for_function(
                "(i) => jupyterapp.shell.currentWidget.content.widgets[i].model.executionCount > 0",
                arg=index,
                timeout=seconds * 1000,
                # Asking in every frame would keep the page painting sixty times a second.
                polling=250,
            )

    def busy(self, index: int) -> bool:
        """Whether a cell shows `[*]`."""
        return bool(
            self.page.evaluate(
                "(i) => jupyterapp.shell.currentWidget.content.widgets[i].inputArea?.promptNode"
                "?.textContent?.includes('*') ?? false",
                index,
            )
        )

    def wait_idle(self, index: int, seconds: float = 60) -> None:
        """Wait until a cell is no longer running."""
        until(lambda: not self.busy(index), seconds, f"cell {index} to end")

    def text(self, index: int) -> str:
        """What a cell printed, its errors included."""
        outputs = self.page.evaluate(
            "(i) => jupyterapp.shell.currentWidget.content.widgets[i].model.outputs.toJSON()", index
        )
        return "".join(
            "".join(o.get("text", [])) + o.get("ename", "")
            for o in outputs
            if o["output_type"] in {"stream", "error"}
        )

    def save(self) -> None:
        """Save the notebook."""
        self.page.evaluate("async () => { await jupyterapp.shell.currentWidget.context.save(); }")

    def saved(self) -> Any:
        """The notebook as it is on the disk."""
        path = self.server.files / f"{self.name}.ipynb"
        # The server empties the file before it writes it: a moment later it is whole again.
        books: list[Any] = []

        def whole() -> bool:
            with contextlib.suppress(nbformat.reader.NotJSONError):
                books.append(nbformat.read(path, as_version=4))
            return bool(books)

        until(whole, 10, "a whole notebook file")
        return books[0]

    def saved_states(self) -> list[str]:
        """States of the runs that the notebook on the disk holds."""
        mime = "application/vnd.jupyter.widget-state+json"
        models = self.saved().metadata.get("widgets", {}).get(mime, {}).get("state", {}).values()
        return [m["state"]["status"]["state"] for m in models if "status" in m["state"]]

    def wait_for(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait until a condition holds."""
        until(condition, seconds, what)

    def wait_saved(self, cell: int, seconds: float = 60) -> None:
        """Wait until the file holds an output of that cell."""
        until(lambda: self.saved().cells[cell].outputs, seconds, f"output {cell} in the file")

    def close(self) -> None:
        """Close the page."""
        self.page.close()

    def interrupt(self) -> None:
        """Interrupt the kernel."""
        self.command("notebook:interrupt-kernel")

    def history(self) -> dict[str, tuple[int, int]]:
        """First row and number of rows, by key, of the packed history that last came in."""
        header, stretches = wire.unpack_history(self._histories[-1])
        keys = {spec["id"]: spec["key"] for spec in header["declare"]}
        out: dict[str, tuple[int, int]] = {}
        for rows in stretches:
            first, count = out.get(keys[rows.id], (rows.offset, 0))
            out[keys[rows.id]] = (min(first, rows.offset), count + rows.covered)
        return out

    def _frame(self, payload: bytes | str) -> None:
        if isinstance(payload, bytes) and (at := payload.rfind(wire.HISTORY_MAGIC)) >= 0:
            self._histories.append(payload[at:])

    def command(self, name: str) -> None:
        """Run a command of the application."""
        self.page.evaluate("(name) => void jupyterapp.commands.execute(name)", name)

    def dashboard(self, number: int = 0) -> Any:
        """The root of a dashboard on the page."""
        return self.page.locator(".nbmonitor").nth(number)

    def step(self, number: int = 0) -> int:
        """The step that a dashboard shows; -1 where it shows none."""
        return int(
            self.page.evaluate(
                """(number) => {
                    const root = document.querySelectorAll('.nbmonitor')[number];
                    const shown = root?.querySelector('[data-readout=step]')?.textContent ?? '';
                    const found = shown.replace(/[,\\s]/g, '').match(/(\\d+)/);
                    return found ? Number(found[1]) : -1;
                }""",
                number,
            )
        )

    def wait_step(self, least: int, seconds: float = 40, number: int = 0) -> int:
        """Wait until a dashboard shows at least that step, and return what it shows."""
        until(lambda: self.step(number) >= least, seconds, f"step {least} on dashboard {number}")
        return self.step(number)

    def expect_state(self, state: str, number: int = 0, seconds: float = 40) -> None:
        """Wait until a dashboard says that it is in a state."""
        shown = self.dashboard(number).locator("[data-state]").first
        expect(shown).to_have_attribute("data-state", state, timeout=seconds * 1000)


def free_port() -> int:
    """A port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(condition: Any, seconds: float, what: str) -> None:
    """Wait until a condition holds; fail after so many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            msg = f"waited {seconds} s for {what}"
            raise AssertionError(msg)
        time.sleep(0.05)


def chromium() -> str:
    """Path of the browser that the system has."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        for folder in os.environ.get("PATH", "").split(os.pathsep):
            if (Path(folder) / name).is_file():
                return str(Path(folder) / name)
    msg = "no Chromium here: run `make system`"
    raise RuntimeError(msg)

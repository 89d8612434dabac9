"""A Jupyter server and a Chromium for scripts and tests: started, waited for, ended.

Owns where they are and how they are started; knows nothing of the notebooks that they show.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
Settings = Mapping[str, Mapping[str, str]]
# JupyterLab asks a first-time user about news; no one is there to answer.
QUIET: Settings = {"@jupyterlab/apputils-extension/notification": {"fetchNews": "false"}}
# Render every cell at once, also those far from the visible part of the page.
WHOLE: Settings = {"@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"}}


@dataclass(frozen=True)
class Server:
    """A running server: its address, its token and where its log goes."""

    base: str
    token: str
    log: Path

    def page(self, notebook: str, app: Literal["lab", "doc", "notebook"] = "lab") -> str:
        """Address of a notebook, with the token; "doc" is JupyterLab without its sidebars."""
        kind = {"lab": "lab/tree", "doc": "doc/tree", "notebook": "notebooks"}[app]
        return f"{self.base}/{kind}/{notebook}?token={self.token}"


def chromium() -> str:
    """Path of the browser.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    for name in BROWSERS:
        found = shutil.which(name)
        if found:
            return found
    msg = f"none of {', '.join(BROWSERS)} is in PATH; `make system` installs Chromium"
    raise FileNotFoundError(msg)


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(server: Server) -> bool:
    request = urllib.request.Request(
        f"{server.base}/api/status", headers={"Authorization": f"token {server.token}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _settings(folder: Path, settings: Settings) -> None:
    for name, content in {**QUIET, **settings}.items():
        path = folder / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))


@contextmanager
def serve(
    root: Path, *, port: int = 0, settings: Settings | None = None, wait: float = 60.0
) -> Iterator[Server]:
    """Serve the notebooks in `root` with JupyterLab and Notebook, until the block ends.

    The user's own Jupyter configuration is left out, so that the same thing runs everywhere.

    Raises
    ------
    RuntimeError
        If the server ends or doesn't answer in `wait` seconds.
    """
    port = port or free_port()
    with tempfile.TemporaryDirectory(prefix="nbmonitor-jupyter-") as scratch:
        server = Server(
            f"http://127.0.0.1:{port}", secrets.token_hex(16), Path(scratch) / "server.log"
        )
        _settings(Path(scratch) / "settings", settings or {})
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
        command += ["--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}"]
        command += ["--ServerApp.port_retries=0", f"--ServerApp.root_dir={root}"]
        command += [f"--IdentityProvider.token={server.token}"]
        own = {
            "JUPYTER_CONFIG_DIR": f"{scratch}/config",
            "JUPYTERLAB_SETTINGS_DIR": f"{scratch}/settings",
            "JUPYTERLAB_WORKSPACES_DIR": f"{scratch}/workspaces",
            "JUPYTER_RUNTIME_DIR": f"{scratch}/runtime",
        }
        with server.log.open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **own})
            try:
                until = time.monotonic() + wait
                while not _answers(server):
                    if process.poll() is not None or time.monotonic() > until:
                        msg = f"JupyterLab did not start:\n{server.log.read_text()[-3000:]}"
                        raise RuntimeError(msg)
                    time.sleep(0.2)
                yield server
                process.poll()
            finally:
                process.terminate()
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

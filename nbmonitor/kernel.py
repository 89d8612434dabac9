"""The Jupyter side of things: which host this is, displaying, ends of cells, comm routing.

With `pump.py` the only importer of IPython and ipykernel. What is private there is
feature-detected here; nothing in this file knows a widget or a Run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, Literal, TypedDict

Host = Literal["jupyter", "colab", "vscode", "marimo", "terminal", "none"]
Channel = Literal["subshell", "shim", "pump", "none"]


class Capabilities(TypedDict):
    """How the page can reach the kernel while a cell runs, and why not better."""

    host: Host
    ipykernel: str
    channel: Channel
    reason: str


def _shell() -> Any:
    """Return the running IPython shell, or None."""
    if "IPython" not in sys.modules:
        return None
    from IPython import get_ipython

    shell = get_ipython()
    return None if _forked(shell) else shell


def _forked(shell: Any) -> bool:
    """Whether this is a copy of the kernel's process: nobody hears what it sends."""
    session = getattr(getattr(shell, "kernel", None), "session", None)
    return int(getattr(session, "pid", 0) or os.getpid()) != os.getpid()


def is_forked() -> bool:
    """Whether this process was forked from a kernel, as `notebook_launcher` does."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return _forked(get_ipython())


def current_kernel() -> Any:
    """Return the ipykernel that this process is, or None."""
    return getattr(_shell(), "kernel", None)


def detect_host() -> Host:
    """Say where this runs."""
    marimo = sys.modules.get("marimo")
    if marimo is not None and marimo.running_in_notebook():
        return "marimo"
    shell = _shell()
    if "google.colab" in sys.modules and not is_forked():
        return "colab"
    if shell is None:
        return "none"
    if current_kernel() is None:
        return "terminal"
    # A Jupyter server started from VS Code's terminal inherits VS Code's variables too.
    if "__vsc_ipynb_file__" in shell.user_ns or (
        "VSCODE_PID" in os.environ and "JPY_SESSION_NAME" not in os.environ
    ):
        return "vscode"
    return "jupyter"


def capabilities(obstacle: str) -> Capabilities:
    """Describe the way from the page to a busy kernel.

    Parameters
    ----------
    obstacle
        Why the pump doesn't run, or "".
    """
    host, kernel = detect_host(), current_kernel()
    if kernel is None:
        return {"host": host, "ipykernel": "", "channel": "none", "reason": "no Jupyter kernel"}
    from ipykernel._version import __version__ as version

    channel: Channel = "none" if obstacle else "pump"
    # VS Code and Colab open no subshell, whatever the kernel could do.
    if host == "jupyter" and getattr(kernel, "_supports_kernel_subshells", False):
        from ipykernel.comm.comm import BaseComm

        channel = "shim" if hasattr(BaseComm, "_reply_subshell_for") else "subshell"
    return {
        "host": host,
        "ipykernel": str(version),
        "channel": channel,
        "reason": obstacle,
    }


def keep_to_subshell(comm: Any) -> None:
    """Let messages for `comm` go to the subshell that they are addressed to.

    ipykernel 7.4 sends them to the shell that last used the comm, which is the busy one.
    """
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = lambda _data, default: default


def publish(
    data: dict[str, Any],
    metadata: dict[str, Any] | None = None,
    *,
    display_id: str | None = None,
    update: bool = False,
) -> None:
    """Show a MIME bundle as output of the running cell, or update one that is shown."""
    from IPython.display import publish_display_data

    transient = {} if display_id is None else {"display_id": display_id}
    publish_display_data(  # type: ignore[no-untyped-call]
        data=data, metadata=metadata or {}, transient=transient, update=update
    )


def on_cell_end(callback: Callable[[BaseException | None], None]) -> Callable[[], None]:
    """Call back after each cell with its exception or None; return a function that stops it.

    Without IPython nothing is ever called.
    """
    shell = _shell()
    if shell is None:
        return lambda: None

    def ended(result: Any) -> None:
        callback(result.error_before_exec or result.error_in_exec)

    def forget() -> None:
        if ended in shell.events.callbacks["post_run_cell"]:
            shell.events.unregister("post_run_cell", ended)

    shell.events.register("post_run_cell", ended)
    return forget

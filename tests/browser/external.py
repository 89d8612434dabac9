"""A kernel that belongs to no server: it goes on when a server ends, and the next one finds it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import kernels
from jupyter_client.connect import write_connection_file

NAME = kernels.name(kernels.VERSIONS[-1])


class ExternalKernel:
    """An ipykernel that this process has started, not Jupyter.

    Parameters
    ----------
    folder
        Where servers look for connection files.
    files
        Its working directory.
    """

    def __init__(self, folder: Path, files: Path) -> None:
        folder.mkdir(parents=True)
        files.mkdir(parents=True, exist_ok=True)
        self.options = (
            "--ServerApp.allow_external_kernels=True",
            f"--ServerApp.external_connection_dir={folder}",
        )
        name, _ = write_connection_file(str(folder / "kernel.json"), kernel_name=NAME)
        python = kernels.HOME / kernels.VERSIONS[-1] / "bin" / "python"
        # Without its server's number it doesn't end with the server.
        env = {k: v for k, v in kernels.environment().items() if k != "JPY_PARENT_PID"}
        self._process = subprocess.Popen(
            [python, "-m", "ipykernel_launcher", "-f", name],
            cwd=files,
            env={**env, "IPYTHONDIR": str(folder.parent / "ipython")},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    @property
    def process(self) -> int:
        """Number of its process."""
        return self._process.pid

    def interrupt(self) -> None:
        """Interrupt it: a server can't, because the process isn't its own."""
        os.kill(self.process, 2)

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

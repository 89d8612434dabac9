"""The built replay page, served for the tests of this folder."""

from __future__ import annotations

import functools
import http.server
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Keep the test's output clean."""


@pytest.fixture(scope="package")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the built replay page."""
    vite = ROOT / "js" / "node_modules" / ".bin" / "vite"
    if not vite.exists():
        pytest.fail("js/node_modules is missing: run `make setup`")
    out = tmp_path_factory.mktemp("page")
    command = [str(vite), "build", "--mode", "page", "--outDir", str(out), "--logLevel", "error"]
    subprocess.run(command, cwd=ROOT / "js", check=True)
    handler = functools.partial(_Quiet, directory=str(out))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/dev/index.html"
        server.shutdown()

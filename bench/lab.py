"""A live JupyterLab in Chromium for measurements: the browser tests' own harness."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]

from browser.jupyter import (  # noqa: E402 - found on the path set above
    ARGUMENTS,
    Notebook,
    Server,
    chromium,
)
from browser.snapshots import describe  # noqa: E402, F401 - for those that import this
from kernels import VERSIONS  # noqa: E402
from kernels import name as kernel_name  # noqa: E402


class Counting(Notebook):
    """A notebook that counts what its websockets bring."""

    arrived = 0

    def _frame(self, payload: bytes | str) -> None:
        self.arrived += len(payload)
        super()._frame(payload)


# WebGL by the processor, where there is no graphics card; the page itself is put together as it
# always is there. To do that by WebGL too (`--use-angle=swiftshader`) makes it ten times slower.
GRAPHICS = ("--enable-unsafe-swiftshader",)


@contextmanager
def notebook(
    cells: list[str],
    ipykernel: str = VERSIONS[-1],
    *,
    flags: tuple[str, ...] = (),
    script: str = "",
    **options: Any,
) -> Iterator[Counting]:
    """Open a notebook in JupyterLab.

    Parameters
    ----------
    cells, ipykernel
        Its code, and the version of the kernel.
    flags
        Of the browser, beside those that tests use.
    script
        Run in the page before anything else.
    **options
        Of the browser's context.
    """
    server = Server(Path(tempfile.mkdtemp()))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(),
            headless=True,
            args=["--headless=new", *ARGUMENTS, *flags],
        )
        try:
            server.write("bench", cells, kernel_name(ipykernel))
            context = browser.new_context(viewport={"width": 1300, "height": 1400}, **options)
            if script:
                context.add_init_script(script)
            book = Counting(context, server, "lab", "bench")
            book.ready()
            yield book
        finally:
            browser.close()
            server.close()


def result(book: Notebook, cell: int) -> Any:
    """What a cell printed behind `RESULT`."""
    for line in book.text(cell).splitlines():
        if line.startswith("RESULT"):
            return json.loads(line.removeprefix("RESULT"))
    msg = f"no result in: {book.text(cell)[-2000:]}"
    raise RuntimeError(msg)

"""A page that is reloaded in the middle of a busy cell comes back, on each ipykernel."""

from __future__ import annotations

import time

import kernels
import pytest
from browser.jupyter import HOSTS, IMPORTS

TRAIN = """
t = trainer(4000)
m = TrainingMonitor(t)
display(m)
t.train()
"""


@pytest.mark.parametrize("version", kernels.VERSIONS)
def test_a_page_reloaded_in_a_busy_cell_is_back_live_with_its_history(
    notebook, version, record_property
) -> None:
    cells = [IMPORTS, TRAIN]
    for number, host in enumerate(HOSTS):
        book = notebook(cells, host=host, ipykernel=version, again=number > 0)
        book.run(0)
        book.run(1, wait=False)
        book.wait_step(20, 60)
        book.wait_saved(1)
        before = book.step()
        book.open()
        start = time.monotonic()
        shown = book.wait_step(before, 20)
        live = book.wait_step(shown + 3, 20)
        seconds = time.monotonic() - start
        print(f"ipykernel {version}, {host}: back and live after {seconds:.2f} s")
        record_property(f"reload-{version}-{host}", round(seconds, 2))
        assert live > before
        first, rows = book.history()["train/loss"]
        assert first == 0
        assert rows >= before
        book.interrupt()
        book.expect_state("interrupted")
        book.close()

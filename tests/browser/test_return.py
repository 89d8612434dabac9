"""Coming back to a run: after a closed tab, in a second browser, from another cell or notebook."""

from __future__ import annotations

import time

import pytest
from browser.jupyter import IMPORTS, Notebook
from browser.records import difference, exported, told, train, truth


def test_a_tab_closed_for_long_comes_back_with_everything_and_goes_on(notebook, server) -> None:
    book = notebook([IMPORTS, train(1000, "closed", silence=1.0)])
    book.run(0)
    book.run(1, wait=False)
    book.wait_step(20, 60)
    book.wait_saved(1)
    book.close()
    # What an hour does: the kernel takes the page to be gone, and holds its breath.
    book.wait_for(lambda: told(server.files, "closed")[2], 20, "the stream to fall silent")
    step, sent, *_ = told(server.files, "closed")
    book.wait_for(lambda: told(server.files, "closed")[0] > step + 100, 60, "a hundred more steps")
    assert told(server.files, "closed")[1] <= sent + 2
    back = notebook([], again=True)
    start = time.monotonic()
    shown = back.wait_step(step, 20)
    live = back.wait_step(shown + 3, 20)
    print(f"back and live after {time.monotonic() - start:.2f} s, at step {live}")
    back.wait_step(1000, 90)
    back.expect_state("finished")
    back.wait_idle(1)
    kept, resolution = exported(back)
    assert "every step" in resolution
    assert difference(kept, truth(server.files, "closed")) == ""

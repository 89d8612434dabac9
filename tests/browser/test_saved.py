"""What is left of a dashboard: after a kernel restart, and in a saved notebook without a kernel."""

from __future__ import annotations

import base64

import pytest
from browser.jupyter import HOSTS, IMPORTS

TRAIN = """
t = trainer({steps})
m = TrainingMonitor(t)
display(m)
t.train()
"""


@pytest.mark.parametrize("host", HOSTS)
def test_a_saved_notebook_shows_the_finished_dashboard_without_a_kernel(
    notebook, server, host
) -> None:
    book = notebook([IMPORTS, TRAIN.format(steps=40)], host=host)
    book.run(0)
    book.run(1)
    book.expect_state("finished")
    book.wait_step(40)
    # The page saves by itself once the run is over.
    book.wait_for(lambda: "finished" in book.saved_states(), 15, "the final state saved")
    outputs = book.saved().cells[1].outputs
    static = [
        o for o in outputs if "data-nbmonitor-static" in o.get("data", {}).get("text/html", "")
    ]
    assert len(static) == 1
    png = base64.b64decode(static[0]["data"]["image/png"])
    assert png.startswith(b"\x89PNG")
    assert (
        "finished" in static[0]["data"]["text/plain"]
        or "finished" in static[0]["data"]["text/html"]
    )
    book.close()
    server.stop_kernels()
    # Without the import there is no monitor in any kernel that the host may start.
    again = notebook([], host=host, again=True)
    again.page.wait_for_selector(".nbmonitor [data-panel=loss] canvas", timeout=30_000)
    again.expect_state("finished")
    assert again.wait_step(40) == 40
    assert not again.page.locator("[data-nbmonitor-static]").first.is_visible()


def test_a_kernel_restart_keeps_what_the_page_has_and_says_so(notebook) -> None:
    book = notebook([IMPORTS, TRAIN.format(steps=3000), "print('again')"])
    book.run(0)
    book.run(1, wait=False)
    reached = book.wait_step(20, 60)
    book.page.evaluate(
        "() => void jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
    )
    book.page.wait_for_function(
        "() => /kernel lost|restarted/i.test(document.querySelector('.nbmonitor')?.textContent ?? '')",
        timeout=20_000,
    )
    assert book.step() >= reached
    book.ready()
    book.run(2)
    assert book.text(2) == "again\n"
    # The same cells work in the new kernel.
    book.run(0)
    book.run(1, wait=False)
    book.wait_for(lambda: 1 <= book.step() < 3000, 30, "the new run to show")
    book.expect_state("running")
    book.interrupt()
    book.expect_state("interrupted")

"""Coming back to a run: after a closed tab, in a second browser, from another cell or notebook."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator

import pytest
from browser.external import NAME, ExternalKernel
from browser.jupyter import IMPORTS, Server, free_port
from browser.records import difference, exported, told, train, truth
from playwright import sync_api


def test_a_tab_closed_for_long_comes_back_with_everything_and_goes_on(notebook, server) -> None:
    book = notebook([IMPORTS, train(600, "closed", silence=1.0)])
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
    back.wait_step(600, 90)
    back.expect_state("finished")
    back.wait_idle(1)
    kept, resolution = exported(back)
    assert "every step" in resolution
    assert difference(kept, truth(server.files, "closed")) == ""


EDIT = """() => {
    const cell = jupyterapp.shell.currentWidget.content.widgets[2];
    cell.model.sharedModel.setSource("# a word from the first browser");
}"""


def test_a_second_browser_sees_the_same_and_neither_disturbs_the_other(
    notebook, server, elsewhere
) -> None:
    book = notebook([IMPORTS, train(400, "second"), ""])
    book.run(0)
    book.run(1, wait=False)
    book.wait_step(50, 60)
    book.wait_saved(1)
    other = elsewhere(server, book.name)
    shown = other.wait_step(book.step(), 20)
    other.wait_step(shown + 3, 20)
    book.page.evaluate(EDIT)
    book.save()
    for page in (book, other):
        page.wait_step(400, 60)
        page.expect_state("finished")
    book.wait_idle(1)
    recorded = truth(server.files, "second")
    assert [difference(exported(page)[0], recorded) for page in (book, other)] == ["", ""]
    # Pages save at the end of the run. Only one of them has the notebook as it is in the file;
    # the user of the other is not to be asked whose copy shall stay.
    book.wait_for(lambda: "finished" in json.dumps(book.saved().metadata), 15, "the end saved")
    with pytest.raises(sync_api.TimeoutError):
        other.page.wait_for_selector(".jp-Dialog", timeout=5000)


CLEAR = """() => {
    const book = jupyterapp.shell.currentWidget.content;
    book.widgets[1].model.outputs.clear();
}"""


@pytest.mark.parametrize("host", ["lab", pytest.param("notebook", marks=pytest.mark.long)])
def test_outputs_cleared_in_the_middle_are_displayed_again_in_full(notebook, server, host) -> None:
    book = notebook([IMPORTS, train(400, f"cleared-{host}", silence=1.0), "display(m)"], host=host)
    book.run(0)
    book.run(1, wait=False)
    step = book.wait_step(30, 60)
    book.page.evaluate(CLEAR)
    book.page.wait_for_selector(".nbmonitor", state="detached")
    book.wait_for(lambda: told(server.files, f"cleared-{host}")[2], 20, "silence: nobody looks")
    assert told(server.files, f"cleared-{host}")[0] >= step
    book.wait_idle(1)
    book.run(2)
    book.wait_step(400)
    book.expect_state("finished")
    kept, resolution = exported(book)
    assert "every step" in resolution
    assert difference(kept, truth(server.files, f"cleared-{host}")) == ""


def test_another_notebook_of_the_same_kernel_displays_the_monitor(
    notebook, server, elsewhere
) -> None:
    book = notebook([IMPORTS, train(60, "shared")])
    book.run(0)
    book.run(1)
    book.expect_state("finished")
    session = server.api("/api/sessions")[0]
    server.write("shared-other", ["display(m)"], session["kernel"]["name"])
    server.attach("shared-other", session["kernel"]["id"])
    other = elsewhere(server, "shared-other")
    other.ready()
    other.run(0)
    other.wait_step(60)
    other.expect_state("finished")
    assert difference(exported(other)[0], truth(server.files, "shared")) == ""


def test_where_the_host_shows_nothing_another_notebook_opens_the_run_and_follows_it(
    notebook, server, elsewhere
) -> None:
    book = notebook([IMPORTS, train(600, "followed")])
    book.run(0)
    book.run(1, wait=False)
    step = book.wait_step(30, 60)
    # Its outputs were never saved: after the reload there is nothing to see in this notebook.
    book.page.evaluate(CLEAR)
    book.save()
    book.close()
    cells = [IMPORTS, "from nbmonitor import open_run\nv = open_run('out/nbmonitor')\ndisplay(v)"]
    server.write("followed-other", cells, server.api("/api/sessions")[0]["kernel"]["name"])
    other = elsewhere(server, "followed-other")
    other.ready()
    other.run(0)
    other.run(1)
    assert other.text(1) == ""
    shown = other.wait_step(step, 20)
    assert other.wait_step(shown + 30, 20) < 600
    other.expect_state("running")
    other.wait_step(600, 90)
    other.expect_state("finished")
    assert difference(exported(other)[0], truth(server.files, "followed")) == ""


def test_a_killed_kernel_leaves_its_step_on_the_page_and_its_run_in_the_file(
    notebook, server
) -> None:
    show = "from nbmonitor import open_run\nv = open_run('out/nbmonitor')\ndisplay(v)"
    book = notebook([IMPORTS, train(3000, "killed"), show])
    book.run(0)
    book.run(1, wait=False)
    book.wait_step(50, 60)
    step, _, _, process = told(server.files, "killed")
    os.kill(process, signal.SIGKILL)
    book.page.wait_for_function(
        "() => /kernel lost at step \\d+, data safe in \\S*out.nbmonitor/"
        ".test(document.querySelector('.nbmonitor')?.textContent ?? '')",
        timeout=20_000,
    )
    assert book.step() >= step - 10
    last = told(server.files, "killed")[0]
    book.ready()
    book.run(0)
    book.run(2)
    assert book.text(2) == ""
    assert book.wait_step(last, 20, number=1) >= last
    book.expect_state("interrupted", 1)


@pytest.fixture
def external(tmp_path) -> Iterator[ExternalKernel]:
    kernel = ExternalKernel(tmp_path / "external", tmp_path / "files")
    yield kernel
    kernel.close()


def test_a_restarted_server_finds_the_kernel_and_all_pages_have_its_run_again(
    tmp_path, external, elsewhere
) -> None:
    server = Server(tmp_path, *external.options, port=free_port())
    server.write("outlived", [IMPORTS, train(1500, "outlived")], NAME)
    server.attach("outlived", server.api("/api/kernels")[0]["id"])
    book = elsewhere(server, "outlived")
    book.ready()
    book.run(0)
    book.run(1, wait=False)
    book.wait_step(20, 60)
    book.wait_saved(1)
    other = elsewhere(server, "outlived")
    other.wait_step(book.step(), 20)
    server.kill()
    gone = told(server.files, "outlived")[0]
    server = Server(tmp_path, *external.options, port=server.port)
    server.attach("outlived", server.api("/api/kernels")[0]["id"])
    for page in (book, other):
        start = time.monotonic()
        page.open()
        shown = page.wait_step(gone, 20)
        live = page.wait_step(shown + 3, 20)
        print(f"back and live after {time.monotonic() - start:.2f} s, at step {live}")
    external.interrupt()
    for page in (book, other):
        page.expect_state("interrupted")
    recorded = truth(server.files, "outlived")
    assert [difference(exported(page)[0], recorded) for page in (book, other)] == ["", ""]
    for page in (book, other):
        page.close()
        page.forgive("Failed to fetch")  # JupyterLab's own requests, while no server was there
    server.close()

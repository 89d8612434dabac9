"""What goes wrong between kernel and page, and that afterwards nothing is missing anywhere."""

from __future__ import annotations

import kernels
from browser.jupyter import IMPORTS, Notebook
from browser.records import difference, exported, told, train, truth
from soak.scenario import Soak

# A closing handshake may take its time, or never end where the page is offline; a connection that
# breaks is told at once.
DROP = (
    "() => jupyterapp.shell.currentWidget.sessionContext.session.kernel._ws"
    ".dispatchEvent(new CloseEvent('close', {code: 1006}))"
)
CONNECTED = (
    "(state) => jupyterapp.shell.currentWidget.sessionContext.session.kernel"
    ".connectionStatus === state"
)


def drop(book: Notebook) -> None:
    """Cut the page's websocket; the host makes another as soon as it can."""
    book.page.evaluate(DROP)


def go_offline(book: Notebook) -> None:
    """Cut it and let no other be made."""
    book.page.context.set_offline(True)
    drop(book)
    book.page.wait_for_function(CONNECTED, arg="connecting")


def go_online(book: Notebook) -> None:
    """Let the page connect again, and wait until the host has done so."""
    book.page.context.set_offline(False)
    book.page.wait_for_function(CONNECTED, arg="connected", timeout=60_000)


def compare(files, name: str, *books: Notebook) -> None:
    """Each page must have every row and every value of the kernel."""
    recorded = truth(files, name)
    for number, book in enumerate(books):
        book.wait_step(int(recorded["step"].iloc[-1]))
        kept, resolution = exported(book)
        assert "every step" in resolution
        assert difference(kept, recorded) == "", f"page {number}"


def test_two_pages_survive_dropped_websockets_and_an_interrupt_with_the_same_history(
    notebook, server, elsewhere
) -> None:
    book = notebook([IMPORTS, train(5000, "dropped")])
    book.run(0)
    book.run(1, wait=False)
    book.wait_step(20, 60)
    book.wait_saved(1)
    other = elsewhere(server, book.name)
    other.wait_step(book.step(), 20)
    for _ in range(2):
        for page in (book, other):
            drop(page)
            reached = told(server.files, "dropped")[0]
            page.wait_step(reached + 5)
    go_offline(other)
    away = told(server.files, "dropped")[0]
    book.wait_step(away + 60)
    go_online(other)
    other.wait_step(away + 60)
    book.interrupt()
    for page in (book, other):
        page.expect_state("interrupted")
    book.wait_idle(1)
    compare(server.files, "dropped", book, other)


def test_a_page_that_was_away_when_the_run_ended_gets_the_end_too(
    notebook, server, elsewhere
) -> None:
    book = notebook([IMPORTS, train(200, "ended")])
    book.run(0)
    book.run(1, wait=False)
    book.wait_step(20, 60)
    book.wait_saved(1)
    go_offline(book)
    # Whoever connects in the meantime makes the server forget what it kept for the first page.
    other = elsewhere(server, book.name)
    other.wait_step(200, 60)
    other.expect_state("finished")
    go_online(book)
    book.expect_state("finished")
    compare(server.files, "ended", book, other)


def test_a_soak_in_its_short_form_loses_nothing_and_does_not_grow(browser, tmp_path) -> None:
    """`make soak` is the same for half an hour."""
    result = Soak(browser, tmp_path, kernels.name(kernels.VERSIONS[-1]), 20).run()
    for memory in result.memories:
        print(memory.row())
    assert result.missing == []
    # What is done for the first time in this minute takes memory too: only a flood is told apart.
    assert {memory.what: memory.growth for memory in result.memories if memory.growth > 40} == {}

"""One server for all browser tests; a fresh context and kernel for each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import kernels
import pytest
from browser.jupyter import Notebook, Server
from playwright.sync_api import Browser, BrowserContext

NEWEST = kernels.VERSIONS[-1]
FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.when == "call" and report.failed:
        item.stash[FAILED] = True
    return report


def _tell(page: Notebook) -> None:
    """Print what a page shows, for the report of a test that failed."""
    try:
        print(f"\n--- {page.name} in {page.host}: {page.told()}")
    except Exception as error:  # noqa: BLE001 - the page may be closed, and is not what failed
        print(f"\n--- {page.name} in {page.host}: {error}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "browser" in item.path.parts:
            item.add_marker("browser")
            item.add_marker("slow")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("jupyter"))
    yield started
    started.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 1300, "height": 1400})
    yield made
    made.close()


@pytest.fixture
def notebook(
    request: pytest.FixtureRequest, server: Server, context: BrowserContext
) -> Iterator[Callable[..., Notebook]]:
    """Open a notebook with the given cells; afterwards, the console must be free of errors."""
    opened: list[Notebook] = []

    def open_notebook(
        cells: list[str], *, host: str = "lab", ipykernel: str = NEWEST, again: bool = False
    ) -> Notebook:
        name = re.sub(r"\W+", "-", request.node.name).strip("-")
        if not again:
            server.write(name, cells, kernels.name(ipykernel))
        opened.append(Notebook(context, server, host, name))
        if cells:
            opened[-1].ready()
        return opened[-1]

    yield open_notebook
    if request.node.stash.get(FAILED, False):
        for page in opened:
            _tell(page)
    server.stop_kernels()
    assert [error for page in opened for error in page.errors] == []


@pytest.fixture
def elsewhere(browser: Browser) -> Iterator[Callable[..., Notebook]]:
    """Open a notebook that is there in a browser of its own, whose console must stay clean too."""
    opened: list[Notebook] = []
    contexts: list[BrowserContext] = []

    def open_notebook(server: Server, name: str, host: str = "lab") -> Notebook:
        contexts.append(browser.new_context(viewport={"width": 1300, "height": 1400}))
        opened.append(Notebook(contexts[-1], server, host, name))
        return opened[-1]

    yield open_notebook
    for made in contexts:
        made.close()
    assert [error for page in opened for error in page.errors] == []

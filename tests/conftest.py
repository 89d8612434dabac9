"""What every test may use. Nothing is fetched: hubs are switched off before any import."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")
# Two trainings at a time with two threads each wait for one another most of the time.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The one Chromium of the session: a second playwright beside it would not start."""
    from browser.jupyter import ARGUMENTS, chromium
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=chromium(), headless=True, args=["--headless=new", *ARGUMENTS]
        )
        yield launched
        launched.close()


@pytest.fixture(autouse=True)
def own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep out of the repository what a run leaves in the directory that it is started in."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def asked_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let costly probes measure as often as asked, whatever the steps of a test take."""
    monkeypatch.setattr("nbmonitor.pace.SHARE", 1e9)


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


# ipykernel 7.0 to 7.3 by themselves, without nbmonitor, now and then stop answering for good: one
# kernel in about forty on a busy machine, none in 7.4. And a page of a notebook application has
# much in it that isn't ours. Such a test gets a second try, and the summary tells why.
STALLS = ("7.0", "7.3")
SECOND = pytest.StashKey[list[str]]()
_TOLD = 1500  # characters of a failure that the summary repeats


def _second_try(item: pytest.Item) -> bool:
    if "browser" in item.path.parts:
        return True
    call = getattr(item, "callspec", None)
    return call is not None and any(
        isinstance(given, str) and given in STALLS for given in call.params.values()
    )


def _why(reports: list[pytest.TestReport]) -> str:
    """Return the end of what failed, and what was printed about it."""
    ends = [r.longreprtext[-_TOLD:] for r in reports if r.failed]
    printed = [text[-_TOLD:] for _, text in reports[-1].sections]
    return "\n".join([*ends, *printed])


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    if not _second_try(item):
        return None
    hook = item.ihook
    hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    if any(report.failed for report in reports):
        told = f"{item.nodeid}\n{_why(reports)}"
        item.config.stash.setdefault(SECOND, []).append(told)
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
    for report in reports:
        hook.pytest_runtest_logreport(report=report)
    hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


# A test in a notebook keeps a core busy with a browser and another one with a kernel: one worker
# begins with these, and what is left of them is shared out at the end.
_FIRST = ("chaos", "controls", "live", "reload", "return", "saved")


def _group(path: str) -> str:
    """What is done by one worker: a file, or several with tests in notebooks."""
    first = [f"tests/browser/test_{name}.py" for name in _FIRST]
    return "first" if path in first else path


def _turn(path: str) -> int:
    if _group(path) == "first":
        return 0
    return 2 if path.startswith("tests/browser/") else 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _turn(item.nodeid.split("::", 1)[0]))


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep groups together; pytest-xdist 3.8 itself (`loadgroup`) loses them with pytest 9.2."""
    from xdist.scheduler import LoadScopeScheduling

    class Grouped(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _group(nodeid.split("::", 1)[0])

    return Grouped(config, log)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["second"] = session.config.stash.get(SECOND, [])


@pytest.hookimpl(optionalhook=True)  # there where pytest-xdist is at work
def pytest_testnodedown(node: Any) -> None:
    """Take over what each worker has to tell."""
    told = getattr(node, "workeroutput", {}).get("second", [])
    node.config.stash.setdefault(SECOND, []).extend(told)


def pytest_terminal_summary(terminalreporter, config: pytest.Config) -> None:
    for told in config.stash.get(SECOND, []):
        terminalreporter.section(f"a second try: {told.splitlines()[0]}", "-")
        terminalreporter.write_line(told)

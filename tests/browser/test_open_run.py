"""A notebook shows runs that other processes train: live, and after their end."""

from __future__ import annotations

import pytest
from browser.jupyter import HOSTS
from writer import Writer

OPEN = "from nbmonitor import open_run\nview = open_run({path!r})\ndisplay(view)"


@pytest.fixture
def write(tmp_path):
    """Start writers that end with the test."""
    started: list[Writer] = []

    def start(*args, **kwargs) -> Writer:
        started.append(Writer(tmp_path / "out", tmp_path / "runs", *args, **kwargs))
        return started[-1]

    yield start
    for writer in started:
        writer.close()


@pytest.mark.parametrize("host", HOSTS)
def test_a_run_of_another_process_is_live_and_then_finished(
    notebook, write, tmp_path, host
) -> None:
    writer = write((6, 14), max_steps=30, name="elsewhere")
    writer.wait_for("at 6")
    book = notebook([OPEN.format(path=str(tmp_path / "runs")), "print('idle')"], host=host)
    book.run(0)
    assert book.wait_step(6) == 6
    book.expect_state("running")
    assert "elsewhere" in book.dashboard().locator(".nbm-about").text_content()
    # The kernel has nothing to do with the training: it takes cells as ever.
    book.run(1)
    assert book.text(1) == "idle\n"
    writer.go()
    writer.wait_for("at 14")
    assert book.wait_step(14) == 14
    book.open()
    assert book.wait_step(14, 60) == 14
    writer.go()
    writer.wait_for("done")
    book.wait_step(30)
    book.expect_state("finished")
    for panel in ("readouts", "loss", "learning_rate", "tokens"):
        assert book.dashboard().locator(f"[data-panel={panel}]").first.is_visible()


def test_a_run_whose_process_was_killed_shows_all_it_had(notebook, write, tmp_path) -> None:
    writer = write((9,), max_steps=30)
    writer.wait_for("at 9")
    book = notebook([OPEN.format(path=str(tmp_path / "runs"))])
    book.run(0)
    book.wait_step(9)
    writer.kill()
    book.expect_state("interrupted")
    assert book.step() == 9
    assert "kernel lost at step 9" in book.dashboard().text_content()

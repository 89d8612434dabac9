"""A real training in a busy cell, watched from a real page."""

from __future__ import annotations

import time

import pytest
from browser.jupyter import HOSTS, IMPORTS


def watched(steps: int, name: str = "monitor") -> str:
    return f"t = trainer({steps})\n{name} = TrainingMonitor(t, name={name!r})\ndisplay({name})\nt.train()"


@pytest.mark.parametrize("host", HOSTS)
def test_panels_appear_and_move_while_the_cell_runs(notebook, host) -> None:
    book = notebook([IMPORTS, watched(120), "print('after', 1)", "print('after', 2)"], host=host)
    book.run(0)
    book.run(1, wait=False)
    first = book.wait_step(1)
    book.run(2, wait=False)
    book.run(3, wait=False)
    book.expect_state("running")
    later = book.wait_step(first + 20)
    assert book.busy(1)
    assert book.busy(2)
    assert later > first
    for panel in ("readouts", "loss", "learning_rate", "grad_norm"):
        assert book.dashboard().locator(f"[data-panel={panel}]").is_visible()
    book.wait_step(120, 60)
    book.expect_state("finished")
    book.wait_idle(3)
    assert book.text(2) + book.text(3) == "after 1\nafter 2\n"
    counts = book.page.evaluate(
        "() => jupyterapp.shell.currentWidget.content.widgets.map(c => c.model.executionCount)"
    )
    assert counts == sorted(counts)


def test_interrupt_ends_the_run_as_interrupted_and_queued_cells_are_dropped(notebook) -> None:
    book = notebook([IMPORTS, watched(5000), "print('must not run')", "print('alive')"])
    book.run(0)
    book.run(1, wait=False)
    book.wait_step(10)
    book.run(2, wait=False)
    time.sleep(0.5)
    book.command("notebook:interrupt-kernel")
    book.expect_state("interrupted")
    book.wait_idle(2)
    assert "KeyboardInterrupt" in book.text(1)
    assert book.text(2) == ""
    book.run(3)
    assert book.text(3) == "alive\n"


def test_two_monitors_on_a_page_and_two_views_of_one(notebook) -> None:
    train = "t.train(); s.train()"
    both = (
        "t, s = trainer(60), trainer(30)\n"
        "one, two = TrainingMonitor(t), TrainingMonitor(s)\ndisplay(one, two, one)"
    )
    book = notebook([IMPORTS, both, train])
    # Nothing is painted that is out of sight.
    book.page.set_viewport_size({"width": 1300, "height": 6500})
    book.run(0)
    book.run(1)
    book.page.wait_for_function("() => document.querySelectorAll('.nbmonitor').length === 3")
    book.run(2, wait=False)
    book.wait_step(5)
    book.wait_step(5, number=2)
    assert book.step(1) <= 0
    book.wait_step(30, 60, number=1)
    assert [book.step(n) for n in range(3)] == [60, 30, 60]
    for number in range(3):
        book.expect_state("finished", number)


def test_a_plain_loop_that_fails_says_so(notebook) -> None:
    loop = """
import torch
model = torch.nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), 0.1)
monitor = TrainingMonitor(name="loop").watch(model, optimizer, total_steps=50)
display(monitor)
for step in range(50):
    loss = model(torch.ones(4, 2)).pow(2).mean()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    monitor.step(loss)
    time.sleep(0.01)
    if step == 29:
        raise ValueError("no more")
"""
    book = notebook([IMPORTS, loop])
    book.run(0)
    book.run(1, wait=False)
    book.expect_state("failed")
    assert book.wait_step(30) == 30

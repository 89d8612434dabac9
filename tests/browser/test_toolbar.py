"""The toolbar's own buttons in a notebook, against a real training in a busy cell."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest
from browser.jupyter import HOSTS, IMPORTS

SETUP = f"""{IMPORTS}
t = trainer(4000, eval_data=tiny.RandomText(4), save_strategy="steps", save_steps=100_000)
m = TrainingMonitor(t)
"""
TRAIN = "display(m)\nt.train()"
REPORT = "print(m.run.status, [e['data']['name'] for e in m.run.events('control')])"


def press(book, control: str) -> None:
    book.dashboard().locator(f"[data-control={control}]").click()


def expect_notice(book, text: str) -> None:
    """Wait for what the toolbar's line says."""
    line = book.dashboard().locator(".nbm-notice", has_text=re.compile(text))
    line.wait_for(timeout=20_000)


@pytest.mark.parametrize("host", HOSTS)
def test_buttons_steer_a_busy_training(notebook, host) -> None:
    book = notebook([SETUP, TRAIN, REPORT], host=host)
    book.run(0)
    book.run(1, wait=False)
    book.wait_step(5, 60)
    press(book, "pause")
    expect_notice(book, r"pause: applied at step \d")
    book.expect_state("paused")
    assert book.dashboard().locator("[data-control=pause]").is_hidden()
    press(book, "evaluate")
    expect_notice(book, "evaluate: applied")
    press(book, "learning-rate")
    press(book, "lr-half")
    expect_notice(book, "learning rate × 0.5: applied")
    field = book.dashboard().locator("[data-control=lr-value]")
    cells = "() => jupyterapp.shell.currentWidget.content.widgets.length"
    # In command mode these keys would delete the cell, add one, and interrupt the kernel.
    field.press_sequentially("ddabii2e-4")
    assert book.page.evaluate(cells) == 3
    assert field.input_value() == "ddabii2e-4"
    field.press("Enter")
    assert field.get_attribute("aria-invalid") == "true"
    field.fill("2e-4")
    field.press("Enter")
    expect_notice(book, "learning rate 2.0E-4: applied")
    press(book, "lr-undo")
    expect_notice(book, "undo learning rate: applied")
    field.press("Escape")
    press(book, "resume")
    book.expect_state("running")
    press(book, "stop")
    press(book, "stop-now")
    assert book.busy(1)
    press(book, "stop-confirm")
    book.expect_state("interrupted")
    assert book.dashboard().locator("[data-control=checkpoint]").is_disabled()
    book.run(2)
    asked = ["pause", "evaluate", "learning_rate", "learning_rate", "undo_learning_rate"]
    assert book.text(2) == f"interrupted {[*asked, 'resume', 'stop']}\n"


def test_a_file_is_saved_although_the_kernel_is_gone(notebook, tmp_path: Path) -> None:
    book = notebook([f"{SETUP}\nimport os; print(os.getpid())", TRAIN])
    book.run(0)
    book.run(1, wait=False)
    book.wait_step(20, 60)
    os.kill(int(book.text(0)), signal.SIGKILL)
    book.dashboard().locator(".nbm-link[data-link=lost]").wait_for(timeout=20_000)
    assert "data safe in" in book.dashboard().locator(".nbm-banner").inner_text()
    assert book.dashboard().locator("[data-control=pause]").is_disabled()
    step = book.step()
    # The host says so as well, in the way of everything else.
    book.page.locator(".jp-Dialog .jp-mod-accept").click()
    press(book, "export")
    with book.page.expect_download() as got:
        press(book, "export-html")
    path = tmp_path / "run.html"
    got.value.save_as(path)
    page = book.page.context.new_page()
    page.goto(path.as_uri())
    page.wait_for_selector("[data-panel=loss] canvas")
    shown = page.inner_text("[data-readout=step] b").split("/")[0].replace(",", "")
    assert int(shown) >= step
    page.close()


def test_a_zoom_into_old_steps_brings_each_of_them(notebook) -> None:
    loop = """
monitor = TrainingMonitor(name="long").watch(torch.nn.Linear(2, 1), total_steps=120_000)
for step in range(120_000):
    monitor.step(float(step % 7))
"""
    book = notebook([IMPORTS, loop, "display(monitor)"])
    book.run(0)
    book.run(1)
    book.run(2)
    book.wait_step(119_990, 30)
    press(book, "range")
    panel = book.dashboard().locator("[data-panel=loss]")
    box = panel.locator(".u-over").bounding_box()
    left, top = box["x"] + box["width"] / 3, box["y"] + 60
    book.page.mouse.move(left, top)
    book.page.mouse.down()
    book.page.mouse.move(left + 8, top, steps=4)
    book.page.mouse.up()
    book.dashboard().locator("[data-control=range][data-range=zoom]").wait_for()
    legend = panel.locator(".nbm-legend")

    def told() -> dict[int, float]:
        """Steps and values under ten places, three pixels and some ten steps apart."""
        values = {}
        for pixel in range(0, 30, 3):
            book.page.mouse.move(left + pixel, top)
            book.page.evaluate("() => new Promise(requestAnimationFrame)")
            text = legend.inner_text()
            step = re.search(r"step ([\d,]+)", text)
            if step:
                loss = re.search(r"^loss (\S+)$", text, re.MULTILINE)
                assert loss, text
                values[int(step[1].replace(",", ""))] = float(loss[1])
        return values

    # A bucket stands for some fifty steps: without the rows there would be two or three.
    book.wait_for(lambda: len(told()) == 10, 20, "a step of its own at each of ten places")
    assert "summary" not in legend.inner_text()
    found = told()
    assert found == {step: float((step - 1) % 7) for step in found}

"""Two runs side by side in real hosts: one follows the other, with a busy kernel and with none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from browser.jupyter import HOSTS, TESTS
from browser.test_scene import book as in_3d  # noqa: F401 - a fixture
from browser.test_scene import drawing  # noqa: F401 - what that one needs

SHOW = f"""
import sys, time
sys.path.insert(0, {str(TESTS)!r})
from browser.snapshots import put
from nbmonitor import TrainingMonitor, side_by_side
monitors = [TrainingMonitor(run_dir=False, name=name) for name in ("one", "other")]
for monitor, last in zip(monitors, (12, 8)):
    for step in range(last):
        put(monitor.run, step, step / 12, tokens=500, layers=3)
        monitor.run.append(step, {{"train/loss": 1 / (1 + step)}})
display(side_by_side(*monitors))
"""
# As a training does between two steps; what comes for the rest of the kernel waits.
BUSY = """
for _ in range(1200):
    time.sleep(0.1)
    monitors[0].pump()
"""
# Mean difference of two pictures, in levels of 255: clouds are scaled by all their snapshots.
ALIKE = 2.0
# Both scenes, small.
PICTURES = """() => [...document.querySelectorAll(".nbmonitor-pair .jupyter-threejs canvas")].map(
    (canvas) => {
        const to = document.createElement("canvas");
        [to.width, to.height] = [90, 60];
        const ctx = to.getContext("2d");
        ctx.drawImage(canvas, 0, 0, 90, 60);
        return [...ctx.getImageData(0, 0, 90, 60).data];
    })"""
FINISH = """
for monitor in monitors:
    monitor.run.set_status("finished")
    monitor.flush(final=True)
"""


def stage(book: Any, number: int) -> Any:
    return book.dashboard(number).locator(".nbm-stagebox")


def shows(book: Any, number: int, step: int) -> None:
    """Wait until a dashboard's stage shows a step."""
    book.dashboard(number).locator(f".nbm-stagebox[data-step='{step}']").wait_for(timeout=30_000)


def press(book: Any, number: int, control: str) -> None:
    book.dashboard(number).locator(f"[data-control='{control}']").first.click()


def turned(book: Any, number: int) -> Any:
    """Wait until a dashboard's cloud is seen along its third axis."""
    pressed = "[data-control='stage-1·2'][aria-pressed=true]"
    book.dashboard(number).locator(pressed).wait_for(timeout=15_000)


def together(book: Any) -> None:
    """What is done in one dashboard holds for the other, in both directions."""
    book.dashboard(0).locator("[data-tab=parameters]").click()
    shows(book, 0, 11)
    shows(book, 1, 7)
    press(book, 0, "step-back")
    shows(book, 0, 10)
    for _ in range(5):
        press(book, 0, "step-back")
    shows(book, 0, 5)
    shows(book, 1, 5)
    press(book, 1, "step-back")
    shows(book, 0, 4)
    press(book, 1, "follow")
    shows(book, 0, 11)
    shows(book, 1, 7)
    for number in (0, 1):
        press(book, number, "stage-flat")
    press(book, 0, "stage-1·2")
    turned(book, 1)
    press(book, 1, "stage-home")
    for number in (0, 1):
        unpressed = "[data-control='stage-1·2'][aria-pressed=false]"
        book.dashboard(number).locator(unpressed).wait_for(timeout=15_000)
    book.dashboard(1).locator("[data-tab=overview]").click()
    book.dashboard(0).locator("[data-tab=overview][aria-selected=true]").wait_for()


def boxes(book: Any) -> tuple[dict[str, float], dict[str, float]]:
    return tuple(book.dashboard(k).bounding_box() for k in (0, 1))


@pytest.mark.parametrize("host", HOSTS)
def test_one_follows_the_other_while_the_kernel_is_busy(notebook, host) -> None:
    book = notebook([SHOW, BUSY], host=host)
    book.run(0)
    book.run(1, wait=False)
    book.dashboard(1).locator("[data-panel=loss] canvas").wait_for(timeout=30_000)
    assert book.busy(1)
    together(book)
    left, right = boxes(book)
    assert abs(left["y"] - right["y"]) < 2
    assert right["x"] >= left["x"] + left["width"]
    assert abs(left["width"] - right["width"]) < 2
    book.page.set_viewport_size({"width": 760, "height": 1400})
    book.wait_for(lambda: boxes(book)[1]["y"] > boxes(book)[0]["y"] + 100, 10, "one column")
    upper, lower = boxes(book)
    assert abs(upper["x"] - lower["x"]) < 2
    assert lower["width"] <= book.page.viewport_size["width"]
    assert book.busy(1)
    # A page that is reloaded meanwhile has both again.
    book.page.set_viewport_size({"width": 1300, "height": 1400})
    book.save()
    book.open()
    book.dashboard(1).locator("[data-panel=loss] canvas").wait_for(timeout=60_000)
    together(book)


def test_a_saved_notebook_has_both_without_a_kernel(notebook, server) -> None:
    book = notebook([SHOW, FINISH])
    book.run(0)
    book.run(1)
    for number in (0, 1):
        book.expect_state("finished", number)
    book.wait_for(lambda: book.saved_states() == ["finished"] * 2, 20, "both states saved")
    book.close()
    server.stop_kernels()
    again = notebook([], again=True)
    again.dashboard(1).locator("[data-panel=loss] canvas").wait_for(timeout=60_000)
    together(again)
    for picture in again.page.locator("[data-nbmonitor-static]").all():
        assert not picture.is_visible()


def test_the_scene_is_seen_from_where_the_other_is(in_3d) -> None:  # noqa: F811 - a fixture
    page = in_3d([SHOW, BUSY])
    page.run(0)
    page.run(1, wait=False)
    page.dashboard(0).locator("[data-tab=parameters]").click(timeout=30_000)
    for number in (0, 1):
        page.dashboard(number).locator(".jupyter-threejs canvas").wait_for(timeout=30_000)
    press(page, 0, "to-start")
    shows(page, 0, 0)
    shows(page, 1, 0)

    def apart(earlier: Any = None) -> float:
        """Mean difference between the pictures of both, or of one and an earlier one, of 255."""
        one, other = np.array(page.page.evaluate(PICTURES), float)  # (pixels · 4,) each
        return float(np.abs(one - (other if earlier is None else earlier)).mean())

    page.wait_for(lambda: apart() < ALIKE, 15, "the same picture of the same snapshot")
    # One is turned, and then the other: each time both show the same, and not what they showed.
    for number, key in ((0, "ArrowLeft"), (1, "+")):
        before = np.array(page.page.evaluate(PICTURES)[0], float)  # (pixels · 4,)
        page.dashboard(number).locator(".nbm-scene").focus()
        for _ in range(4):
            page.page.keyboard.press(key)
        page.wait_for(lambda: apart(before) > 3 * ALIKE, 10, "a move")  # noqa: B023 - at once
        page.wait_for(lambda: apart() < apart(before) / 2, 10, "both from the same place")  # noqa: B023
    assert page.busy(1)

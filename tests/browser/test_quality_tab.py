"""The Quality tab in a notebook: an alert leads to its chart, is put away, and figures last."""

from __future__ import annotations

from browser.jupyter import IMPORTS, TESTS
from playwright.sync_api import expect

TITLE = "Odd losses"
SETUP = f"""{IMPORTS}
sys.path.insert(0, {str(TESTS.parent)!r})
from tests.words import tasks, tokenizer
from nbmonitor import Rule

class Odd(Rule):
    name, keys, every = "odd", ("train/loss",), 1

    def look(self, seen):
        if seen.finite("train/loss", 30).shape[1] == 30:
            yield self.finding({TITLE!r}, "30 losses", "look", key="train/loss", window=(10, 20))

def watched(steps):
    t = trainer(steps)
    t.processing_class = t.callback_handler.processing_class = tokenizer()
    m = TrainingMonitor(t, fixed_eval=tasks(), eval_every=20, rules=[Odd()], run_dir=False)
    return t, m
"""
TRAIN = "t, m = watched({steps})\ndisplay(m)\nt.train()"
PATIENCE = 30_000


def panel(book, name: str):
    return book.dashboard().locator(f"[data-panel={name}]")


def tab(book, name: str) -> None:
    book.dashboard().locator(f"[role=tab][data-tab={name}]").click()


def alert(book):
    return panel(book, "alerts").locator(".nbm-alert", has_text=TITLE)


def started(notebook, steps: int):
    """A notebook whose training goes on, with the Quality tab open."""
    book = notebook([SETUP, TRAIN.format(steps=steps)])
    book.run(0)
    book.run(1, wait=False)
    book.wait_step(1, 60)
    tab(book, "quality")
    return book


def test_an_alert_leads_to_its_steps_and_stays_dismissed_on_a_reloaded_page(notebook) -> None:
    book = started(notebook, 4000)
    row = alert(book)
    expect(row).to_contain_text("step 10–20", timeout=PATIENCE)
    expect(row).to_have_attribute("data-severity", "warning")
    row.locator(".nbm-alert-main").click()
    loss = panel(book, "loss")
    expect(loss).to_be_visible(timeout=PATIENCE)
    expect(loss).to_be_focused()
    expect(loss.locator(".uplot").first).to_have_attribute("data-marked", "10-20", timeout=PATIENCE)
    zoom = book.dashboard().locator("[data-control=range]")
    expect(zoom).to_have_attribute("data-range", "zoom")
    # A viewer who leaves the zoom has seen the steps.
    zoom.click()
    expect(loss.locator(".uplot[data-marked]")).to_have_count(0, timeout=PATIENCE)
    tab(book, "quality")
    expect(alert(book)).to_be_visible(timeout=PATIENCE)
    book.wait_saved(1)
    alert(book).locator("[data-control=dismiss]").click()
    expect(alert(book)).to_have_count(0, timeout=PATIENCE)
    told = panel(book, "alerts").locator(".nbm-legend")
    expect(told).to_contain_text("1 put away")
    book.open()
    book.wait_step(1)
    tab(book, "quality")
    expect(told).to_contain_text("1 put away", timeout=PATIENCE)
    expect(alert(book)).to_have_count(0)
    # It is not lost: among all of them it can be taken back.
    panel(book, "alerts").locator("[data-control=all-alerts]").click()
    expect(alert(book)).to_have_attribute("data-dismissed", "", timeout=PATIENCE)
    alert(book).locator("[data-control=dismiss]").click()
    expect(told).not_to_contain_text("put away", timeout=PATIENCE)
    expect(alert(book)).to_be_visible()
    book.interrupt()
    tab(book, "overview")
    book.expect_state("interrupted")


def test_a_saved_notebook_has_the_quality_tab_without_a_kernel(notebook, server) -> None:
    book = started(notebook, 60)
    figures = seen(book, "finished")
    book.wait_for(lambda: "finished" in book.saved_states(), 30, "the final state saved")
    book.close()
    server.stop_kernels()
    again = notebook([], again=True)
    again.page.wait_for_selector(".nbmonitor [role=tab]", timeout=PATIENCE)
    tab(again, "quality")
    assert seen(again, "finished") == figures


def seen(book, state: str) -> dict[str, str]:
    """What the tab says once the run is over."""
    book.expect_state(state, seconds=60)
    expect(panel(book, "verdict")).to_contain_text("final · step 60", timeout=PATIENCE)
    panel(book, "patterns").scroll_into_view_if_needed()  # nothing is painted out of sight
    expect(panel(book, "patterns")).to_contain_text("step 60", timeout=PATIENCE)
    panel(book, "reliability").scroll_into_view_if_needed()
    expect(panel(book, "reliability").locator(".nbm-legend")).to_contain_text("step 60")
    expect(alert(book)).to_be_visible()
    said = book.dashboard().locator("[data-readout=verdict]")
    expect(said).to_contain_text("Fixed-eval EM")
    return {
        "verdict": said.inner_text(),
        "patterns": panel(book, "patterns").locator("table").inner_text(),
        "reliability": panel(book, "reliability").locator(".nbm-legend").inner_text(),
    }

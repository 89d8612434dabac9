"""A training steered from a real page while its cell keeps the kernel busy."""

from __future__ import annotations

import time

import pytest
from browser.conftest import NEWEST
from browser.jupyter import HOSTS, IMPORTS

SETUP = f"""{IMPORTS}
import threading
events = lambda: [(e["data"]["name"], e["data"]["source"]) for e in m.run.events("control")]
t = trainer(4000, eval_data=tiny.RandomText(4), save_strategy="steps", save_steps=100_000)
m = TrainingMonitor(t)
"""
TRAIN = "display(m)\nt.train()\nprint(m.run.status, '|', m.run.status_message)"
REPORT = "print(events(), m.run.points('eval/loss')[0].size, m.run.events('checkpoint')[0]['step'])"
COLAB = """
# A host as Colab is, to nbmonitor: no threads, and a page that can be asked.
import types
class Output:
    asked, controls = [], []
    @staticmethod
    def eval_js(script, ignore_result=False, timeout_sec=None):
        Output.asked.append(timeout_sec)
        return []
sys.modules["google.colab"] = types.SimpleNamespace(output=Output)
"""


_COMM = """
    const book = jupyterapp.shell.currentWidget;
    const outputs = book.content.widgets[1].model.outputs.toJSON();
    const view = 'application/vnd.jupyter.widget-view+json';
    const id = outputs.find((o) => o.data?.[view]).data[view].model_id;
    const comm = book.sessionContext.session.kernel._comms.get(id);
"""
_LISTEN = (
    "() => {"
    + _COMM
    + """
    const before = comm.onMsg;
    comm.onMsg = (message) => {
        const content = message.content.data.content;
        if (content?.key === 'nbmonitor/controls') window.answers = content.meta.pending;
        return before(message);
    };
}"""
)
_SEND = (
    "([name, value]) => {"
    + _COMM
    + """
    const content = {kind: 'control', id: String(Math.random()), name, value};
    comm.send({method: 'custom', content});
}"""
)


def send(book, name: str, value=None) -> None:
    """Send a control through the widget's own comm, as a button does."""
    book.page.evaluate(_SEND, [name, value])


def wait_answers(book, *states: str) -> list[str]:
    """Wait until the page was told these states of the controls, oldest first."""
    book.wait_for(
        lambda: (
            book.page.evaluate("() => (window.answers ?? []).map((a) => a.state)") == list(states)
        ),
        20,
        f"the answers {states}",
    )
    return book.page.evaluate("() => window.answers.map((a) => a.message)")


def start(book, least: int = 5) -> None:
    book.run(0)
    book.run(1, wait=False)
    book.wait_step(least, 60)
    book.page.evaluate(_LISTEN)


def steps_stand_still(book) -> bool:
    """Whether no new step comes while pages are flushed several times over."""
    before = book.step()
    time.sleep(0.6)
    return book.step() == before


@pytest.mark.parametrize(
    ("host", "version"), [("lab", "6.31"), *((host, NEWEST) for host in HOSTS)]
)
def test_a_busy_training_is_paused_saved_evaluated_and_stopped(notebook, host, version) -> None:
    cells = [SETUP, TRAIN, "print('first')", "print('second')", REPORT]
    book = notebook(cells, host=host, ipykernel=version)
    start(book)
    send(book, "pause")
    book.expect_state("paused")
    book.run(2, wait=False)
    book.run(3, wait=False)
    assert steps_stand_still(book)
    for name in ("evaluate", "checkpoint"):
        send(book, name)
    send(book, "learning_rate", {"multiply": 0.5})
    messages = wait_answers(book, *["applied"] * 4)
    assert messages[1].startswith("evaluated: loss ")
    assert book.busy(1)
    assert book.text(2) == ""
    at = book.step()
    send(book, "resume")
    book.expect_state("running")
    book.wait_step(at + 5)
    send(book, "stop")
    book.expect_state("interrupted")
    book.wait_idle(3)
    assert "interrupted | stopped by the viewer at step" in book.text(1)
    assert book.text(2) + book.text(3) == "first\nsecond\n"
    counts = book.page.evaluate(
        "() => jupyterapp.shell.currentWidget.content.widgets.slice(0, 4)"
        ".map(c => c.model.executionCount)"
    )
    assert counts == [1, 2, 3, 4]
    book.run(4)
    names = ["pause", "evaluate", "checkpoint", "learning_rate", "resume", "stop"]
    assert book.text(4).strip() == f"{[(n, 'page') for n in names]} 1 {at}"


@pytest.mark.parametrize("version", ["6.31", NEWEST])
def test_a_paused_page_can_be_reloaded_and_then_interrupted(notebook, version) -> None:
    cells = [SETUP, TRAIN, "print('must not run')", "print('alive', m.run.status)"]
    book = notebook(cells, ipykernel=version)
    start(book)
    send(book, "pause")
    book.expect_state("paused")
    book.wait_saved(1)
    at = book.step()
    book.open()
    book.wait_step(at, 20)
    book.expect_state("paused")
    book.run(2, wait=False)
    book.interrupt()
    book.expect_state("interrupted")
    book.wait_idle(2)
    book.run(3)
    assert book.text(3) == "alive interrupted\n"
    assert book.text(2) == ""


def test_a_pause_is_ended_from_a_subshell_and_by_another_thread(notebook) -> None:
    book = notebook([SETUP, TRAIN, "print(events())"])
    start(book)
    send(book, "pause")
    book.expect_state("paused")
    book.page.evaluate(
        """async () => {
            const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
            const made = await kernel.requestCreateSubshell({}).done;
            const beside = kernel.clone();
            beside.subshellId = made.content.subshell_id;
            await beside.requestExecute({code: 'm.resume()'}).done;
            const later = 'threading.Timer(0.1, lambda: m.stop(save=True)).start()';
            await beside.requestExecute({code: later}).done;
        }"""
    )
    book.expect_state("interrupted")
    book.wait_idle(1)
    book.run(2)
    told = [("pause", "page"), ("resume", "python"), ("save_and_stop", "python")]
    assert book.text(2).strip() == str(told)


def test_without_threads_as_in_colab_the_training_thread_tells_the_page(notebook) -> None:
    head = SETUP.replace("import threading", COLAB + "import threading")
    book = notebook(
        [head, TRAIN, "print(events(), m._threaded, set(Output.asked))"], ipykernel="6.31"
    )
    start(book)
    send(book, "pause")
    book.expect_state("paused")
    send(book, "resume")
    book.expect_state("running")
    send(book, "stop")
    book.expect_state("interrupted")
    book.wait_idle(1)
    book.run(2)
    assert "('resume', 'page'), ('stop', 'page')] False" in book.text(2)

"""Controls of a plain loop: what it can be made to do, and what it has to look after itself."""

import pytest
import torch

from nbmonitor import TrainingMonitor
from tests.steering import answers, applied, click


@pytest.fixture
def loop():
    monitor = TrainingMonitor(run_dir=False)
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def go(steps, deeds=None, *, asks=False, **options):
        monitor.watch(model, optimizer, total_steps=steps, **options)
        done = 0
        for step in range(1, steps + 1):
            if asks and monitor.should_stop:
                break
            (deeds or {}).get(step, lambda _: None)(monitor)
            optimizer.zero_grad()
            model(torch.ones(2, 4)).square().mean().backward()
            optimizer.step()
            monitor.step(1.0)
            done = step
        monitor.finish()
        return monitor, done

    yield go
    monitor.close()


def test_a_loop_that_asks_is_stopped(loop):
    monitor, done = loop(10, {4: click("stop")}, asks=True)
    assert done == 4
    assert (monitor.run.status, monitor.run.status_message) == (
        "interrupted",
        "stopped by the viewer at step 4",
    )


def test_a_loop_that_does_not_ask_cannot_be_stopped(loop):
    monitor, done = loop(6, {4: click("stop")})
    assert done == 6
    assert answers(monitor) == [("stop", "refused", "the loop doesn't look at monitor.should_stop")]
    assert monitor.run.status == "finished"


def test_a_loop_pauses_and_its_own_functions_save_and_evaluate(loop):
    def ask(monitor):
        for name in ("pause", "checkpoint", "evaluate", "resume"):
            click(name)(monitor)

    monitor, done = loop(
        6, {3: ask}, checkpoint=lambda: "model.pt", evaluate=lambda: {"loss": 0.5, "eval_f1": 1}
    )
    assert done == 6
    assert applied(monitor) == [(n, 3) for n in ("pause", "checkpoint", "evaluate", "resume")]
    assert monitor.run.last("eval/loss") == 0.5
    assert monitor.run.last("eval/f1") == 1
    assert answers(monitor)[1][2] == "saved model.pt, as the viewer asked"


def test_a_loop_without_such_functions_says_so(loop):
    def ask(monitor):
        with pytest.raises(RuntimeError, match="gave watch\\(\\) no checkpoint=function"):
            monitor.checkpoint()
        with pytest.raises(RuntimeError, match="gave watch\\(\\) no evaluate=function"):
            monitor.evaluate()
        click("cadence", {"logging_steps": 5})(monitor)

    monitor, _ = loop(4, {2: ask})
    assert answers(monitor)[0][1] == "refused"

"""From a click to its effect while the kernel is busy, and what looking for clicks costs.

A page in JupyterLab sends controls over the widget's own comm while a Trainer computes steps
of about 15 ms; the callback notes when each was applied. Page and kernel read the same
machine's clock. The cost is CPU time of the training thread in `Pump.__call__`, of the time that
the training takes: the pump goes by the clock and not by steps.
"""

from __future__ import annotations

from bench import lab
from bench.figure import Figure

_STEP = 0.015
PUMPED = "6.31"

_CODE = f"""
import sys; sys.path.insert(0, {str(lab.ROOT)!r})
import json, time, transformers
from bench.job import trainer
from nbmonitor import TrainingMonitor

class Paced(transformers.TrainerCallback):
    def on_step_begin(self, args, state, control, **kwargs):
        self.began = time.perf_counter()
    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        while time.perf_counter() - self.began < {_STEP}:  # computes until the step is due
            model.lm_head.weight.detach().square().sum().item()

t = trainer(100_000, layers=1, logging_steps=1000)
t.add_callback(Paced())
monitor = TrainingMonitor(t, autosave=False, run_dir=False)
display(monitor)
t.train()
steps = sorted(monitor.run.points("train/step_time")[1][50:])
applied = [[e["data"]["id"], e["time"]] for e in monitor.run.events("control")]
print("RESULT" + json.dumps([applied, float(steps[len(steps) // 2])]))
"""

_CLICKS = """async ([name, clicks, gap]) => {
    const book = jupyterapp.shell.currentWidget;
    const outputs = book.content.widgets[0].model.outputs.toJSON();
    const view = 'application/vnd.jupyter.widget-view+json';
    const id = outputs.find((o) => o.data?.[view]).data[view].model_id;
    const comm = book.sessionContext.session.kernel._comms.get(id);
    const clock = () => (performance.timeOrigin + performance.now()) / 1000;
    const ask = (id, name, value) =>
        comm.send({method: 'custom', content: {kind: 'control', id, name, value}});
    const sent = {}, told = {};
    const before = comm.onMsg;
    comm.onMsg = (message) => {
        const content = message.content.data.content;
        if (content?.key === 'nbmonitor/controls')
            for (const answer of content.meta.pending) told[answer.id] ??= clock();
        return before(message);
    };
    for (let n = 0; n < clicks; n += 1) {
        sent[`c${n}`] = clock();
        ask(`c${n}`, name, {multiply: n % 2 ? 2 : 0.5});
        await new Promise((done) => setTimeout(done, gap * 1000 * (0.5 + Math.random())));
    }
    await new Promise((done) => setTimeout(done, 1000));
    ask('last', 'stop', null);
    return [sent, told];
}"""

# Time in the pump while steps are computed, with a page that looks on.
_IDLE = f"""
import sys; sys.path.insert(0, {str(lab.ROOT)!r})
import json, time, transformers
from bench.job import trainer
from nbmonitor import TrainingMonitor
class Warm(transformers.TrainerCallback):
    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == 500:  # the page has come up and asked all its questions
            spent[:] = [0, 0, time.monotonic_ns()]
t = trainer(2000, logging_steps=100)
t.add_callback(Warm())
monitor = TrainingMonitor(t, autosave=False, run_dir=False)
display(monitor)
kind, spent, clock = type(monitor._pump), [0, 0, 0], time.thread_time_ns
original = kind.__call__
def timed(self, *, force=False):
    start = clock()
    try:
        return original(self, force=force)
    finally:
        spent[0] += clock() - start
        spent[1] += 1
kind.__call__ = timed
t.train()
whole = time.monotonic_ns() - spent[2]
start = clock()
for _ in range(10_000):
    clock()
own = (clock() - start) / 10_000
print("RESULT" + json.dumps([(spent[0] - own * spent[1]) / whole, whole / 1500 / 1e6]))
"""


def _latencies(version: str, clicks: int, gap: float) -> tuple[list[float], list[float], float]:
    """Seconds from click to effect and to the page's first answer, sorted; and of a step."""
    with lab.notebook([_CODE], version) as book:
        book.run(0, wait=False)
        book.wait_step(60, 90)
        sent, told = book.page.evaluate(_CLICKS, ["learning_rate", clicks, gap])
        book.wait_idle(0, 60)
        applied, step = lab.result(book, 0)
    effects = sorted(when - sent[name] for name, when in applied if name in sent)
    if len(effects) != clicks:
        msg = f"{clicks} clicks, and {len(effects)} applied, with ipykernel {version}"
        raise RuntimeError(msg)
    answers = sorted(told[name] - sent[name] for name in sent if name in told)
    return effects, answers, step


def _clicked(version: str, way: str, clicks: int, gap: float, allowance: float) -> Figure:
    effects, answers, step = _latencies(version, clicks, gap)
    note = (
        f"{clicks} clicks, ipykernel {version}, step {step * 1e3:.0f} ms; "
        f"p90 {effects[int(len(effects) * 0.9)] * 1e3:.0f} ms, "
        f"page told after {answers[len(answers) // 2] * 1e3:.0f} ms"
    )
    what = f"click → applied, kernel busy, p50, {way}"
    return Figure(what, effects[len(effects) // 2] * 1e3, "ms", step * 1e3 + allowance, note=note)


def _idle() -> Figure:
    with lab.notebook([_IDLE], PUMPED) as book:
        book.run(0, seconds=120)
        share, step = lab.result(book, 0)
    note = f"ipykernel {PUMPED}, a page looking on, {step:.1f} ms a step"
    return Figure("pump with nobody clicking, of training time", share * 100, "%", 0.2, note=note)


def measure() -> list[Figure]:
    """Click in both kinds of kernel; time the pump with nobody clicking.

    With the pump, clicks come so far apart that each finds it at its slow pace.
    """
    return [
        _clicked(lab.VERSIONS[-1], "subshell", 60, 0.13, 15),
        _clicked(PUMPED, "pump alone", 24, 3.0, 100),
        _idle(),
    ]

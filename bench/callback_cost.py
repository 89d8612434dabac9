"""CPU time on the training thread, per step, of everything that a reporter does there.

Each entry point of a reporter is wrapped with a thread-CPU clock, in a real kernel, and
summed over a step; nbmonitor's include its two wrapped methods, less the original's time. What
the clock costs is measured in the same steps, by a callback that does nothing and is wrapped
in the same way, and taken off call by call: with caches as cold as a training leaves them it is
several times what a loop would tell.
"""

from __future__ import annotations

from bench.figure import Figure
from bench.kernel import result_of

# The notebook's table grows with the run, and so does what it costs.
STEPS, ROUNDS = 3000, 3
BUDGET = 80.0

_METER = """
import time, statistics, warnings
warnings.filterwarnings("ignore")
import transformers
transformers.logging.set_verbosity_error()
from bench.job import trainer as make

class Meter:
    def __init__(self):
        self.now, self.calls, self.seen, self.depth = 0, 0, [], 0
    def wrap(self, target, names):
        for name in names:
            original = getattr(target, name, None)
            if callable(original):
                setattr(target, name, self.timed(original))
    def timed(self, original):
        def timed(*args, **kwargs):
            if self.depth:
                return original(*args, **kwargs)
            self.depth = 1
            start = time.thread_time_ns()
            try:
                return original(*args, **kwargs)
            finally:
                self.now += time.thread_time_ns() - start
                self.calls += 1
                self.depth = 0
        return timed
    def close_step(self):
        self.seen.append((self.now, self.calls))
        self.now = self.calls = 0
    def steps(self, idle):
        # Microseconds of each step, less what `idle` took for as many calls.
        own = statistics.median(now / calls for now, calls in idle.seen[20:])
        return [(now - calls * own) / 1e3 for now, calls in self.seen[20:]]

HOOKS = ["on_step_begin", "on_pre_optimizer_step", "on_optimizer_step", "on_substep_end",
         "on_step_end", "on_log", "on_epoch_begin", "on_epoch_end"]

class Edge(transformers.TrainerCallback):
    def __init__(self, *meters): self.meters = meters
    def on_step_begin(self, *a, **k):
        for meter in self.meters: meter.close_step()

def idle(t):
    # A callback that does nothing, with a meter.
    meter, nothing = Meter(), transformers.TrainerCallback()
    meter.wrap(nothing, HOOKS)
    t.add_callback(nothing)
    return meter

def tidy(t):
    from transformers.trainer_callback import PrinterCallback, ProgressCallback
    for kind in (PrinterCallback, ProgressCallback):
        t.remove_callback(kind)
    return t
"""

_TRAININGS = """
from IPython.display import display
from nbmonitor import TrainingMonitor
from transformers.integrations import TensorBoardCallback
from transformers.utils.notebook import NotebookProgressCallback

def train(t, meter):
    still = idle(t)
    t.add_callback(Edge(meter, still))
    t.train()
    return meter.steps(still)

def ours():
    meter, t = Meter(), make(STEPS)
    monitor = TrainingMonitor(t, autosave=False)
    display(monitor)
    meter.wrap(monitor._attached, HOOKS)
    meter.wrap(monitor._session, ["micro_batch", "add_loss"])
    steps = train(t, meter)
    monitor.close()
    return steps

def theirs(kind):
    meter, t, peer = Meter(), tidy(make(STEPS)), kind()
    meter.wrap(peer, HOOKS)
    t.add_callback(peer)
    return train(t, meter)

result = {"ours": [], "NotebookProgressCallback": [], "TensorBoardCallback": []}
for _ in range(ROUNDS):
    result["ours"].append(statistics.median(ours()))
    # A peer that refreshes now and then has a cheap median: its mean is what it costs.
    for kind in (NotebookProgressCallback, TensorBoardCallback):
        result[kind.__name__].append(statistics.fmean(theirs(kind)))
"""


def _median(steps: list[float]) -> float:
    return sorted(steps)[len(steps) // 2]


def measure() -> list[Figure]:
    """Time ours and the peers in turns in one kernel: a machine's mood is then everybody's."""
    found = result_of(f"STEPS, ROUNDS = {STEPS}, {ROUNDS}\n" + _METER + _TRAININGS)
    ours = found.pop("ours")
    spread = f"{min(ours):.0f}-{max(ours):.0f} in {ROUNDS} trainings of {STEPS} steps"
    out = [
        Figure("callbacks per step, training thread CPU", _median(ours), "µs", BUDGET, note=spread)
    ]
    for name, costs in found.items():
        ratio = _median([a / b for a, b in zip(ours, costs, strict=True)])
        note = f"ours is {ratio:.2f} of it, in pairs"
        out.append(Figure(f"the same, {name} (mean)", _median(costs), "µs", note=note))
    return out

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
STEPS = 3000
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

_OURS = """
from IPython.display import display
from nbmonitor import TrainingMonitor
meter = Meter()
t = make(STEPS)
monitor = TrainingMonitor(t, autosave=False)
display(monitor)
callback, session = monitor._attached, monitor._session
meter.wrap(callback, HOOKS)
meter.wrap(session, ["micro_batch", "add_loss"])
still = idle(t)
t.add_callback(Edge(meter, still))
t.train()
result = meter.steps(still)
"""

_PEER = """
meter = Meter()
t = tidy(make(STEPS))
{make}
meter.wrap(peer, HOOKS)
t.add_callback(peer)
still = idle(t)
t.add_callback(Edge(meter, still))
t.train()
result = meter.steps(still)
"""

_PEERS = {
    "NotebookProgressCallback": (
        "from transformers.utils.notebook import NotebookProgressCallback\n"
        "peer = NotebookProgressCallback()"
    ),
    "TensorBoardCallback": (
        "from transformers.integrations import TensorBoardCallback\npeer = TensorBoardCallback()"
    ),
}


def _median(steps: list[float]) -> float:
    return sorted(steps)[len(steps) // 2]


def measure() -> list[Figure]:
    """Time ours and the peers, three kernels each, and take the median of medians."""
    head = f"STEPS = {STEPS}\n" + _METER
    ours = _median([_median(result_of(head + _OURS)) for _ in range(3)])
    out = [Figure("callbacks per step, training thread CPU", ours, "µs", BUDGET)]
    for name, make in _PEERS.items():
        runs = [result_of(head + _PEER.format(make=make)) for _ in range(3)]
        # A peer that refreshes now and then has a cheap median: its mean is what it costs.
        mean = _median([sum(steps) / len(steps) for steps in runs])
        out.append(Figure(f"the same, {name} (mean)", mean, "µs"))
    return out

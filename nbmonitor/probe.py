"""The extension API: write a probe, get a panel.

A probe reads one thing from the training and returns numbers; the engine records them in
the Run and the page draws the panels that the probe declares. A probe is one file in
`nbmonitor/probes/` (found by name, no list to edit) or any `Probe` object passed as
`TrainingMonitor(trainer, probes=[...])`. It never sees a widget, a Trainer or another
probe, and it may raise: the engine then switches it off for the run and says so.

Life of a probe, in order::

    absent(context)  why this probe has nothing to measure here, or ""   once per run
    on_begin(context)                                                    once per run
    resume(last)     a run goes on from its file                         once per run, if so
    on_batch(batch)  a micro-batch, before its forward pass              training thread
    on_gradients(step)  gradients are there, the optimiser has not used them   training thread
    on_step(step)    after an optimiser step; may return device tensors  training thread
    derive(step, host)  what was measured, on the host now -> series     any thread, in order
    on_log(step, metrics)  what the Trainer or the user logged           any thread, in order
    on_tick()        once a second, also between steps                   sampler thread
    on_evaluate(step)  a viewer asks for an evaluation                   training thread
    on_mark(step, reason)  the loop has evaluated or saved a checkpoint  training thread
    on_end(step)     the run is over (finished, interrupted or failed)   training thread

What a `Step` itself carries (loss, norm, times) is brought to the host by the engine: a
probe that needs no more than that overrides `derive` alone and costs the training nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

# A number on the host, or a torch tensor (0-d or 1-d) that may still be on the device.
Value = Any
Measured = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Series:
    """A scalar series that a probe may write.

    Parameters
    ----------
    key
        `area/name`. A `*` stands for any run of characters within one part.
    label
        For people. Empty: made from the key.
    unit
        bytes, W, °C, %, s, tokens, ratio and "" (dimensionless) are written in their own way; any
        other, such as tokens/s, samples/s or nats, is written behind the number.
    dtype
        How the Run keeps it; float64 for counters and for values that were logged.
    """

    key: str
    label: str = ""
    unit: str = ""
    dtype: Literal["float32", "float64"] = "float32"


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel as data: which view draws which series.

    Parameters
    ----------
    id
        Unique; becomes `data-panel` on the page.
    view
        The name of a file in `js/src/views/`, without `.ts`.
    keys
        Series or tensor keys, `*` as in `Series.key`.
    order
        Position in its tab, ascending.
    span
        Columns of the twelve-column grid that it takes on a wide page.
    options
        For the view; JSON. `empty` is what a panel says while it waits for its first data, in
        most views.
    """

    id: str
    title: str
    view: str
    keys: tuple[str, ...]
    tab: str = "overview"
    order: int = 500
    span: int = 6
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Context:
    """What a run consists of, when it begins. Anything may be None outside a Trainer.

    `wrapped` is the model as the loop calls it, where that is another (in DDP, say), and
    `exchanges` are objects and names of methods in which a loop waits for its other processes.
    `event(kind, data)` records that something happened, on any thread; `data["message"]` is
    shown to people. `put(key, step, array, meta)` sets the latest value of a tensor, for views
    that draw more than series; `meta` is JSON. `wake()` says, on any thread, that a probe's `every`
    or `following` has changed between two of its hooks. `step` is where the run begins, or goes on.
    """

    model: Any = None
    optimizer: Any = None
    total_steps: int | None = None
    pad_token_id: int | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    wrapped: Any = None
    exchanges: tuple[tuple[Any, str], ...] = ()
    tokenizer: Any = None
    step: int = 0
    event: Callable[[str, dict[str, Any]], None] = lambda _kind, _data: None
    put: Callable[[str, int, Any, dict[str, Any]], None] = lambda _key, _step, _array, _meta: None
    wake: Callable[[], None] = lambda: None


@dataclass(slots=True)
class Batch:
    """One micro-batch as the model gets it. `inputs` is not ours: read, never change."""

    inputs: Any
    samples: int | None
    model: Any = None


@dataclass(slots=True)
class Step:
    """One optimiser step that has just ended.

    `time` is seconds since the epoch; `duration` is seconds since the end of the step
    before, less evaluation, saving and logging, whose seconds are `evaluation` and `pause`;
    `loss` and `grad_norm` may be device tensors in `on_step`; in `derive` they are floats.
    """

    number: int
    time: float
    duration: float | None = None
    model: Any = None
    loss: Value | None = None
    grad_norm: Value | None = None
    learning_rate: float | None = None
    epoch: float | None = None
    samples: int | None = None
    pause: float = 0.0
    evaluation: float = 0.0


class Probe:
    """Base of all probes; override the hooks that you need.

    Attributes
    ----------
    name
        Unique.
    series, panels
        What it writes, and how that is shown.
    every
        Steps between two calls of `on_gradients` and `on_step`; 1 is every step. The first step
        of a run is always measured.
    cost
        For readers: what a measurement costs on the training thread.
    hears_repeats
        Whether `on_log` wants to hear, too, what repeats a value that the step itself carries.
    absence
        Why there is nothing to show after all, found while training; "" where there is.
    every_rank
        Whether it works on all processes of a distributed training; most on rank 0 alone.
    """

    name: ClassVar[str] = ""
    series: ClassVar[tuple[Series, ...]] = ()
    panels: ClassVar[tuple[Panel, ...]] = ()
    every: int = 1
    cost: ClassVar[str] = ""
    hears_repeats: ClassVar[bool] = True
    every_rank: ClassVar[bool] = False
    absence: str = ""

    def absent(self, context: Context) -> str:
        """Say why there is nothing to measure here, with what would change that, or ""."""
        del context
        return ""

    def on_begin(self, context: Context) -> Measured | None:
        """Get ready for a run; may return a first measurement, of the state at its start."""

    def resume(self, last: Mapping[str, float]) -> None:
        """Go on from what a run file holds: the last value of every series, by key.

        Called after `on_begin` when a run is continued in a new process.
        """

    def set_every(self, every: int) -> int:
        """Measure every `every` steps from now on, because a viewer asks; return what it was."""
        before, self.every = self.every, every
        return before

    def following(self, number: int) -> int:
        """Return the next step to be asked at, after a step: the next multiple of `every`.

        Asked after each step at which the probe was, so that the steps between cost nothing.
        """
        return number - number % self.every + self.every

    def on_batch(self, batch: Batch) -> None:
        """Look at a micro-batch on the training thread, before the forward pass."""

    def on_gradients(self, step: Step) -> Measured | None:
        """Measure gradients before the optimiser uses them (after clipping); no device sync.

        `step` is the one that is about to end: it has a number, a model and a learning rate.
        What is measured reaches `derive` together with what `on_step` measures.
        """

    def on_step(self, step: Step) -> Measured | None:
        """Measure after an optimiser step, on the training thread, without a device sync."""

    def derive(self, step: Step, host: Measured) -> Measured:
        """Turn measured values, now numbers or numpy arrays, into series.

        Called when `on_step` (or `on_begin`, `on_end`) has measured something; for a probe
        without `on_step`, at every step that is due, with an empty `host`.
        """
        del step
        return host

    def on_log(self, step: int, metrics: Measured) -> Measured | None:
        """Turn logged metrics (already renamed to `area/name`) into series."""

    def on_tick(self) -> Measured | None:
        """Measure in the background, about once a second."""

    def on_evaluate(self, step: Step) -> Measured | None:
        """Evaluate now, because a viewer asks for it; may take its time."""

    def on_mark(self, step: Step, reason: str) -> Measured | None:
        """Hear that the loop has done something at a step: `reason` "evaluation" or "checkpoint".

        The weights are still those of `step`.
        """

    def on_end(self, step: Step) -> Measured | None:
        """Measure the state at the end of a run."""

    def unavailable(self) -> Mapping[str, str]:
        """Series that cannot be read here, each with its reason; shown as "–" with it."""
        return {}


def overrides(probe: Probe, hook: str) -> bool:
    """Whether a probe has a hook of its own."""
    return getattr(type(probe), hook) is not getattr(Probe, hook) or hook in vars(probe)

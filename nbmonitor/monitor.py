"""`TrainingMonitor`: puts Run, engine, transport and training together. No logic of its own."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from nbmonitor import given, kernel, ranks, wire
from nbmonitor.alerting import Alerting
from nbmonitor.engine import Engine
from nbmonitor.probe import Probe
from nbmonitor.probes import discover
from nbmonitor.recording import Recording
from nbmonitor.rule import Rule
from nbmonitor.run import Run
from nbmonitor.sampler import Sampler
from nbmonitor.session import Session
from nbmonitor.steered import Steered
from nbmonitor.widget import MonitorWidget

if TYPE_CHECKING:
    from nbmonitor.plain import PlainLoop

# Seconds between two bookings on a rank whose Run nobody reads.
_SETTLE = 0.25


class TrainingMonitor(Steered, Alerting, MonitorWidget):
    """The live monitor of a training run, in the notebook cell.

    Parameters
    ----------
    trainer : transformers.Trainer, optional
        Attached at once. Leave it out for a plain PyTorch loop, and call `watch`.
    name : str
        Shown in the title.
    run_dir : path, False or None
        Directory of the run file. None: `nbmonitor/` in the Trainer's output directory, or
        `nbmonitor-runs/` for a loop of your own. False: the run is kept in memory only.
    probes : iterable of Probe
        Your own, beside those that come with nbmonitor.
    rules : iterable of Rule
        Your own, beside those that come with nbmonitor (docs/rules.md).
    on_alert : callable, optional
        Called with every alert that is raised (a dict: `severity`, `title`, `message`, …), on a
        thread of its own.
    fixed_eval : path, list of records, datasets.Dataset or dict
        A fixed evaluation set: prompt and answer, messages, or text. It is evaluated every
        `eval_every` steps, at the first and the last one, and with `evaluate`, without
        disturbing the training (docs/quality.md; a dict has it as `data` and options beside it).
    eval_every : int, optional
        Steps between two evaluations of the fixed set; 500.
    patterns : dict, callable or str, optional
        Kinds of tasks in the fixed set: names with regular expressions or functions of the
        record, one function that names the kind, or the field of the record that does.
    parameters : bool, int or dict, optional
        Whether snapshots of embeddings and weights are taken, for the Parameters tab: False for
        none, steps between two of them, or options (docs/parameters.md).
    theme : {"neon", "light", "auto"}
        "auto" follows the notebook.
    autosave : bool
        Let the page write the dashboard into the notebook file and save it: once at the
        start, at most once a minute while training, and at the end.

    Raises
    ------
    TypeError
        If `trainer` is no Trainer, a keyword is unknown, something among `probes` or `rules` is
        none, `on_alert` can't be called, or `eval_every` or `patterns` lack a fixed set.
    ValueError
        If `theme` is unknown, a name of a probe or rule is taken, `eval_every` is below 1, or a
        record of `fixed_eval` has no form that is known.
    FileNotFoundError
        If `fixed_eval` is the path of no file.

    Examples
    --------
    >>> monitor = TrainingMonitor(trainer)  # doctest: +SKIP
    >>> display(monitor)                    # doctest: +SKIP
    >>> trainer.train()  # doctest: +SKIP
    """

    # Until `__init__` is through: a refused one is closed by its finaliser all the same.
    _is_closed = True

    def __init__(
        self,
        trainer: Any = None,
        *,
        name: str = "",
        run_dir: str | Path | bool | None = None,
        probes: Iterable[Probe] = (),
        rules: Iterable[Rule] = (),
        on_alert: Callable[[dict[str, Any]], Any] | None = None,
        fixed_eval: Any = None,
        eval_every: int | None = None,
        patterns: Any = None,
        parameters: Any = None,
        theme: str = "neon",
        autosave: bool = True,
        **unknown: Any,
    ) -> None:
        given.check(trainer, theme, unknown)
        from nbmonitor import fixed_evaluation, parameter_requests, picture
        from nbmonitor.judging import Judging

        self._run = Run(name)
        self._past: list[Run] = []
        # Of the processes of a distributed training, the first one shows and records.
        self._leads = ranks.place().leads
        everywhere = [*discover(), *probes]
        fixed_evaluation.choose(everywhere, fixed_eval, eval_every, patterns)
        parameter_requests.choose(everywhere, parameters)
        wanted = [p for p in everywhere if self._leads or getattr(p, "every_rank", True)]
        self._engine = Engine(self._run, wanted)
        self._judging = Judging(self._run, self._engine, rules, on_alert) if self._leads else None
        self._recording = Recording(run_dir if self._leads else False, self._engine.panels)
        self._session = Session(self._run, self._engine, self)
        fixed_evaluation.join(wanted, self._session, self.boundary)
        self._requests = parameter_requests.join(wanted, self._session, self.send_tensor)
        self._sampler: Sampler | None = None
        self._attached: Any = None
        self._loop: PlainLoop | None = None
        self._is_closed = False
        super().__init__(theme=theme, autosave=autosave)
        if self._leads:
            self.bind(self._run, self._engine.panels, picture.render, picture.describe)
            self._session.steering.publish()
        self._forget_cell_end = kernel.on_cell_end(self._cell_ended)
        if trainer is not None:
            self.attach(trainer)

    # ------------------------------------------------------------------ what is watched

    def attach(self, trainer: Any) -> Self:
        """Watch a Trainer, in place of one attached before.

        Raises
        ------
        TypeError
            If it is no `transformers.Trainer`.
        RuntimeError
            If the monitor is closed.
        """
        self._check_open("attach")
        given.check_trainer(trainer)
        from nbmonitor.callback import MonitorCallback

        self._detach()
        self._attached = MonitorCallback(trainer, self._session)
        self._run.changed.set()
        return self

    def watch(
        self,
        model: Any,
        optimizer: Any = None,
        total_steps: int | None = None,
        *,
        tokenizer: Any = None,
        scheduler: Any = None,
        checkpoint: Callable[[], Any] | None = None,
        evaluate: Callable[[], Any] | None = None,
    ) -> Self:
        """Watch a plain PyTorch loop, which then calls `step` and at the end `finish`.

        Parameters
        ----------
        model : torch.nn.Module
            What is trained.
        optimizer : torch.optim.Optimizer, optional
            Source of learning rate and gradient norm (as the optimiser sees it).
        total_steps : int, optional
            For the progress bar and the time left.
        tokenizer : optional
            Of the model, so that tokens are shown with their texts.
        scheduler : torch.optim.lr_scheduler.LRScheduler, optional
            Of the optimiser: lets a viewer change the learning rate so that it lasts.
        checkpoint, evaluate : callable, optional
            Called without arguments, between two steps, when a viewer asks for it. What
            `evaluate` returns, a dict of names to numbers, is recorded under `eval/`.

        Raises
        ------
        TypeError
            If `model` has no parameters to watch.
        RuntimeError
            If the monitor is closed.
        """
        self._check_open("watch")
        if not hasattr(model, "parameters"):
            msg = (
                f"watch() takes a torch.nn.Module, {type(model).__name__} {model!r} was given; "
                "for a transformers.Trainer write TrainingMonitor(trainer)"
            )
            raise TypeError(msg)
        from nbmonitor.loop_steering import LoopSteering
        from nbmonitor.plain import PlainLoop

        self._detach()
        self._loop = PlainLoop(
            self._session,
            model,
            optimizer,
            total_steps,
            LoopSteering(scheduler=scheduler, save=checkpoint, evaluate=evaluate),
            tokenizer=tokenizer,
        )
        return self

    def step(self, loss: Any = None, batch: Any = None, **metrics: Any) -> None:
        """Record one optimiser step of a watched loop; never raises for a bad value.

        Parameters
        ----------
        loss : float or torch.Tensor, shape ()
            Of this step. A graph is dropped.
        batch : mapping or tensor, optional
            What the model was given: the source of token and sample counts.
        **metrics
            Further numbers. `grad_norm`, `learning_rate` and `epoch` take the place of
            what the monitor reads itself.

        Raises
        ------
        RuntimeError
            If nothing is watched.
        """
        if self._is_closed:
            warnings.warn(
                "this monitor is closed: step() records nothing; make a new TrainingMonitor()",
                stacklevel=2,
            )
            return
        if self._loop is None:
            msg = "step() needs a watched loop: call watch(model, optimizer, total_steps) first"
            raise RuntimeError(msg)
        self._loop.step(loss, batch, metrics)

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        """Record numbers beside those of the training, at the current step or a given one.

        Raises
        ------
        TypeError
            If `metrics` is not a mapping of names to numbers.
        """
        if not isinstance(metrics, Mapping):
            msg = f"log_metrics takes a dict of names to numbers; {metrics!r} was given"
            raise TypeError(msg)
        self._engine.log(self._run.step if step is None else step, metrics)

    def finish(self, message: str = "") -> None:
        """End the run of a watched loop."""
        self._session.finish("finished", message)

    def __enter__(self) -> Self:
        """Let `with monitor:` end the run, whatever happens inside."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Finish, or record the exception, which goes on."""
        del kind, tb
        if error is None:
            self._session.finish("finished")
        else:
            self._session.fail(error)

    # ------------------------------------------------------------------ what came of it

    @property
    def run(self) -> Run:
        """The record of the current run, or of the last."""
        return self._run

    @property
    def past_runs(self) -> tuple[Run, ...]:
        """Records of earlier runs of this monitor, oldest first."""
        return tuple(self._past)

    def close(self) -> None:
        """Give the Trainer its own output back, stop the threads and close the widget."""
        if self._is_closed:
            return
        self._is_closed = True
        self._session.finish("interrupted", "the monitor was closed")
        self._detach()
        self._forget_cell_end()
        self._stop_sampling()
        self._requests.close()
        if self._judging is not None:
            self._judging.close()
        self._recording.close()
        super().close()

    # ------------------------------------------------------------------ the session's host

    def leaving(self) -> None:
        """Complete the file of a run that another is about to replace."""
        self._recording.close()

    def opening(self, config: Mapping[str, Any], step: int) -> dict[str, float] | None:
        """Open the run's file."""
        return self._recording.begin(self._run, config, step)

    def began(self) -> None:
        """Start sampling with the run."""
        self._stop_sampling()
        self._sampler = (
            Sampler(self._engine.tick) if self._leads else Sampler(self._run.settle, _SETTLE)
        )
        self._sampler.start()
        self.pump(force=True)

    def boundary(self, *, force: bool = False) -> None:
        """Answer the page between two pieces of training work."""
        if force or self._requests.waiting:
            self._requests.serve()
        elif self.is_early:
            return
        self.pump(force=force)

    def ended(self) -> None:
        """Stop sampling and bring everything to the page."""
        self._stop_sampling()
        if self._judging is not None:
            self._judging.ended()
        self._recording.ended()
        self.flush(final=True)

    def replaced(self, past: Run) -> None:
        """Keep the record of the run before."""
        self._past.append(past)

    # ------------------------------------------------------------------ helpers

    def _detail(self, message: wire.Detail) -> bool:
        return self._requests.receive(message)

    def _check_open(self, what: str) -> None:
        if self._is_closed:
            msg = f"{what}() on a closed monitor; make a new TrainingMonitor()"
            raise RuntimeError(msg)

    def _detach(self) -> None:
        for watched in (self._attached, self._loop):
            if watched is not None:
                watched.close()
        self._attached = self._loop = None

    def _stop_sampling(self) -> None:
        if self._sampler is not None:
            self._sampler.close()
            self._sampler = None

    def _cell_ended(self, error: BaseException | None) -> None:
        """End a loop's run that an exception has left open: nobody else can tell."""
        if self._loop is not None and self._session.active:
            total = self._run.total_steps
            if error is not None:
                self._session.fail(error)
            elif self._session.steering.stopped or (total and self._run.step >= total):
                self._session.finish("finished")
        if not self._session.active:
            # What is sent after its cell has ended doesn't reach that cell's outputs.
            self.flush(final=True)

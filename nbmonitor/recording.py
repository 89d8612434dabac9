"""Which file a Run is kept in: a new one, or the one that a checkpoint belongs to.

It opens, keeps and closes the Recorder of one Run after another; what is written, and what
happens when that fails, is the recorder's matter.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nbmonitor import wire
from nbmonitor.run import Run
from nbmonitor.sampler import Sampler

# Seconds between two writes to the file: what came since is in its journal.
FOLD_EVERY = 0.5
# Where a loop without an output directory keeps its runs.
DEFAULT = "nbmonitor-runs"


class Recording:
    """The run files of one monitor.

    Parameters
    ----------
    run_dir
        Directory of the files; None: `nbmonitor/` in the Trainer's output directory, or
        `nbmonitor-runs/` here for a loop without one. False: nothing is kept on disk.
    panels
        Returns the panels as they are, to be kept in the file.

    Raises
    ------
    TypeError
        If `run_dir` is not a path, None or False.
    """

    def __init__(
        self, run_dir: str | Path | bool | None, panels: Callable[[], list[wire.PanelSpec]]
    ) -> None:
        if run_dir is True or not (run_dir in (None, False) or isinstance(run_dir, str | Path)):
            msg = (
                f"run_dir {run_dir!r} given; a directory is allowed, None for the usual one, "
                "or False to keep nothing on disk"
            )
            raise TypeError(msg)
        self._run_dir, self._panels = run_dir, panels
        self._open: Run | None = None
        self._folding: Sampler | None = None
        atexit.register(self.close)

    def directory(self, config: Mapping[str, Any]) -> Path | None:
        """Where the file of a run with this config goes, or None."""
        if self._run_dir is False:
            return None
        if self._run_dir is not None:
            return Path(str(self._run_dir))
        output = config.get("output_dir")
        return Path(output) / "nbmonitor" if output else Path(DEFAULT)

    def begin(self, run: Run, config: Mapping[str, Any], step: int) -> dict[str, float] | None:
        """Open the file of a run that begins, or goes on, at `step`.

        Returns
        -------
        dict or None
            When the run goes on from a file that another process has left: the last value
            of every series up to `step`. The Run then holds the steps before.
        """
        try:
            from nbmonitor import recovery
            from nbmonitor.runfile import Recorder, new_path, reader
        except ImportError:
            return None
        directory = self.directory(config)
        if directory is None or run.journal is not None:
            return None
        self.close()
        last: dict[str, float] | None = None
        path = None
        if step and not run.step:
            path = reader.find_checkpoint(directory, step, config.get("output_dir"))
        if path is not None:
            recovery.recover(path)
            with reader.RunFile(path) as file:
                file.load(run)
                last = file.last_until(step)
            run.journal = Recorder.reopen(run, path, self._panels)
        else:
            name = run.config.get("name") or config.get("name") or config.get("model") or "run"
            path = new_path(directory, str(name))
            run.journal = Recorder(run, path, self._panels)
        run.path, run.archive = path, reader.archive(path)
        run.config = {**run.config, "run_file": str(path)}
        self._open = run
        self._folding = Sampler(self._fold, FOLD_EVERY, name="nbmonitor-recorder")
        self._folding.start()
        return last

    def _fold(self) -> None:
        run = self._open
        if run is not None and run.journal is not None:
            run.settle()
            run.journal.fold()

    def ended(self) -> None:
        """Complete the file, which stays open for what is still logged."""
        self._fold()

    def close(self) -> None:
        """Complete the file and let go of it."""
        if self._folding is not None:
            self._folding.close()
        run, self._open, self._folding = self._open, None, None
        if run is not None and run.journal is not None:
            run.settle()
            journal, run.journal = run.journal, None
            journal.close()

"""Which file a Run is kept in: a new one, or the one that a checkpoint belongs to.

It opens, keeps and closes the Recorder of one Run after another; what is written, and what
happens when that fails, is the recorder's matter.
"""

from __future__ import annotations

import atexit
import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nbmonitor import recovery, wire
from nbmonitor.run import Run
from nbmonitor.runfile import listing, reader
from nbmonitor.runfile.paths import new_path
from nbmonitor.runfile.reader import RunFile
from nbmonitor.runfile.recorder import Recorder
from nbmonitor.runfile.schema import RunFileError
from nbmonitor.sampler import Sampler

# Seconds between two writes to the file: what came since is in its journal.
FOLD_EVERY = 0.5
# Where a loop without an output directory keeps its runs.
DEFAULT = "nbmonitor-runs"
# Files looked at for what a killed process may have left in their journals.
_RECENT = 3


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
        directory = self.directory(config)
        if directory is None or run.journal is not None:
            return None
        try:
            self.close()
            return self._begin(run, directory, config, step)
        except Exception as error:  # noqa: BLE001 - no disk may keep a training from starting
            message = (
                f"this run is not kept on disk: {type(error).__name__}: {error}. "
                f"See that {directory} can be written, or pass run_dir=False"
            )
            data = {"severity": "warning", "title": "Not recorded", "message": message}
            run.event("alert", step, data)
            return None

    def _begin(
        self, run: Run, directory: Path, config: Mapping[str, Any], step: int
    ) -> dict[str, float] | None:
        last: dict[str, float] | None = None
        try:
            last = self._go_on(run, directory, config, step) if step and not run.step else None
        except (OSError, RunFileError) as error:
            run.forget()
            message = f"the run before this checkpoint can't be continued: {error}"
            run.event("note", step, {"message": message})
        if last is None:
            name = run.config.get("name") or config.get("name") or config.get("model") or "run"
            run.journal = Recorder(run, new_path(directory, str(name)), self._panels)
        self._open = run
        self._tell(run)
        atexit.register(self.close)
        self._folding = Sampler(self._fold, FOLD_EVERY, name="nbmonitor-recorder")
        self._folding.start()
        return last

    def _go_on(
        self, run: Run, directory: Path, config: Mapping[str, Any], step: int
    ) -> dict[str, float] | None:
        """Go on with the file that a checkpoint at `step` belongs to, if there is one."""
        if not directory.is_dir():
            return None
        for path in listing.find(directory)[:_RECENT]:
            with contextlib.suppress(OSError, RunFileError):  # a neighbour of no concern
                recovery.recover(path)
        found = reader.find_checkpoint(directory, step, config.get("output_dir"))
        if found is None:
            return None
        reader.load(run, found)
        with RunFile(found) as file:
            last = file.last_until(step)
        run.journal = Recorder.reopen(run, found, self._panels)
        return last

    def _tell(self, run: Run) -> None:
        """Let viewers know where the file is."""
        path = run.path
        if path is not None and run.config.get("run_file") != str(path):
            run.archive, run.film = reader.archive(path), reader.Frames(path)
            run.config = {**run.config, "run_file": str(path)}

    def _fold(self) -> None:
        run = self._open
        if run is not None and run.journal is not None:
            run.settle()
            run.journal.fold()
            self._tell(run)

    def ended(self) -> None:
        """Complete the file, which stays open for what is still logged."""
        self._fold()

    def close(self) -> None:
        """Complete the file and let go of it."""
        atexit.unregister(self.close)  # it would keep the Run for as long as the process lives
        if self._folding is not None:
            self._folding.close()
        run, self._open, self._folding = self._open, None, None
        if run is not None and run.journal is not None:
            run.settle()
            journal, run.journal = run.journal, None
            journal.close()

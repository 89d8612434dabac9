"""`open_run`: the live view on a run that is over, or that another process is writing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nbmonitor import picture, recovery, wire
from nbmonitor.follow import Follower
from nbmonitor.run import Run
from nbmonitor.runfile import listing, reader
from nbmonitor.runfile.reader import Cursor
from nbmonitor.runfile.schema import SUFFIX, RunFileError
from nbmonitor.sampler import Sampler
from nbmonitor.widget import MonitorWidget

_THEMES = ("neon", "light", "auto")
# Seconds between two looks for a run that is to begin.
_LOOK = 0.2
_NO_CONTROLS = "this view follows a run file: steer the run where it is trained"


class RunView(MonitorWidget):
    """The dashboard of a recorded run; made by `open_run`.

    It follows the file as long as a process writes it, and looks for one that goes on with
    the run later. `close` ends that.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        theme: str = "neon",
        autosave: bool = True,
        note: str = "",
        wait: bool = False,
    ) -> None:
        self._run = Run()
        self._path = Path(path)
        # Here, because it brings much along that importing nbmonitor must not wait for.
        from nbmonitor.parameter_requests import ParameterRequests

        self._waiting = Sampler(self._look, _LOOK, name="nbmonitor-wait") if wait else None
        if wait:
            self._known = set(_runs_in(self._path))
            self._follower = Follower(self._run, self._path, Cursor(generation=-1), self._lost)
        else:
            recovery.recover(self._path)
            cursor = reader.load(self._run, self._path)
            apart = recovery.complete(self._run, self._path)
            self._follower = Follower(self._run, self._path, cursor, self._lost, apart=apart)
        self._run.panels = self._panels
        self._requests = ParameterRequests(self._run, self.send_tensor)
        super().__init__(theme=theme, autosave=autosave)
        self.bind(self._run, self._panels, picture.render, picture.describe)
        self.capabilities = {**self.capabilities, "controls": _NO_CONTROLS}
        if note:
            self._run.event("note", None, {"message": note})
        if self._waiting is None:
            self._follower.start()
        else:
            self._waiting.start()

    def _look(self) -> None:
        """See whether the run that is waited for has begun; then follow it."""
        fresh = [path for path in _runs_in(self._path) if path not in self._known]
        if self._follower.following or not fresh or not fresh[-1].stat().st_size:
            return
        self._path = fresh[-1]
        self._follower = Follower(self._run, self._path, Cursor(generation=-1), self._lost)
        self._follower.start()

    @property
    def run(self) -> Run:
        """The record, which grows as the file does."""
        return self._run

    def _panels(self) -> list[wire.PanelSpec]:
        return self._follower.cursor.panels

    @property
    def following(self) -> bool:
        """Whether the file is still being looked at."""
        return self._follower.following

    def close(self) -> None:
        """Stop following and close the widget; the file stays as it is."""
        if hasattr(self, "_follower"):  # a file that can't be read ends the making of the view
            if self._waiting is not None:
                self._waiting.close()
            self._follower.close()
            self._requests.close()
        super().close()

    def _detail(self, message: wire.Detail) -> bool:
        return self._requests.receive(message)

    def _lost(self) -> bool:
        """Bring in what the dead writer's journal holds: by its file, or past it."""
        return not recovery.recover(self._path) and recovery.complete(self._run, self._path)


def open_run(
    path: str | Path, *, theme: str = "neon", autosave: bool = True, wait: bool = False
) -> RunView:
    """Show a run from its file: a finished one, or one that any other process is writing.

    Parameters
    ----------
    path
        The run file, or a directory: then the newest run in it.
    theme : {"neon", "light", "auto"}
        "auto" follows the notebook.
    autosave : bool
        As of `TrainingMonitor`.
    wait : bool
        Show the next run that begins in the directory `path`, which need not be there yet:
        for the cell that goes on to start it, with `notebook_launcher` or a shell command.

    Returns
    -------
    RunView
        A widget; `.run` is the record, with `history()` at full resolution.

    Raises
    ------
    FileNotFoundError
        If there is no such file, or no run in the directory.
    RunFileError
        If the file can't be read: it is something else, damaged, or of a newer version.
    ValueError
        If `theme` is unknown, or a file is to be waited for.

    Examples
    --------
    >>> open_run("out/nbmonitor")  # doctest: +SKIP
    """
    if theme not in _THEMES:
        msg = f"theme {theme!r} given; one of {', '.join(_THEMES)} is allowed"
        raise ValueError(msg)
    if wait:
        if Path(path).is_file():
            msg = f"wait=True takes the directory of a run that is to begin; {path} is a file"
            raise ValueError(msg)
        return RunView(path, theme=theme, autosave=autosave, wait=True)
    found, note = _resolve(Path(path))
    return RunView(found, theme=theme, autosave=autosave, note=note)


def _runs_in(directory: Path) -> list[Path]:
    """Run files in and below a directory, newest first; none where it isn't there yet."""
    return listing.find(directory) if directory.is_dir() else []


def _resolve(path: Path) -> tuple[Path, str]:
    """Find the run file that is meant, with what to say about the choice."""
    if not path.is_dir():
        recorded = path.with_suffix(SUFFIX)
        if path != recorded and path.suffix.startswith(".journal") and recorded.is_file():
            return recorded, ""
        return path, ""
    runs: Any = listing.list_runs(path)
    readable = runs[runs["problem"] == ""]
    if not len(readable):
        msg = f"no run file in {path}: TrainingMonitor writes them to <output_dir>/nbmonitor"
        if len(runs):
            msg = f"no run file in {path} can be read: {runs['problem'].iloc[0]}"
            raise RunFileError(msg)
        raise FileNotFoundError(msg)
    chosen = Path(readable["path"].iloc[0])
    if len(readable) == 1:
        return chosen, ""
    return chosen, f"{chosen.name} is the newest of {len(readable)} runs in {path}"

"""Which run files there are, and where each run stands; it changes none of them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbmonitor import table
from nbmonitor.runfile.reader import ACTIVE, RunFile
from nbmonitor.runfile.schema import SUFFIX, RunFileError

if TYPE_CHECKING:
    import pandas as pd

# Where `TrainingMonitor` puts them, as seen from where it runs or from an output directory.
_PLACES = ("*", "nbmonitor/*", "nbmonitor-runs/*", "*/nbmonitor/*")
_COLUMNS = (
    "path", "name", "status", "step", "total_steps", "started", "duration",
    "loss", "eval_loss", "alive", "problem",
)  # fmt: skip


def find(directory: str | Path) -> list[Path]:
    """Run files in a directory and where runs put theirs below it, newest first.

    Raises
    ------
    NotADirectoryError
        If it is no directory.
    """
    directory = Path(directory)
    if not directory.is_dir():
        msg = f"{directory} is no directory; give the one that holds the run files"
        raise NotADirectoryError(msg)
    found = {path for place in _PLACES for path in directory.glob(f"{place}{SUFFIX}")}
    return sorted(found, key=lambda path: (path.name, path.stat().st_mtime), reverse=True)


def list_runs(directory: str | Path = ".") -> pd.DataFrame:
    """Tell which runs a directory holds, newest first.

    Parameters
    ----------
    directory
        Of run files, or an output directory, or one of output directories.

    Returns
    -------
    pandas.DataFrame
        `path`, `name`, `status`, `step`, `total_steps`, `started` (UTC), `duration` (seconds),
        `loss` (the last `train/loss`), `eval_loss` (the smallest), `alive` (is being written
        now) and `problem`: why a file can't be read, or "".

    Raises
    ------
    NotADirectoryError
        If it is no directory.
    """
    rows = [_describe(path) for path in find(directory)]
    frame = table.records(rows, _COLUMNS)
    frame["started"] = table.moments(frame["started"])
    if len(frame):
        frame = frame.sort_values("started", ascending=False, kind="stable", na_position="last")
    return frame.reset_index(drop=True)


def _describe(path: Path) -> dict[str, Any]:
    try:
        with RunFile(path) as file:
            return _where(file)
    except (OSError, RunFileError) as error:
        return {"path": str(path), "alive": False, "problem": str(error)}


def _where(file: RunFile) -> dict[str, Any]:
    meta, alive = file.meta, file.alive
    status = str(meta.get("status") or "waiting")
    if status in ACTIVE and not alive:
        status = "interrupted"
    started, ended = meta.get("started"), meta.get("ended")
    if started is not None and ended is None:
        ended = time.time() if alive else meta.get("updated")
    evaluation = [
        s.key for s in file.series if s.key.startswith("eval/") and s.key.endswith("loss")
    ]
    best = "eval/loss" if "eval/loss" in evaluation else next(iter(evaluation), "")
    return {
        "path": str(file.path),
        "name": str(meta.get("name") or (meta.get("config") or {}).get("name") or ""),
        "status": status,
        "step": int(meta.get("step") or 0),
        "total_steps": meta.get("total_steps") or None,
        "started": started,
        "duration": None if started is None or ended is None else max(0.0, ended - started),
        "loss": file.last("train/loss"),
        "eval_loss": file.last(best, best=True),
        "alive": alive,
        "problem": "",
    }

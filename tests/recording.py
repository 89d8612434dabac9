"""A Run and its recorder without a training: what the tests of the run file share."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbmonitor.run import Run
from nbmonitor.runfile import Recorder, new_path, reader

PANEL: dict[str, Any] = {
    "id": "loss", "title": "Loss", "view": "line", "keys": ["train/loss"], "tab": "Overview",
    "order": 1, "span": 1, "absent": "", "options": {},
}  # fmt: skip


class Recorded:
    """Measurements as an engine hands them on: raw first, then as rows."""

    def __init__(self, directory: Path, path: Path | None = None) -> None:
        self.run = Run("demo")
        self.seq = 0
        if path is None:
            made = new_path(directory, "demo")
            self.recorder = Recorder(self.run, made, lambda: [PANEL])  # type: ignore[list-item]
        else:
            reader.load(self.run, path)
            self.recorder = Recorder.reopen(self.run, path, lambda: [PANEL])  # type: ignore[list-item]
        self.run.journal = self.recorder
        self.run.set_status("running")

    @property
    def path(self) -> Path:
        return self.recorder.path

    def measure(self, step: int, values: Mapping[str, float] | None = None) -> Any:
        """Write a measurement into the journal alone; return its row."""
        row = (step, dict(values or {"train/loss": 1.0 / step}), 1000.0 + step)
        self.seq += 1
        self.recorder.entry(self.seq, ("ready", *row))
        return row

    def lay(self, *rows: Any) -> None:
        """Hand on rows of all that was measured."""
        self.run.extend(rows)
        self.recorder.take(rows, self.seq)

    def steps(self, first: int, last: int) -> None:
        """Measure steps and have them written."""
        self.lay(*[self.measure(step) for step in range(first, last + 1)])
        self.recorder.fold()

    def told(self, kind: str) -> list[dict[str, Any]]:
        """Data of the events of a kind."""
        return [event["data"] for event in self.run.events(kind)]

    def query(self, sql: str) -> list[Any]:
        """Ask the file, as a stranger would."""
        return query(self.path, sql)

    def recorded(self) -> list[int]:
        """Steps in the file."""
        return [step for (step,) in self.query("SELECT step FROM rows_1 ORDER BY n")]


def query(path: Path, sql: str) -> list[Any]:
    """Ask a file by plain SQLite."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return db.execute(sql).fetchall()
    finally:
        db.close()

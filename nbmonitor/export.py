"""What a Run can be turned into: a table, a CSV file, a web page.

The base of `Run`, which holds the data. Full resolution comes from the run file where memory
has folded old rows; this module knows the file only as a function that reads it.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nbmonitor import html, table, wire
from nbmonitor.record import Tensor
from nbmonitor.reels import is_for_page, is_reel

if TYPE_CHECKING:
    import pandas as pd

Points = tuple[NDArray[np.float64], NDArray[Any]]
# Reads series in full, from a step to a step (None: from the first, to the last). A series
# that cannot be read is left out.
Archive = Callable[[Sequence[str], float | None, float | None], Mapping[str, Points]]

_ALL_SERIES: wire.PanelSpec = {
    "id": "metrics", "title": "Series", "view": "metrics", "keys": ["*"], "tab": "overview",
    "order": 400, "span": 12, "absent": "", "options": {},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Held:
    """What memory has of a series: the last value of each of `buckets` buckets, then rows.

    `folded` is the number of rows that the buckets stand for.
    """

    x: NDArray[np.float64]
    values: NDArray[Any]
    buckets: int
    folded: int

    def unfolded(self, full: Points | None) -> Points | None:
        """Put rows of the run file in place of the buckets; None if it hasn't got them all."""
        if full is None:
            return None
        x, values = full
        exact = self.x[self.buckets :]
        if not len(exact):
            return (x, values.astype(self.values.dtype)) if len(x) >= self.folded else None
        if np.searchsorted(x, exact[0], side="right") < self.folded:
            return None
        cut = int(np.searchsorted(x, exact[0], side="left"))
        return (
            np.concatenate([x[:cut], exact]),
            np.concatenate([values[:cut].astype(self.values.dtype), self.values[self.buckets :]]),
        )


class Exports(ABC):
    """Base of `Run`.

    Attributes
    ----------
    archive : callable or None
        Reads the run file, where there is one.
    panels : callable
        Returns the panels of whoever measures; [] when nobody does.
    """

    config: dict[str, Any]
    settle: Callable[[], None]
    status: str
    status_message: str
    status_detail: str
    total_steps: int
    total_epochs: float
    step: int
    archive: Archive | None
    panels: Callable[[], list[wire.PanelSpec]]
    _lock: threading.RLock

    @property
    @abstractmethod
    def keys(self) -> list[str]:
        """Keys of all series that hold a row."""

    @abstractmethod
    def _held(self, key: str) -> Held:
        """Find what memory has of a series."""

    @abstractmethod
    def pack(self, budget: int, *, tensors: bool = True) -> bytes:
        """Pack the whole Run in about `budget` bytes."""

    @abstractmethod
    def keepsakes(self, budget: int) -> list[Tensor]:
        """Choose what of the reels goes along."""

    @abstractmethod
    def tensors_since(self, version: int) -> tuple[int, list[Tensor]]:
        """Tensors set after `version`."""

    def state(self) -> wire.Status:
        """The status as a page takes it."""
        return {
            "state": self.status,
            "message": self.status_message,
            "detail": self.status_detail,
            "total_steps": self.total_steps,
            "total_epochs": self.total_epochs,
        }

    def history(self, keys: Iterable[str] | None = None) -> pd.DataFrame:
        """All series as a table: `step`, then one column a key.

        Parameters
        ----------
        keys
            Series keys; every series when left out.

        Returns
        -------
        pandas.DataFrame
            One row per step with anything in it, NaN where a series has no value (a logged
            NaN has an event of kind `nonfinite`). Rows that memory has folded come from the
            run file. Where there is none, a bucket's last value stands for its rows, and
            `attrs["summary_rows"]` is the number of such rows by key; 0 entries are left out.
        """
        self.settle()
        wanted = list(keys) if keys is not None else self.keys
        with self._lock:
            held = {key: self._held(key) for key in wanted}
        folded = [key for key, part in held.items() if part.folded]
        full = self.archive(folded, None, None) if folded and self.archive is not None else {}
        series: dict[str, Points] = {}
        summary_rows: dict[str, int] = {}
        for key, part in held.items():
            points = part.unfolded(full.get(key)) if part.folded else (part.x, part.values)
            if points is None:
                summary_rows[key] = part.folded
                points = part.x, part.values
            series[key] = points
        out = table.frame(series)
        out.attrs["summary_rows"] = summary_rows
        return out

    def to_csv(self, path: str | Path) -> None:
        """Write `history()` as a CSV file."""
        self.history().to_csv(path, index=False)

    def to_html(self, path: str | Path, *, theme: str = "neon") -> None:
        """Write the run as one HTML file: the live view's charts, without a kernel or a network.

        Parameters
        ----------
        path
            Of the file to write.
        theme
            "neon", "light", or "auto", which follows the browser.

        Notes
        -----
        Series are told exactly as long as they fit, 10,000 steps of a usual run do; of longer
        ones the page has minimum, maximum and mean of stretches, and the newest rows.
        """
        self.settle()
        frames = self.keepsakes(html.REEL_BYTES)
        chosen = {tensor[0] for tensor in frames}
        _, found = self.tensors_since(0)
        tensors = [
            tensor
            for tensor in found
            if tensor[0] not in chosen
            and tensor[2].nbytes <= html.TENSOR_BYTES
            and is_for_page(tensor)
            and not is_reel(tensor)
        ]
        taken = sum(tensor[2].nbytes for tensor in frames)
        room = max(html.HISTORY_BYTES - taken, html.HISTORY_BYTES // 5)
        traits = {
            "panels": self.panels() or [_ALL_SERIES],
            "config": self.config,
            "status": self.state(),
            "theme": theme,
        }
        alt = f"{self.config.get('name') or 'Training run'}: {self.status} at step {self.step}"
        text = html.page(self.pack(room, tensors=False), [*tensors, *frames], traits, alt)
        Path(path).write_text(text, encoding="utf-8")

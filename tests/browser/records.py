"""What a page and a kernel have recorded of the same run, side by side."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from browser.jupyter import Notebook, until

from nbmonitor import wire

# A cell that trains: whatever ends it, it leaves what the kernel recorded in a file. While it
# runs it tells how many messages went out, and whether the page was taken to be gone.
TRAIN = """
import json, os, pathlib
import nbmonitor.flusher as flusher
flusher.SILENCE_AFTER = {silence}
t = trainer({steps})
m = TrainingMonitor(t)
display(m)
class Telling(transformers.TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        told = [state.global_step, m._flusher._feed._seq, m._flusher.silent, os.getpid()]
        pathlib.Path("{name}.new").write_text(json.dumps(told))
        pathlib.Path("{name}.new").replace("{name}.json")
t.add_callback(Telling())
try:
    t.train()
finally:
    m.run.history().to_pickle("{name}.pickle.new")
    pathlib.Path("{name}.pickle.new").replace("{name}.pickle")
"""


def train(steps: int, name: str = "truth", *, silence: float = 10.0) -> str:
    """Source of the training cell."""
    return TRAIN.format(steps=steps, name=name, silence=silence)


def told(files: Path, name: str = "truth") -> tuple[int, int, bool, int]:
    """Step, messages sent, whether the page is taken to be gone, process of the kernel."""
    step, sent, silent, process = json.loads((files / f"{name}.json").read_text())
    return step, sent, silent, process


def truth(files: Path, name: str = "truth") -> pd.DataFrame:
    """What the kernel has recorded, once the training has ended."""
    path = files / f"{name}.pickle"
    until(path.is_file, 30, f"{path.name}, which the training cell leaves")
    return pd.read_pickle(path)


def _download(book: Notebook, control: str, number: int) -> str:
    """Press an export button of a dashboard, and read what it gives."""
    with book.page.expect_download() as waiting:
        book.page.evaluate(
            "([n, control]) => document.querySelectorAll('.nbmonitor')[n]"
            ".querySelector(`[data-control=${control}]`).click()",
            [number, control],
        )
    return Path(waiting.value.path()).read_text()


def exported(book: Notebook, number: int = 0) -> tuple[pd.DataFrame, str]:
    """What the page has, by its own CSV export, and the resolution that this claims."""
    head, table = _download(book, "export-csv", number).split("\n", 1)
    return pd.read_csv(io.StringIO(table)), head


def difference(page: pd.DataFrame, kernel: pd.DataFrame) -> str:
    """Say how the two differ; "" when the page has every row and value of the kernel."""
    if list(page.columns) != list(kernel.columns):
        return f"columns: {sorted(set(page.columns) ^ set(kernel.columns))}"
    if len(page) != len(kernel):
        lost = sorted(set(kernel["step"]) ^ set(page["step"]))
        return f"{len(page)} rows on the page, {len(kernel)} in the kernel; steps {lost[:20]}"
    for key in kernel.columns:
        # A page holds single precision.
        ours, theirs = (np.float32(frame[key].to_numpy(dtype=Any)) for frame in (page, kernel))
        if not np.array_equal(ours, theirs, equal_nan=True):
            at = np.flatnonzero((ours != theirs) & ~(np.isnan(ours) & np.isnan(theirs)))
            step = int(kernel["step"].iloc[at[0]])
            return f"{key}: {len(at)} values, at step {step} {ours[at[0]]} for {theirs[at[0]]}"
    return ""


def covered(book: Notebook, number: int = 0) -> dict[str, tuple[int, int]]:
    """First row and number of rows that a page has of each series, in points or in buckets."""
    text = _download(book, "export-html", number)
    found = re.search(r'id="nbmonitor-data">(.*?)</script>', text, re.DOTALL)
    assert found
    data = json.loads(found[1])
    header, stretches = wire.unpack_history(base64.b64decode(data["history"]))
    keys = {spec["id"]: spec["key"] for spec in header["declare"]}
    out: dict[str, tuple[int, int]] = {}
    for rows in sorted(stretches, key=lambda rows: rows.offset):
        first, count = out.get(keys[rows.id], (rows.offset, 0))
        assert rows.offset in {first, first + count}, f"a hole in {keys[rows.id]}"
        out[keys[rows.id]] = (first, count + rows.covered)
    return out

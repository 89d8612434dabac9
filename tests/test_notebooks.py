"""The notebooks run from top to bottom, and what they leave is what a reader wants to see."""

from __future__ import annotations

import base64
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from nbmonitor import wire

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
WIDGETS = "application/vnd.jupyter.widget-state+json"
VIEW = "application/vnd.jupyter.widget-view+json"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """One place for both: the second loads the model that the first saved."""
    return tmp_path_factory.mktemp("notebooks")


def executed(name: str, folder: Path, **steps: int):
    """A notebook with its outputs; `max_steps` may be lowered."""
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    for cell in notebook.cells:
        for before, after in steps.items():
            number = before.removeprefix("steps_")
            cell.source = cell.source.replace(f"max_steps={number}", f"max_steps={after}")
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(folder)}}).execute()
    return notebook


def monitor_state(notebook):
    """State and history of the monitor, as saved with the notebook."""
    models = notebook.metadata["widgets"][WIDGETS]["state"].values()
    (model,) = [m for m in models if m["model_name"] == "AnyModel"]
    (history,) = [b for b in model["buffers"] if b["path"] == ["history"]]
    return model["state"], *wire.unpack_history(base64.b64decode(history["data"]))


def last_values(header, rows):
    keys = {spec["id"]: spec["key"] for spec in header["declare"]}
    return {keys[r.id]: r for r in rows}


def outputs(notebook, kind):
    return [o for c in notebook.cells for o in c.get("outputs", []) if kind in o.get("data", {})]


@pytest.mark.parametrize("name", ["01_quickstart", "02_lora"])
def test_is_kept_without_outputs(name):
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert "widgets" not in notebook.metadata
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_quickstart(folder):
    notebook = executed("01_quickstart", folder, steps_400=120)
    state, header, rows = monitor_state(notebook)
    assert state["status"]["state"] == "finished"
    series = last_values(header, rows)
    loss, evaluation = series["train/loss"].values, series["eval/loss"].values
    assert len(series["train/loss"].x) == 120
    assert loss[-20:].mean() < 0.9 * loss[:20].mean()
    assert evaluation[-1] < evaluation[0]
    assert {"tokens/seen", "train/grad_norm", "host/memory_used"} <= set(series)

    assert (folder / "runs" / "quickstart" / "model.safetensors").is_file()
    assert outputs(notebook, VIEW)
    assert outputs(notebook, "image/png"), "no picture for hosts that keep no widget state"
    text = str(notebook)
    assert "Training Loss" not in text, "the Trainer's own table is there too"
    assert "Warning" not in text


def test_lora(folder):
    notebook = executed("02_lora", folder, steps_240=60)
    state, header, rows = monitor_state(notebook)
    assert state["status"]["state"] == "finished"
    series = last_values(header, rows)
    deltas = [rows for key, rows in series.items() if key.endswith("/delta_norm")]
    assert len(deltas) == 16  # four layers, four adapted modules in each
    assert all(d.values[-1] > d.values[0] for d in deltas)
    (panel,) = [p for p in state["panels"] if p["id"] == "lora"]
    assert panel["absent"] == ""

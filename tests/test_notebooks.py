"""The notebooks run from top to bottom, and what they leave is what a reader wants to see."""

from __future__ import annotations

import base64
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from nbmonitor import open_run, wire

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


def saved_model(notebook):
    """The monitor's model and its packed history, as saved with the notebook."""
    models = notebook.metadata["widgets"][WIDGETS]["state"].values()
    (model,) = [m for m in models if m["model_name"] == "AnyModel"]
    (history,) = [b for b in model["buffers"] if b["path"] == ["history"]]
    return model, base64.b64decode(history["data"])


def monitor_state(notebook):
    """State and history of the monitor, as saved with the notebook."""
    model, history = saved_model(notebook)
    return model["state"], *wire.unpack_history(history)


def monitor_tensors(notebook):
    """Tensors that were saved with the notebook, each with its message."""
    return wire.unpack_tensors(saved_model(notebook)[1])


def last_values(header, rows):
    keys = {spec["id"]: spec["key"] for spec in header["declare"]}
    return {keys[r.id]: r for r in rows}


def outputs(notebook, kind):
    return [o for c in notebook.cells for o in c.get("outputs", []) if kind in o.get("data", {})]


@pytest.mark.parametrize("name", ["01_quickstart", "02_lora", "03_quality", "04_parameters"])
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


def test_quality(folder):
    notebook = executed("03_quality", folder, steps_700=400)
    state, header, rows = monitor_state(notebook)
    assert state["status"]["state"] == "finished"
    series = last_values(header, rows)
    match = series["fixed_eval/exact_match"].values
    assert match[0] < 0.1
    assert match[-1] > 0.5
    weak = series["pattern/reverse/exact_match"].values[-1]
    for name in ("copy", "lookup"):
        assert series[f"pattern/{name}/exact_match"].values[-1] > weak + 0.3

    tensors = {put["key"]: (put, array) for put, array in monitor_tensors(notebook)}
    grid = tensors["fixed_eval/patterns"][1]  # (patterns, lengths, seen and correct)
    assert grid[..., 0].sum() == 170
    assert (grid[..., 0] > 0).any(0).sum() == 2, "two columns of lengths are filled"
    verdict = tensors["quality/verdict"][0]["meta"]
    assert verdict["final"]
    assert "'reverse'" in verdict["text"]
    assert "needs data" in verdict["text"]
    assert "add 'reverse'" in verdict["action"].lower()
    said = "".join(o.get("text", "") for c in notebook.cells for o in c.get("outputs", []))
    assert verdict["text"] in said, "the page tells what summary() tells"
    assert {p["absent"] for p in state["panels"] if p["id"] in ("patterns", "reliability")} == {""}


def test_parameters(folder):
    notebook = executed("04_parameters", folder, steps_200=60)
    runs = sorted((folder / "runs" / "parameters" / "nbmonitor").glob("*.sqlite"))
    view = open_run(runs[-1])
    steps = view.run.snapshots()
    first, last = view.run.snapshot(steps[0]), view.run.snapshot(steps[-1])
    view.close()
    assert (steps[0], steps[-1]) == (0, 60)
    assert len(steps) > 5
    assert first.tokens.shape == last.tokens.shape == (2048, 3)
    # What was an even cloud has found its directions.
    assert sum(last.explained) > 2 * sum(first.explained)
    assert " class" in last.texts
    text = str(notebook)
    assert "Warning" not in text
    assert "(30522, 384)" in text or "not to be had here" in text

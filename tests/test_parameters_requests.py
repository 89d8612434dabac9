"""A page asks for a matrix in full, or for all snapshots in one basis."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from nbmonitor import TrainingMonitor, open_run
from nbmonitor.parameters import blob, cadence, magnify
from nbmonitor.parameters.plan import Options, Plan


@pytest.fixture
def asked(monkeypatch):
    monkeypatch.setattr(cadence, "SHARE", 1e9)


class Shown:
    """What a widget's pages are sent beside the Run."""

    def __init__(self, widget) -> None:
        self.tensors = []
        widget._requests._show = self.tensors.append

    def answers(self):
        return [meta for key, _, _, meta in self.tensors if key == "parameters/answer"]

    def wait(self, state: str):
        until = time.monotonic() + 20
        while time.monotonic() < until:
            found = [meta for meta in self.answers() if meta["state"] == state]
            if found:
                return found[-1]
            time.sleep(0.01)
        raise AssertionError(self.answers())

    def matrix(self):
        self.wait("done")
        (_, _, array, meta) = next(t for t in self.tensors if t[0] == magnify.KEY)
        return blob.decode(array.tobytes()).parts["cells"], meta


def ask(widget, key: str, name: str = "a"):
    message = {"kind": "detail", "id": name, "keys": [key], "start": 0, "end": 0, "points": 0}
    widget._from_page(widget, message, [])


def net():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Embedding(50, 8), torch.nn.Linear(8, 6))


def test_a_matrix_is_read_at_the_next_step_and_not_before(asked):
    monitor, model = TrainingMonitor(run_dir=False), net()
    shown = Shown(monitor)
    ask(monitor, "parameters/matrix/0")
    assert shown.answers()[-1]["note"] == "no model is being watched"
    monitor.watch(model)
    ask(monitor, "parameters/matrix/1", "b")
    assert shown.answers()[-1] == {
        "id": "b", "key": "parameters/matrix/1", "state": "waiting",
        "note": "to be read at the next step",
    }  # fmt: skip
    with torch.no_grad():
        model[1].weight.add_(1)
    monitor.step(1.0)
    part, meta = shown.matrix()
    held = model[1].weight.detach().numpy()
    assert np.abs(part.values - held).max() <= part.error * 1.001
    assert part.error <= np.abs(held).max() / 50_000
    wanted = {"id": "b", "matrix": 1, "step": 1, "shape": [6, 8], "of": "value", "note": ""}
    assert wanted.items() <= meta.items()
    monitor.finish()
    # And afterwards, as long as the model is there.
    shown.tensors.clear()
    ask(monitor, "parameters/matrix/0/10:20/2:5", "c")
    part, meta = shown.matrix()
    assert (meta["rows"], meta["columns"]) == ([10, 20], [2, 5])
    want = model[0].weight.detach().numpy()[10:20, 2:5]
    assert part.values == pytest.approx(want, abs=part.error * 1.01)
    monitor.close()


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("parameters/matrix/99", "no matrix 99: this model has 3"),
        ("parameters/matrix/0/60:70/0:3", "nothing of 0.weight, 50 x 8, lies in that window"),
        ("parameters/nonsense", "there is no 'parameters/nonsense'"),
        ("parameters/view", "no snapshots of token embeddings"),
    ],
)
def test_what_cannot_be_had_is_refused_with_the_reason(key, said):
    monitor = TrainingMonitor(run_dir=False, parameters=False if "view" in key else None)
    shown = Shown(monitor)
    monitor.watch(net())
    ask(monitor, key)
    monitor.step(1.0)
    assert said in shown.wait("refused")["note"]
    monitor.close()


def test_other_details_go_their_way():
    monitor = TrainingMonitor(run_dir=False)
    shown = Shown(monitor)
    assert not monitor._detail({"id": "a", "keys": ["train/loss"]})
    assert not monitor._detail({"id": "a", "keys": None})
    assert shown.tensors == []
    monitor.close()


def test_a_large_matrix_is_pooled_and_says_so():
    model = torch.nn.Linear(1500, 900, bias=False)
    plan = Plan(model, None, Options())
    copied = magnify.copy(plan, magnify.Window(0), 7)
    key, step, array, meta = magnify.pack(copied, "x")
    assert (key, step, meta["of"]) == (magnify.KEY, 7, "rms")
    assert "root mean square of up to 2 x 3" in meta["note"]
    cells = blob.decode(array.tobytes()).parts["cells"].values
    assert cells.size <= magnify.MOST
    held = model.weight.detach().double().numpy()
    rows = [len(part) for part in np.array_split(np.arange(900), cells.shape[0])]
    columns = [len(part) for part in np.array_split(np.arange(1500), cells.shape[1])]
    block = held[: rows[0], : columns[0]]
    assert cells[0, 0] == pytest.approx(np.sqrt(np.square(block).mean()), rel=1e-3)


def test_a_file_tells_all_snapshots_in_one_basis_and_no_matrix(tmp_path, asked):
    monitor, model = TrainingMonitor(run_dir=tmp_path), net()
    monitor.watch(model)
    for _ in range(3):
        with torch.no_grad():
            model[0].weight.mul_(1.1)
        monitor.step(1.0)
        time.sleep(0.05)
    monitor.finish()
    steps = monitor.run.snapshots()
    path = monitor.run.path
    monitor.close()

    view = open_run(path)
    shown = Shown(view)
    ask(view, "parameters/matrix/0")
    assert "only the process that trains" in shown.answers()[-1]["note"]
    ask(view, "parameters/view", "v")
    assert shown.wait("done")["id"] == "v"
    _, basis, array, meta = view.run.tensor("parameters/view/0")
    assert (basis, meta["chunks"], meta["estimate"]) == (steps[-1], 1, False)
    parts = blob.decode(array.tobytes()).parts
    assert set(parts) == {f"view/{step}" for step in steps}
    # Rows no wider than a sketch: growth by a tenth is seen as just that.
    ratio = parts[f"view/{steps[-1]}"].values / 1.1 ** (steps[-1] - steps[0])
    spread = float(np.abs(ratio).max())
    assert parts[f"view/{steps[0]}"].values == pytest.approx(ratio, abs=0.1 * spread)
    view.close()


def test_all_of_them_are_seen_in_one_basis_while_the_training_is_paused(asked):
    import threading

    monitor = TrainingMonitor(run_dir=False)
    monitor.watch(net())
    monitor.step(1.0)
    monitor.pause()
    threading.Timer(1.0, monitor.resume).start()
    monitor.step(1.0)
    until = time.monotonic() + 20
    while monitor.run.tensor("parameters/view/0") is None and time.monotonic() < until:
        time.sleep(0.01)
    assert monitor.run.tensor("parameters/view/0") is not None
    monitor.close()

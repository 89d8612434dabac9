"""Snapshots of parameters read back: from memory, the run file, exports, notebooks and pages."""

from __future__ import annotations

import base64
import functools
import json
import re
from pathlib import Path

import numpy as np
import pytest
from recording import Recorded
from weights import STATISTICS, Weights

from nbmonitor import html, packing, wire
from nbmonitor.feed import Feed
from nbmonitor.parameters import blob, condensed, onebasis
from nbmonitor.parameters.change import CHANGE, COLUMNS
from nbmonitor.parameters.snapshot import META, SKETCH, SNAPSHOT, Snapshot
from nbmonitor.parameters.unpacked import Unpacked
from nbmonitor.run import HISTORY_BYTES, Run
from nbmonitor.runfile import reader


@pytest.fixture
def run() -> Run:
    return Run("weights")


def check(found: Snapshot, truth: dict, *, rounding: float = 1e-6) -> None:
    """Everything is within the error that the snapshot states."""
    errors = found.errors
    view = truth["view"]
    near = {
        "tokens/view": (found.tokens, view.coordinates),
        "tokens/norm": (found.norms, np.linalg.norm(truth["rows"], axis=1)),
        "positions/view": (found.positions, view.coordinates[:7]),
    }
    if truth["moved"] is not None:
        near["tokens/moved"] = (found.moved, truth["moved"])
        near["tokens/since"] = (found.since, truth["since"])
    for i, values in truth["heat"].items():
        near[f"heat/{i}"] = (found.heatmaps[f"h.{i}.weight"], values)
    for name, (got, want) in near.items():
        assert got.dtype == np.float32
        assert got.shape == want.shape, name
        assert np.abs(got - want).max() <= errors[name] + rounding * np.abs(want).max(), name
        assert errors[name] <= 1.3 * np.abs(want).max() / 60, name
    assert np.array_equal(found.statistics, truth["stats"])
    assert found.explained == pytest.approx(view.explained)
    sampled = ~np.isnan(truth["units"][:, 0])
    assert np.array_equal(found.units[list(COLUMNS)].to_numpy("f4"), truth["units"][sampled])
    if truth["similarity"].size:
        assert np.abs(found.similarity - truth["similarity"]).max() <= 0.5 / 255 + 1e-6


def test_a_snapshot_is_what_was_measured_within_the_stated_error(run) -> None:
    weights = Weights(run)
    weights.train(range(1, 61, 3))
    assert run.snapshots() == list(range(1, 61, 3))
    for step in run.snapshots():
        found = run.snapshot(step)
        assert found.step == step
        check(found, weights.truth[step])
    first = run.snapshot(1)
    assert first.moved is None
    assert first.token_ids.tolist() == weights.meta["tokens"]["ids"]
    assert first.texts[3] == "tok3 é"
    assert first.reason == "cadence"
    assert (first.since, first.similarity, first.start) == (None, None, 1)
    assert first.units["name"].tolist() == ["h.0.weight", "h.3.weight"]
    assert first.units["unit"].tolist() == [2303, 2303]
    assert list(first.stats.columns) == ["name", "kind", "role", "layer", *STATISTICS]
    assert first.stats["name"].tolist() == [f"h.{i}.weight" for i in range(5)]
    assert first.stats["l2"].to_numpy("f4") == pytest.approx(weights.truth[1]["stats"][:, 4])


def test_a_run_without_snapshots_says_so(run) -> None:
    assert run.snapshots() == []
    with pytest.raises(KeyError, match="none is"):
        run.snapshot(3)
    with pytest.raises(ValueError, match="no snapshot"):
        run.export_snapshots("a.npz")
    Weights(run).train([5, 9])
    with pytest.raises(KeyError, match="there are 2, from 5 to 9"):
        run.snapshot(3)


def test_a_model_without_tokens_has_snapshots_too(run) -> None:
    data = blob.encode(4, {"stats": np.ones((2, 3), np.float32)})
    run.put(SNAPSHOT, 4, np.frombuffer(data, np.uint8), {"reel": True, "blob": 1, "base": None})
    found = run.snapshot(4)
    assert found.tokens.shape == (0, 3)
    assert (found.heatmaps, found.norms, found.texts) == ({}, None, [])
    assert (len(found.units), len(found.similarity_ids), found.start) == (0, 0, None)
    assert len(found.stats) == 0
    assert onebasis.view_tensors(run.reel_steps, run.frame) == []


def test_snapshots_go_through_the_run_file_and_past_what_memory_holds(tmp_path) -> None:
    recorded = Recorded(tmp_path)
    weights = Weights(recorded.run)
    weights.train(range(90))
    recorded.steps(1, 89)
    weights.rewind(65)
    weights.train(range(66, 71))
    recorded.steps(66, 70)
    recorded.recorder.close()
    opened = Run()
    opened.reel_memory = 150_000
    opened._clear_tensors()
    reader.load(opened, recorded.path)
    assert len(opened._reels.steps(SNAPSHOT)) < 50
    assert opened.snapshots() == list(range(71))
    for step in opened.snapshots():
        check(opened.snapshot(step), weights.truth[step])


def test_the_error_is_no_larger_than_the_document_says(run) -> None:
    weights = Weights(run)
    weights.train([3])
    found, truth = run.snapshot(3), weights.truth[3]
    norms, heat = np.linalg.norm(truth["rows"], axis=1), truth["heat"][1]
    assert found.errors["tokens/view"] <= np.abs(truth["view"].coordinates).max() / 4093
    assert found.errors["tokens/norm"] <= np.ptp(norms) / 453
    assert found.errors["heat/1"] <= np.ptp(heat) / 239
    sketch = Unpacked(functools.partial(run.frame, SKETCH)).at(3).parts["tokens/sketch"]
    assert sketch.error <= 1.02 * np.abs(sketch.values).max() / 61
    text = (Path(__file__).resolve().parent.parent / "docs" / "run-file.md").read_text()
    for bound in ("1/4,093 of", "1/453 of", "1/239 of", "1/61 of"):
        assert bound in text


# ---------------------------------------------------------------------- exports


def test_npz_has_every_snapshot_by_name(run, tmp_path) -> None:
    weights = Weights(run)
    weights.train([1, 2, 5])
    # Not every snapshot tells what changed since the start.
    del run._reels._held[CHANGE][2]
    run._reels._steps[CHANGE].remove(2)
    with np.load(run.export_snapshots(tmp_path / "s.npz")) as found:
        assert found["steps"].tolist() == [1, 2, 5]
        assert found["tokens"].shape == (3, 200, 3)
        assert np.array_equal(found["tokens"][1], run.snapshot(2).tokens)
        assert np.isnan(found["moved"][0]).all()
        assert np.array_equal(found["moved"][2], run.snapshot(5).moved)
        assert np.array_equal(found["heat/h.2.weight"][2], run.snapshot(5).heatmaps["h.2.weight"])
        assert found["stats"].shape == (3, 5, 10)
        assert found["statistics"].tolist() == STATISTICS
        assert found["matrices"][1] == "h.1.weight"
        assert found["texts"][7] == "tok7 é"
        assert found["token_ids"].tolist() == weights.meta["tokens"]["ids"]
        assert found["explained"][0] == pytest.approx(run.snapshot(1).explained)
        assert np.array_equal(found["since"][2], run.snapshot(5).since)
        assert found["unit_statistics"].tolist() == list(COLUMNS)
        assert found["units"].shape == (3, 5, 6)
        assert np.isnan(found["units"][1]).all()
        assert np.array_equal(found["units"][2], weights.truth[5]["units"], equal_nan=True)
        assert "similarity" not in found


def test_similarity_is_exported_by_id(run, tmp_path) -> None:
    weights = Weights(run, matrices=12)
    weights.train([1, 2, 5])
    with np.load(run.export_snapshots(tmp_path / "s.npz")) as found:
        assert found["similarity_ids"].tolist() == run.snapshot(5).similarity_ids.tolist()
        assert np.isnan(found["similarity"][0]).all()
        assert np.array_equal(found["similarity"][2], run.snapshot(5).similarity)


def test_safetensors_has_the_same(run, tmp_path) -> None:
    safe = pytest.importorskip("safetensors")
    Weights(run).train([1, 2, 5])
    path = run.export_snapshots(str(tmp_path / "s.safetensors"), steps=[5, 1])
    with safe.safe_open(path, "numpy") as found:
        words = found.metadata()
        assert words["format"] == "nbmonitor snapshots 1"
        assert json.loads(words["texts"])[0] == "tok0 é"
        assert json.loads(words["matrices"])[4] == "h.4.weight"
        assert found.get_tensor("steps").tolist() == [1, 5]
        assert np.array_equal(found.get_tensor("tokens")[1], run.snapshot(5).tokens)
        assert found.get_tensor("heat/h.0.weight").shape == (2, 32, 32)
        assert found.get_tensor("token_ids").dtype == np.int64
        assert found.get_tensor("units").shape == (2, 5, 6)
        assert json.loads(words["unit_statistics"]) == list(COLUMNS)


def test_what_cannot_be_exported_says_why(run, tmp_path) -> None:
    Weights(run).train([1])
    with pytest.raises(ValueError, match=r"\.npz or \.safetensors"):
        run.export_snapshots(tmp_path / "s.csv")
    with pytest.raises(KeyError, match="step 2"):
        run.export_snapshots(tmp_path / "s.npz", steps=[2])


# ---------------------------------------------------------------------- one basis


def test_all_snapshots_in_the_basis_of_the_newest(run) -> None:
    weights = Weights(run, width=24)
    weights.train(range(0, 100, 5), share=0.3)
    tensors = onebasis.view_tensors(run.reel_steps, run.frame)
    assert [tensor[0] for tensor in tensors] == ["parameters/view/0"]
    _, step, array, meta = tensors[0]
    assert (step, meta["basis_step"], meta["chunks"], meta["estimate"]) == (95, 95, 1, False)
    assert meta["fit"] > 0.99
    read = blob.decode(array.tobytes())
    assert list(read.parts) == [f"view/{s}" for s in range(0, 100, 5)]
    assert len({part.scale for part in read.parts.values()}) == 1
    basis = weights.truth[95]["view"].basis
    for at in (0, 50, 95):
        rows = weights.truth[at]["rows"]
        true = (rows - rows.mean(0)) @ basis
        # A sketch has 6 bits, of which each view has a sum over 24.
        assert np.abs(read.parts[f"view/{at}"].values - true).max() < 0.08 * np.abs(true).max()
    for each in tensors:
        run.put(*each)
    assert run.tensor("parameters/view/0")[3]["basis_step"] == 95


def test_a_long_run_is_told_in_chunks_of_at_most_a_megabyte(run) -> None:
    weights = Weights(run, tokens=6000, width=40, maps=0, keep=False)
    weights.train(range(40))
    tensors = onebasis.view_tensors(run.reel_steps, run.frame)
    assert len(tensors) == tensors[0][3]["chunks"] == 2
    assert max(array.nbytes for _, _, array, _ in tensors) <= 2**20
    assert tensors[1][3]["chunk"] == 1
    assert tensors[0][3]["estimate"] is True
    assert 0 < tensors[0][3]["fit"] < 1
    few = onebasis.view_tensors(run.reel_steps, run.frame, most=10)
    steps = [int(name.split("/")[1]) for name in blob.decode(few[0][2].tobytes()).parts]
    assert len(steps) == 10
    assert (steps[0], steps[-1]) == (0, 39)


# ---------------------------------------------------------------------- saved notebooks, pages


def test_few_small_frames_go_along_as_they_are(run) -> None:
    Weights(run, tokens=50, maps=1, side=8).train(range(10))
    put = {(p["key"], p["step"]): a for p, a in wire.unpack_tensors(run.pack())}
    assert {step for key, step in put if key == SNAPSHOT} == set(range(10))
    assert (META, 0) in put
    assert not [key for key, _ in put if key == SKETCH]
    for step in range(10):
        assert np.array_equal(put[SNAPSHOT, step], run.frame(SNAPSHOT, step)[2])


def test_a_long_run_of_a_large_model_fits_into_a_notebook_and_a_page(
    run, tmp_path, monkeypatch
) -> None:
    weights = Weights(run, tokens=5000, width=64, maps=24, side=64, matrices=148)
    weights.train(range(0, 400, 30))
    for step in range(3000):
        run.append(step, {f"s/{i}": float(np.sin(step * i)) for i in range(12)})
    packed = run.pack()
    assert len(packed) < HISTORY_BYTES + packing.REEL_MORE + 20_000
    found = wire.unpack_tensors(packed)
    frames = {p["step"]: (p, a) for p, a in found if p["key"] == SNAPSHOT}
    assert len(frames) >= 2
    assert {0, 390} <= set(frames)
    put, array = frames[390]
    assert put["meta"]["condensed"] is True
    assert put["meta"]["base"] is None
    read = blob.decode(array.tobytes())
    whole = run.snapshot(390)
    view = read.parts["tokens/view"]
    assert np.abs(view.values - weights.truth[390]["view"].coordinates).max() <= view.error + 1e-6
    assert view.error > whole.errors["tokens/view"]
    heat = read.parts["heat/3"]
    assert heat.stored.shape == (16, 16)
    blocks = weights.truth[390]["heat"][3].reshape(16, 4, 16, 4)
    assert np.abs(heat.values - np.sqrt((blocks**2).mean((1, 3)))).max() <= heat.error + 1e-6
    stats = read.parts["stats"].values
    assert np.abs(stats / whole.statistics - 1).max() <= condensed.STATS_ERROR

    monkeypatch.setattr(html, "STATIC", tmp_path)
    for name in ("widget.js", "widget.css"):
        (tmp_path / name).write_text("")
    run.to_html(tmp_path / "run.html")
    text = (tmp_path / "run.html").read_text()
    assert len(text) < 1_000_000
    data = json.loads(re.search(r'id="nbmonitor-data">(.*?)</script>', text, re.DOTALL)[1])
    steps = [message["step"] for message, _ in data["tensors"] if message["key"] == SNAPSHOT]
    assert steps == sorted(steps)
    assert len(steps) > len(frames)
    for message, coded in data["tensors"]:
        if message["key"] == SNAPSHOT:
            assert blob.decode(base64.b64decode(coded)).step == message["step"]
    assert [m["key"] for m, _ in data["tensors"]].count(META) == 1


def test_a_page_that_came_from_small_frames_gets_the_whole_ones(run) -> None:
    Weights(run, tokens=3000, width=40, maps=8, side=64, keep=False).train(range(12))
    small = [p["step"] for p, _ in wire.unpack_tensors(run.pack()) if p["key"] == SNAPSHOT]
    assert 2 <= len(small) < 12
    sent: list[int] = []

    class Page:
        def send(self, message, buffers) -> None:
            if message["kind"] == "put" and message["key"] == SNAPSHOT:
                sent.append(message["step"])

    feed = Feed(run, Page())
    feed.greet(
        {
            "kind": "hello",
            "generation": 0,
            "have": {},
            "events": 0,
            "reels": {SNAPSHOT: list(range(12))},
        }
    )
    while True:
        feed.send(tensors=True, frames=True)
        if not feed.owes:
            break
    assert sorted(sent) == sorted(small)


def test_reels_that_belong_together_are_told_at_the_same_steps(run) -> None:
    Weights(run, tokens=2000, width=64, maps=8, side=64, matrices=100).train(range(0, 300, 10))
    for step in range(0, 300, 10):
        # Cannot be condensed much, and is small beside what can.
        units = np.random.default_rng(step).normal(size=(100, 6)).astype("f4")
        data = np.frombuffer(blob.encode(step, {"units": units}), np.uint8)
        run.put(CHANGE, step, data, {"reel": True, "blob": 1, "base": None})
    kept: dict[str, set[int]] = {SNAPSHOT: set(), CHANGE: set()}
    for put, _ in wire.unpack_tensors(run.pack()):
        if put["key"] in kept:
            kept[put["key"]].add(put["step"])
    assert 3 <= len(kept[SNAPSHOT]) < 30
    assert abs(len(kept[CHANGE]) - len(kept[SNAPSHOT])) <= 1
    assert {0, 290} <= kept[CHANGE] & kept[SNAPSHOT]


def test_maps_of_largest_values_are_pooled_by_the_largest_and_odd_sizes_too() -> None:
    values = np.random.default_rng(0).uniform(0, 1, (37, 5)).astype("f4")
    parts = {"heat/0": blob.quantise(values, "uint8")}
    for how in ("max", "rms"):
        key = blob.decode(blob.encode(1, parts, extra={"heat_of": how}))
        read = blob.decode(condensed.condense(key))
        pooled = read.parts["heat/0"]
        assert pooled.stored.shape == (16, 5)
        rows = np.linspace(0, 37, 17).round().astype(int)
        for i in range(16):
            block = values[rows[i] : rows[i + 1]]
            want = block.max(0) if how == "max" else np.sqrt((block**2).mean(0))
            assert np.abs(pooled.values[i] - want).max() <= pooled.error + 1e-6
        assert read.extra["condensed"] is True


def test_statistics_that_are_unknown_stay_so_in_small() -> None:
    stats = np.array([[np.nan, np.inf, -np.inf, 0.1, -0.0]], np.float32)
    stats[0, 0] = np.frombuffer(b"\x01\x00\x80\x7f", "<f4")[0]
    key = blob.decode(blob.encode(1, {"stats": stats}))
    got = blob.decode(condensed.condense(key)).parts["stats"].values[0]
    assert np.isnan(got[0])
    assert got[1:3].tolist() == [np.inf, -np.inf]
    assert got[3] == pytest.approx(0.1, rel=condensed.STATS_ERROR)


def test_a_damaged_frame_costs_itself_and_nothing_else(run) -> None:
    Weights(run, tokens=3000, width=40, maps=8, side=64, keep=False).train(range(12))
    _, _, array, meta = run.frame(SNAPSHOT, 11)
    broken = array.copy()
    broken[-400:-200] = 0
    run.put(SNAPSHOT, 11, broken, meta)
    steps = [p["step"] for p, _ in wire.unpack_tensors(run.pack()) if p["key"] == SNAPSHOT]
    assert 11 not in steps
    assert len(steps) >= 2
    with pytest.raises(ValueError, match="blob"):
        run.snapshot(11)

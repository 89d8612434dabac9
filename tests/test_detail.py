"""A page that zooms in gets the rows of the stretch, from memory or the run file."""

from __future__ import annotations

import numpy as np
import pytest

from nbmonitor import detail, wire
from nbmonitor.run import Run


def ask(start: float, end: float, *keys: str, points: int = 100) -> wire.Detail:
    return {
        "kind": "detail",
        "id": "7",
        "keys": list(keys or ["train/loss"]),
        "start": start,
        "end": end,
        "points": points,
    }


def rows(run: Run, question: wire.Detail) -> tuple[dict[int, wire.Rows], dict]:
    key, step, data, meta = detail.answer(run, question)
    assert key == "nbmonitor/detail"
    assert step == run.step
    assert meta["id"] == "7"
    return {r.id: r for r in wire.unpack_frame(data.tobytes())}, meta


@pytest.fixture
def folded() -> Run:
    """50,000 rows of two series in so little memory that most are buckets."""
    run = Run(memory=60_000)
    run.extend(
        [(n, {"train/loss": float(n), "train/other": -float(n)}, 0.0) for n in range(50_000)]
    )
    return run


def test_rows_in_memory_are_sent_exactly() -> None:
    run = Run()
    for n in range(300):
        run.append(n, {"train/loss": n / 4})
    found, meta = rows(run, ask(50, 60))
    assert found[0].x.tolist() == list(range(50, 61))
    assert found[0].values.tolist() == [n / 4 for n in range(50, 61)]
    assert meta["resolution"] == "full"
    assert meta["note"] == ""


def test_folded_rows_without_a_file_are_said_to_be_gone(folded) -> None:
    found, meta = rows(folded, ask(100, 200))
    assert found == {}
    assert meta["resolution"] == "summary"
    assert "train/loss" in meta["note"]


def test_the_newest_rows_of_a_folded_series_are_exact(folded) -> None:
    found, meta = rows(folded, ask(49_990, 60_000))
    assert found[0].x.tolist() == list(range(49_990, 50_000))
    assert meta["resolution"] == "full"


def test_folded_rows_come_from_the_run_file(folded) -> None:
    asked = []

    def archive(keys, start, end):
        asked.append((list(keys), start, end))
        x = np.arange(start, end + 1)
        return {"train/loss": (x, x.astype(np.float32))}

    folded.archive = archive
    found, meta = rows(folded, ask(100, 120))
    assert asked == [(["train/loss"], 100, 120)]
    assert found[0].values.tolist() == list(range(100, 121))
    assert meta["resolution"] == "full"


def test_what_the_file_lacks_is_named(folded) -> None:
    folded.archive = lambda keys, start, end: {"train/loss": (np.arange(3.0), np.arange(3.0))}
    found, meta = rows(folded, ask(0, 2, "train/loss", "train/other"))
    assert set(found) == {0}
    assert meta["resolution"] == "summary"
    assert "train/other" in meta["note"]
    assert "train/loss" not in meta["note"]


def test_far_more_rows_than_pixels_come_in_fine_buckets_that_keep_spikes() -> None:
    run = Run()
    run.extend([(n, {"train/loss": 9.0 if n == 7_777 else 1.0}, 0.0) for n in range(20_000)])
    found, meta = rows(run, ask(0, 20_000, points=100))
    assert found[0].counts is not None
    assert int(found[0].counts.sum()) == 20_000
    assert found[0].values[1].max() == 9.0
    assert "every 100 rows" in meta["note"]


def test_unknown_series_and_an_empty_stretch_give_nothing() -> None:
    run = Run()
    run.append(5, {"train/loss": 1.0})
    found, meta = rows(run, ask(10, 20, "no/such", "train/loss"))
    assert found == {}
    assert meta["resolution"] == "full"

"""The wire: golden bytes, the round trip, and the generated TypeScript."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nbmonitor import wire

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "wire"
FRAMES = sorted(p.stem for p in GOLDEN.glob("*.bin") if p.stem != "history")


def truth(name: str) -> dict[str, Any]:
    """Read what a golden file must decode to."""
    out: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    return out


def assert_rows(got: list[wire.Rows], want: list[dict[str, Any]]) -> None:
    """Compare bit for bit."""
    assert len(got) == len(want)
    for row, w in zip(got, want, strict=True):
        assert (row.id, row.offset) == (w["id"], w["offset"])
        assert np.asarray(row.x, "<f8").tobytes().hex() == w["x"]
        assert np.asarray(row.values, "<f4").tobytes().hex() == w["values"]
        assert (None if row.counts is None else row.counts.tolist()) == w["counts"]
        assert (None if row.marks is None else row.marks.tolist()) == w["marks"]


def test_there_are_golden_frames() -> None:
    assert {"regular", "irregular", "buckets", "mixed", "empty"} <= set(FRAMES)


@pytest.mark.parametrize("name", FRAMES)
def test_golden_frame_decodes(name: str) -> None:
    assert_rows(wire.unpack_frame((GOLDEN / f"{name}.bin").read_bytes()), truth(name)["rows"])


def test_golden_history_decodes() -> None:
    header, rows = wire.unpack_history((GOLDEN / "history.bin").read_bytes())
    want = truth("history")
    assert header == want["header"]
    assert_rows(rows, want["rows"])


def test_golden_tensors_decode() -> None:
    found = wire.unpack_tensors((GOLDEN / "history.bin").read_bytes())
    want = truth("history")
    assert [put for put, _ in found] == want["header"]["tensors"]
    assert [array.ravel().tolist() for _, array in found] == want["tensors"]
    assert [list(array.shape) for _, array in found] == [[1, 3], [0], [2, 3]]


def test_a_history_of_an_older_notebook_has_no_tensors() -> None:
    header: wire.HistoryHeader = {
        "generation": 0, "seq": 0, "declare": [], "events": [], "events_offset": 0,
    }  # fmt: skip
    assert wire.unpack_tensors(wire.pack_history(header, [])) == []


@pytest.mark.parametrize("script", ["wire_golden.py", "wire_types.py"])
def test_committed_files_are_current(script: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / script), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_array_is_padded() -> None:
    for name in FRAMES:
        assert len((GOLDEN / f"{name}.bin").read_bytes()) % 8 == 0


def test_regular_steps_cost_four_bytes_a_value() -> None:
    n, columns = 1000, 8
    x = np.arange(n, dtype=np.float64)
    rows = [wire.Rows(i, 0, x, np.zeros(n, np.float32)) for i in range(columns)]
    size = len(wire.pack_frame(rows))
    assert size < columns * n * 4 + 256


def test_equal_steps_share_a_group_and_others_do_not() -> None:
    x = np.arange(4.0)
    same = [wire.Rows(i, 0, x.copy(), np.ones(4, np.float32)) for i in range(3)]
    other = wire.Rows(3, 0, x + 1, np.ones(4, np.float32))
    packed = wire.pack_frame([*same, other])
    assert int.from_bytes(packed[4:8], "little") == 2


def test_empty_stretches_are_left_out() -> None:
    rows = [wire.Rows(0, 0, np.empty(0), np.empty(0, np.float32))]
    assert wire.pack_frame(rows) == wire.pack_frame([])


def test_a_stride_that_only_looks_regular_is_sent_as_it_is() -> None:
    x = np.cumsum(np.full(50, 0.1))
    (got,) = wire.unpack_frame(wire.pack_frame([wire.Rows(0, 0, x, np.zeros(50, np.float32))]))
    assert got.x.tobytes() == x.tobytes()


def test_covered_counts_rows_not_points() -> None:
    (rows, _) = wire.unpack_frame((GOLDEN / "buckets.bin").read_bytes())
    assert rows.counts is not None
    assert rows.covered == int(rows.counts.sum()) > len(rows.x)


def test_another_version_is_refused_by_name() -> None:
    data = (99).to_bytes(4, "little") + (GOLDEN / "regular.bin").read_bytes()[4:]
    with pytest.raises(ValueError, match=re.escape("version 99 given, 1 expected")):
        wire.unpack_frame(data)


def test_what_is_not_a_history_is_refused() -> None:
    with pytest.raises(ValueError, match="not an nbmonitor history"):
        wire.unpack_history(b"PNG\0rest")

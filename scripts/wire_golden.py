"""Write the golden frames of `tests/wire/`: bytes packed by Python, decoded by both sides.

Each case is a pair of files: `<name>.bin`, and `<name>.json` with what must come out of it.
Floats are written as the hex of their little-endian bytes, so that NaN and infinities
compare bit for bit. With `--check` nothing is written and a difference is an error.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from wire_types import ROOT, load

wire = load()
FOLDER = ROOT / "tests" / "wire"


def _values(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=n).astype(np.float32)


def _buckets(id_: int, offset: int, n: int, seed: int) -> Any:
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 9, size=n).astype(np.uint32)
    x = np.cumsum(counts).astype(np.float64) + offset
    values = np.sort(rng.normal(size=(4, n)), axis=0).astype(np.float32)[[0, 3, 1, 2]]
    marks = np.zeros(n, np.uint8)
    marks[0], marks[-1] = wire.NAN, wire.POS_INF | wire.NEG_INF
    values[3, 0] = np.nan
    return wire.Rows(id_, offset, x, values, counts, marks)


def cases() -> dict[str, list[Any]]:
    """Return the stretches of each frame by the name of its case."""
    steps = np.arange(10, 17, dtype=np.float64)
    odd = np.array([0.0, 1.0, 2.5, 40.0, 40.0])
    special = np.array([np.nan, np.inf, -np.inf, -0.0, 3.4e38], np.float32)
    both = _buckets(0, 0, 5, 4)
    twin = wire.Rows(1, 0, both.x, both.values * 2, both.counts, both.marks[::-1].copy())
    return {
        "empty": [],
        "single": [wire.Rows(3, 7, np.array([123456789.0]), _values(1, 0))],
        "regular": [wire.Rows(i, 9 + i, steps, _values(7, i)) for i in range(3)],
        "stride": [wire.Rows(0, 0, 0.1 + 0.25 * np.arange(6), _values(6, 1))],
        "irregular": [wire.Rows(2, 0, odd, special), wire.Rows(5, 4, odd, _values(5, 2))],
        "buckets": [both, twin],
        "mixed": [
            _buckets(0, 0, 6, 5),
            wire.Rows(0, 1000, np.arange(100.0, 103.0), _values(3, 6)),
            wire.Rows(1, 0, odd, special),
        ],
    }


def header() -> Any:
    """Return the head of the golden history, with text beyond ASCII."""
    spec = wire.SeriesSpec(id=0, key="train/loss", label="loss ∅ é", unit="")
    other = wire.SeriesSpec(id=1, key="gpu/0/temperature", label="temperature", unit="°C")
    event = wire.RunEvent(kind="note", step=3, time=1.5, data={"message": "naïve …"})
    return wire.HistoryHeader(
        generation=2,
        seq=41,
        declare=[spec, other],
        events=[event],
        events_offset=0,
        frame_bytes=len(wire.pack_frame(cases()["mixed"])),
        tensors=[put for put, _ in tensors()],
    )


def tensors() -> list[tuple[Any, bytes]]:
    """Return the tensors of the golden history: one whose bytes need padding, one of meta alone."""
    bins = np.arange(6, dtype=np.float32).reshape(2, 3) / 4
    counts = np.array([[1, 2, 300]], np.int32)
    nothing = np.zeros(0, np.uint8)
    meta = {"names": ["é"], "share": 0.5}
    return [
        wire.put_message("fixed_eval/counts", 30, counts, {}, seq=0, generation=2),
        wire.put_message("fixed_eval/state", 31, nothing, meta, seq=0, generation=2),
        wire.put_message("fixed_eval/bins", 32, bins, meta, seq=0, generation=2),
    ]


def _hex(array: Any, dtype: str) -> str:
    return np.ascontiguousarray(array, dtype).tobytes().hex()


def expected(rows: list[Any]) -> list[dict[str, Any]]:
    """Return what a decoder must give for `rows`, as JSON."""
    return [
        {
            "id": r.id,
            "offset": r.offset,
            "x": _hex(r.x, "<f8"),
            "values": _hex(r.values, "<f4"),
            "counts": None if r.counts is None else [int(c) for c in r.counts],
            "marks": None if r.marks is None else [int(m) for m in r.marks],
        }
        for r in rows
    ]


def files() -> dict[str, bytes]:
    """Return every golden file by name."""
    out: dict[str, bytes] = {}
    for name, rows in cases().items():
        data = wire.pack_frame(rows)
        # Stretches over the same x share a group, so the order is that of the frame.
        truth = expected(wire.unpack_frame(data))
        out[f"{name}.bin"] = data
        out[f"{name}.json"] = _json({"rows": truth})
    rows = cases()["mixed"]
    data = wire.pack_history(header(), rows, [data for _, data in tensors()])
    out["history.bin"] = data
    truth = expected(wire.unpack_history(data)[1])
    values = [array.ravel().tolist() for _, array in wire.unpack_tensors(data)]
    out["history.json"] = _json({"header": header(), "rows": truth, "tensors": values})
    return out


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def main(argv: list[str] | None = None) -> int:
    """Write the files, or with `--check` compare them; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if a committed file differs")
    check = parser.parse_args(argv).check
    made = files()
    if not check:
        FOLDER.mkdir(parents=True, exist_ok=True)
        for name, data in made.items():
            (FOLDER / name).write_bytes(data)
        return 0
    there = {p.name for p in FOLDER.iterdir() if p.suffix in {".bin", ".json"}}
    wrong = sorted(there ^ set(made))
    wrong += [n for n in sorted(there & set(made)) if (FOLDER / n).read_bytes() != made[n]]
    if not wrong:
        return 0
    sys.stderr.write(
        f"tests/wire differs from nbmonitor/wire.py in {', '.join(wrong)}; "
        "if the wire was meant to change, run `python scripts/wire_golden.py` and commit\n"
    )
    return 1


if __name__ == "__main__":
    raise SystemExit(main())

"""Write the golden blobs of `tests/wire/blobs/`: made by Python, decoded by both sides.

Each case is a pair of files: `<name>.bin`, and `<name>.json` with what must come out of it. What
is stored, and the values it stands for, are written as the hex of their little-endian bytes, so
that NaN compares bit for bit. With `--check` nothing is written and a difference is an error;
compressed bytes may differ, because they are another zlib's matter.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from nbmonitor.parameters import blob

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "wire" / "blobs"
# A difference, and the key that it is one to.
KEYS = {"delta": "key"}


def _views(rng: np.random.Generator, n: int, like: blob.Part | None = None) -> blob.Part:
    return blob.quantise(rng.normal(size=(n, 3)).clip(-1.9, 1.9), "int16", like)


def cases() -> dict[str, bytes]:
    """Return the blobs by the name of their case."""
    rng = np.random.default_rng(7)
    stats = rng.normal(size=(2, 10)).astype(np.float32)
    stats[0, 6], stats[1, 7], stats[1, 8] = np.nan, np.inf, -0.0
    # From one end of the range to the other: differences go round.
    ends = np.array([[-32767, 32767, 0], [1, -1, 256]], np.int16)
    first = {
        "tokens/view": _views(rng, 5),
        "tokens/norm": blob.quantise(rng.uniform(2, 9, 5), "uint8"),
        "positions/view": blob.Part(ends, 0.25),
        "heat/0": blob.quantise(rng.uniform(0, 0.1, (3, 4)), "uint8"),
        "heat/7": blob.quantise(np.full((2, 2), 1.5), "uint8"),
        "stats": stats,
        "none": np.zeros((0, 3), np.int16),
        "cluster": np.arange(5, dtype=np.uint8),
    }
    extra = {"reason": "begin", "explained": [0.5, 0.25, 0.125], "note": "naïve – ∅"}
    key = blob.encode(40, first, extra=extra)
    read = blob.decode(key)
    broken = rng.uniform(0, 0.1, (3, 4))
    broken[0, 0], broken[2, 3] = np.nan, np.inf
    second = {
        "tokens/view": _views(rng, 5, read.parts["tokens/view"]),
        "tokens/norm": blob.quantise(rng.uniform(3, 8, 5), "uint8", read.parts["tokens/norm"]),
        "positions/view": blob.Part(-ends, 0.25),
        # Another scale than the key's: no difference.
        "heat/0": blob.quantise(broken * 9, "uint8"),
        "heat/7": blob.quantise(np.full((2, 2), 1.5), "uint8", read.parts["heat/7"]),
        "stats": stats * 2,
        "tokens/moved": blob.quantise(rng.uniform(0, 1, 5), "uint8"),
        "tokens/sketch": blob.quantise(rng.normal(size=(5, 4)), "int8"),
    }
    steps = np.linspace(0, 1, 3)
    return {
        "empty": blob.encode(0, {}),
        "key": key,
        "delta": blob.encode(41, second, read, {"reason": "cadence"}),
        "view": blob.encode(
            60,
            {f"view/{10 * i}": blob.Part(ends + i, 0.5) for i, _ in enumerate(steps)},
            extra={"basis_step": 60, "explained": [0.7, 0.1, 0.1], "estimate": True},
        ),
    }


def _little(array: np.ndarray) -> str:
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes().hex()


def truth(name: str, data: bytes, made: dict[str, bytes]) -> dict[str, Any]:
    """Return what a decoder must give for the blob `name`, as JSON."""
    key = KEYS.get(name)
    read = blob.decode(data, blob.decode(made[key]) if key else None)
    parts = {
        at: {
            "dtype": part.stored.dtype.name,
            "shape": list(part.stored.shape),
            "stored": _little(part.stored),
            "values": _little(part.values),
        }
        for at, part in read.parts.items()
    }
    return {"key": key, "header": blob.header(data), "parts": parts}


def files() -> dict[str, bytes]:
    """Return every golden file by name."""
    made = cases()
    out: dict[str, bytes] = {}
    for name, data in made.items():
        out[f"{name}.bin"] = data
        text = json.dumps(truth(name, data, made), indent=1, ensure_ascii=False)
        out[f"{name}.json"] = f"{text}\n".encode()
    return out


def main(argv: list[str] | None = None) -> int:
    """Write the files, or with `--check` compare them; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if a committed file differs")
    check = parser.parse_args(argv).check
    if not check:
        FOLDER.mkdir(parents=True, exist_ok=True)
        for name, data in files().items():
            (FOLDER / name).write_bytes(data)
        return 0
    made = files()
    there = {path.name: path.read_bytes() for path in FOLDER.iterdir()}
    wrong = sorted(set(made) ^ set(there))
    texts = [name for name in made if name.endswith(".json")]
    wrong += [name for name in texts if name in there and there[name] != made[name]]
    if not wrong:
        held = {Path(name).stem: data for name, data in there.items() if name.endswith(".bin")}
        read = {n: json.dumps(truth(n, data, held), sort_keys=True) for n, data in held.items()}
        told = {n: json.dumps(json.loads(there[f"{n}.json"]), sort_keys=True) for n in held}
        wrong = sorted(n for n in held if read[n] != told[n])
    if not wrong:
        return 0
    sys.stderr.write(
        f"tests/wire/blobs differs from nbmonitor/parameters/blob.py in {', '.join(wrong)}; "
        "if blobs were meant to change, run `python scripts/blob_golden.py` and commit\n"
    )
    return 1


if __name__ == "__main__":
    raise SystemExit(main())

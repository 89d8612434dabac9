"""Blobs: golden bytes, the round trip, the stated error, and what damaged bytes bring."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nbmonitor.parameters import blob

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "wire" / "blobs"
NAMES = sorted(path.stem for path in GOLDEN.glob("*.bin"))
QUANTISED = ("uint8", "int8", "uint16", "int16")


def golden(name: str) -> tuple[bytes, dict[str, Any]]:
    text = (GOLDEN / f"{name}.json").read_text(encoding="utf-8")
    return (GOLDEN / f"{name}.bin").read_bytes(), json.loads(text)


def hexed(array: np.ndarray) -> str:
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes().hex()


@pytest.mark.parametrize("name", NAMES)
def test_golden_blob_decodes(name: str) -> None:
    data, want = golden(name)
    key = blob.decode(golden(want["key"])[0]) if want["key"] else None
    read = blob.decode(data, key)
    assert blob.header(data) == want["header"]
    assert (read.step, read.base) == (want["header"]["step"], want["header"]["base"])
    assert list(read.parts) == list(want["parts"])
    for at, part in read.parts.items():
        truth = want["parts"][at]
        assert (part.stored.dtype.name, list(part.stored.shape)) == (truth["dtype"], truth["shape"])
        assert hexed(part.stored) == truth["stored"]
        assert hexed(part.values) == truth["values"]


def test_golden_blobs_are_those_of_the_script() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "blob_golden.py", "--check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_layout_is_the_one_that_is_written_down() -> None:
    data, want = golden("delta")
    assert data[:4] == b"NBP1"
    long = int.from_bytes(data[4:8], "little")
    assert (8 + long) % 8 == 0
    assert json.loads(data[8 : 8 + long]) == want["header"]
    body = zlib.decompress(data[8 + long :])
    # By hand: differences to the key modulo 2^16, low bytes first.
    _, key = golden("key")
    at = 0
    for spec in want["header"]["parts"]:
        n = int(np.prod(spec["shape"]))
        size = n * np.dtype(spec["dtype"]).itemsize
        if spec["name"] == "positions/view":
            assert spec["delta"]
            low, high = body[at : at + n], body[at + n : at + 2 * n]
            got = np.array([a + 256 * b for a, b in zip(low, high, strict=True)])
            now = np.frombuffer(bytes.fromhex(want["parts"]["positions/view"]["stored"]), "<i2")
            then = np.frombuffer(bytes.fromhex(key["parts"]["positions/view"]["stored"]), "<i2")
            assert got.tolist() == ((now.astype(int) - then.astype(int)) % 65536).tolist()
        at += size
    assert at == len(body)


@pytest.mark.parametrize("dtype", QUANTISED)
@pytest.mark.parametrize("low", [-3.0, 0.0, 100.0])
def test_error_of_a_quantised_part_is_at_most_the_stated_one(dtype: str, low: float) -> None:
    rng = np.random.default_rng(0)
    values = rng.uniform(low, low + 5, (400, 3))
    part = blob.quantise(values, dtype)
    read = blob.decode(blob.encode(1, {"a": part})).parts["a"]
    assert read.error == part.scale / 2 > 0
    rounding = np.abs(values).max() * np.finfo(np.float32).eps
    assert np.abs(read.values - values).max() <= read.error + rounding
    span = np.abs(values).max() * 2 if dtype.startswith("i") else np.ptp(values)
    assert part.scale <= span * (1 + blob.ROOM) * (1 + 1e-4) / (
        np.iinfo(dtype).max - np.iinfo(dtype).min - 1
    )


@pytest.mark.parametrize("dtype", QUANTISED)
def test_a_scale_is_used_again_when_values_fit_and_a_difference_is_exact(dtype: str) -> None:
    rng = np.random.default_rng(1)
    values = rng.uniform(0.5, 2, (300, 3))
    key = blob.decode(blob.encode(1, {"a": blob.quantise(values, dtype)}))
    like = key.parts["a"]
    near = blob.quantise(values + rng.normal(size=values.shape) * 0.002, dtype, like)
    assert near.fits(like)
    data = blob.encode(2, {"a": near}, key)
    assert blob.header(data)["parts"][0]["delta"]
    assert np.array_equal(blob.decode(data, key).parts["a"].stored, near.stored)
    far = blob.quantise(values * 10, dtype, like)
    assert not far.fits(like)
    data = blob.encode(2, {"a": far}, key)
    assert not blob.header(data)["parts"][0]["delta"]
    assert np.array_equal(blob.decode(data, key).parts["a"].stored, far.stored)


def test_differences_go_round_and_come_back() -> None:
    for dtype in QUANTISED:
        info = np.iinfo(dtype)
        a = np.array([info.min, info.max, 0, 1], dtype)
        key = blob.decode(blob.encode(1, {"a": a}))
        b = a[::-1].copy()
        read = blob.decode(blob.encode(2, {"a": b}, key), key)
        assert np.array_equal(read.parts["a"].stored, b)


def test_what_is_no_number_is_counted_and_stays_within_the_range() -> None:
    values = np.array([1.0, np.nan, np.inf, -np.inf, 3.0])
    part = blob.quantise(values, "uint8")
    assert part.nonfinite == 3
    assert np.isfinite(part.values).all()
    assert part.values[2] >= 3.0 >= part.values[3]
    assert abs(part.values[4] - 3.0) <= part.error * 1.0001
    nothing = blob.quantise(np.full((2, 3), np.nan), "int16")
    assert (nothing.nonfinite, nothing.stored.any()) == (6, False)
    read = blob.decode(blob.encode(1, {"a": part})).parts["a"]
    assert read.nonfinite == 3


@pytest.mark.parametrize("value", [0.0, 4.25, -4.25, 1e-300])
def test_equal_values_stay_within_the_error(value: float) -> None:
    for dtype in QUANTISED:
        part = blob.quantise(np.full(7, value), dtype)
        assert np.abs(part.values - value).max() <= part.error + abs(value) * 1e-6 + 1e-40
        assert part.values.dtype == np.float32


def test_floats_are_kept_bit_for_bit() -> None:
    stats = np.array([[np.nan, -0.0, 1e-42], [np.inf, 3.4e38, 1 / 3]], np.float32)
    key = blob.decode(blob.encode(1, {"stats": stats}))
    read = blob.decode(blob.encode(2, {"stats": stats}, key), key).parts["stats"]
    assert hexed(read.stored) == hexed(read.values) == hexed(stats)
    assert read.error == 0


def test_what_does_not_lie_in_a_row_is_packed_all_the_same() -> None:
    array = np.arange(24, dtype=np.int16).reshape(4, 6)[::2, ::3].T
    big = array.astype(">i2")
    for given in (array, big):
        assert np.array_equal(blob.decode(blob.encode(1, {"a": given})).parts["a"].stored, array)


def test_what_cannot_be_packed_is_refused() -> None:
    with pytest.raises(ValueError, match="float64"):
        blob.encode(1, {"a": np.zeros(2)})
    with pytest.raises(ValueError, match="header says itself"):
        blob.encode(1, {}, extra={"base": 3})
    with pytest.raises(ValueError, match="not JSON compliant"):
        blob.encode(1, {}, extra={"explained": float("nan")})
    first = blob.decode(blob.encode(1, {}))
    second = blob.decode(blob.encode(2, {}, first), first)
    with pytest.raises(ValueError, match="key has no base"):
        blob.encode(3, {}, second)


def test_damaged_bytes_are_an_error_and_nothing_else() -> None:
    data, want = golden("delta")
    key = blob.decode(golden("key")[0])
    with pytest.raises(ValueError, match="needs the one at step 40"):
        blob.decode(data)
    with pytest.raises(ValueError, match="that at step 0"):
        blob.decode(data, blob.decode(golden("empty")[0]))
    for cut in (0, 3, 7, 12, 200, len(data) - 1):
        with pytest.raises(ValueError, match="blob"):
            blob.decode(data[:cut], key)
    later = data.replace(b'{"v":1', b'{"v":9')
    with pytest.raises(ValueError, match="version 9"):
        blob.decode(later, key)
    broken = bytearray(data)
    broken[8 + int.from_bytes(data[4:8], "little") + 9] ^= 0xFF
    with pytest.raises(ValueError, match="blob"):
        blob.decode(bytes(broken), key)
    assert want["header"]["base"] == 40

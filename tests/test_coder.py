"""Which blobs are keys, and that each can be told from its key alone."""

from __future__ import annotations

import numpy as np

from nbmonitor.parameters import blob
from nbmonitor.parameters.coder import EVERY, Coder, Quantised
from nbmonitor.parameters.unpacked import Unpacked


def drift(steps: int, seed: int = 0) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    view, heat = rng.normal(size=(200, 3)), rng.uniform(0.1, 0.2, (8, 8))
    out = []
    for _ in range(steps):
        view = view + rng.normal(size=view.shape) * 0.01
        heat = heat * (1 + rng.normal(size=heat.shape) * 0.01)
        out.append({"view": view, "heat": heat})
    return out


def parts(moment: dict[str, np.ndarray]) -> dict[str, object]:
    return {
        "view": Quantised(moment["view"], "int16", 12),
        "heat": Quantised(moment["heat"], "uint8"),
        "stats": moment["heat"][:1].astype("f4"),
    }


def test_every_seventeenth_blob_is_a_key_and_each_stands_on_the_last_one() -> None:
    coder, frames, moments = Coder(), {}, drift(60)
    bases = []
    for step, moment in enumerate(moments, 1):
        coded = coder.encode(step, parts(moment), {"reason": "cadence"})
        frames[step] = ("k", step, coded.array, coded.meta(index=step))
        bases.append(coded.base)
    keys = [step for step, base in enumerate(bases, 1) if base is None]
    assert keys[:4] == [1, 2 + EVERY, 3 + 2 * EVERY, 4 + 3 * EVERY]
    assert all(base in (None, max(k for k in keys if k <= s)) for s, base in enumerate(bases, 1))
    assert frames[3][3] == {"reel": True, "blob": 1, "base": 1, "index": 3}
    unpacked = Unpacked(frames.get)
    for step in (40, 1, 60, 17, 18, 39, 2):
        read = unpacked.at(step)
        truth = moments[step - 1]
        for name in ("view", "heat"):
            part = read.parts[name]
            assert np.abs(part.values - truth[name]).max() <= part.error + 1e-6
        assert read.extra["reason"] == "cadence"
    sizes = [frames[step][2].nbytes for step in (1, 2)]
    assert sizes[1] < 0.8 * sizes[0]


def test_what_has_left_the_range_makes_a_key() -> None:
    coder = Coder()
    moment = drift(1)[0]
    assert coder.encode(1, parts(moment)).base is None
    assert coder.encode(2, parts(moment)).base == 1
    grown = {**moment, "view": moment["view"] * 40}
    assert coder.encode(3, parts(grown)).base is None
    # A small part that can't be told as a difference is told whole.
    small = {**grown, "heat": moment["heat"] * 9}
    coded = coder.encode(4, parts(small))
    assert coded.base == 3
    deltas = {spec["name"]: spec["delta"] for spec in blob.header(coded.data)["parts"]}
    assert deltas == {"view": True, "heat": False, "stats": False}


def test_nothing_stands_on_what_is_void() -> None:
    coder, moment = Coder(), drift(1)[0]
    coder.encode(10, parts(moment))
    coder.rewind(10)
    assert coder.encode(11, parts(moment)).base == 10
    coder.rewind(5)
    assert coder.encode(6, parts(moment)).base is None
    # Also where nobody has told it.
    assert coder.encode(6, parts(moment)).base is None
    assert coder.encode(3, parts(moment)).base is None


def test_fewer_bits_err_by_what_they_say_and_use_the_rest_as_room() -> None:
    values = np.random.default_rng(0).normal(size=500)
    for dtype, bits in (("int16", 12), ("uint8", 7), ("int8", 6)):
        part = blob.quantise(values, dtype, bits=bits)
        assert np.abs(part.values - values).max() <= part.error + 1e-6
        assert np.abs(part.stored.astype(int)).max() < 2 ** (bits - (dtype[0] == "i"))
        assert part.error < np.abs(values).max() * 1.3 / 2 ** (bits - 1)
        grown = np.where(values > 0, values * 1.3, values)
        wider = blob.quantise(grown, dtype, part, bits=bits)
        assert wider.fits(part)
        assert np.abs(wider.values - grown).max() <= part.error + 1e-6

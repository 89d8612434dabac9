"""Blobs: several small arrays in one compressed piece, as differences to an earlier one.

This is how a snapshot of parameters travels and is kept. Quantised parts state the error they
were given. It knows neither what a part means nor when a snapshot is taken (`coder.py` decides
which blob is a key). `js/src/parameters/blob.ts` reads the same bytes, and both read the golden
blobs in `tests/wire/`.

Layout, little-endian::

    "NBP1" | u32 bytes of the header | JSON header, padded with spaces to a multiple of 8 | body

The body is zlib (RFC 1950) of all parts one after the other. A part is stored plane by plane
(all lowest bytes first) where `shuffle` says so, after taking the difference to the part of the
same name in the blob at step `base`, modulo 2^bits, where `delta` says so.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbmonitor.parameters.part import ROOM, Part, quantise

MAGIC = b"NBP1"
VERSION = 1
DTYPES = ("uint8", "int8", "uint16", "int16", "float32")
_LEVEL = 6
_ALIGN = 8
# No snapshot comes near it: what claims more is damaged.
_MOST_BYTES = 2**30
_RESERVED = ("v", "step", "base", "parts")


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob, read: `base` is the step of the blob it was a difference to, None for a key."""

    step: int
    base: int | None
    parts: dict[str, Part]
    extra: dict[str, Any] = field(default_factory=dict)


# ---------------------------------------------------------------------- to bytes


def encode(
    step: int,
    parts: Mapping[str, Part | NDArray[Any]],
    key: Blob | None = None,
    extra: Mapping[str, Any] | None = None,
) -> bytes:
    """Pack parts.

    Parameters
    ----------
    step
        Optimiser steps done.
    parts
        By name; a bare array is stored as it is.
    key
        A key blob to which differences are taken, part by part where both store alike. None makes
        a key.
    extra
        Further fields of the header: JSON, without the header's own names.

    Raises
    ------
    ValueError
        If `key` is no key, a part has none of `DTYPES`, or `extra` is no JSON.
    """
    if key is not None and key.base is not None:
        msg = f"the blob at step {key.step} is a difference itself; a key has no base"
        raise ValueError(msg)
    taken = set(_RESERVED) & set(extra or {})
    if taken:
        msg = f"extra has {sorted(taken)}, which a header says itself"
        raise ValueError(msg)
    specs: list[dict[str, Any]] = []
    pieces: list[bytes] = []
    for name, given in parts.items():
        part = given if isinstance(given, Part) else Part(given)
        if part.stored.dtype.name not in DTYPES:
            msg = f"part {name!r} is {part.stored.dtype}; one of {', '.join(DTYPES)} is stored"
            raise ValueError(msg)
        base = None if key is None else key.parts.get(name)
        delta = part.fits(base)
        shuffle = part.stored.dtype.itemsize > 1
        pieces.append(_to_bytes(part.stored, base.stored if base and delta else None))
        specs.append(_spec(name, part, delta=delta, shuffle=shuffle))
    header = {
        "v": VERSION,
        "step": int(step),
        "base": None if key is None else key.step,
        "parts": specs,
        **(extra or {}),
    }
    head = json.dumps(header, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    head += b" " * (-len(head) % _ALIGN)
    return MAGIC + struct.pack("<I", len(head)) + head + zlib.compress(b"".join(pieces), _LEVEL)


def _spec(name: str, part: Part, *, delta: bool, shuffle: bool) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "name": name,
        "dtype": part.stored.dtype.name,
        "shape": list(part.stored.shape),
        "scale": part.scale,
        "offset": part.offset,
        "delta": delta,
        "shuffle": shuffle,
    }
    if part.error:
        spec["error"] = part.error
    if part.nonfinite:
        spec["nonfinite"] = part.nonfinite
    return spec


def _unsigned(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(f"<u{dtype.itemsize}")


def _to_bytes(stored: NDArray[Any], base: NDArray[Any] | None) -> bytes:
    little = np.ascontiguousarray(stored, stored.dtype.newbyteorder("<")).reshape(-1)  # (n,)
    bits = little.view(_unsigned(stored.dtype))  # (n,)
    if base is not None:
        before = np.ascontiguousarray(base, base.dtype.newbyteorder("<")).reshape(-1)  # (n,)
        bits = bits - before.view(_unsigned(base.dtype))  # (n,), modulo 2^bits
    planes = bits.view(np.uint8).reshape(-1, stored.dtype.itemsize).T  # (bytes, n)
    return np.ascontiguousarray(planes).tobytes()


# ---------------------------------------------------------------------- from bytes


def header(data: bytes) -> dict[str, Any]:
    """Read the header of a blob, and nothing else of it.

    Raises
    ------
    ValueError
        If these are no bytes of a blob, or of a later version.
    """
    return _head(data)[0]


def _head(data: bytes) -> tuple[dict[str, Any], int]:
    if len(data) < _ALIGN or data[:4] != MAGIC:
        msg = f"not a blob: {len(data)} bytes that begin with {bytes(data[:4])!r}"
        raise ValueError(msg)
    end = _ALIGN + int.from_bytes(data[4:_ALIGN], "little")
    if end > len(data):
        msg = f"the blob is cut short: its header ends at {end} of {len(data)} bytes"
        raise ValueError(msg)
    head: dict[str, Any] = json.loads(bytes(data[_ALIGN:end]))
    if head.get("v") != VERSION:
        msg = f"the blob has version {head.get('v')}; this nbmonitor reads version {VERSION}"
        raise ValueError(msg)
    return head, end


def decode(data: bytes, key: Blob | None = None) -> Blob:
    """Unpack a blob.

    Parameters
    ----------
    data
        What `encode` made.
    key
        The blob at the step that the header names as `base`; not needed for a key.

    Raises
    ------
    ValueError
        If the bytes are damaged, or the base is missing or another one.
    """
    head, end = _head(data)
    base = head["base"]
    if base is not None and (key is None or key.step != base):
        given = "none" if key is None else f"that at step {key.step}"
        msg = f"the blob at step {head['step']} needs the one at step {base}; given was {given}"
        raise ValueError(msg)
    sizes = [_size(spec) for spec in head["parts"]]
    body = _inflate(data[end:], sum(sizes))
    parts: dict[str, Part] = {}
    at = 0
    for spec, size in zip(head["parts"], sizes, strict=True):
        before = key.parts[spec["name"]].stored if spec["delta"] and key is not None else None
        parts[spec["name"]] = Part(
            _from_bytes(body[at : at + size], spec, before),
            float(spec["scale"]),
            float(spec["offset"]),
            float(spec.get("error", 0.0)),
            int(spec.get("nonfinite", 0)),
        )
        at += size
    extra = {name: value for name, value in head.items() if name not in _RESERVED}
    return Blob(int(head["step"]), base, parts, extra)


def _size(spec: Mapping[str, Any]) -> int:
    if spec["dtype"] not in DTYPES:
        msg = f"part {spec['name']!r} is {spec['dtype']}; one of {', '.join(DTYPES)} can be read"
        raise ValueError(msg)
    return int(math.prod(spec["shape"])) * int(np.dtype(spec["dtype"]).itemsize)


def _inflate(data: bytes, size: int) -> bytes:
    if not 0 <= size <= _MOST_BYTES:
        msg = f"the blob says that it has {size} bytes; {_MOST_BYTES} are possible"
        raise ValueError(msg)
    inflater = zlib.decompressobj()
    try:
        body = inflater.decompress(data, size + 1)
    except zlib.error as error:
        msg = f"the blob is damaged: {error}"
        raise ValueError(msg) from error
    if len(body) != size or not inflater.eof:
        msg = f"the blob has not the {size} bytes that its header says: it is damaged or cut short"
        raise ValueError(msg)
    return body


def _from_bytes(data: bytes, spec: Mapping[str, Any], base: NDArray[Any] | None) -> NDArray[Any]:
    dtype = np.dtype(spec["dtype"])
    planes = np.frombuffer(data, np.uint8)  # (n * bytes,)
    if spec["shuffle"]:
        planes = planes.reshape(dtype.itemsize, -1).T  # (n, bytes)
    bits = np.ascontiguousarray(planes).reshape(-1).view(_unsigned(dtype))  # (n,)
    if base is not None:
        before = np.ascontiguousarray(base, dtype.newbyteorder("<")).reshape(-1)  # (n,)
        bits = bits + before.view(_unsigned(dtype))  # (n,), modulo 2^bits
    stored: NDArray[Any] = bits.view(dtype.newbyteorder("<")).astype(dtype)
    return stored.reshape(spec["shape"])


__all__ = ["ROOM", "Blob", "Part", "decode", "encode", "header", "quantise"]

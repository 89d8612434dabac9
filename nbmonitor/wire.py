"""What travels between kernel and page: message types and the binary frame.

This module is the single declaration of the wire. `scripts/wire_types.py` turns the
TypedDicts into `js/src/wire.gen.ts`; the golden frames in `tests/wire/` are decoded by
both sides. It knows bytes and shapes, not what any series means.

A *frame* carries rows of scalar series, columnar and little-endian, every array padded
to 8 bytes::

    frame   u32 version | u32 groups
    group   u32 rows n | u32 columns m | u32 flags | u32 0
            x        REGULAR: f64 start, f64 stride    otherwise f64[n]
            ids      u32[m]     series id of each column
            offsets  u32[m]     rows of that series before this group
            counts   BUCKETS: u32[n]  rows that each bucket stands for
            values   f32[m][n]        BUCKETS: f32[m][4][n] min, max, mean, last
            marks    BUCKETS: u8[m][n]  NAN | POS_INF | NEG_INF seen in the bucket

The x of a bucket is the step of its last row, so that `last` is exact at x. `offsets`
make a frame idempotent: a page drops what it already has and asks again for what is
missing, whatever was lost or repeated on the way.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

VERSION = 1
REGULAR = 1
BUCKETS = 2
NAN, POS_INF, NEG_INF = 1, 2, 4
HISTORY_MAGIC = b"NBM1"

Floats = NDArray[np.float64]


class SeriesSpec(TypedDict):
    """A scalar series as the page knows it. `id` is its index in the Run."""

    id: int
    key: str
    label: str
    unit: str


class PanelSpec(TypedDict):
    """What a viewer sees. `absent` is the reason why there is nothing to show, or ""."""

    id: str
    title: str
    view: str
    keys: list[str]
    tab: str
    order: int
    span: int
    absent: str
    options: dict[str, Any]


class RunEvent(TypedDict):
    """Something that happened at a step: status, note, nonfinite, alert, and the like."""

    kind: str
    step: int
    time: float
    data: dict[str, Any]


class Status(TypedDict):
    """The `status` trait: state is one of `run.STATUSES`; message says why, or ""."""

    state: str
    message: str
    detail: str
    total_steps: int
    total_epochs: float


class Append(TypedDict):
    """New rows; buffer 0 is a frame. A new `generation` means: forget all and start over."""

    kind: Literal["append"]
    seq: int
    generation: int
    declare: list[SeriesSpec]


class Put(TypedDict):
    """The latest value of a tensor; buffer 0 is its bytes, C order, little-endian.

    With `reel` in its meta, it is one of many: each is kept, by step, and they come in any order,
    but none before the one at the step that its meta names as `base`.
    """

    kind: Literal["put"]
    seq: int
    generation: int
    key: str
    step: int
    dtype: str
    shape: list[int]
    meta: dict[str, Any]


class Events(TypedDict):
    """New events; `offset` is the number of events before the first of them."""

    kind: Literal["event"]
    seq: int
    generation: int
    offset: int
    events: list[RunEvent]


class Hello(TypedDict):
    """A page that starts, wakes or found a gap: rows per series id, events, steps per reel.

    A *reel* is a tensor of which every value is kept: its `put` has `reel` in its meta.
    """

    kind: Literal["hello"]
    generation: int
    have: dict[str, int]
    events: int
    reels: NotRequired[dict[str, list[int]]]


class Ack(TypedDict):
    """A page that is looking, every two seconds."""

    kind: Literal["ack"]
    seq: int


class Control(TypedDict):
    """A wish of the viewer: `name` is one of `controls.NAMES`; `id` is the page's own."""

    kind: Literal["control"]
    id: str
    name: str
    value: Any


class Detail(TypedDict):
    """A page that has zoomed in and holds buckets there: steps from `start` to `end`."""

    kind: Literal["detail"]
    id: str
    keys: list[str]
    start: float
    end: float
    points: int


class Keep(TypedDict):
    """What a viewer chose, for a page that comes later: an alert put away, messages or none."""

    kind: Literal["keep"]
    name: Literal["dismissed", "notify"]
    id: str
    on: bool


class HistoryHeader(TypedDict):
    """Head of the `history` trait: magic, u32 length, this as JSON padded to 8, a frame.

    After the frame, which takes `frame_bytes`, stand the bytes of each of `tensors`, padded
    to 8. Histories of older notebooks have neither of the two.
    """

    generation: int
    seq: int
    declare: list[SeriesSpec]
    events: list[RunEvent]
    events_offset: int
    frame_bytes: NotRequired[int]
    tensors: NotRequired[list[Put]]


ToPage = Append | Put | Events
FromPage = Hello | Ack | Control | Detail | Keep


@dataclass(frozen=True, slots=True)
class Rows:
    """A stretch of one series: plain points, or buckets when `counts` is given.

    Parameters
    ----------
    id
        Series id.
    offset
        Rows of the series before this stretch.
    x
        Steps, shape (n,).
    values
        Shape (n,) for points, (4, n) for buckets: min, max, mean, last.
    counts, marks
        Buckets only: rows in each bucket, shape (n,) uint32; non-finite marks, (n,) uint8.
    """

    id: int
    offset: int
    x: Floats
    values: NDArray[Any]
    counts: NDArray[np.uint32] | None = None
    marks: NDArray[np.uint8] | None = None

    @property
    def covered(self) -> int:
        """Rows of the series that this stretch stands for."""
        return len(self.x) if self.counts is None else int(self.counts.sum())


def stride_of(x: Floats) -> float | None:
    """Return the common difference of `x`, or None if there is none."""
    if len(x) < 2:
        return 0.0
    first = float(x[1] - x[0])
    return first if bool(np.all(np.diff(x) == first)) else None


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 8)


def _group(rows: Sequence[Rows]) -> bytes:
    head = rows[0]
    stride = stride_of(head.x)
    flags = (REGULAR if stride is not None else 0) | (BUCKETS if head.counts is not None else 0)
    parts = [struct.pack("<4I", len(head.x), len(rows), flags, 0)]
    if stride is None:
        parts.append(head.x.astype("<f8").tobytes())
    else:
        parts.append(struct.pack("<2d", float(head.x[0]) if len(head.x) else 0.0, stride))
    parts.append(_padded(np.asarray([r.id for r in rows], "<u4").tobytes()))
    parts.append(_padded(np.asarray([r.offset for r in rows], "<u4").tobytes()))
    if head.counts is not None:
        parts.append(_padded(head.counts.astype("<u4").tobytes()))
    parts.append(_padded(b"".join(np.ascontiguousarray(r.values, "<f4").tobytes() for r in rows)))
    if head.counts is not None:
        parts.append(_padded(b"".join(r.marks.tobytes() for r in rows if r.marks is not None)))
    return b"".join(parts)


def pack_frame(rows: Sequence[Rows]) -> bytes:
    """Pack stretches into one frame; stretches over the same x share one group."""
    groups: dict[tuple[Any, ...], list[Rows]] = {}
    for r in rows:
        if len(r.x) == 0:
            continue
        counts = None if r.counts is None else r.counts.tobytes()
        groups.setdefault((r.x.tobytes(), counts), []).append(r)
    packed = [_group(g) for g in groups.values()]
    return struct.pack("<2I", VERSION, len(packed)) + b"".join(packed)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, dtype: str, count: int) -> NDArray[Any]:
        out = np.frombuffer(self.data, dtype, count, self.at)
        self.at += -(-out.nbytes // 8) * 8
        return out


def unpack_frame(data: bytes) -> list[Rows]:
    """Undo `pack_frame`; values come back as float32.

    Raises
    ------
    ValueError
        If the frame is of another version.
    """
    read = _Reader(data)
    version, groups = (int(v) for v in read.take("<u4", 2))
    if version != VERSION:
        msg = f"frame version {version} given, {VERSION} expected; update nbmonitor"
        raise ValueError(msg)
    out: list[Rows] = []
    for _ in range(groups):
        n, m, flags, _zero = (int(v) for v in read.take("<u4", 4))
        if flags & REGULAR:
            start, stride = read.take("<f8", 2)
            x = start + stride * np.arange(n)
        else:
            x = read.take("<f8", n).copy()
        ids, offsets = read.take("<u4", m), read.take("<u4", m)
        if flags & BUCKETS:
            counts = read.take("<u4", n)
            values = read.take("<f4", m * 4 * n).reshape(m, 4, n)
            marks = read.take("u1", m * n).reshape(m, n)
            out += [
                Rows(int(ids[j]), int(offsets[j]), x, values[j], counts, marks[j]) for j in range(m)
            ]
        else:
            points = read.take("<f4", m * n).reshape(m, n)
            out += [Rows(int(ids[j]), int(offsets[j]), x, points[j]) for j in range(m)]
    return out


def put_message(
    key: str, step: int, array: NDArray[Any], meta: dict[str, Any], *, seq: int, generation: int
) -> tuple[Put, bytes]:
    """Make the message that sets a tensor, and the bytes that go with it."""
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    message: Put = {
        "kind": "put",
        "seq": seq,
        "generation": generation,
        "key": key,
        "step": step,
        "dtype": little.dtype.name,
        "shape": list(array.shape),
        "meta": meta,
    }
    return message, little.tobytes()


def pack_history(
    header: HistoryHeader, rows: Sequence[Rows], buffers: Sequence[bytes] = ()
) -> bytes:
    """Pack the `history` trait: everything a page needs to draw without a kernel.

    `buffers` are the bytes of `header["tensors"]`; `frame_bytes` is filled in here.
    """
    frame = pack_frame(rows)
    full = {**header, "frame_bytes": len(frame)}
    text = json.dumps(full, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    head = HISTORY_MAGIC + struct.pack("<I", len(text)) + text
    return b"".join([head, frame, *map(_padded, buffers)])


def unpack_history(data: bytes) -> tuple[HistoryHeader, list[Rows]]:
    """Undo `pack_history`.

    Raises
    ------
    ValueError
        If `data` is not a packed history.
    """
    if data[:4] != HISTORY_MAGIC:
        msg = f"not an nbmonitor history: starts with {data[:4]!r}, not {HISTORY_MAGIC!r}"
        raise ValueError(msg)
    (length,) = struct.unpack_from("<I", data, 4)
    header: HistoryHeader = json.loads(data[8 : 8 + length])
    return header, unpack_frame(data[8 + length :])


def unpack_tensors(data: bytes) -> list[tuple[Put, NDArray[Any]]]:
    """Return the tensors of a packed history, each with its message."""
    header, _ = unpack_history(data)
    (length,) = struct.unpack_from("<I", data, 4)
    at = 8 + length + int(header.get("frame_bytes", 0))
    out: list[tuple[Put, NDArray[Any]]] = []
    for put in header.get("tensors", []):
        dtype = np.dtype(put["dtype"]).newbyteorder("<")
        flat = np.frombuffer(data, dtype, math.prod(put["shape"]), at)
        out.append((put, flat.reshape(put["shape"])))
        at += -(-flat.nbytes // 8) * 8
    return out

"""Snapshots as one file of named arrays: `.npz` for numpy, `.safetensors` for everything else.

Both are written array by array, so that a long run needs no more memory than its snapshots take
quantised. The safetensors format is 8 bytes of length, a JSON header, and the arrays
(https://github.com/huggingface/safetensors#format).
"""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nbmonitor.parameters.blob import Blob
from nbmonitor.parameters.change import COLUMNS, SIMILARITY, UNITS, similarity_ids
from nbmonitor.parameters.snapshot import heat_parts

FORMAT = "nbmonitor snapshots 1"
SUFFIXES = (".npz", ".safetensors")
_TYPES = {"float32": "F32", "int64": "I64"}
_SERIES = {
    "tokens": "tokens/view",
    "norms": "tokens/norm",
    "moved": "tokens/moved",
    "since": "tokens/since",
    "frequency": "tokens/frequency",
    "positions": "positions/view",
    "stats": "stats",
}


@dataclass(frozen=True, slots=True)
class _Array:
    dtype: str
    shape: tuple[int, ...]
    make: Callable[[], NDArray[Any]]

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize


def write(
    path: str | Path,
    blobs: Sequence[Blob],
    meta: Mapping[str, Any],
    explained: Sequence[Sequence[float]],
    changes: Sequence[Blob | None] = (),
) -> None:
    """Write snapshots.

    Parameters
    ----------
    path
        Of the file; its suffix decides on the format.
    blobs
        Of `parameters/snapshot`, in order of steps; one at least.
    meta
        Of `parameters/meta`.
    explained
        Three shares of variance for each blob, or none.
    changes
        Of `parameters/change`, for each blob; None where a snapshot has none.

    Raises
    ------
    ValueError
        If the suffix is none of `SUFFIXES`.
    """
    path = Path(path)
    if path.suffix not in SUFFIXES:
        msg = f"{path.name!r} given; a name that ends in {' or '.join(SUFFIXES)} is allowed"
        raise ValueError(msg)
    arrays = _arrays(blobs, meta, explained) | _changes(changes)
    words = {
        "texts": [str(text) for text in (meta.get("tokens") or {}).get("texts", [])],
        "matrices": [str(matrix["name"]) for matrix in meta.get("matrices", [])],
        "statistics": [str(name) for name in meta.get("statistics", [])],
        "unit_statistics": list(COLUMNS) if any(changes) else [],
    }
    (_npz if path.suffix == ".npz" else _safetensors)(path, arrays, words)


def _arrays(
    blobs: Sequence[Blob], meta: Mapping[str, Any], explained: Sequence[Sequence[float]]
) -> dict[str, _Array]:
    """Say what is written: each part over all steps, NaN where a snapshot has none."""
    count = len(blobs)
    steps = np.array([blob.step for blob in blobs], np.int64)  # (s,)
    shares = np.full((count, 3), np.nan, np.float32)  # (s, 3)
    for place, given in enumerate(explained):
        shares[place, : len(given)] = list(given)[:3]
    out = {
        "steps": _Array("int64", steps.shape, lambda: steps),
        "explained": _Array("float32", shares.shape, lambda: shares),
    }
    ids = np.array((meta.get("tokens") or {}).get("ids", []), np.int64)  # (n,)
    if ids.size:
        out["token_ids"] = _Array("int64", ids.shape, lambda: ids)
    names = {int(m["id"]): str(m["name"]) for m in meta.get("matrices", [])}
    series = dict(_SERIES)
    for number in dict.fromkeys(n for blob in blobs for n in heat_parts(blob)):
        series[f"heat/{names.get(number, number)}"] = f"heat/{number}"
    for name, part in series.items():
        found = [blob.parts[part].stored.shape for blob in blobs if part in blob.parts]
        if found:
            shape = (count, *found[-1])
            out[name] = _Array("float32", shape, _stacked(blobs, part, shape))
    return out


def _stacked(
    blobs: Sequence[Blob | None], part: str, shape: tuple[int, ...]
) -> Callable[[], NDArray[np.float32]]:
    def make() -> NDArray[np.float32]:
        out = np.full(shape, np.nan, np.float32)  # (s, ...)
        for place, blob in enumerate(blobs):
            found = blob.parts.get(part) if blob is not None else None
            # Other tokens than now have another place for each: they would not be the same points.
            if found is not None and found.stored.shape == shape[1:]:
                out[place] = found.values
        return out

    return make


def _changes(changes: Sequence[Blob | None]) -> dict[str, _Array]:
    """Say what is written of changes since the start, by snapshot; matrices are compared by id."""
    there = [change for change in changes if change is not None]
    if not there:
        return {}
    shape = (len(changes), *there[-1].parts[UNITS].stored.shape)
    out = {"units": _Array("float32", shape, _stacked(changes, UNITS, shape))}
    ids = sorted({number for change in there for number in similarity_ids(change)})
    if ids:
        known = np.array(ids, np.int64)  # (k,)
        square = (len(changes), len(ids), len(ids))
        out["similarity_ids"] = _Array("int64", known.shape, lambda: known)
        out["similarity"] = _Array("float32", square, lambda: _similarity(changes, known))
    return out


def _similarity(changes: Sequence[Blob | None], ids: NDArray[np.int64]) -> NDArray[np.float32]:
    """Put each matrix where its id stands, (s, k, k); NaN where it was not compared."""
    out = np.full((len(changes), len(ids), len(ids)), np.nan, np.float32)
    for place, change in enumerate(changes):
        if change is not None and SIMILARITY in change.parts:
            at = np.searchsorted(ids, similarity_ids(change))
            rows, columns = np.ix_(at, at)
            out[place, rows, columns] = change.parts[SIMILARITY].values
    return out


def _npz(path: Path, arrays: Mapping[str, _Array], words: Mapping[str, Sequence[str]]) -> None:
    texts = {name: np.array(list(given), np.str_) for name, given in words.items() if given}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=4) as out:
        for name, array in _made(arrays, texts):
            with out.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


def _made(
    arrays: Mapping[str, _Array], texts: Mapping[str, NDArray[Any]]
) -> Iterator[tuple[str, NDArray[Any]]]:
    for name, array in arrays.items():
        yield name, array.make()
    yield from texts.items()


def _safetensors(
    path: Path, arrays: Mapping[str, _Array], words: Mapping[str, Sequence[str]]
) -> None:
    texts = {name: json.dumps(list(given), ensure_ascii=False) for name, given in words.items()}
    header: dict[str, Any] = {"__metadata__": {"format": FORMAT, **texts}}
    at = 0
    for name, array in arrays.items():
        header[name] = {
            "dtype": _TYPES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [at, at + array.nbytes],
        }
        at += array.nbytes
    head = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(head)) + head)
        for array in arrays.values():
            made = array.make()
            file.write(np.ascontiguousarray(made, made.dtype.newbyteorder("<")).tobytes())

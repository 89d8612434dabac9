"""One pass over large tensors: sum, smallest, largest, sum of squares, and the heat map.

Pieces are small enough for a processor's cache, so that each weight is fetched from memory once
and not once for every statistic. Sums of a piece are float32; on a CPU, longer ones would lose
digits (a norm of 80 million elements is 0.6 % off). What pieces add up to is for the host.
Nothing here waits for a device.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

from nbmonitor.parameters.pooling import HeatOf, folded, pool_columns, regions

# Elements of a piece: 1 MB on a CPU; on an accelerator, few launches and 16 MB for squares.
_PIECE, _PIECE_ON_DEVICE = 1 << 18, 1 << 22


@dataclass(slots=True)
class Sweep:
    """Pieces of the tensors of one device.

    Parameters
    ----------
    device
        A `torch.device`.
    of
        What a cell of a heat map tells.

    Attributes
    ----------
    owners
        Id of the matrix that each piece is from.
    sums, lows, highs, norms
        One tensor, (), a piece; norms are L2.
    heat
        (id, (h, w) tensor): sums of squares, or largest magnitudes.
    """

    device: Any
    of: HeatOf
    owners: list[int] = field(default_factory=list)
    sums: list[Any] = field(default_factory=list)
    lows: list[Any] = field(default_factory=list)
    highs: list[Any] = field(default_factory=list)
    norms: list[Any] = field(default_factory=list)
    heat: list[tuple[int, Any]] = field(default_factory=list)
    _buffers: dict[str, Any] = field(default_factory=dict)

    @property
    def piece(self) -> int:
        """Elements of a piece."""
        return _PIECE if self.device.type == "cpu" else _PIECE_ON_DEVICE

    def add(self, number: int, tensor: Any, heat: tuple[int, int] | None) -> None:
        """Go over one tensor.

        Parameters
        ----------
        number
            Id of its matrix.
        tensor
            Of any shape and floating-point type; not changed.
        heat
            Rows and columns of its heat map; None: it has none.
        """
        rows = tensor.detach().reshape(folded(tensor.shape))  # (rows, columns)
        if heat is None:
            self._plain(number, rows)
            return
        torch = sys.modules["torch"]
        columns = rows.shape[1]
        pooled = torch.empty((heat[0], columns), device=self.device)  # (h, columns) float32
        at = 0
        for first, blocks, each in regions(rows.shape[0], heat[0]):
            many = max(1, self.piece // (each * columns))
            for block in range(first, first + blocks, many):
                count = min(many, first + blocks - block)
                part = rows[at : at + count * each]  # (count * each, columns)
                self._pool(number, part, pooled[block : block + count])
                at += count * each
        self.heat.append((number, pool_columns(pooled, heat[1], self.of)))

    def _pool(self, number: int, rows: Any, out: Any) -> None:
        """Pool (count * each, columns) into (count, columns)."""
        torch = sys.modules["torch"]
        count = out.shape[0]
        most = max(1, self.piece // rows.shape[1])
        if len(rows) > most and count == 1:
            # One block larger than a piece.
            found = [self._pooled(number, part, 1) for part in rows.split(most)]  # (1, columns)
            whole = torch.cat(found)  # (parts, columns)
            out.copy_(whole.sum(0) if self.of == "rms" else whole.amax(0))
            return
        out.copy_(self._pooled(number, rows, count))

    def _pooled(self, number: int, rows: Any, count: int) -> Any:
        torch = sys.modules["torch"]
        values = self._tell(number, rows)
        blocks = (count, len(values) // count, values.shape[1])
        if self.of == "max":
            self.norms.append(torch.linalg.vector_norm(values))
            cut = values.view(blocks)  # (count, each, columns)
            return torch.maximum(cut.amax(1), -cut.amin(1))  # (count, columns)
        squares = self._buffer("squares", values)
        torch.mul(values, values, out=squares)
        pooled = squares.view(blocks).sum(1)  # (count, columns)
        self.norms.append(pooled.sum().sqrt())
        return pooled

    def _plain(self, number: int, rows: Any) -> None:
        """Go over a tensor without a heat map."""
        torch = sys.modules["torch"]
        flat = rows.reshape(1, -1) if rows.is_contiguous() else rows
        for line in flat.split(max(1, self.piece // flat.shape[1])):  # (some, columns)
            for part in line.split(self.piece, 1):
                self.norms.append(torch.linalg.vector_norm(self._tell(number, part)))

    def _tell(self, number: int, part: Any) -> Any:
        """Take what needs no squares; return the piece in float32."""
        torch = sys.modules["torch"]
        if part.dtype != torch.float32:
            part = self._buffer("values", part).copy_(part)
        low, high = torch.aminmax(part)
        self.owners.append(number)
        self.sums.append(part.sum())
        self.lows.append(low)
        self.highs.append(high)
        return part

    def _buffer(self, name: str, like: Any) -> Any:
        """Memory that is used over and over, shaped like a tensor: fresh pages cost more."""
        count = like.numel()
        held = self._buffers.get(name)
        if held is None or held.numel() < count:
            torch = sys.modules["torch"]
            held = torch.empty(max(count, self.piece), device=self.device)
            self._buffers[name] = held
        return held[:count].view(like.shape)

    def close(self) -> Any:
        """Give up the buffers; return (4, pieces): sums, lows, highs, norms; None without any."""
        self._buffers.clear()
        if not self.owners:
            return None
        told = [*self.sums, *self.lows, *self.highs, *self.norms]
        return sys.modules["torch"].stack(told).view(4, -1)

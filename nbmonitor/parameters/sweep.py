"""One pass over large tensors: sum, smallest, largest, sum of squares, and the heat map.

Pieces are small enough for a processor's cache, so that each weight is fetched from memory once
and not once for every statistic. Sums of a piece are float32; on a CPU, longer ones would lose
digits (a norm of 80 million elements is 0.6 % off). What pieces add up to is for the host.
Nothing here waits for a device.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from typing import Any

from nbmonitor.parameters.pooling import HeatOf, folded, pool_columns, regions

# Elements of a piece: 1 MB on a CPU; on an accelerator, few launches and 16 MB for squares.
_PIECE, _PIECE_ON_DEVICE = 1 << 18, 1 << 22
# Pieces for which there is room at a time.
_ROOM = 1024


@dataclass(slots=True)
class Sweep:
    """Pieces of the tensors of one device.

    Results go into memory that is there before: thousands of small tensors that live on between
    large ones that don't would leave a heap full of holes.

    Parameters
    ----------
    device
        A `torch.device`.
    of
        What a cell of a heat map tells.
    room
        Cells of all heat maps together.

    Attributes
    ----------
    owners
        Id of the matrix that each piece is from.
    heat
        (id, (h, w) tensor): sums of squares, or largest magnitudes.
    cells
        (room,) all heat maps one after the other, once there is any.
    """

    device: Any
    of: HeatOf
    room: int = 0
    cells: Any = None
    owners: list[int] = field(default_factory=list)
    heat: list[tuple[int, Any]] = field(default_factory=list)
    # (4, room) each: sums, smallest, largest, and squares or norms.
    _told: list[Any] = field(default_factory=list)
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
        columns = rows.shape[1]
        pooled = self._buffer("pooled", (heat[0], columns))  # (h, columns)
        at = 0
        for first, blocks, each in regions(rows.shape[0], heat[0]):
            many = max(1, self.piece // (each * columns))
            for block in range(first, first + blocks, many):
                count = min(many, first + blocks - block)
                part = rows[at : at + count * each]  # (count * each, columns)
                self._pool(number, part, pooled[block : block + count])
                at += count * each
        self._keep(number, pool_columns(pooled, heat[1], self.of))

    def _keep(self, number: int, found: Any) -> None:
        """Copy a heat map, (h, w), to its place."""
        if self.cells is None:
            self.cells = sys.modules["torch"].empty(self.room, device=self.device)
        start = sum(cells.numel() for _, cells in self.heat)
        place = self.cells[start : start + found.numel()].view(found.shape)
        self.heat.append((number, place.copy_(found)))

    def _pool(self, number: int, rows: Any, out: Any) -> None:
        """Pool (count * each, columns) into (count, columns)."""
        most = max(1, self.piece // rows.shape[1])
        if len(rows) <= most or len(out) > 1:
            self._pool_piece(number, rows, out)
            return
        # One block larger than a piece.
        some = self._buffer("some", out.shape)  # (1, columns)
        for at, part in enumerate(rows.split(most)):
            self._pool_piece(number, part, some if at else out)
            if at:
                out.add_(some) if self.of == "rms" else out.clamp_(min=some)

    def _pool_piece(self, number: int, rows: Any, out: Any) -> None:
        torch = sys.modules["torch"]
        values, told = self._tell(number, rows)
        blocks = (len(out), len(values) // len(out), values.shape[1])
        if self.of == "max":
            torch.linalg.vector_norm(values, out=told[3])
            cut = values.view(blocks)  # (count, each, columns)
            torch.maximum(cut.amax(1), -cut.amin(1), out=out)
            return
        squares = torch.mul(values, values, out=self._buffer("squares", values.shape))
        torch.sum(squares.view(blocks), 1, out=out)
        torch.sum(out, (0, 1), out=told[3])
        told[3].sqrt_()

    def _plain(self, number: int, rows: Any) -> None:
        """Go over a tensor without a heat map."""
        torch = sys.modules["torch"]
        flat = rows.reshape(1, -1) if rows.is_contiguous() else rows
        for line in flat.split(max(1, self.piece // flat.shape[1])):  # (some, columns)
            for part in line.split(self.piece, 1):
                values, told = self._tell(number, part)
                torch.linalg.vector_norm(values, out=told[3])

    def _tell(self, number: int, part: Any) -> tuple[Any, Any]:
        """Take what needs no squares; return the piece in float32, and where results go, (4,)."""
        torch = sys.modules["torch"]
        place = len(self.owners) % _ROOM
        if not place:
            self._told.append(torch.empty((4, _ROOM), device=self.device))
        told = self._told[-1][:, place]
        if part.dtype != torch.float32:
            part = self._buffer("values", part.shape).copy_(part)
        self.owners.append(number)
        torch.sum(part, (0, 1), out=told[0])
        torch.aminmax(part, out=(told[1], told[2]))
        return part, told

    def _buffer(self, name: str, shape: tuple[int, ...]) -> Any:
        """Memory that is used over and over, (shape) float32: fresh pages cost more."""
        count = math.prod(shape)
        held = self._buffers.get(name)
        if held is None or held.numel() < count:
            room = count if name in {"pooled", "some"} else max(count, self.piece)
            held = sys.modules["torch"].empty(room, device=self.device)
            self._buffers[name] = held
        return held[:count].view(shape)

    def close(self) -> Any:
        """Give up the buffers; return (4, pieces): sums, lows, highs, norms; None without any."""
        self._buffers.clear()
        if not self.owners:
            return None
        torch = sys.modules["torch"]
        return torch.cat(self._told, 1)[:, : len(self.owners)].contiguous()

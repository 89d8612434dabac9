"""What is read of a model: everything that needs to be found out only once.

Which parameters there are, which of them are read at all, which get a heat map, which rows of the
embedding are followed. It reads shapes, never a value; `nbmonitor/parameters/moment.py` does that.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nbmonitor.parameters.choice import choose, spread
from nbmonitor.parameters.classify import Matrix, classify
from nbmonitor.parameters.pooling import folded, heat_shape
from nbmonitor.parameters.roles import KINDS
from nbmonitor.parameters.samples import budget
from nbmonitor.parameters.statistics import STATISTICS, UNITS
from nbmonitor.parameters.vocabulary import STRATA, Vocabulary, sample_vocabulary
from nbmonitor.sampling import stride

# Statistics and heat map (or None) of a matrix.
Kept = tuple[NDArray[np.float32], NDArray[np.float32] | None]

_POSITIONS = 512
# Elements of the sample of the token embedding: in a step, few of its rows have a gradient.
_TABLE = 65_536
_SKIPPED = (
    "not read: with more than 500 million parameters only embeddings and the first, middle and "
    "last layers are"
)


@dataclass(frozen=True, slots=True)
class Options:
    """What a user may ask for.

    Parameters
    ----------
    tokens
        Rows of the embedding that are followed, at most.
    pinned
        Tokens (texts or ids) that are to be among them.
    heatmaps
        Matrices that get a heat map, at most; None: all of them.
    heat_size
        Rows and columns of a heat map, at most.
    heat_of
        What a cell tells of its block: the root mean square, or the largest magnitude.
    everything
        Whether all parameters are read; None: where there are not more than 500 million of them.
    samples
        Elements of a tensor from which sparsity, change and gradient are told.
    """

    tokens: int = 5000
    pinned: tuple[str | int, ...] = ()
    heatmaps: int | None = 24
    heat_size: int = 64
    heat_of: Literal["rms", "max"] = "rms"
    everything: bool | None = None
    samples: int = 16384


class Plan:
    """What is read of one model.

    Parameters
    ----------
    model
        A `torch.nn.Module`; kept, and looked at by `read`.
    tokenizer
        As the training has it, or None.
    options
        As above.

    Attributes
    ----------
    matrices, layers
        Every parameter, and the repeated blocks.
    chosen
        The matrices that are read.
    samples
        Elements of a tensor's sample at most; of the token embedding's, see `sampled`.
    heat
        Rows and columns of the heat maps, by id of the matrix.
    tokens, vocabulary
        The embedding of tokens and its rows that are followed; None without one.
    positions, position_step
        The table of positions, and the distance of the rows that are read.
    absent
        Why there are no "tokens", "positions", or nothing at all ("model").
    """

    def __init__(self, model: Any, tokenizer: Any = None, options: Options | None = None) -> None:
        self.options = options or Options()
        self._model = model
        self._rows: dict[Any, Any] = {}
        self._kept: dict[int, tuple[tuple[int, int], Kept]] = {}
        self.model_name = type(model).__name__
        self.absent: dict[str, str] = {}
        found = classify(model)
        self.matrices, self.layers = found.matrices, found.layers
        self.tokens, self.positions = found.tokens, found.positions
        modules = dict(model.named_modules())
        self.owners = [(modules[m.module], m.leaf) for m in self.matrices]
        trains = {m.id for m in self.matrices if m.trains}
        self.chosen = choose(self.matrices, trains, self.options.everything)
        self.samples = budget((m.elements for m in self.chosen), self.options.samples)
        self.heat = self._heat(trains)
        self.vocabulary: Vocabulary | None = None
        if self.tokens is not None:
            rows = self.tokens.shape[0]
            self.vocabulary = sample_vocabulary(
                rows, tokenizer, self.options.tokens, self.options.pinned
            )
            if self.vocabulary.note:
                self.absent["texts"] = self.vocabulary.note
        else:
            self.absent["tokens"] = "this model has no table of token embeddings"
        total = folded(self.positions.shape)[0] if self.positions else 0
        self.position_step = stride(total, _POSITIONS) if total else 1
        if not total:
            self.absent["positions"] = (
                "this model learns no table of positions (rotary and relative ones have none)"
            )
        if not self.matrices:
            self.absent["model"] = "this model has no parameters"

    def tensor(self, matrix: Matrix) -> Any:
        """Return the parameter as the model holds it now, or None."""
        module, leaf = self.owners[matrix.id]
        return getattr(module, leaf, None)

    def sampled(self, number: int) -> int:
        """Elements of a matrix's sample at most; a matrix with no more than that is read whole."""
        table = self.tokens is not None and number == self.tokens.id
        return max(self.samples, _TABLE) if table else self.samples

    def check(self, model: Any) -> None:
        """Raise ValueError if the plan was made for another model."""
        if model is not self._model:
            msg = (
                f"this plan is for another model (a {self.model_name}): make a new "
                "Plan(model, tokenizer, options)"
            )
            raise ValueError(msg)

    def rows_on(self, device: Any) -> Any:
        """Rows of the tokens that are followed, (n,) int64 on a device; made there once."""
        assert self.vocabulary is not None
        if device not in self._rows:
            ids = sys.modules["torch"].from_numpy(self.vocabulary.ids)
            self._rows = {device: ids.to(device)}
        return self._rows[device]

    def unchanged(self, versions: Mapping[int, tuple[int, int]]) -> tuple[int, ...]:
        """Ids of frozen matrices that are remembered, and have not been written to since."""
        return tuple(n for n, v in versions.items() if n in self._kept and self._kept[n][0] == v)

    def remember(self, number: int, version: tuple[int, int], kept: Kept) -> None:
        """Keep what was read of a frozen matrix."""
        self._kept[number] = version, kept

    def remembered(self, number: int) -> Kept:
        """Return what was read of a frozen matrix."""
        return self._kept[number][1]

    def stale(self, model: Any) -> bool:
        """Whether the model's parameters are others than those that were planned for."""
        if model is not self._model:
            return True
        shapes = [tuple(p.shape) for _, p in model.named_parameters()]
        return shapes != [m.shape for m in self.matrices]

    def meta(self, unread: Mapping[int, str] | None = None) -> dict[str, Any]:
        """Everything that a page has to know once, as JSON (`parameters/meta`).

        Parameters
        ----------
        unread
            Why matrices could not be read, by id, as a reading tells it.
        """
        return {
            "version": 1,
            "model": self.model_name,
            "tokens": self._tokens(),
            "positions": self._positions(),
            "matrices": [self._matrix(m, (unread or {}).get(m.id, "")) for m in self.matrices],
            "layers": [
                {"index": layer.index, "stack": layer.stack, "label": layer.label}
                for layer in self.layers
            ],
            "kinds": list(KINDS),
            "statistics": list(STATISTICS),
            "units": dict(UNITS),
            "heat_of": self.options.heat_of,
            "absent": dict(self.absent),
        }

    def _tokens(self) -> dict[str, Any] | None:
        if self.tokens is None or self.vocabulary is None:
            return None
        return {
            "key": self.tokens.name,
            "count": len(self.vocabulary.ids),
            "vocabulary": self.tokens.shape[0],
            "width": self.tokens.shape[1],
            "ids": self.vocabulary.ids.tolist(),
            "texts": list(self.vocabulary.texts),
            "strata": self.vocabulary.strata.tolist(),
            "strata_names": list(STRATA),
            "tied": bool(self.tokens.tied),
        }

    def _positions(self) -> dict[str, Any] | None:
        if self.positions is None:
            return None
        total, width = folded(self.positions.shape)
        step = self.position_step
        count = -(-total // step)
        return {
            "key": self.positions.name, "count": count, "total": total, "width": width, "step": step
        }  # fmt: skip

    def _matrix(self, matrix: Matrix, unread: str) -> dict[str, Any]:
        heat = self.heat.get(matrix.id)
        out: dict[str, Any] = {
            "id": matrix.id,
            "name": matrix.name,
            "label": matrix.label,
            "kind": matrix.kind,
            "role": matrix.role,
            "layer": matrix.layer,
            "stack": matrix.stack,
            "shape": list(matrix.shape),
            "heat": list(heat) if heat else None,
        }
        if not matrix.trains:
            out["frozen"] = True
        if unread or matrix not in self.chosen:
            out["absent"] = unread or _SKIPPED
        return out

    def _heat(self, trains: set[int]) -> dict[int, tuple[int, int]]:
        """Choose matrices that get a heat map: whole layers, spread over the depth."""
        size, most = self.options.heat_size, self.options.heatmaps
        fit = [
            m
            for m in self.chosen
            if len(m.shape) >= 2 and m.kind != "norm"
            and min(folded(m.shape)) > 1
        ]  # fmt: skip
        order = spread(fit, trains)
        picked = order if most is None else order[:most]
        return {m.id: heat_shape(m.shape, size) for m in sorted(picked, key=lambda m: m.id)}

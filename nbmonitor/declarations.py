"""Which declared series a key belongs to: exact keys first, then patterns in order."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable

from nbmonitor.probe import Series


class Declarations:
    """Labels, units and precision by key; `*` stands for anything within one part."""

    def __init__(self, series: Iterable[Series] = ()) -> None:
        self._exact: dict[str, Series] = {}
        self._patterns: dict[str, tuple[list[str], Series]] = {}
        self.add(series)

    def add(self, series: Iterable[Series]) -> None:
        """Declare further series; a key declared again is replaced."""
        for spec in series:
            if "*" in spec.key:
                self._patterns[spec.key] = (spec.key.split("/"), spec)
            else:
                self._exact[spec.key] = spec

    def find(self, key: str) -> Series:
        """Find the declaration of `key`; undeclared keys keep full precision and no unit."""
        if key in self._exact:
            return self._exact[key]
        parts = key.split("/")
        for wanted, spec in self._patterns.values():
            if len(wanted) == len(parts) and all(
                fnmatch.fnmatchcase(have, want) for have, want in zip(parts, wanted, strict=True)
            ):
                return spec
        return Series(key, dtype="float64")

"""Run every measurement, or those named, and print one table."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import time

import bench

_NOT_MEASURES = {"__main__", "figure", "job", "kernel", "lab"}


def main(names: list[str]) -> int:
    """Measure, print, and fail when a budget is exceeded."""
    known = [m.name for m in pkgutil.iter_modules(bench.__path__) if m.name not in _NOT_MEASURES]
    for name in names:
        if name not in known:
            print(f"no measurement {name!r}; there are {', '.join(known)}")
            return 2
    print("| what | measured | budget | verdict | note |\n|---|---|---|---|---|", flush=True)
    over = 0
    for name in names or known:
        started = time.monotonic()
        for figure in importlib.import_module(f"bench.{name}").measure():
            over += figure.verdict == "OVER"
            print(figure.row(), flush=True)
        print(f"<!-- {name}: {time.monotonic() - started:.0f} s -->", flush=True)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

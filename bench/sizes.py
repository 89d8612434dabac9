"""What is shipped and what an import costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from bench.figure import Figure

STATIC = Path(__file__).parent.parent / "nbmonitor" / "static"
_PAIRS = 15
_CLOCK = "import time; t = time.process_time(); import {}; print(time.process_time() - t)"


def _import_time(module: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _CLOCK.format(module)], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def measure() -> list[Figure]:
    """Weigh the bundle; time imports in fresh processes, in pairs."""
    ratios = sorted(_import_time("nbmonitor") / _import_time("anywidget") for _ in range(_PAIRS))
    bundle = (STATIC / "widget.js").stat().st_size / 1000
    return [
        Figure("front-end bundle, minified", bundle, "KB", 300),
        Figure("import nbmonitor / import anywidget", ratios[_PAIRS // 2], "×", 2.5),
    ]

"""What is shipped and what an import costs."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.figure import Figure

STATIC = Path(__file__).parent.parent / "nbmonitor" / "static"
_PAIRS = 15
_CLOCK = "import time; t = time.process_time(); import {}; print(time.process_time() - t)"


def _import_time(module: str, cache: str) -> float:
    # From compiled files, as users import it, also where the environment forbids writing them.
    environment = {"PYTHONPYCACHEPREFIX": cache, "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(
        [sys.executable, "-c", _CLOCK.format(module)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | environment,
    )
    return float(done.stdout)


def measure() -> list[Figure]:
    """Weigh the bundle; time imports in fresh processes, in pairs."""
    with tempfile.TemporaryDirectory() as cache:
        pairs = [
            [_import_time(module, cache) for module in ("nbmonitor", "anywidget")]
            for _ in range(1 + _PAIRS)
        ]
    # The first pair compiles.
    ratios = sorted(ours / theirs for ours, theirs in pairs[1:])
    bundle = sum((STATIC / f"widget.{kind}").stat().st_size for kind in ("js", "css")) / 1000
    return [
        Figure("front-end bundle, JS and CSS, minified", bundle, "KB", 300),
        Figure("import nbmonitor / import anywidget", ratios[_PAIRS // 2], "×", 2.5),
    ]

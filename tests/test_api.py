"""The public names, and what importing them costs and brings in."""

from __future__ import annotations

import statistics
import subprocess
import sys

import nbmonitor

TYPES = ["Batch", "Context", "Panel", "Probe", "Rule", "Run", "Series", "Step", "TrainingMonitor"]
FUNCTIONS = ["list_runs", "open_run"]
PUBLIC = [*TYPES, *FUNCTIONS]
HEAVY = ["torch", "transformers", "peft", "pythreejs", "bqplot", "pandas", "PIL", "rich"]


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout


def test_exported_names():
    assert nbmonitor.__all__ == [*TYPES, "__version__", *FUNCTIONS]
    found = {name for name in vars(nbmonitor) if not name.startswith("_")}
    modules = {name for name in found if f"nbmonitor.{name}" in sys.modules}
    assert found - modules == set(PUBLIC)


def test_public_names_are_documented():
    undocumented = [name for name in PUBLIC if not (getattr(nbmonitor, name).__doc__ or "").strip()]
    assert not undocumented


def test_import_brings_in_nothing_heavy():
    loaded = python("import nbmonitor, sys; print(*sys.modules)").split()
    assert "nbmonitor" in loaded
    assert not set(HEAVY) & set(loaded)


def seconds(package: str) -> float:
    return float(
        python(
            f"import time; t = time.perf_counter(); import {package}; print(time.perf_counter() - t)"
        )
    )


def test_import_time():
    """Side by side, so that a busy machine slows down both."""
    ratios = [seconds("nbmonitor") / seconds("anywidget") for _ in range(5)]
    assert statistics.median(ratios) <= 2.5, ratios

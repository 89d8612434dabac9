"""The public names, and what importing them costs and brings in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nbmonitor

TYPES = ["Batch", "Context", "Panel", "Probe", "Rule", "Run", "Series", "Step", "TrainingMonitor"]
FUNCTIONS = ["list_runs", "open_run", "side_by_side"]
PUBLIC = [*TYPES, *FUNCTIONS]
HEAVY = ["torch", "transformers", "peft", "pythreejs", "bqplot", "pandas", "PIL", "rich"]


def python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env=os.environ | environment,
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


def seconds(package: str, cache: Path) -> float:
    """CPU time of an import in a process of its own, from compiled files in `cache`."""
    code = f"import time; t = time.process_time(); import {package}; print(time.process_time() - t)"
    # Set to the empty string, the variable is as good as unset.
    return float(python(code, PYTHONPYCACHEPREFIX=str(cache), PYTHONDONTWRITEBYTECODE=""))


def test_import_time(tmp_path):
    """By CPU time, the least of several: other work on the machine only ever adds to it."""
    packages = ("nbmonitor", "anywidget")
    for package in packages:  # compiles
        seconds(package, tmp_path)
    least = dict.fromkeys(packages, float("inf"))
    for _ in range(5):
        for package in packages:
            least[package] = min(least[package], seconds(package, tmp_path))
    assert least["nbmonitor"] <= 2.5 * least["anywidget"], least

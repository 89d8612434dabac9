"""Kernels of several ipykernel versions for the tests; made by `scripts/kernels.py`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parent.parent / ".kernels"
VERSIONS = ("6.31", "7.0", "7.3", "7.4")


def name(version: str) -> str:
    """Kernel name of an ipykernel version; fails the test where it was not made."""
    if not (HOME / version / ".made-for").is_file():
        pytest.fail(f"no environment with ipykernel {version}: run `make kernels`")
    return f"ipykernel-{version}"


def environment() -> dict[str, str]:
    """This process's variables, and where Jupyter finds the kernels."""
    return {**os.environ, "JUPYTER_PATH": str(HOME / "share" / "jupyter")}

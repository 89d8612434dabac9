"""Optional packages: asked for without importing, and missed with the way to get them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from nbmonitor import extras


def test_available_does_not_import():
    code = (
        "import sys; from nbmonitor import extras;"
        "assert extras.available('wave') and 'wave' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert not extras.available("no_such_package")
    assert not extras.available("no_such_package.inner")


def test_blocked_package_is_not_available(monkeypatch):
    monkeypatch.setitem(sys.modules, "wave", None)
    assert not extras.available("wave")


def test_require_imports_or_names_the_way_out():
    assert extras.require("json", extra="all", feature="x").__name__ == "json"
    with pytest.raises(ImportError, match="LoRA norms") as caught:
        extras.require("no_such_package", extra="lora", feature="LoRA norms")
    assert "no_such_package" in str(caught.value)
    assert 'pip install "nbmonitor[lora]"' in str(caught.value)


def test_broken_package_says_what_broke(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text("import no_such_package_either\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match=r"installed, but.*no_such_package_either"):
        extras.require("broken_package", extra="lora", feature="LoRA norms")

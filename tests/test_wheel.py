"""The wheel: built, installed where nothing else is, imported, and drawn in a browser.

The clean environment has no torch and no transformers: what it shows works without extras.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from browser.jupyter import Notebook, Server

ROOT = Path(__file__).resolve().parent.parent
KERNEL = "clean"
CELL = """
import sys, time
from nbmonitor import TrainingMonitor

class Model:
    def parameters(self):
        return iter(())

monitor = TrainingMonitor(name="from the wheel").watch(Model(), total_steps=60)
display(monitor)
for step in range(60):
    monitor.step(1 / (step + 1))
    time.sleep(0.02)
monitor.finish()
print("torch" in sys.modules, "transformers" in sys.modules)
"""

pytestmark = [pytest.mark.slow]


def run(*command: object, cwd: Path = ROOT) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", target, ROOT)
    (made,) = target.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def clean_python(wheel, tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("clean")
    run(sys.executable, "-m", "venv", home)
    python = home / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", wheel, "ipykernel")
    return python


def test_contents(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = next(name for name in names if name.endswith(".dist-info/METADATA"))
        text = archive.read(metadata).decode()
    assert {
        "nbmonitor/__init__.py",
        "nbmonitor/py.typed",
        "nbmonitor/static/widget.js",
        "nbmonitor/static/widget.css",
    } <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "License-Expression: BSD-3-Clause" in text
    outside = {n for n in names if not n.startswith("nbmonitor/") and ".dist-info/" not in n}
    assert not outside
    assert not [n for n in names if n.endswith((".pyc", ".ts", ".map"))]


def test_bundle_is_small(wheel):
    with zipfile.ZipFile(wheel) as archive:
        sizes = [
            archive.getinfo(f"nbmonitor/static/widget.{kind}").file_size for kind in ("js", "css")
        ]
    assert 20_000 < sum(sizes) <= 300 * 1024


def test_import_in_a_clean_environment(clean_python, tmp_path):
    code = "import nbmonitor, sys; print(nbmonitor.__version__, nbmonitor.__file__, 'torch' in sys.modules)"
    version, place, torch = run(clean_python, "-c", code, cwd=tmp_path).split()
    text = (ROOT / "nbmonitor" / "__init__.py").read_text()
    assert f'__version__ = "{version}"' in text
    assert str(ROOT) not in place
    assert torch == "False"


@pytest.mark.browser
def test_drawn_in_a_browser(clean_python, browser, tmp_path):
    spec = tmp_path / "data" / "kernels" / KERNEL
    spec.mkdir(parents=True)
    argv = [str(clean_python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel = {"argv": argv, "display_name": KERNEL, "language": "python"}
    (spec / "kernel.json").write_text(json.dumps(kernel))
    server = Server(tmp_path)
    try:
        server.write("wheel", [CELL], KERNEL)
        context = browser.new_context()
        book = Notebook(context, server, "lab", "wheel")
        book.ready()
        book.run(0)
        book.expect_state("finished")
        assert book.wait_step(60) == 60
        book.dashboard().locator("[data-panel=loss] canvas").first.wait_for()
        assert book.text(0).split() == ["False", "False"]
        assert book.errors == []
        context.close()
    finally:
        server.close()

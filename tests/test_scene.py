"""The 3D scene's objects: what there is, what it costs, and what is said where there is none."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from nbmonitor import TrainingMonitor, extras, kernel
from nbmonitor.scene import assembly


@pytest.fixture
def monitor():
    made = TrainingMonitor(run_dir=False)
    yield made
    made.close()


def test_scene3d_is_a_renderer_and_the_page_is_told_its_parts(monitor) -> None:
    import pythreejs

    renderer = monitor.scene3d
    assert isinstance(renderer, pythreejs.Renderer)
    assert monitor.scene3d is renderer
    assert monitor.scene3d_absent == ""
    told = monitor.get_state("scene")["scene"]
    assert told["renderer"] == f"IPY_MODEL_{renderer.model_id}"
    assert told.keys() >= {"scene", "camera", "points", "mesh", "lines", "texture", "position"}
    # What exports a notebook follows such references, and only in a flat dict.
    assert all(isinstance(value, str) for value in told.values())


def test_its_objects_are_placeholders_with_numeric_uniforms(monitor) -> None:
    assert monitor.scene3d is not None
    structure = monitor._assembly.structure
    assert structure.handles["position"].array.shape == (1, 3)
    uniforms = structure.handles["material"].uniforms
    assert all(isinstance(u["value"], int | float) for u in uniforms.values())
    sent = [json.dumps(w.get_state(), default=lambda _: "") for w in structure.widgets()]
    assert len(sent) <= 15
    assert sum(map(len, sent)) < 20_000


def test_without_a_kernel_nothing_is_made_until_asked_for() -> None:
    code = (
        "import sys, nbmonitor; m = nbmonitor.TrainingMonitor(run_dir=False);"
        "assert 'pythreejs' not in sys.modules; m.scene3d; assert 'pythreejs' in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def test_in_a_kernel_it_is_made_with_the_monitor(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"host": "jupyter", "ipykernel": "", "channel": "none", "reason": ""}
    monkeypatch.setattr(kernel, "capabilities", lambda _: told)
    made = TrainingMonitor(run_dir=False)
    assert "renderer" in made.scene
    made.close()


def test_a_missing_package_is_a_sentence_for_the_page(monitor, monkeypatch) -> None:
    monkeypatch.setattr(extras, "available", lambda _: False)
    assert monitor.scene3d is None
    assert 'pip install "nbmonitor[scene]"' in monitor.scene3d_absent
    assert monitor.get_state("scene")["scene"] == {"absent": monitor.scene3d_absent}


def test_a_broken_package_costs_the_scene_only(monitor, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "nbmonitor.scene.structure", None)
    assert monitor.scene3d is None
    assert "ModuleNotFoundError" in monitor.scene3d_absent


@pytest.mark.parametrize(("name", "told"), [("is_forked", True), ("detect_host", "marimo")])
def test_nothing_is_made_where_nobody_can_see_it(monkeypatch, name, told) -> None:
    monkeypatch.setattr(kernel, name, lambda: told)
    assert assembly.assemble().structure is None


def test_closing_the_monitor_closes_the_scene() -> None:
    made = TrainingMonitor(run_dir=False)
    renderer = made.scene3d
    made.close()
    assert renderer.comm is None

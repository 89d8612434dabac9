"""NVML through its real ctypes path: a fake driver library, loaded by pynvml in a process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nbmonitor.devices import nvml
from nbmonitor.devices.visible import visible

GIB = 2**30
SOURCE = Path(__file__).with_name("fake_nvml.c")


def compiled(folder, *flags):
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.fail("no C compiler: run `make system`")
    library = folder / "libnvidia-ml.so.1"
    command = [compiler, "-shared", "-fPIC", "-Wall", "-Werror", *flags, "-o", library, SOURCE]
    subprocess.run(command, check=True)
    return folder


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("driver"))


def run(driver, tmp_path, body, state="", **environment):
    """Run `body` with the fake library; it prints JSON."""
    file = tmp_path / "state"
    file.write_text(state)
    code = (
        "import json, os, pathlib\n"
        "from nbmonitor.devices.nvml import Nvml, NoDevices\n"
        "state = pathlib.Path(os.environ['FAKE_NVML_STATE'])\n"
        "now = [0.0]\n"
        "def show(*things): print(json.dumps(things))\n"
        "try:\n    gpus = Nvml(clock=lambda: now[0])\n"
        "except NoDevices as none:\n    show(str(none))\n    raise SystemExit\n"
    ) + body
    env = {
        key: value
        for key, value in os.environ.items()
        if key not in {"CUDA_VISIBLE_DEVICES", "LD_PRELOAD"}
    }
    env |= {
        "LD_LIBRARY_PATH": str(driver),
        "FAKE_NVML_STATE": str(file),
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
        **environment,
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_two_gpus_every_reading(driver, tmp_path):
    values, reasons, names, uuids = run(
        driver, tmp_path, "show(gpus.read(), gpus.reasons, gpus.names, gpus.uuids)"
    )
    assert values == {
        f"{i}/{name}": value
        for i in (0, 1)
        for name, value in {
            "memory_used": (i + 1) * GIB,
            "memory_total": 24 * GIB,
            "utilization": 50 + i,
            "temperature": 70 + i,
            "power": 123.456,
            "power_limit": 350,
        }.items()
    }
    assert reasons == {}
    assert names == ["Fake GPU 0", "Fake GPU 1"]
    assert uuids[1].startswith("00000001-")


def test_old_driver_without_the_newer_calls(tmp_path):
    (tmp_path / "lib").mkdir()
    old = compiled(tmp_path / "lib", "-DOLD_DRIVER")
    (values,) = run(old, tmp_path, "show(gpus.read())")
    assert values["0/temperature"] == 60
    assert values["0/memory_used"] == 1.5 * GIB


def test_unsupported_is_a_reason_and_never_zero(driver, tmp_path):
    values, reasons = run(driver, tmp_path, "show(gpus.read(), gpus.reasons)", "nopower 1\nmig 0\n")
    assert "1/power" not in values
    assert values["0/power"] == pytest.approx(123.456)
    assert values["1/power_limit"] == 350
    assert reasons["1/power"] == "NVML: Not Supported by Fake GPU 1"
    assert reasons["0/utilization"] == "NVML: Not Supported while MIG is on"
    assert len(reasons) == 2


def test_unplugged_gpu_stops_alone_and_comes_back(driver, tmp_path):
    body = (
        "first = gpus.read()\n"
        "state.write_text('lost 1')\n"
        "second, why = gpus.read(), gpus.reasons\n"
        "now[0] = 11.0; third, still = gpus.read(), gpus.reasons\n"
        "state.write_text(''); now[0] = 12.0; early = gpus.read()\n"
        "now[0] = 30.0; fourth = gpus.read()\n"
        "show(first, second, why, third, still, early, fourth, gpus.reasons)\n"
    )
    first, second, why, third, still, early, fourth, none = run(driver, tmp_path, body)
    zero = {key for key in first if key.startswith("0/")}
    assert len(first) == 12
    assert set(second) == set(third) == set(early) == zero
    assert set(why) == {key for key in first if key.startswith("1/")}
    assert "GPU is lost" in why["1/memory_used"]
    assert "Not Found" in still["1/memory_used"]
    assert fourth == first
    assert none == {}


def test_driver_not_loaded(driver, tmp_path):
    assert run(driver, tmp_path, "", "nodriver 1\n") == ["NVML: Driver Not Loaded"]


def test_no_gpus_at_all(driver, tmp_path):
    assert run(driver, tmp_path, "", "count 0\n") == ["NVML: no GPU"]


@pytest.mark.parametrize(
    ("setting", "used"),
    [
        ("1", [2]),
        ("1,0", [2, 1]),
        ("GPU-00000001", [2]),
        ("GPU-00000000-aaaa-bbbb-cccc-dddddddddddd", [1]),
        ("0,7,1", [1]),
    ],
)
def test_only_visible_gpus_in_the_process_own_order(driver, tmp_path, setting, used):
    (values,) = run(driver, tmp_path, "show(gpus.read())", CUDA_VISIBLE_DEVICES=setting)
    found = [values[f"{i}/memory_used"] / GIB for i in range(len(used))]
    assert found == used
    assert len(values) == 6 * len(used)


def test_all_gpus_hidden(driver, tmp_path):
    (reason,) = run(driver, tmp_path, "", CUDA_VISIBLE_DEVICES="")
    assert "CUDA_VISIBLE_DEVICES=''" in reason


def test_visible():
    assert visible(3, None) == [0, 1, 2]
    assert visible(3, "2, 0") == [2, 0]
    assert visible(3, "-1") == visible(3, "") == visible(3, "NoDevFiles") == []
    assert visible(3, "MIG-1,GPU-2") == ["MIG-1", "GPU-2"]


def test_importing_the_module_imports_no_pynvml():
    code = "import sys, nbmonitor.devices.nvml; assert 'pynvml' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_readings_are_what_a_lost_gpu_lists():
    assert len(nvml.READINGS) == 6

"""AMD telemetry: the JSON of several versions, and a tool that misbehaves."""

from __future__ import annotations

import json
import stat
import sys

import pytest

from nbmonitor.devices import rocm
from nbmonitor.devices.rocm import Rocm
from nbmonitor.devices.rocm_json import (
    from_amd_smi,
    from_rocm_smi,
    limits_from_amd_smi,
    number,
    parse,
)


def of(value, unit):
    return {"value": value, "unit": unit}


# amd-smi 26 (ROCm 7): a list under gpu_data; Instinct cards have no edge sensor.
NEW = {
    "gpu_data": [
        {
            "gpu": 0,
            "usage": {"gfx_activity": of(97, "%"), "vcn_activity": [of(0, "%"), "N/A"]},
            "power": {"socket_power": of(239, "W"), "gfx_voltage": "N/A"},
            "temperature": {"edge": "N/A", "hotspot": of(36, "C"), "mem": of(30, "C")},
            "mem_usage": {"total_vram": of(294896, "MB"), "used_vram": of(283, "MB")},
        },
        {"gpu": 1, "usage": "N/A", "power": "N/A", "temperature": "N/A", "mem_usage": "N/A"},
    ]
}
NEW_LIMIT = {
    "gpu_data": [
        {
            "gpu": 0,
            "limit": {
                "ppt0": {
                    "max_power_limit": of(1400, "W"),
                    "socket_power_limit": of(1000, "W"),
                },
                "ppt1": {"max_power_limit": "N/A", "socket_power_limit": "N/A"},
            },
        }
    ]
}
# amd-smi 24 (ROCm 6): a plain list.
LIST = [
    {
        "gpu": 0,
        "usage": {"gfx_activity": of(5, "%")},
        "power": {"socket_power": of(22, "W")},
        "temperature": {"edge": of(44, "C"), "hotspot": of(50, "C")},
        "mem_usage": {"total_vram": of(20464, "MB"), "used_vram": of(26, "MB")},
    }
]
LIST_LIMIT = [{"gpu": 0, "limit": {"max_power": of(303, "W"), "socket_power": of(250, "W")}}]
# amd-smi 23 (ROCm 5.7): values as text.
TEXT = [
    {
        "gpu": 0,
        "usage": {"gfx_activity": "7 %"},
        "power": {"average_socket_power": "35 W"},
        "fb_usage": {"vram_total": "16368 MB", "vram_used": "1024 MB"},
    }
]
# rocm-smi of several years: power under two names, cards beside a `system` entry.
OLD = {
    "card0": {
        "Temperature (Sensor edge) (C)": "44.0",
        "Temperature (Sensor junction) (C)": "50.0",
        "Average Graphics Package Power (W)": "22.0",
        "Max Graphics Package Power (W)": "300.0",
        "GPU use (%)": "37",
        "VRAM Total Memory (B)": "21458059264",
        "VRAM Total Used Memory (B)": "27856896",
    },
    "card1": {
        "Temperature (Sensor junction) (C)": "36.0",
        "Current Socket Graphics Package Power (W)": "143.0",
        "GPU use (%)": "N/A",
    },
    "system": {"Driver version": "6.7.0"},
}


def test_numbers():
    assert number(of(2, "MB")) == 2 * 2**20
    assert number("2 GB") == 2 * 2**30
    assert number("5 %") == number(5) == number("5.0") == 5
    assert number(of(1500, "mW")) == 1.5
    assert number(0) == 0
    for nothing in ("N/A", None, {}, of("N/A", "W"), [], True, ""):
        assert number(nothing) is None


def test_new_amd_smi():
    assert from_amd_smi(NEW) == {
        0: {
            "utilization": 97,
            "power": 239,
            "temperature": 36,
            "memory_used": 283 * 2**20,
            "memory_total": 294896 * 2**20,
        },
        1: {},
    }
    assert limits_from_amd_smi(NEW_LIMIT) == {0: 1000}


def test_older_amd_smi():
    assert from_amd_smi(LIST)[0]["temperature"] == 44
    assert from_amd_smi(LIST[0])[0]["power"] == 22
    assert limits_from_amd_smi(LIST_LIMIT) == {0: 250}
    assert from_amd_smi(TEXT) == {
        0: {
            "utilization": 7,
            "power": 35,
            "memory_used": 2**30,
            "memory_total": 16368 * 2**20,
        }
    }


def test_rocm_smi():
    got = from_rocm_smi(OLD)
    assert got[0] == {
        "temperature": 44,
        "power": 22,
        "power_limit": 300,
        "utilization": 37,
        "memory_total": 21458059264,
        "memory_used": 27856896,
    }
    assert got[1] == {"temperature": 36, "power": 143}


@pytest.mark.parametrize("data", [None, 3, "x", [], {}, [1, "x"], {"gpu_data": None}, {"card0": 1}])
def test_anything_else_is_no_reading(data):
    assert not any(from_amd_smi(data).values())
    assert not any(from_rocm_smi(data).values())
    assert not limits_from_amd_smi(data)


def test_warnings_before_the_json():
    assert parse("WARNING: a card is asleep\n" + json.dumps(OLD)) == OLD
    with pytest.raises(ValueError, match="no JSON"):
        parse("Segmentation fault")


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """Make an `amd-smi` that prints what `answer` says."""
    for name in ("ROCR", "HIP", "CUDA"):
        monkeypatch.delenv(f"{name}_VISIBLE_DEVICES", raising=False)

    def make(name="amd-smi", **answers):
        path = tmp_path / name
        answers = {key: json.dumps(value) for key, value in answers.items()}
        path.write_text(
            f"#!{sys.executable}\nimport sys\nanswers = {answers!r}\n"
            "kind = next((k for k in answers if k in sys.argv[1]), None)\n"
            "sys.exit('no such option') if kind is None else print(answers[kind])\n"
        )
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    return make


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_amd_smi_is_run_and_says_what_is_missing(tool):
    gpus = Rocm(tool(metric=NEW, static=NEW_LIMIT))
    gpus._next = 0.0
    values = gpus.read()
    assert values["0/power"] == 239
    assert values["0/power_limit"] == 1000
    assert not any(key.startswith("1/") for key in values)
    assert gpus.reasons["1/power"] == "amd-smi does not tell it for this GPU"
    assert len(gpus.reasons) == 6


def test_rocm_smi_is_run(tool):
    gpus = Rocm(tool("rocm-smi", showuse=OLD))
    gpus._next = 0.0
    assert gpus.read()["0/power_limit"] == 300


def test_visible_devices(tool, monkeypatch):
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "1")
    gpus = Rocm(tool("rocm-smi", showuse=OLD))
    gpus._next = 0.0
    assert gpus.read()["0/power"] == 143
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "")
    with pytest.raises(LookupError, match="no GPU"):
        Rocm(tool("rocm-smi", showuse=OLD))


def test_asked_no_more_often_than_it_can_answer(tool):
    clock = Clock()
    gpus = Rocm(tool(metric=NEW, static=NEW_LIMIT), clock=clock)
    gpus._next = 10.0
    assert gpus.read() == {}
    clock.now = 11.0
    assert gpus.read()


def test_a_tool_that_fails_later_is_a_reason(tool):
    path = tool(metric=NEW, static=NEW_LIMIT)
    gpus = Rocm(path)
    tool()
    gpus._next = 0.0
    assert gpus.read() == {}
    assert "no such option" in gpus.reasons["0/power"]
    assert "exit code 1" in gpus.reasons["0/power"]


def test_a_tool_that_hangs_is_a_reason(tool, tmp_path, monkeypatch):
    gpus = Rocm(tool(metric=NEW, static=NEW_LIMIT))
    (tmp_path / "amd-smi").write_text("#!/bin/sh\nexec sleep 30\n")
    monkeypatch.setattr(rocm, "TIMEOUT", 0.1)
    gpus._next = 0.0
    assert gpus.read() == {}
    assert "did not answer" in gpus.reasons["0/power"]


def test_no_tool_and_no_driver(tmp_path, monkeypatch, tool):
    monkeypatch.setattr(rocm, "_FOLDERS", str(tmp_path / "none"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LookupError, match="no amd-smi or rocm-smi"):
        Rocm()
    tool()
    monkeypatch.setattr(rocm, "_KERNEL_INTERFACE", tmp_path / "kfd")
    with pytest.raises(LookupError, match="no driver loaded"):
        Rocm()
    with pytest.raises(LookupError, match="no such option"):
        Rocm(tool())
    with pytest.raises(LookupError, match="no GPU"):
        Rocm(tool(metric=[], static=[]))

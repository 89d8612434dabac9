"""The GPU and host probes: what they record, and what they say of what they can't read."""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace

import psutil
import pytest

from nbmonitor.devices import nvml
from nbmonitor.probe import Context
from nbmonitor.probes import gpu
from nbmonitor.probes.gpu import Gpu
from nbmonitor.probes.host import HostTelemetry


class Fake:
    uuids = ("aaa", "bbb")
    reasons = {"1/power": "NVML: Not Supported"}  # noqa: RUF012 - a fake

    def read(self):
        return {"0/power": 100.0}


def raising(error):
    def call(*args):
        raise error

    return call


def without_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=None))


def test_nothing_found_says_what_each_way_answered(monkeypatch):
    monkeypatch.setattr(gpu, "Nvml", raising(nvml.NoDevices("NVML: Driver Not Loaded")))
    monkeypatch.setattr(gpu, "Rocm", raising(LookupError("ROCm: no amd-smi or rocm-smi")))
    probe = Gpu()
    assert probe.absent(Context()) == (
        "no NVIDIA or AMD GPU found (NVML: Driver Not Loaded; ROCm: no amd-smi or rocm-smi)"
    )
    assert probe.on_tick() is None
    assert probe.unavailable() == {}


def test_rocm_is_asked_when_there_is_no_nvidia(monkeypatch):
    without_torch(monkeypatch)
    monkeypatch.setattr(gpu, "Nvml", raising(nvml.NoDevices("NVML: Driver Not Loaded")))
    monkeypatch.setattr(gpu, "Rocm", Fake)
    probe = Gpu()
    assert probe.absent(Context()) == ""
    assert probe.on_tick() == {"gpu/0/power": 100.0}


def test_values_and_reasons_are_keyed_alike(monkeypatch):
    without_torch(monkeypatch)
    monkeypatch.setattr(gpu, "Nvml", Fake)
    probe = Gpu()
    assert probe.absent(Context()) == probe.absent(Context()) == ""
    assert probe.on_tick() == {"gpu/0/power": 100.0}
    assert probe.unavailable() == {"gpu/1/power": "NVML: Not Supported"}


def test_torch_figures_go_to_the_gpu_with_its_identifier(monkeypatch):
    cuda = SimpleNamespace(
        is_initialized=lambda: True,
        device_count=lambda: 2,
        get_device_properties=lambda i: SimpleNamespace(uuid=("bbb", "aaa")[i]),
        memory_allocated=lambda i: 10 + i,
        memory_reserved=lambda i: 20 + i,
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    monkeypatch.setattr(gpu, "Nvml", Fake)
    probe = Gpu()
    probe.absent(Context())
    got = probe.on_tick()
    assert got["gpu/1/torch_allocated"] == 10
    assert got["gpu/0/torch_reserved"] == 21
    cuda.is_initialized = lambda: False
    assert probe.on_tick() == {"gpu/0/power": 100.0}


def test_this_machine(monkeypatch):
    probe = Gpu()
    reason = probe.absent(Context())
    if not reason:
        got = probe.on_tick()
        assert got.keys() | probe.unavailable().keys()
        assert all(value >= 0 for value in got.values())
    else:
        assert reason.startswith("no NVIDIA or AMD GPU found")


def test_host_reads_everything_and_cpu_is_not_the_meaningless_first_zero():
    probe = HostTelemetry()
    assert probe.on_tick() is None
    probe.on_begin(Context())
    end = time.monotonic() + 0.2
    while time.monotonic() < end:
        pass
    got = probe.on_tick()
    assert set(got) == {s.key for s in HostTelemetry.series}
    assert got["host/cpu"] > 0
    assert got["host/process_cpu"] > 10
    assert got["host/memory_total"] == psutil.virtual_memory().total
    assert 0 < got["host/process_memory"] <= got["host/memory_used"] < got["host/memory_total"]
    assert probe.unavailable() == {}


def test_host_reading_that_fails_has_a_reason(monkeypatch):
    probe = HostTelemetry()
    probe.on_begin(Context())

    refused = PermissionError("no /proc/meminfo here")
    monkeypatch.setattr(psutil, "virtual_memory", raising(refused))
    got = probe.on_tick()
    assert "host/memory_used" not in got
    assert "host/process_memory" in got
    assert "no /proc/meminfo here" in probe.unavailable()["host/memory_used"]


@pytest.mark.parametrize("probe", [Gpu, HostTelemetry])
def test_panels_draw_only_declared_series(probe):
    keys = {s.key for s in probe.series}
    (panel,) = probe.panels
    assert set(panel.keys) == keys
    for part in (*panel.options["arcs"], *panel.options["bars"]):
        for name in ("key", "used", "total", "limit"):
            if name in part:
                assert part[name].replace("{i}", "*") in keys

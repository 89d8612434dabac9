"""The probes that come with nbmonitor: every module here defines one, as `PROBE`."""

from __future__ import annotations

import importlib
import pkgutil

from nbmonitor.probe import Probe


def discover() -> list[Probe]:
    """Make one of each probe in this folder, in alphabetical order of their modules."""
    found: list[Probe] = []
    for module in pkgutil.iter_modules(__path__):
        made: Probe = importlib.import_module(f"{__name__}.{module.name}").PROBE()
        found.append(made)
    return found

"""The probes that come with nbmonitor: every module here defines one, as `PROBE`."""

from __future__ import annotations

from nbmonitor.probe import Probe


def discover() -> list[Probe]:
    """Make one of each probe in this folder, in alphabetical order of their modules."""
    import importlib
    import pkgutil

    found: list[Probe] = []
    for module in pkgutil.iter_modules(__path__):
        made: Probe = importlib.import_module(f"{__name__}.{module.name}").PROBE()
        found.append(made)
    return found

"""The rules that come with nbmonitor: every module here is one family, in its `RULES`."""

from __future__ import annotations

from nbmonitor.rule import Rule


def discover() -> list[Rule]:
    """Make one of each rule in this folder, in alphabetical order of their modules."""
    import importlib
    import pkgutil

    found: list[Rule] = []
    for module in pkgutil.iter_modules(__path__):
        family: tuple[type[Rule], ...] = importlib.import_module(f"{__name__}.{module.name}").RULES
        found += [rule() for rule in family]
    return found

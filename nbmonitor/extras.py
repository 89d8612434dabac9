"""The guard of optional dependencies: ask whether one is there, or say how to get it.

It knows packages and the names of our extras, and imports nothing until told to.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType


def available(name: str) -> bool:
    """Say whether a package could be imported, without importing it."""
    if name in sys.modules:
        return sys.modules[name] is not None
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        # A dotted name whose parent is missing, or a module that lost its spec.
        return False


def missing(package: str, extra: str, feature: str) -> str:
    """Return the sentence for a person who lacks `package`."""
    return f'{feature} needs the package {package!r}; install it: pip install "nbmonitor[{extra}]"'


def require(package: str, extra: str, feature: str) -> ModuleType:
    """Import an optional package.

    Parameters
    ----------
    package
        What to import.
    extra
        The extra of nbmonitor that brings it.
    feature
        What the person asked for, to begin the message with.

    Raises
    ------
    ImportError
        If it is missing or broken; the message names feature, package and pip command.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        message = missing(package, extra, feature)
        if available(package):
            message += f" (it is installed, but its import failed: {error})"
        raise ImportError(message, name=package) from error

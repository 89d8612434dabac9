"""What a user says of `parameters=`: whether, how often, and what of the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from nbmonitor.parameters.plan import Options

_CADENCE = ("every", "share")
_OPTIONS = tuple(f.name for f in fields(Options))
_COUNTS = ("tokens", "heat_size", "samples")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is wanted.

    Parameters
    ----------
    on
        Whether parameters are watched at all.
    every
        Steps between two snapshots; None: as nbmonitor sees fit.
    share
        Part of the training's time that they may take; None: 1 %.
    options
        What is read.
    """

    on: bool = True
    every: int | None = None
    share: float | None = None
    options: Options = field(default_factory=Options)


def wishes(value: Any) -> Wishes:
    """Read what was given.

    Parameters
    ----------
    value
        None or True, False, steps between two snapshots, or a mapping of `every`, `share` and the
        fields of `Options`.

    Raises
    ------
    TypeError
        If it is something else, or has an unknown option.
    ValueError
        If an option has no such value.
    """
    if value is None or isinstance(value, bool):
        return Wishes(on=value is not False)
    if isinstance(value, int):
        return Wishes(every=_count("every", value))
    if not isinstance(value, Mapping):
        msg = (
            "parameters takes True, False, a number of steps between two snapshots, or a dict of "
            f"{', '.join((*_CADENCE, *_OPTIONS))}; {value!r} was given"
        )
        raise TypeError(msg)
    unknown = sorted(str(key) for key in value if key not in {*_CADENCE, *_OPTIONS})
    if unknown:
        msg = f"parameters got {', '.join(unknown)}; it takes {', '.join((*_CADENCE, *_OPTIONS))}"
        raise TypeError(msg)
    every, share = value.get("every"), value.get("share")
    if share is not None and (
        isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1
    ):
        msg = f"share is a part of the training's time, above 0 and up to 1; {share!r} was given"
        raise ValueError(msg)
    given = {key: _checked(key, option) for key, option in value.items() if key in _OPTIONS}
    return Wishes(True, None if every is None else _count("every", every), share, Options(**given))


def _checked(name: str, value: Any) -> Any:
    if name in _COUNTS:
        return _count(name, value)
    if name == "heatmaps":
        return None if value is None else _count(name, value, least=0)
    if name == "pinned":
        whole = isinstance(value, list | tuple | set | frozenset)
        if not whole or not all(isinstance(v, str | int) for v in value):
            msg = f"pinned is a list of tokens, as texts or ids; {value!r} was given"
            raise TypeError(msg)
        return tuple(value)
    allowed = {"heat_of": ("rms", "max"), "everything": (None, True, False)}[name]
    if value not in allowed:
        msg = f"{name} is one of {', '.join(map(repr, allowed))}; {value!r} was given"
        raise ValueError(msg)
    return value


def _count(name: str, value: Any, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        msg = f"{name} is a whole number from {least} on; {value!r} was given"
        raise ValueError(msg)
    return value

"""Generate `js/src/wire.gen.ts` from the TypedDicts and constants of `nbmonitor.wire`.

Owns the translation of Python annotations to TypeScript and nothing else. With `--check`
it writes nothing and fails if the committed file differs.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import types
import typing
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "nbmonitor" / "wire.py"
TARGET = ROOT / "js" / "src" / "wire.gen.ts"
CONSTANTS = ("VERSION", "REGULAR", "BUCKETS", "NAN", "POS_INF", "NEG_INF", "HISTORY_MAGIC")
HEADER = (
    "// Generated from nbmonitor/wire.py by scripts/wire_types.py. Edit the Python, then run it.\n"
)
SCALARS: dict[Any, str] = {
    str: "string",
    int: "number",
    float: "number",
    bool: "boolean",
    Any: "unknown",
    type(None): "null",
}


def load() -> types.ModuleType:
    """Import `wire.py` by its path, so that the package's `__init__` is not run."""
    spec = importlib.util.spec_from_file_location("nbmonitor_wire", SOURCE)
    if spec is None or spec.loader is None:
        msg = f"cannot import {SOURCE}"
        raise ImportError(msg)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def to_ts(annotation: Any) -> str:
    """Translate one annotation.

    Raises
    ------
    TypeError
        If the annotation has no translation here.
    """
    if annotation in SCALARS:
        return SCALARS[annotation]
    if typing.is_typeddict(annotation):
        return str(annotation.__name__)
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is list:
        inner = to_ts(args[0])
        return f"({inner})[]" if "|" in inner else f"{inner}[]"
    if origin is dict:
        return f"Record<{to_ts(args[0])}, {to_ts(args[1])}>"
    if origin is typing.Literal:
        return " | ".join(f'"{a}"' for a in args)
    if origin in (types.UnionType, typing.Union):
        return " | ".join(to_ts(a) for a in args)
    msg = f"{annotation!r} has no TypeScript form; add one to scripts/wire_types.py"
    raise TypeError(msg)


def _field(name: str, annotation: Any) -> str:
    if typing.get_origin(annotation) is typing.NotRequired:
        return f"{name}?: {to_ts(typing.get_args(annotation)[0])}"
    return f"{name}: {to_ts(annotation)}"


def _doc(text: str | None) -> str:
    lines = " ".join((text or "").split())
    return f"/** {lines.replace('``', '`')} */\n" if lines else ""


def generate(wire: types.ModuleType) -> str:
    """Return the TypeScript source for the module `wire`."""
    parts = [HEADER]
    constants: list[str] = []
    for name in CONSTANTS:
        value = getattr(wire, name)
        text = f'"{value.decode()}"' if isinstance(value, bytes) else repr(value)
        constants.append(f"export const {name} = {text};\n")
    parts.append("".join(constants))
    for name, value in vars(wire).items():
        if typing.is_typeddict(value):
            hints = typing.get_type_hints(value, include_extras=True)
            fields = "".join(f"  {_field(k, v)};\n" for k, v in hints.items())
            parts.append(f"{_doc(value.__doc__)}export interface {name} {{\n{fields}}}\n")
        elif isinstance(value, types.UnionType):
            parts.append(f"export type {name} = {to_ts(value)};\n")
    return "\n".join(parts)


def main(argv: list[str] | None = None) -> int:
    """Write the file, or with `--check` compare it; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if the committed file differs")
    check = parser.parse_args(argv).check
    text = generate(load())
    if not check:
        TARGET.write_text(text, encoding="utf-8")
        return 0
    if TARGET.exists() and TARGET.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write(
        f"{TARGET.relative_to(ROOT)} does not match nbmonitor/wire.py; "
        "run `python scripts/wire_types.py` and commit the result\n"
    )
    return 1


if __name__ == "__main__":
    raise SystemExit(main())

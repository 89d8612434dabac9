"""A run as one HTML file: the same front end, with its data inside and no network.

It knows bytes, panels and small state, not the Run: `Run.to_html` hands them over. The page
gets a model with the run's traits and no kernel, which the front end shows as "saved".
"""

from __future__ import annotations

import base64
import html
import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nbmonitor import wire
from nbmonitor.record import Tensor

STATIC = Path(__file__).parent / "static"
# Before base64: with it and the small state, a file stays under 1 MB beside the front end.
HISTORY_BYTES = 680_000
TENSOR_BYTES = 64_000
# Of that, what frames of reels may take.
REEL_BYTES = 400_000

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="generator" content="nbmonitor">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>body {{ margin: 0; padding: 12px; background: {background}; color: #8296a8; }}</style>
</head>
<body>
<main id="nbmonitor"></main>
<noscript>{alt}. The charts need JavaScript.</noscript>
<script type="application/json" id="nbmonitor-data">{data}</script>
<script type="module">{boot}</script>
</body>
</html>
"""
# As `js/src/standalone.ts` wants it.
_BOOT = """
const el = document.getElementById("nbmonitor");
try {
  const data = JSON.parse(document.getElementById("nbmonitor-data").textContent);
  const url = URL.createObjectURL(new Blob([data.module], { type: "text/javascript" }));
  const { mountStandalone } = await import(url);
  URL.revokeObjectURL(url);
  mountStandalone(el, data);
} catch (error) {
  el.textContent = `nbmonitor: this page cannot be shown here: ${error}`;
  throw error;
}
"""
_BACKGROUNDS = {"neon": "#0a0e1a", "light": "#ffffff"}


def _json(value: Any) -> str:
    """JSON that may stand inside a script element."""
    try:
        text = json.dumps(value, separators=(",", ":"), default=str, allow_nan=False)
    except ValueError:  # a NaN or an infinity in the configuration, which JSON doesn't have
        text = json.dumps(_finite(value), separators=(",", ":"), default=str)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list | tuple) else value


def _put(tensor: Tensor, generation: int) -> tuple[wire.Put, str]:
    message, data = wire.put_message(*tensor, seq=0, generation=generation)
    return message, base64.b64encode(data).decode()


def page(
    history: bytes,
    tensors: Sequence[Tensor],
    traits: Mapping[str, Any],
    alt: str,
) -> str:
    """Make the page.

    Parameters
    ----------
    history
        As `Run.pack` makes it.
    tensors
        Latest values, and frames of reels, that are to be in the file.
    traits
        What the front end reads of a widget: panels, config, status, theme.
    alt
        The run in a sentence, for whoever has no JavaScript.

    Raises
    ------
    FileNotFoundError
        If the front end is not built.
    """
    module, style = STATIC / "widget.js", STATIC / "widget.css"
    if not module.is_file() or not style.is_file():
        msg = f"{module} is not there: run `make build` in the repository, or install the wheel"
        raise FileNotFoundError(msg)
    header, rows = wire.unpack_history(history)
    data = {
        "capabilities": {},
        "theme": "neon",
        **traits,
        "history": base64.b64encode(history).decode(),
        "tensors": [_put(t, header["generation"]) for t in tensors],
        "note": _resolution(rows),
        "module": module.read_text(encoding="utf-8"),
        "style": style.read_text(encoding="utf-8"),
    }
    name = str(traits.get("config", {}).get("name") or "training run")
    return _PAGE.format(
        title=html.escape(f"{name} · nbmonitor"),
        alt=html.escape(alt),
        background=_BACKGROUNDS.get(str(data["theme"]), _BACKGROUNDS["light"]),
        data=_json(data),
        boot=_BOOT,
    )


def _resolution(rows: Sequence[wire.Rows]) -> str:
    """Say how exactly the page tells the run."""
    told = len({r.id for r in rows})
    folded = len({r.id for r in rows if r.counts is not None})
    made = f"made {time.strftime('%Y-%m-%d %H:%M')}"
    if not folded:
        return f"{made}; every value is in this file"
    return f"{made}; {folded} of {told} series in summary resolution: minimum, maximum and mean"

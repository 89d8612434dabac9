"""A run as one HTML file: the same front end, with its data inside and no network.

It knows bytes, panels and small state, not the Run: `Run.to_html` hands them over. The page
gets a model with the run's traits and no kernel, which the front end shows as "saved".
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nbmonitor import wire
from nbmonitor.record import Tensor

STATIC = Path(__file__).parent / "static"
# Before base64: with it and the small state, a file stays under 1 MB beside the front end.
HISTORY_BYTES = 680_000
_TENSOR_BYTES = 64_000

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="generator" content="nbmonitor">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>{css}</style>
<style>body {{ margin: 0; padding: 12px; background: {background}; color: #8296a8; }}</style>
</head>
<body>
<main id="run"></main>
<noscript>{alt}. The charts need JavaScript.</noscript>
<script type="application/json" id="source">{source}</script>
<script type="application/json" id="data">{data}</script>
<script type="module">{boot}</script>
</body>
</html>
"""
_BOOT = """
const read = (id) => JSON.parse(document.getElementById(id).textContent);
const bytes = (text) => {
  const raw = atob(text);
  const out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) out[i] = raw.charCodeAt(i);
  return new DataView(out.buffer);
};
const el = document.getElementById("run");
try {
  const { traits, history, tensors } = read("data");
  const listeners = new Map();
  const model = {
    get: (name) => (name === "history" ? bytes(history) : traits[name]),
    set() {},
    save_changes() {},
    send() {},
    on: (name, fn) => listeners.set(name, [...(listeners.get(name) ?? []), fn]),
    off: (name, fn) => listeners.set(name, (listeners.get(name) ?? []).filter((f) => f !== fn)),
    widget_manager: { kernel: null },
  };
  const address = URL.createObjectURL(new Blob([read("source")], { type: "text/javascript" }));
  const widget = (await import(address)).default();
  URL.revokeObjectURL(address);
  widget.initialize({ model });
  for (const [message, data] of tensors) {
    for (const fn of listeners.get("msg:custom") ?? []) fn(message, [bytes(data)]);
  }
  widget.render({ model, el });
} catch (error) {
  el.textContent = `nbmonitor: this page cannot be shown here: ${error}`;
  throw error;
}
"""
_BACKGROUNDS = {"neon": "#0a0e1a", "light": "#ffffff"}


def _json(value: Any) -> str:
    """JSON that may stand inside a script element."""
    text = json.dumps(value, separators=(",", ":"), default=str)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _put(tensor: Tensor, generation: int) -> tuple[wire.Put, str]:
    key, step, array, meta = tensor
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    message: wire.Put = {
        "kind": "put",
        "seq": 0,
        "generation": generation,
        "key": key,
        "step": step,
        "dtype": little.dtype.name,
        "shape": list(array.shape),
        "meta": meta,
    }
    return message, base64.b64encode(little.tobytes()).decode()


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
        Latest values; those that are too large for a small file are left out.
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
    header, _ = wire.unpack_history(history)
    small = [_put(t, header["generation"]) for t in tensors if t[2].nbytes <= _TENSOR_BYTES]
    held = {"capabilities": {}, "picture_id": "", "autosave": False, "theme": "neon", **traits}
    data = {"traits": held, "history": base64.b64encode(history).decode(), "tensors": small}
    name = str(held.get("config", {}).get("name") or "training run")
    return _PAGE.format(
        title=html.escape(f"{name} · nbmonitor"),
        alt=html.escape(alt),
        css=style.read_text(encoding="utf-8").replace("</", "<\\/"),
        background=_BACKGROUNDS.get(str(held["theme"]), _BACKGROUNDS["light"]),
        source=_json(module.read_text(encoding="utf-8")),
        data=_json(data),
        boot=_BOOT,
    )

"""A Run as a PNG: what hosts show that keep no widget state (GitHub, an untrusted notebook).

Drawn in the kernel, so that it exists without a browser. The only importer of Pillow, and
only when a picture is drawn. It knows the Run; it does not know the widget.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nbmonitor.run import Run

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw as Draw

WIDTH, HEIGHT = 960, 560
_BACK, _PANEL, _GRID, _BORDER = "#0a0e1a", "#0d1420", "#1a2a3a", "#1a3a4a"
_TEXT, _LABEL, _ACCENT = "#e0e0e0", "#8296a8", "#00ffff"
_STATE = {"failed": "#ff3333", "interrupted": "#ffd700", "finished": "#39ff14"}
_CHARTS = (
    ("LOSS", "train/loss", "#39ff14"),
    ("LEARNING RATE", "train/learning_rate", "#00ffff"),
    ("GRADIENT NORM", "train/grad_norm", "#ffd700"),
    ("EVAL LOSS", "", "#ff00ff"),
)
_COLOURS = 64
_READABLE = 1e-3
_LARGE = 1e5


def number(value: float | None) -> str:
    """Format for a readout; "n/a" for what was not measured (the font has no dash)."""
    if value is None:
        return "n/a"
    if not math.isfinite(value):
        return str(value)
    if value != 0 and (abs(value) < _READABLE or abs(value) >= _LARGE):
        return f"{value:.1E}".replace("E-0", "E-").replace("E+0", "E")
    return f"{value:,.0f}" if value == int(value) else f"{value:.4g}"


def describe(run: Run) -> str:
    """One line for `text/plain` and for screen readers."""
    title = " ".join(str(run.config[k]) for k in ("name", "model", "method") if k in run.config)
    total = f"/{run.total_steps:,}" if run.total_steps else ""
    loss = number(run.last("train/loss"))
    state = f"{run.status} ({run.status_message})" if run.status_message else run.status
    return f"nbmonitor {title}: {state}, step {run.step:,}{total}, loss {loss}".replace(" :", ":")


def _eval_key(run: Run) -> str:
    """Find the evaluation loss to show: the only one, or the first of several."""
    losses = [k for k in run.keys if k.startswith("eval/") and k.endswith("loss")]
    return "eval/loss" if "eval/loss" in losses or not losses else losses[0]


class _Board:
    def __init__(self, run: Run) -> None:
        from PIL import Image, ImageDraw, ImageFont

        self.run = run
        self.image = Image.new("RGB", (WIDTH, HEIGHT), _BACK)
        self.draw: Draw = ImageDraw.Draw(self.image)
        self._font = {size: ImageFont.load_default(size) for size in (11, 13, 18)}

    def text(self, x: float, y: float, text: str, colour: str, size: int = 11) -> float:
        font = self._font[size]
        self.draw.text((x, y), text, fill=colour, font=font)
        return x + float(self.draw.textlength(text, font=font))

    def header(self) -> None:
        run = self.run
        at = self.text(16, 12, "NBMONITOR", _ACCENT, 18)
        names = [str(run.config[k]) for k in ("name", "model", "method") if run.config.get(k)]
        self.text(at + 20, 16, "  ·  ".join(names)[:80], _LABEL, 13)
        state = run.status.upper()
        length = self.draw.textlength(state, font=self._font[13])
        colour = _STATE.get(run.status, _ACCENT)
        self.text(WIDTH - 16 - length, 16, state, colour, 13)

    def readouts(self) -> None:
        run = self.run
        total = f" / {run.total_steps:,}" if run.total_steps else ""
        epoch = run.last("train/epoch")
        items = [
            ("STEP", f"{run.step:,}{total}"),
            ("EPOCH", "n/a" if epoch is None else f"{epoch:.2f}"),
            ("LOSS", number(run.last("train/loss"))),
            ("LR", number(run.last("train/learning_rate"))),
            ("GRAD NORM", number(run.last("train/grad_norm"))),
            ("EVAL LOSS", number(run.last(_eval_key(run)))),
        ]
        width = (WIDTH - 32) / len(items)
        for index, (label, value) in enumerate(items):
            x = 16 + index * width
            self.draw.rectangle((x, 44, x + width - 6, 94), fill=_PANEL, outline=_BORDER)
            self.text(x + 10, 50, label, _LABEL)
            self.text(x + 10, 67, value, _TEXT, 18)

    def chart(self, index: int) -> None:
        title, key, colour = _CHARTS[index]
        key = key or _eval_key(self.run)
        wide, high = (WIDTH - 38) / 2, 206
        x0, y0 = 16 + (index % 2) * (wide + 6), 102 + (index // 2) * (high + 6)
        self.draw.rectangle((x0, y0, x0 + wide, y0 + high), fill=_PANEL, outline=_BORDER)
        self.text(x0 + 10, y0 + 8, title, _LABEL)
        if key not in self.run.keys:
            self.text(x0 + 10, y0 + high / 2, "nothing measured yet", _LABEL, 13)
            return
        x, y = self.run.points(key)
        box = (x0 + 52, y0 + 30, x0 + wide - 12, y0 + high - 24)
        self.trace(x, y.astype(np.float64), box, colour)

    def trace(self, x: NDArray[Any], y: NDArray[Any], box: tuple[float, ...], colour: str) -> None:
        left, top, right, bottom = box
        finite = np.isfinite(y)
        if not finite.any():
            self.text(left, top, "no finite value", "#ff3333", 13)
            return
        low, high = float(y[finite].min()), float(y[finite].max())
        spread = (high - low) or abs(high) or 1.0
        low, high = low - 0.05 * spread, high + 0.05 * spread
        first, last = float(x[0]), float(x[-1]) if x[-1] > x[0] else float(x[0]) + 1
        for part in range(4):
            gy = top + part * (bottom - top) / 3
            self.draw.line((left, gy, right, gy), fill=_GRID)
            self.text(left - 44, gy - 7, number(high - part * (high - low) / 3), _LABEL)
        self.text(left, bottom + 5, f"{first:,.0f}", _LABEL)
        end = f"{x[-1]:,.0f}"
        self.text(right - self.draw.textlength(end, font=self._font[11]), bottom + 5, end, _LABEL)
        px = left + (x - first) / (last - first) * (right - left)
        py = bottom - (np.where(finite, y, low) - low) / (high - low) * (bottom - top)
        # One column of pixels keeps its lowest and highest point: spikes survive.
        column = np.floor(px).astype(int)
        points = []
        for at in np.unique(column):
            here = py[(column == at) & finite]
            if len(here):
                points += [(float(at), float(here.max())), (float(at), float(here.min()))]
        if len(points) > 2:
            self.draw.line(points, fill=colour, width=1, joint="curve")
        else:
            self.draw.ellipse((px[-1] - 3, py[-1] - 3, px[-1] + 3, py[-1] + 3), fill=colour)
        for at in np.unique(column[~finite]):
            self.draw.line((float(at), top, float(at), bottom), fill="#ff3333")

    def footer(self) -> None:
        config = self.run.config
        lora = config.get("lora")
        parts = [
            f"MODEL {config['model']}" if "model" in config else "",
            f"LoRA r={lora['r']} α={lora['alpha']}" if lora else "",
            str(config.get("precision", "")),
            f"{config['dataset_size']:,} samples" if "dataset_size" in config else "",
            self.run.status_message,
        ]
        line = "   |   ".join(p for p in parts if p)
        self.text(16, HEIGHT - 24, line[:140], _LABEL, 13)


def render(run: Run) -> bytes:
    """Draw the run as it stands.

    Returns
    -------
    bytes
        A PNG of 960 × 560 pixels in 64 colours, about 15 KB.
    """
    board = _Board(run)
    board.header()
    board.readouts()
    for index in range(len(_CHARTS)):
        board.chart(index)
    board.footer()
    out = io.BytesIO()
    board.image.quantize(_COLOURS).save(out, "PNG", optimize=True)
    return out.getvalue()

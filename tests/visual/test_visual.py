"""Every view of the replay page against a stored picture, dark and light.

The tolerance is for fonts and rasterisers that differ between machines, not for changes
of the drawing. `NBMONITOR_UPDATE_VISUAL=1` stores the present pictures as the baseline.
"""

from __future__ import annotations

import io
import itertools
import os
from pathlib import Path
from typing import Any

import pytest

image = pytest.importorskip("PIL.Image")
chops = pytest.importorskip("PIL.ImageChops")

BASELINE = Path(__file__).parent / "baseline"
UPDATE = os.environ.get("NBMONITOR_UPDATE_VISUAL") == "1"
PANELS = ("readouts", "loss", "eval_loss", "gpu", "host", "tokens", "lora", "metrics")
QUALITY = {
    "full": (
        *("verdict", "alerts", "fixed_match", "reliability", "patterns"),
        *("lora_truth", "gradients", "spikes"),
    ),
    "empty": ("verdict", "alerts", "reliability", "patterns", "spikes"),
}
# Share of pixels that may differ by more than DELTA of 255 in a channel.
DELTA, SHARE = 48, 0.06


def _differs(one: Any, other: Any) -> float:
    if one.size != other.size:
        same = all(abs(a - b) <= 4 for a, b in zip(one.size, other.size, strict=True))
        if not same:
            return 1.0
        other = other.resize(one.size)
    gray = chops.difference(one.convert("RGB"), other.convert("RGB")).convert("L")
    histogram = gray.histogram()
    return float(sum(histogram[DELTA:]) / (one.size[0] * one.size[1]))


def _check(name: str, data: bytes, allowed: float = SHARE) -> None:
    path = BASELINE / f"{name}.png"
    shown = image.open(io.BytesIO(data)).convert("RGB")
    if UPDATE:
        BASELINE.mkdir(exist_ok=True)
        shown.quantize(64).save(path, optimize=True)
        return
    assert path.exists(), f"{path.name} is missing: run once with NBMONITOR_UPDATE_VISUAL=1"
    with image.open(path) as stored:
        share = _differs(shown, stored)
    assert share <= allowed, f"{name}: {share:.1%} of the pixels differ, {allowed:.0%} is allowed"


@pytest.mark.parametrize("theme", ["neon", "light"])
def test_views(address: str, browser: Any, theme: str) -> None:
    """Each panel of the overview, and the log."""
    page = browser.new_page(viewport={"width": 760, "height": 900}, reduced_motion="reduce")
    page.goto(f"{address}?step=250&theme={theme}&gpus=1")
    page.wait_for_timeout(800)
    for panel in PANELS:
        _check(f"{panel}-{theme}", page.locator(f"[data-panel={panel}]").screenshot())
    _check(f"controls-{theme}", page.locator(".nbm-controls").screenshot())
    page.locator("[role=tab]", has_text="log").click()
    page.wait_for_timeout(300)
    assert page.locator("[data-panel=events] tbody tr").count() > 0
    page.close()


@pytest.mark.parametrize("theme", ["neon", "light"])
@pytest.mark.parametrize("quality", list(QUALITY))
def test_quality(address: str, browser: Any, quality: str, theme: str) -> None:
    """Each panel of the Quality tab, filled and before anything was measured."""
    page = browser.new_page(viewport={"width": 760, "height": 900}, reduced_motion="reduce")
    page.goto(f"{address}?step=250&theme={theme}&quality={quality}&tab=quality")
    for panel in QUALITY[quality]:
        shown = page.locator(f"[data-panel={panel}]")
        shown.scroll_into_view_if_needed()
        page.wait_for_timeout(300)  # nothing is painted out of sight
        _check(f"quality-{quality}-{panel}-{theme}", shown.screenshot())
    page.close()


@pytest.mark.parametrize("query", ["", "&quality=full&tab=quality", "&quality=empty&tab=quality"])
@pytest.mark.parametrize("width", [480, 1400])
def test_nothing_overflows(address: str, browser: Any, width: int, query: str) -> None:
    """No panel is wider than the dashboard, and none lies over another."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(f"{address}?step=250{query}")
    page.wait_for_timeout(500)
    boxes = [p.bounding_box() for p in page.locator("[data-panel]:visible").all()]
    assert boxes
    assert all(b["x"] >= 0 and b["x"] + b["width"] <= width for b in boxes)
    tops = sorted(boxes, key=lambda b: (b["x"], b["y"]))
    for above, below in itertools.pairwise(tops):
        if above["x"] == below["x"] and above["width"] == below["width"]:
            assert above["y"] + above["height"] <= below["y"] + 1
    page.close()

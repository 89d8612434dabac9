"""A run as one HTML file, opened from the disk in a real browser."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nbmonitor import html
from nbmonitor.engine import Engine
from nbmonitor.probe import Context
from nbmonitor.probes import discover
from nbmonitor.run import Run

STEPS = 10_000
PAINTED = """() => {
    const canvas = document.querySelector('[data-panel=loss] canvas');
    if (!canvas?.width) return 0;
    const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const colours = new Set();
    for (let i = 0; i < data.length; i += 4) colours.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
    return colours.size;
}"""


def recorded(steps: int, name: str = "a </script> & <b>run</b>") -> Run:
    """A run as a usual one is, with all its panels."""
    run = Run(name)
    engine = Engine(run, discover())
    engine.assess(Context())
    run.config["model"] = "tiny"
    run.total_steps = steps
    run.set_status("running")
    chance = np.random.default_rng(0)
    noise = chance.normal(1.0, 0.1, (steps, 10))
    keys = (
        "train/loss", "train/grad_norm", "train/learning_rate", "train/epoch", "train/step_time",
        "train/samples_per_second", "tokens/per_second", "tokens/seen", "tokens/padding_ratio",
        "tokens/mean_length",
    )  # fmt: skip
    run.extend(
        [
            (step, dict(zip(keys, row, strict=True)), 1.7e9 + step)
            for step, row in enumerate(noise.tolist(), 1)
        ]
    )
    run.append(steps, {"eval/loss": 0.5})
    run.put("picture/of", 3, np.arange(6, dtype=np.float32).reshape(2, 3), {"title": "six"})
    run.set_status("finished")
    return run


@pytest.fixture
def opened(browser, tmp_path):
    """Open a page from the disk; afterwards it must have asked for nothing and complained of nothing."""
    context = browser.new_context(viewport={"width": 1200, "height": 1000}, offline=True)
    page = context.new_page()
    errors: list[str] = []
    asked: list[str] = []
    page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda r: asked.append(r.url))

    def visit(path):
        page.goto(path.as_uri())
        page.wait_for_selector("[data-panel=loss] canvas")
        return page

    yield visit
    context.close()
    assert errors == []
    assert [url for url in asked if not url.startswith(("file:", "blob:", "data:"))] == []


def test_a_page_of_ten_thousand_steps_opens_from_the_disk(tmp_path, opened) -> None:
    path = tmp_path / "run.html"
    recorded(STEPS).to_html(path)
    bundle = sum((html.STATIC / name).stat().st_size for name in ("widget.js", "widget.css"))
    assert path.stat().st_size - bundle < 1_000_000
    page = opened(path)
    page.wait_for_function(f"() => ({PAINTED})() > 3")
    assert page.evaluate(PAINTED) > 3
    assert page.title() == "a </script> & <b>run</b> · nbmonitor"
    step = page.locator("[data-readout=step]").first.text_content().replace(",", "")
    assert str(STEPS) in step.replace("\u202f", "")
    assert page.locator("[data-state]").first.get_attribute("data-state") == "finished"
    assert page.locator("[data-link]").first.get_attribute("data-link") == "saved"
    assert "every value is in this file" in page.locator(".nbm-foot").text_content()


def test_a_long_run_says_that_it_is_in_summary(tmp_path, opened) -> None:
    run = recorded(60_000)
    path = tmp_path / "run.html"
    run.to_html(path, theme="light")
    assert path.stat().st_size < 1_400_000
    page = opened(path)
    assert "summary resolution" in page.locator(".nbm-foot").text_content()
    assert page.locator(".nbmonitor").get_attribute("data-theme") == "light"


def test_what_json_does_not_have_is_no_obstacle(tmp_path, opened) -> None:
    run = recorded(50)
    run.config |= {"rate": math.nan, "deep": [{"limit": math.inf}], "kind": int}
    path = tmp_path / "run.html"
    run.to_html(path)
    assert opened(path).evaluate(PAINTED) > 3


def test_a_run_without_probes_shows_all_its_series(tmp_path, browser) -> None:
    run = Run()
    for step in range(1, 40):
        run.append(step, {"my/own": float(step)})
    path = tmp_path / "run.html"
    run.to_html(path)
    page = browser.new_page()
    page.goto(path.as_uri())
    page.wait_for_selector("[data-panel=metrics] canvas")
    page.close()


def test_a_front_end_that_is_not_built_is_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(html, "STATIC", tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match="make build"):
        Run().to_html(tmp_path / "run.html")

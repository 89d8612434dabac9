"""`python -m tests.soak`: thirty minutes, or as many as are asked for."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

import kernels  # noqa: E402 - found on the path set above
from browser.jupyter import ARGUMENTS, chromium  # noqa: E402 - found on the path set above
from playwright.sync_api import sync_playwright  # noqa: E402 - found on the path set above
from soak.memory import HEAD, LIMIT  # noqa: E402 - found on the path set above
from soak.scenario import RATE, Soak  # noqa: E402 - found on the path set above


def main() -> int:
    """Soak, print, and fail when something is lost or grows."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--samples", type=Path, help="file for the samples, as JSON")
    given = parser.parse_args()
    minutes = given.minutes
    print(f"{minutes:g} minutes at {RATE} steps a second", flush=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(), headless=True, args=["--headless=new", *ARGUMENTS]
        )
        kernel = kernels.name(kernels.VERSIONS[-1])
        result = Soak(browser, Path(tempfile.mkdtemp()), kernel, minutes * 60).run()
        browser.close()
    print(", ".join(f"{what} × {times}" for what, times in result.happened.items()))
    print(HEAD)
    for memory in result.memories:
        print(memory.row())
    if given.samples:
        samples = {m.what: [m.seconds, m.sizes] for m in result.memories}
        given.samples.write_text(json.dumps(samples))
    for missing in result.missing:
        print(f"MISSING {missing}")
    print("history complete" if not result.missing else "history incomplete")
    grows = any(memory.growth > LIMIT for memory in result.memories)
    return 1 if grows or result.missing else 0


if __name__ == "__main__":
    sys.exit(main())

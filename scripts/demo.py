"""`make demo`: the quickstart in JupyterLab; with --headless, the finished notebook and a picture.

Leaves what it makes in `build/demo/`.
"""

from __future__ import annotations

import argparse
import os
import time
import webbrowser
from pathlib import Path

import lab

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = "01_quickstart.ipynb"
OUT = ROOT / "build" / "demo"
PORT = 8888


def port() -> int:
    """Return the usual port if it is free, else any other."""
    import socket

    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", PORT))
        except OSError:
            return lab.free_port()
    return PORT


def show() -> None:
    """Serve the notebooks until Ctrl-C."""
    with lab.serve(ROOT / "notebooks", port=port()) as server:
        address = server.page(NOTEBOOK)
        print(f"\n    JupyterLab runs. Open\n\n        {address}\n")
        print("    and choose Run > Run All Cells. Ctrl-C here ends it.\n", flush=True)
        if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
            webbrowser.open(address)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            print("\nended")


def execute(target: Path) -> None:
    """Run the notebook and keep it with its outputs and the state of its widgets."""
    import nbformat
    from nbclient import NotebookClient
    from nbformat.sign import NotebookNotary

    started = time.monotonic()
    notebook = nbformat.read(ROOT / "notebooks" / NOTEBOOK, as_version=4)
    print(f"running {NOTEBOOK} (about two minutes on two cores)", flush=True)
    client = NotebookClient(notebook, timeout=1200, resources={"metadata": {"path": str(OUT)}})
    client.execute()
    # Unsigned, it would be shown without its widgets: JupyterLab draws only what it trusts.
    NotebookNotary().sign(notebook)
    nbformat.write(notebook, target)
    print(f"finished in {time.monotonic() - started:.0f} s: {target.relative_to(ROOT)}", flush=True)


def picture(target: Path) -> None:
    """Open the finished notebook in JupyterLab and take a picture of its dashboard."""
    from playwright.sync_api import sync_playwright

    with lab.serve(OUT, settings=lab.WHOLE) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=lab.chromium(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1500, "height": 1700})
        page.goto(server.page(NOTEBOOK, "doc"))
        dashboard = page.locator(".nbmonitor").first
        dashboard.wait_for(state="visible", timeout=120_000)
        dashboard.scroll_into_view_if_needed()
        page.locator(".nbmonitor [data-panel=loss] canvas").first.wait_for(timeout=30_000)
        page.wait_for_timeout(1500)  # fonts and the first paint of every panel
        page.screenshot(path=str(target))
        browser.close()
    print(f"picture: {target.relative_to(ROOT)}", flush=True)


def main() -> None:
    """Show the quickstart, or execute it."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--headless", action="store_true", help="for machines without a screen")
    if not parser.parse_args().headless:
        show()
        return
    OUT.mkdir(parents=True, exist_ok=True)
    execute(OUT / NOTEBOOK)
    picture(OUT / "quickstart.png")


if __name__ == "__main__":
    main()

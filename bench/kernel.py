"""Run a piece of code in a real ipykernel and get its result."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent


def result_of(code: str, timeout: int = 600) -> Any:
    """Execute `code`, which leaves its result in `result`, and return it."""
    notebook = nbformat.v4.new_notebook()
    show = "\nimport json as _json; print('RESULT' + _json.dumps(result))"
    notebook.cells = [nbformat.v4.new_code_cell(code + show)]
    os.environ["PYTHONPATH"] = str(ROOT)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    NotebookClient(notebook, timeout=timeout, resources={"metadata": {"path": str(ROOT)}}).execute()
    for output in notebook.cells[0].outputs:
        for line in output.get("text", "").splitlines():
            if line.startswith("RESULT"):
                return json.loads(line.removeprefix("RESULT"))
    msg = f"no result in {notebook.cells[0].outputs}"
    raise RuntimeError(msg)

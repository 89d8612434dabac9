"""Colab's own way from the page to a busy kernel, for where the pump has none.

`google.colab.output.eval_js` asks the page something and gets the answer on a socket that a
busy kernel can read. The page leaves its controls in an array besides sending them; here that
array is emptied. The question holds the training up until the page has answered, so it is asked
as seldom as its cost demands, and never without a time limit: a closed tab answers nothing.
"""

from __future__ import annotations

import inspect
import json
import sys
import time
from collections.abc import Callable
from typing import Any

# A page may hold several monitors; `js/src/host.ts` keeps what is left for each apart.
QUESTION = "(globalThis.nbmonitorControls?.[{}] ?? []).splice(0)"
PATIENCE = 2.0
# Share of the training's time that asking may take.
SHARE = 0.002
# Seconds between two questions: at least, long enough for the pump to show that it works; and
# while the training is paused.
INTERVAL = 3.0
PAUSED_INTERVAL = 1.0


class ColabMail:
    """Ask a Colab page for its controls, now and then.

    Parameters
    ----------
    ask
        Colab's `eval_js`.
    name
        Under which the page keeps this monitor's controls.
    """

    def __init__(self, ask: Callable[..., Any], name: str) -> None:
        self._ask, self._question = ask, QUESTION.format(json.dumps(name))
        self._asked, self._interval = time.monotonic(), INTERVAL

    def __call__(self, *, paused: bool) -> list[dict[str, Any]]:
        """Return the page's controls; nothing when it isn't time to ask.

        While the training is paused, asking costs it nothing.
        """
        start = time.monotonic()
        if start - self._asked < (PAUSED_INTERVAL if paused else self._interval):
            return []
        try:
            found = self._ask(self._question, timeout_sec=PATIENCE)
        except Exception:  # noqa: BLE001 - no page, or one that is gone: asked again later
            found = None
        self._asked = time.monotonic()
        self._interval = max(INTERVAL, (self._asked - start) / SHARE)
        return [m for m in found if isinstance(m, dict)] if isinstance(found, list) else []


def colab_mail(name: str) -> ColabMail | None:
    """Return the way to a Colab page, or None where there is none that can't hang."""
    output = getattr(sys.modules.get("google.colab"), "output", None)
    output = output or sys.modules.get("google.colab.output")
    ask = getattr(output, "eval_js", None)
    if not callable(ask):
        return None
    try:
        limited = "timeout_sec" in inspect.signature(ask).parameters
    except (TypeError, ValueError):
        return None
    return ColabMail(ask, name) if limited else None

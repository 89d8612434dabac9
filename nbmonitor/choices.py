"""What viewers chose, for a page that comes later: alerts put away, messages wanted or not.

Knows nothing of how a page tells it, and is no part of the Run: it ends with the kernel, or
lasts with the notebook that a page saves it in.
"""

from __future__ import annotations

from typing import Any

from nbmonitor import wire

# Alerts that were put away; past this, the oldest are forgotten.
_MOST = 1000


class Choices:
    """The choices of all pages of one widget. Any thread may call any of it."""

    def __init__(self) -> None:
        # A dictionary, because it keeps the order; replaced, so that a reader sees a whole one.
        self._dismissed: dict[str, None] = {}
        self._notify: bool | None = None

    def take(self, message: wire.Keep) -> None:
        """Note one choice; an unknown one is of a newer page, and no trouble."""
        name, item, on = message.get("name"), str(message.get("id", "")), bool(message.get("on"))
        if name == "notify":
            self._notify = on
        elif name == "dismissed":
            others = [known for known in self._dismissed if known != item]
            self._dismissed = dict.fromkeys([*others, item][-_MOST:] if on else others)

    def state(self) -> dict[str, Any]:
        """All of them, as the `kept` trait tells them."""
        return {"dismissed": list(self._dismissed), "notify": self._notify}

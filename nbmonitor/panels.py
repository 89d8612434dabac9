"""A panel as the page gets it."""

from __future__ import annotations

from collections.abc import Mapping

from nbmonitor.probe import Panel
from nbmonitor.wire import PanelSpec


def spec(panel: Panel, absent: str = "", reasons: Mapping[str, str] | None = None) -> PanelSpec:
    """Describe a panel; `absent` says why it is empty, `reasons` why single series are."""
    options = dict(panel.options)
    if reasons:
        options["reasons"] = dict(reasons)
    return {
        "id": panel.id,
        "title": panel.title,
        "view": panel.view,
        "keys": list(panel.keys),
        "tab": panel.tab,
        "order": panel.order,
        "span": panel.span,
        "absent": absent,
        "options": options,
    }

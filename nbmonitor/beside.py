"""`side_by_side`: dashboards next to each other, of which what a viewer does in one holds for all.

It lays widgets out and knows nothing of what is shared: dashboards that stand in this element
find each other in the page (`js/src/shell/pair.ts`), so that they follow each other while
kernels are busy, and in a saved notebook.
"""

from __future__ import annotations

from typing import Any

import ipywidgets

from nbmonitor import kernel
from nbmonitor.widget import MonitorWidget

# The page knows the element by this class, and lays it out (`js/src/styles/pair.css`).
_CLASS = "nbmonitor-pair"


class SideBySide(ipywidgets.Box):
    """Dashboards in one row, or one under the other where it is narrow; made by `side_by_side`.

    Closing it leaves the dashboards open.
    """

    def __init__(self, views: tuple[MonitorWidget, ...]) -> None:
        super().__init__(children=views)
        self.add_class(_CLASS)
        for widget in (self, self.layout):
            if widget.comm is not None:
                # A page that is reloaded while a cell runs needs these as well.
                kernel.keep_to_subshell(widget.comm)

    def _ipython_display_(self, **_options: Any) -> None:
        """Show the dashboards, and under them a picture of each, as each does alone."""
        shown = [view for view in self.children if view.is_shown]
        if not shown or self.comm is None:
            return
        text = "\n".join(view.describe() for view in shown)
        kernel.publish({**self._repr_mimebundle_(), "text/plain": text})
        for view in shown:
            view.publish_picture()


def side_by_side(first: MonitorWidget, second: MonitorWidget, *more: MonitorWidget) -> SideBySide:
    """Show two runs next to each other: tab, steps, playback and camera follow each other.

    It is the page that ties them, without a kernel: also while both are busy, and in a saved
    notebook. Where the page is narrow, they stand one under the other.

    Parameters
    ----------
    first, second, *more : TrainingMonitor or RunView
        Runs that are trained here, or what `open_run` returns, in any combination. They can be
        shown alone as well.

    Returns
    -------
    SideBySide
        A widget.

    Raises
    ------
    TypeError
        If something is given that isn't one of these.
    ValueError
        If the same one is given twice.

    Examples
    --------
    >>> side_by_side(monitor, open_run("yesterday/nbmonitor"))  # doctest: +SKIP
    """
    views: tuple[Any, ...] = (first, second, *more)
    for view in views:
        if not isinstance(view, MonitorWidget):
            msg = (
                f"{type(view).__name__} given; a TrainingMonitor is wanted, or open_run(path) for "
                "a run file"
            )
            raise TypeError(msg)
    if len(set(map(id, views))) < len(views):
        msg = "the same run is given twice; for its past beside its present, open its run file"
        raise ValueError(msg)
    return SideBySide(views)

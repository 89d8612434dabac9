"""Makes the 3D scene where it can be, and says why where it can't. Never raises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nbmonitor import extras, kernel

if TYPE_CHECKING:
    from nbmonitor.scene.structure import Structure

FEATURE = "the 3D scene of parameters"
# Written into the place of the handles, so that the page can say it beside the flat view.
ABSENT = "absent"


@dataclass(frozen=True)
class Assembly:
    """A scene, or the reason why there is none.

    Attributes
    ----------
    structure
        None where there is none.
    reason
        Then why, in a sentence; else "".
    """

    structure: Structure | None
    reason: str

    @property
    def handles(self) -> dict[str, Any]:
        """What the page is told: the scene's widgets by name, or the reason."""
        return {ABSENT: self.reason} if self.structure is None else self.structure.handles

    def close(self) -> None:
        """Close the widgets of the scene."""
        if self.structure is not None:
            self.structure.close()


def assemble() -> Assembly:
    """Make the scene, if pythreejs is installed and somebody can see it."""
    if kernel.is_forked():
        return Assembly(None, f"{FEATURE} is shown by the process that the notebook runs in")
    if kernel.detect_host() == "marimo":
        return Assembly(None, f"{FEATURE} needs Jupyter's widgets, which marimo doesn't have")
    if not extras.available("pythreejs"):
        return Assembly(None, extras.missing("pythreejs", "scene", FEATURE))
    try:
        from nbmonitor.scene.structure import build

        return Assembly(build(), "")
    # pythreejs is unmaintained: whatever a newer numpy or ipywidgets makes it raise must
    # cost a viewer the third dimension, and not the monitor.
    except Exception as error:  # noqa: BLE001 - see above
        return Assembly(None, f"{FEATURE} can't be made: {type(error).__name__}: {error}")


def reference(value: Any) -> str:
    """A widget as the page looks it up; a sentence stays itself."""
    return value if isinstance(value, str) else f"IPY_MODEL_{value.model_id}"

"""The widget: synced traits, messages to and from the page, and what a cell displays.

The only importer of anywidget. It carries and shows a Run, and knows nothing of how one
comes about.
"""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anywidget
import traitlets as t

from nbmonitor import kernel, wire
from nbmonitor.choices import Choices
from nbmonitor.colab import colab_mail
from nbmonitor.controls import TENSOR as CONTROLS
from nbmonitor.feed import page_tensor
from nbmonitor.flusher import Flusher
from nbmonitor.pump import Pump, shell_pump
from nbmonitor.record import Tensor
from nbmonitor.run import Run
from nbmonitor.scene.assembly import Assembly, assemble, reference

STATIC = Path(__file__).parent / "static"
PICTURE = "nbmonitor/picture"
_NOT_BUILT = """export default { render({ el }) {
  el.textContent = "nbmonitor: the front end is not built; run `make build` in its repository";
} }"""
_FROM_PAGE = frozenset({"hello", "ack", "control", "detail", "keep"})


def _front_end(name: str, otherwise: str) -> str:
    path = STATIC / name
    return path.read_text(encoding="utf-8") if path.is_file() else otherwise


def _synced(trait: Any, **metadata: Any) -> Any:
    """Make a trait that the page reads and never writes."""
    return trait.tag(sync=True, echo_update=False, **metadata)


class MonitorWidget(anywidget.AnyWidget):
    """A page's window on a Run. `bind` connects them.

    Attributes
    ----------
    panels, config, status, capabilities
        Small state, replaced and never mutated; set by the flusher's thread.
    history
        Empty here: packed from the Run whenever a page asks for the widget's state.
    kept
        What viewers chose, for a page that comes later; empty here: made when asked for.
    picture_id
        Ties the static output to this widget.
    theme, autosave
        The user's choices.
    scene
        The widgets that the page's 3D scene is made of, by name, or why there are none.
    """

    _esm = _synced(t.Unicode())
    _css = _synced(t.Unicode())
    panels = _synced(t.List())
    config = _synced(t.Dict())
    status = _synced(t.Dict())
    capabilities = _synced(t.Dict())
    theme = _synced(t.Unicode("neon"))
    autosave = _synced(t.Bool(default_value=True))
    picture_id = _synced(t.Unicode())
    history = _synced(t.Bytes(b""), to_json=lambda _value, widget: widget._packed())  # noqa: SLF001
    scene = _synced(
        t.Dict(),
        to_json=lambda value, _widget: {name: reference(part) for name, part in value.items()},
    )
    kept = _synced(t.Dict(), to_json=lambda _value, widget: widget._chosen())  # noqa: SLF001

    _bound: Run | None = None
    _flusher: Flusher
    _assembly: Assembly | None = None

    @t.default("_esm")
    def _default_esm(self) -> str:
        return _front_end("widget.js", _NOT_BUILT)

    @t.default("_css")
    def _default_css(self) -> str:
        return _front_end("widget.css", "")

    @t.default("picture_id")
    def _default_picture_id(self) -> str:
        return uuid.uuid4().hex

    # ------------------------------------------------------------------ life

    def open(self) -> None:
        """Open the comm; a process forked from the kernel has nobody to talk to."""
        if not kernel.is_forked():
            super().open()

    def bind(
        self,
        run: Run,
        panels: Callable[[], list[wire.PanelSpec]],
        picture: Callable[[Run], bytes],
        describe: Callable[[Run], str],
    ) -> None:
        """Show a Run from now on.

        Parameters
        ----------
        run
            What is shown.
        panels
            Returns the panels as they are now.
        picture, describe
            Draw the run as a PNG, and tell it in one line.
        """
        self._picture, self._describe = picture, describe
        self._displayed = False
        self._choices = Choices()
        self._pump: Pump = Pump(None) if self.comm is None else shell_pump()
        if self.comm is not None:
            self._pump.adopt(str(self.comm.comm_id))
            kernel.keep_to_subshell(self.comm)
        self._known_obstacle = self._pump.reason
        self.capabilities = kernel.capabilities(self._known_obstacle)
        # Colab doesn't show what a thread sends (googlecolab/colabtools#3373).
        self._threaded = self.capabilities["host"] != "colab"
        self._colab = None if self._threaded else colab_mail(self.picture_id)
        if self.capabilities["host"] != "none":
            # Now, because a page can't ask for it later: a cell that trains answers nothing.
            self._assemble()
        self._bound = run
        self._flusher = Flusher(run, _Sink(self), panels)
        self._flusher.flush_now()
        self.on_msg(self._from_page)
        if self._threaded:
            self._flusher.start()

    def close(self) -> None:
        """Send what is left, stop the thread, close the comm."""
        if self._bound is not None:
            self._flusher.close()
            if self.comm is not None:
                self._pump.disown(str(self.comm.comm_id))
        super().close()
        if self._assembly is not None:
            self._assembly.close()

    # ------------------------------------------------------------------ the 3D scene

    @property
    def scene3d(self) -> Any:
        """The 3D scene of the Parameters tab: a `pythreejs.Renderer`, or None.

        Add to its `scene` what is to be seen beside the parameters. `scene3d_absent` says
        why it is None.
        """
        structure = self._assemble().structure
        return None if structure is None else structure.renderer

    @property
    def scene3d_absent(self) -> str:
        """Why there is no 3D scene, or ""."""
        return self._assemble().reason

    def _assemble(self) -> Assembly:
        if self._assembly is None:
            self._assembly = assemble()
            self.scene = self._assembly.handles
        return self._assembly

    # ------------------------------------------------------------------ the training thread

    @property
    def is_early(self) -> bool:
        """Whether `pump` would have nothing to do yet."""
        return self._bound is None or (self._threaded and time.monotonic() < self._pump.next)

    def pump(self, *, force: bool = False) -> None:
        """Use a moment of the training thread for the page; cheap enough for every step."""
        if self._bound is None:
            return
        answered = self._pump(force=force)
        if not self._threaded:
            self._ask_colab(pump_works=answered > 0)
            self._flusher.flush()
        if self._pump.reason != self._known_obstacle:
            self._lost_pump()

    def _ask_colab(self, *, pump_works: bool) -> None:
        """Fetch the page's controls from where the pump may not reach."""
        if pump_works:
            self._colab = None
        if self._colab is not None and self._bound is not None:
            for message in self._colab(paused=self._bound.status == "paused"):
                self._from_page(self, message, [])

    def flush(self, *, final: bool = False) -> None:
        """Bring what is new to the page; `final` waits until everything is sent."""
        if self._bound is not None and (final or not self._threaded):
            self._flusher.flush_now()

    def _lost_pump(self) -> None:
        reason = self._known_obstacle = self._pump.reason
        self.capabilities = kernel.capabilities(reason)
        if self._bound is not None:
            message = f"a page that is reloaded while the cell runs stays empty: {reason}"
            self._bound.event("note", None, {"message": message})

    # ------------------------------------------------------------------ the page

    def _from_page(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """Take a message, on whatever thread it comes: it is only put on a queue."""
        if isinstance(content, dict) and content.get("kind") in _FROM_PAGE:
            if content["kind"] != "detail" or not self._detail(content):  # type: ignore[arg-type]
                self._flusher.from_page(content)  # type: ignore[arg-type]
            if content["kind"] == "control":
                self._control(content)  # type: ignore[arg-type]
            elif content["kind"] == "keep":
                # At once: a page that is reloaded asks for it in the next moment.
                self._choices.take(content)  # type: ignore[arg-type]
            if not self._threaded:
                self._flusher.flush()

    def _control(self, message: wire.Control) -> None:
        """Take a wish of the viewer; on whatever thread it comes."""

    def _detail(self, _message: wire.Detail) -> bool:
        """Take a question that needs more than the Run; False leaves it to the flusher."""
        return False

    def send_tensor(self, tensor: Tensor) -> None:
        """Send a tensor that is for the pages alone, at once."""
        if self._bound is not None:
            self._flusher.show(tensor, hurry=True)

    def controlled(self, meta: dict[str, Any]) -> None:
        """Tell the page at once how its controls stand."""
        if self._bound is not None:
            self.send_tensor(page_tensor(CONTROLS, self._bound.step, b"", meta))

    def _packed(self) -> bytes:
        return b"" if self._bound is None else self._bound.pack()

    def _chosen(self) -> dict[str, Any]:
        return {} if self._bound is None else self._choices.state()

    # ------------------------------------------------------------------ what a cell shows

    def _ipython_display_(self, **_options: Any) -> None:
        """Show the live widget, and under it a picture for whoever can't run a widget.

        Two outputs, because a host that knows widgets, but not this one any more, shows an
        error in place of anything else in the same output. The live view hides the picture.
        """
        if not self.is_shown:
            return
        data, metadata = self._repr_mimebundle_() or ({}, {})
        kernel.publish({**data, "text/plain": self.describe()}, metadata)
        self.publish_picture()

    @property
    def is_shown(self) -> bool:
        """Whether there is a run to be seen here: not so in the further processes of a training."""
        return self._bound is not None and self.comm is not None

    def describe(self) -> str:
        """Tell the run in one line."""
        return "" if self._bound is None else self._describe(self._bound)

    def publish_picture(self) -> None:
        """Show the picture that stands in for the live view, and keep it up to date."""
        kernel.publish(self._static(), display_id=self.picture_id)
        self._displayed = True

    def _static(self, png: bytes | None = None) -> dict[str, Any]:
        assert self._bound is not None
        import html

        text = self._describe(self._bound)
        coded = base64.b64encode(self._picture(self._bound) if png is None else png).decode()
        image = f'<img alt="{html.escape(text)}" src="data:image/png;base64,{coded}">'
        return {
            "text/html": (
                f'<div class="nbmonitor-static" data-nbmonitor-static="{self.picture_id}">'
                f"{image}</div>"
            ),
            "image/png": coded,
            "text/plain": text,
        }

    def _refresh_picture(self) -> None:
        if not self._displayed or self._bound is None:
            return
        run = self._bound
        png = self._picture(run)
        kernel.publish(self._static(png), display_id=self.picture_id, update=True)
        # A page that was reloaded has lost the tie to that output, and rewrites it itself.
        meta = {"id": self.picture_id, "alt": self._describe(run)}
        self._flusher.show(page_tensor(PICTURE, run.step, png, meta))


class _Sink:
    """What the flusher may do to a widget."""

    def __init__(self, widget: MonitorWidget) -> None:
        self._widget = widget

    def send(self, message: wire.ToPage, buffers: list[bytes]) -> None:
        self._widget.send(message, buffers)

    def set_status(
        self, status: wire.Status, config: dict[str, Any], panels: list[wire.PanelSpec]
    ) -> None:
        self._widget.panels = panels
        self._widget.config = config
        self._widget.status = status

    def send_history(self) -> None:
        self._widget.send_state("history")

    def refresh_picture(self) -> None:
        self._widget._refresh_picture()  # noqa: SLF001 - one class in two halves

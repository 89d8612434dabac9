"""What a page asks of the parameters: a matrix in full, or all snapshots in one basis.

A page asks with a `detail` message whose key is `parameters/matrix/<id>`, with or without a window
`/<row>:<row>/<column>:<column>`, or `parameters/view`. How that stands is the tensor
`parameters/answer`, for the page alone; the matrix comes as `parameters/matrix` likewise, the view
as `parameters/view/<chunk>` of the Run, and with it `parameters/clusters`. Weights are copied
between two steps, on the training thread; everything else is done on a thread of its own.
"""

from __future__ import annotations

import functools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from nbmonitor.parameters import clusters, magnify, onebasis
from nbmonitor.parameters.snapshot import SNAPSHOT
from nbmonitor.parameters.worker import Worker
from nbmonitor.probe import Probe
from nbmonitor.probes.parameters import Links, Parameters
from nbmonitor.record import Tensor
from nbmonitor.run import Run
from nbmonitor.session import Session

ANSWER = "parameters/answer"
_AREA = "parameters/"
_MOST_WAITING = 8
# Seconds between two chunks of a view, a megabyte each, so that the charts go on meanwhile.
_BETWEEN = 0.6
_CLOSE = 2.0
_FILE = (
    "a run file keeps pooled pictures of matrices; only the process that trains has them in full"
)


class ParameterRequests:
    """Answers the pages of one widget.

    Parameters
    ----------
    run
        Whose snapshots they look at.
    show
        Sends a tensor to the pages.
    probe
        Who knows the model; None where a run file is followed.
    training
        Tells whether a training is at work, whose next step is to be waited for.
    """

    def __init__(
        self,
        run: Run,
        show: Callable[[Tensor], None],
        probe: Parameters | None = None,
        training: Callable[[], bool] = lambda: False,
    ) -> None:
        self._run, self._show, self._probe, self._training = run, show, probe, training
        # What the next step is to read.
        self.waiting: deque[tuple[str, str, magnify.Window]] = deque()
        self._worker = Worker("nbmonitor-parameter-requests", _MOST_WAITING)
        self._ending = threading.Event()
        # Step of the newest snapshot when all of them were last looked at in a pause.
        self._seen = -1

    # ------------------------------------------------------------------ any thread

    def receive(self, ask: Mapping[str, Any]) -> bool:
        """Take a page's question; False if it isn't about parameters."""
        keys = ask.get("keys")
        key = str(keys[0]) if isinstance(keys, list) and keys else ""
        if not key.startswith(_AREA):
            return False
        name = str(ask.get("id"))[:100]
        window = magnify.asked(key)
        if key == onebasis.KEY:
            self._answer(name, key, "waiting", "the snapshots are being projected")
            self._begin(name, key, functools.partial(self._view, name))
        elif window is None:
            self._answer(name, key, "refused", f"there is no {key!r} to ask for")
        else:
            self._ask(name, key, window)
        return True

    def _ask(self, name: str, key: str, window: magnify.Window) -> None:
        if self._probe is None:
            self._answer(name, key, "refused", _FILE)
        elif self._probe.plan is None:
            self._answer(name, key, "refused", "no model is being watched")
        elif len(self.waiting) >= _MOST_WAITING:
            note = f"{_MOST_WAITING} matrices wait for the next step already"
            self._answer(name, key, "refused", note)
        else:
            self.waiting.append((name, key, window))
            if self._training():
                self._answer(name, key, "waiting", "to be read at the next step")
            else:
                self.serve()  # nobody changes the weights

    def _answer(self, name: str, key: str, state: str, note: str = "") -> None:
        meta = {"id": name, "key": key, "state": state, "note": note}
        self._show((ANSWER, self._run.step, np.zeros(0, np.uint8), meta))

    def close(self) -> None:
        """Give up what is being done."""
        self._ending.set()
        self._worker.abandon(_CLOSE)

    # ------------------------------------------------------------------ the training thread

    def serve(self) -> None:
        """Copy what is waited for; called between two steps, and very often."""
        while self.waiting:
            name, key, window = self.waiting.popleft()
            self._copy(name, key, window)
        if self._run.status == "paused":
            # There is time to look around; the last snapshot may still be in the making.
            newest = self._run.tensor(SNAPSHOT)
            if newest is not None and newest[1] != self._seen:
                self._seen = newest[1]
                look = functools.partial(self._guarded, "", onebasis.KEY, self._view_once)
                self._worker.offer(look)

    def _copy(self, name: str, key: str, window: magnify.Window) -> None:
        plan = self._probe.plan if self._probe is not None else None
        assert plan is not None
        try:
            copied = magnify.copy(plan, window, self._run.step)
        except magnify.Refused as error:
            self._answer(name, key, "refused", str(error))
        except Exception as error:  # noqa: BLE001 - a viewer's wish may not end the training
            self._answer(name, key, "refused", f"{type(error).__name__}: {error}")
        else:
            self._begin(name, key, functools.partial(self._pack, name, key, copied))

    # ------------------------------------------------------------------ a thread of its own

    def _begin(self, name: str, key: str, job: Callable[[], None]) -> None:
        if not self._worker.offer(functools.partial(self._guarded, name, key, job)):
            self._answer(name, key, "refused", "too much has been asked for at once")

    def _guarded(self, name: str, key: str, job: Callable[[], Any]) -> None:
        try:
            job()
        except Exception as error:  # noqa: BLE001 - the next question may fare better
            self._answer(name, key, "refused", f"{type(error).__name__}: {error}")

    def _pack(self, name: str, key: str, copied: magnify.Copied) -> None:
        tensor = magnify.pack(copied, name)
        self._show(tensor)
        self._answer(name, key, "done", tensor[3]["note"])

    def _view(self, name: str) -> None:
        if self._view_once():
            self._answer(name, onebasis.KEY, "done")
        else:
            note = "there are no snapshots of token embeddings to project"
            self._answer(name, onebasis.KEY, "refused", note)

    def _view_once(self) -> bool:
        tensors = onebasis.view_tensors(self._run.reel_steps, self._run.frame)
        for at, tensor in enumerate(tensors):
            if at and self._ending.wait(_BETWEEN):
                break
            self._run.put(*tensor)
        for tensor in clusters.cluster_tensors(self._run.reel_steps, self._run.frame):
            self._run.put(*tensor)
        return bool(tensors)


# ---------------------------------------------------------------------- of a monitor


def choose(probes: Iterable[Probe], parameters: Any) -> None:
    """Tell the probe what is wanted; see `nbmonitor.parameters.wishes.wishes`.

    Raises
    ------
    TypeError, ValueError
        If it is nothing that can be wanted.
    """
    for probe in probes:
        if isinstance(probe, Parameters):
            probe.use(parameters)


def join(
    probes: Iterable[Probe], session: Session, show: Callable[[Tensor], None]
) -> ParameterRequests:
    """Lend a run to the probe of the parameters; return who answers pages for it."""
    run = session.run

    def whole() -> bool:
        # An exception may have come in the middle of a step; and the best checkpoint may have
        # taken the place of the last weights.
        ended = session.ending == "finished" or bool(session.steering.stopped)
        return ended and not run.config.get("load_best_model_at_end")

    found = [probe for probe in probes if isinstance(probe, Parameters)]
    for probe in found:
        probe.links = Links(run.reel_steps, run.frame, run.rewind, whole)
    return ParameterRequests(run, show, found[0] if found else None, lambda: session.active)

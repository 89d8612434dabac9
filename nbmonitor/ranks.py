"""Several processes of one training: which one this is, and how each tells rank 0 of itself.

Reports go through the store that torch.distributed has opened for the job, on a connection
of our own and from a thread of our own: no collective, and nothing that the training or its
communication could wait for. What a report says is not known here.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

_log = logging.getLogger(__name__)

Report = dict[str, Any]
INTERVAL = 1.0
# Only opening a connection may wait as long; no later call of ours waits for a key.
_TIMEOUT = timedelta(seconds=20)
# A thread that is inside the store when the interpreter ends would abort the process.
_FAREWELL = 2.0
# So long rank 0 waits at its end for the others' last reports.
_PATIENCE = 0.5


def _distributed() -> Any:
    """`torch.distributed`, where it is loaded, built in and initialised; else None."""
    module = sys.modules.get("torch.distributed")
    if module is None or not module.is_available() or not module.is_initialized():
        return None
    return module


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process stands among those of its job."""

    rank: int = 0
    world: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that shows and records."""
        return self.rank == 0


def place(environment: Mapping[str, str] = os.environ) -> Place:
    """Find this process's place: from torch.distributed, else from its launcher's variables."""
    distributed = _distributed()
    if distributed is not None:
        return Place(int(distributed.get_rank()), int(distributed.get_world_size()))
    try:
        rank, world = int(environment["RANK"]), int(environment["WORLD_SIZE"])
    except (KeyError, ValueError):
        return Place()
    return Place(rank, world) if 0 <= rank < world else Place()


def _own_connection(distributed: Any) -> Any:
    """Connect to the job's store once more: a call that blocks holds up its connection alone."""
    store = distributed.distributed_c10d._get_default_store()  # noqa: SLF001 - no public way
    if hasattr(store, "clone"):
        return store.clone()
    base = store
    while hasattr(base, "underlying_store"):
        base = base.underlying_store
    if not hasattr(base, "port"):
        msg = f"the job's store is a {type(base).__name__}, which gives no second connection"
        raise TypeError(msg)
    return distributed.TCPStore(
        base.host, base.port, None, is_master=False, timeout=_TIMEOUT, wait_for_workers=False
    )


class Mailbox:
    """One place in the store for each rank's latest report.

    Parameters
    ----------
    store
        Ours alone.
    name
        The same on all ranks, and new for every training.
    """

    def __init__(self, store: Any, name: str) -> None:
        self._store, self._name = store, name
        self._seen: list[int] = []

    def _key(self, rank: int) -> str:
        return f"nbmonitor/{self._name}/{rank}"

    def post(self, rank: int, report: Report) -> None:
        """Put a report in the place of the one before. Waits for no answer."""
        self._store.set(self._key(rank), json.dumps(report).encode())

    def collect(self, ranks: Iterable[int]) -> dict[int, Report]:
        """Fetch the latest report of each rank that has ever posted one."""
        for rank in ranks:
            if rank not in self._seen and self._store.check([self._key(rank)]):
                self._seen.append(rank)
        if not self._seen:
            return {}
        found = self._store.multi_get([self._key(rank) for rank in self._seen])
        return {r: json.loads(bytes(v)) for r, v in zip(self._seen, found, strict=True)}


@dataclass(slots=True)
class Heard:
    """The latest report of a rank, and for how long rank 0 has listened for the next in vain."""

    report: Report
    silent: float = 0.0


class Courier:
    """The thread that carries reports.

    Parameters
    ----------
    place
        Of this process.
    name
        Of the training, for `Mailbox`.
    measure
        Makes this rank's report; called by the thread.
    interval
        Seconds between two reports.

    Attributes
    ----------
    heard : dict
        On rank 0: what is known of each rank, its own included. Replaced, never changed.
    listened : float
        Seconds that rank 0 has listened for the others. Times in which it could not (it was
        stopped itself, the machine slept) don't count.
    trouble : str
        Why reports don't arrive, or "".
    """

    def __init__(
        self, place: Place, name: str, measure: Callable[[], Report], interval: float = INTERVAL
    ) -> None:
        self._place, self._name, self._measure, self._interval = place, name, measure, interval
        self._mailbox: Mailbox | None = None
        self._closing = threading.Event()
        self._number = 0
        self._last: float | None = None
        self.heard: dict[int, Heard] = {}
        self.listened = 0.0
        self.trouble = ""
        self._thread = threading.Thread(target=self._loop, name="nbmonitor-ranks", daemon=True)

    def start(self) -> None:
        """Begin to report and, on rank 0, to listen."""
        atexit.register(self.close)
        self._thread.start()

    def close(self) -> None:
        """Send a last report and stop; waits a moment at most, whatever the store does."""
        atexit.unregister(self.close)
        self._closing.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(_FAREWELL)

    def _loop(self) -> None:
        closing = False
        while True:
            try:
                self._round(ended=closing)
                self.trouble = ""
            except Exception as error:  # noqa: BLE001 - the store may fail in any way; training goes on
                self.trouble = f"{type(error).__name__}: {str(error).splitlines()[0]}"
                # A lost connection doesn't come back, and every try prints torch's own trace.
                if self._mailbox is not None:
                    _log.info("reports of the ranks end here: %s", self.trouble)
                    return
            if closing:
                return
            closing = self._closing.wait(self._interval)

    def _round(self, *, ended: bool) -> None:
        """Report once; on rank 0, listen once."""
        self._number += 1
        report = {**self._measure(), "n": self._number, "ended": ended}
        leads = self._place.leads
        if leads:
            self.heard = {**self.heard, 0: Heard(report)}
        if self._mailbox is None:
            distributed = _distributed()
            if distributed is None:
                msg = "torch.distributed is not initialised (torch.distributed.init_process_group)"
                raise LookupError(msg)
            self._mailbox = Mailbox(_own_connection(distributed), self._name)
        if not leads:
            self._mailbox.post(self._place.rank, report)
            return
        found = self._mailbox.collect(range(1, self._place.world))
        deadline = time.monotonic() + _PATIENCE
        while ended and not all(f["ended"] for f in found.values()) and time.monotonic() < deadline:
            time.sleep(0.02)
            found = self._mailbox.collect(range(1, self._place.world))
        now = time.monotonic()
        gap = 0.0 if self._last is None else min(now - self._last, 2 * self._interval)
        self._last = now
        self.listened += gap
        heard = {0: Heard(report)}
        for rank, news in found.items():
            old = self.heard.get(rank)
            same = old is not None and old.report["n"] == news["n"]
            heard[rank] = Heard(news, old.silent + gap if same and old is not None else 0.0)
        self.heard = heard

"""What goes wrong with a run file: told once, tried again ever more slowly, over with a note.

It knows kinds of errors and the words for them, and writes nothing itself.
"""

from __future__ import annotations

import errno
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nbmonitor.run import Run
from nbmonitor.runfile.schema import RunFileError

if TYPE_CHECKING:
    from nbmonitor.runfile.storage import Cut, Laid

# Rows kept in memory while the file can't be written.
KEPT_ROWS = 100_000
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
# A short lock is nobody's business: so many attempts in a row must meet one.
_LOCKED_ATTEMPTS = 2
# Seconds without it after which the same trouble is news again.
_FORGOTTEN = 60.0

_BY_ERRNO = {
    errno.ENOSPC: "full",
    errno.EDQUOT: "full",
    errno.EFBIG: "full",
    errno.EROFS: "readonly",
    errno.EACCES: "readonly",
    errno.EPERM: "readonly",
    errno.ENOENT: "gone",
    errno.ENOTDIR: "gone",
    errno.ESTALE: "gone",
}
# SQLite's primary result codes; the extended ones have them in their last byte.
_BY_SQLITE = {
    3: "readonly",
    5: "locked",
    6: "locked",
    8: "readonly",
    10: "io",
    11: "damaged",
    13: "full",
    14: "readonly",
    26: "damaged",
}
_WORDS = {
    "full": ("No room for the run file", "free some space, or raise the quota"),
    "readonly": (
        "The run file can't be written",
        "make the directory writable, or give TrainingMonitor another run_dir",
    ),
    "gone": (
        "The run file's directory is gone",
        "see that the directory can be made and stays where it is",
    ),
    "locked": (
        "The run file is locked by another program",
        "close what has it open for writing (a database browser, say)",
    ),
    "damaged": ("The run file is damaged", "see who else writes it and whether the disk is sound"),
    "foreign": ("The run goes on in another file", "the file given is left as it is"),
    "io": ("The run file can't be written", "see whether the disk is in order and still there"),
    "other": ("The run file can't be written", "please report it with this message"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trouble:
    """A kind of failure, and what to tell people."""

    kind: str
    title: str
    reason: str
    advice: str


class Outage:
    """The troubles of one recorder.

    Parameters
    ----------
    run
        Gets the alerts and notes.
    path
        Returns where the file is.
    """

    def __init__(self, run: Run, path: Callable[[], Path]) -> None:
        self._run, self._path = run, path
        self._attempts = 0
        self._pause = _FIRST_PAUSE
        self._not_before = 0.0
        self._met: dict[str, float] = {}
        self._told = False
        self._dropped: list[int] = []

    @property
    def is_due(self) -> bool:
        """Whether it is time for an attempt."""
        return time.monotonic() >= self._not_before

    def failed(self, error: Exception) -> Trouble:
        """Hear that nothing could be written; say so, if that is news."""
        trouble = diagnose(error, self._path())
        self._attempts += 1
        self._not_before = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        if trouble.kind != "locked" or self._attempts >= _LOCKED_ATTEMPTS:
            self._told = True
            self._alert(
                trouble.kind,
                trouble.title,
                f"{trouble.reason}: {self._path()}. The training goes on, and what it yields is "
                f"kept in memory (up to {KEPT_ROWS:,} rows) and written when that is possible "
                f"again: {trouble.advice}",
            )
        return trouble

    def journal_failed(self, error: OSError) -> None:
        """Hear that the journal can't be written."""
        trouble = diagnose(error, self._path())
        self._alert(
            f"journal {trouble.kind}",
            "The run file's journal can't be written",
            f"{trouble.reason}: {self._path().with_suffix('.journal')}. The run is recorded all "
            "the same; if the process were killed, its last second would be lost: "
            f"{trouble.advice}",
        )

    def worked(self, rows: int) -> None:
        """Hear that everything is written."""
        told, dropped = self._told, self._dropped
        self._attempts, self._pause, self._not_before = 0, _FIRST_PAUSE, 0.0
        self._told, self._dropped = False, []
        if not told:
            return
        message = f"the run file is written again; {rows:,} rows that had waited are in it"
        if dropped:
            message += (
                f". Missing are {len(dropped):,} rows of steps {min(dropped)} to {max(dropped)}: "
                "more had to wait than memory is given"
            )
        self._run.event("note", None, {"message": message, "file": str(self._path())})

    def replaced(self, old: Path, new: Path, why: str, saved: str) -> None:
        """Say that another file took the place of one."""
        self._told = False
        self._alert(
            f"replaced {old}",
            f"The run file {why}",
            f"{old} {why} while it was written; recording goes on in {new}, {saved}",
        )

    def moved(self) -> None:
        """Say that the file has another name than it was given."""
        message = f"{self._path()} was moved; recording goes on in it, wherever it is now"
        self._run.event("note", None, {"message": message})

    def bound(self, changes: deque[Laid | Cut]) -> None:
        """Drop the oldest rows beyond what memory is given to those that wait."""
        waiting = [changes.popleft() for _ in range(len(changes))]
        rows = sum(_size(change) for change in waiting)
        kept: list[Laid | Cut] = []
        for change in waiting:
            if rows > KEPT_ROWS and _size(change):
                rows -= _size(change)
                self._dropped += [row[0] for row in getattr(change, "rows", ())]
            else:
                kept.append(change)
        changes.extendleft(reversed(kept))

    def _alert(self, kind: str, title: str, message: str) -> None:
        """Tell of a kind of trouble, unless it was met a moment ago."""
        now = time.monotonic()
        before, self._met[kind] = self._met.get(kind), now
        if before is None or now - before > _FORGOTTEN:
            data = {"severity": "warning", "title": title, "message": message}
            self._run.event("alert", None, data)


def _size(change: Laid | Cut) -> int:
    return len(getattr(change, "rows", ()))


def diagnose(error: BaseException, path: Path) -> Trouble:
    """Find out what kind of failure an error is."""
    kind = "other"
    reason = f"{type(error).__name__}: {error}"
    if isinstance(error, BlockingIOError):
        kind, reason = "locked", str(error)
    elif isinstance(error, RunFileError):
        kind, reason = "foreign", str(error)
    elif isinstance(error, OSError):
        kind, reason = _BY_ERRNO.get(error.errno or 0, "io"), error.strerror or str(error)
    elif isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", None)
        kind, reason = _BY_SQLITE.get(code & 0xFF if code else 0, "other"), str(error)
        if kind == "readonly" and not path.parent.is_dir():
            kind = "gone"
        elif kind == "io" and _is_full(path):
            kind = "full"
    return Trouble(kind, _WORDS[kind][0], reason, _WORDS[kind][1])


def _is_full(path: Path) -> bool:
    """Whether a file next to it can't grow: SQLite says so with an I/O error in places."""
    probe = path.with_suffix(".room")
    try:
        try:
            probe.write_bytes(b"." * 8192)
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        return _BY_ERRNO.get(error.errno or 0) == "full"
    return False

"""Follow a run file that another process writes: what is new in it goes into a Run.

The thread looks at sizes and times of the files, and opens the database only when they have
changed. It knows no widget, and leaves a file as it is: what to do when the writer has died
is told to it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from nbmonitor.run import Run
from nbmonitor.runfile.reader import ACTIVE, Cursor, RunFile
from nbmonitor.runfile.schema import RunFileError

INTERVAL = 0.2
# A run that is over may be resumed: its file is looked at now and then.
SLOW = 1.0
_LIFE = 1.0
Stamp = tuple[tuple[int, int, int], ...]


class Follower:
    """Keep a Run level with its file.

    Parameters
    ----------
    run
        Filled from the file before.
    path
        The run file.
    cursor
        Where that filling ended.
    lost
        Called when the writer has died in the middle of the run; returns `apart`.
    apart
        Whether the Run has more than the file, which could not be completed: it is read anew
        once it changes.

    Attributes
    ----------
    cursor : Cursor
        How far the file was read.
    """

    def __init__(
        self,
        run: Run,
        path: Path,
        cursor: Cursor,
        lost: Callable[[], bool] | None = None,
        *,
        apart: bool = False,
    ) -> None:
        self._run, self._path, self._lost = run, path, lost
        self.cursor = cursor
        self._apart = apart
        self._stamp = self._find_stamp() if apart else None
        self._inode = self._find_stamp()[0][0]
        self._again = not apart
        self._missing = self._mourned = self._over = False
        self._trouble = ""
        self._looked = 0.0
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Follow in a thread of its own."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="nbmonitor-follow", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop following."""
        self._closing.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=5.0)

    @property
    def following(self) -> bool:
        """Whether the thread is at work."""
        return self._thread is not None and self._thread.is_alive()

    def _loop(self) -> None:
        while True:
            self.poll()
            if self._over and not self._again:
                return
            pause = INTERVAL if self._run.status in ACTIVE or self._again else SLOW
            if self._closing.wait(pause):
                return

    def poll(self) -> None:
        """Look once: take in what is new, and see whether the writer lives."""
        try:
            self._look()
            self._trouble = ""
        except FileNotFoundError:
            self._gone()
        except (OSError, RunFileError) as error:
            # A file that is being made anew, a disk that is away: the next look may find it well.
            if str(error) != self._trouble:
                self._trouble = str(error)
                self._note(str(error))

    def _look(self) -> None:
        stamp = self._find_stamp()
        inode = stamp[0][0]
        if not inode:
            raise FileNotFoundError(self._path)
        if self._missing:
            self._missing = False
            self._note("the run file is back")
        changed = stamp != self._stamp or inode != self._inode
        if changed or self._again:
            # Times of files are coarse: after a change, the next look reads once more.
            with RunFile(self._path) as file:
                if self._find_stamp()[0][0] != inode:
                    return  # replaced meanwhile: the next look sees it whole
                self._read(file, same=inode == self._inode)
            self._stamp, self._inode, self._again = stamp, inode, changed
        now = time.monotonic()
        if now - self._looked >= _LIFE:
            self._look_for_writer()
            self._looked = now

    def _read(self, file: RunFile, *, same: bool) -> None:
        """Add what is new, or begin anew when the file's history was rewritten."""
        generation = int(file.meta.get("generation") or 0)
        if same and generation == self.cursor.generation and not self._apart:
            file.catch_up(self._run, self.cursor)
        else:
            self._run.forget()
            self.cursor = Cursor(generation=-1)  # should reading fail, it begins anew
            self.cursor = file.load(self._run)
            self._apart = False
        if self._run.status in ACTIVE and file.alive:
            self._mourned = False

    def _look_for_writer(self) -> None:
        with RunFile(self._path) as file:
            alive, active = file.alive, str(file.meta.get("status") or "waiting") in ACTIVE
        self._over = not alive and self._run.status == "finished"
        if active and not alive and self._run.status in ACTIVE and not self._mourned:
            self._apart = self._lost is not None and self._lost()
            self._mourned = True

    def _gone(self) -> None:
        if self._missing:
            return
        self._missing = True
        self._note(
            f"the run file {self._path} is gone: what is shown was read before; "
            "it goes on if the file comes back"
        )

    def _note(self, message: str) -> None:
        self._run.event("note", None, {"message": message})

    def _find_stamp(self) -> Stamp:
        """Size and time of the database and of its write-ahead log."""
        found = []
        for path in (self._path, self._path.with_name(f"{self._path.name}-wal")):
            try:
                stat = path.stat()
                found.append((stat.st_ino, stat.st_size, stat.st_mtime_ns))
            except FileNotFoundError:
                found.append((0, 0, 0))
        return tuple(found)

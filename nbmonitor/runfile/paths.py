"""Where run files are, and who is writing one: names of new files, the journal's, the lock.

A writer holds an advisory lock on the journal's first file as long as it lives: the system
lets go of it even when the process is killed.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

from nbmonitor.runfile.schema import SUFFIX

try:
    import fcntl as _fcntl
except ImportError:  # Windows: readers judge by the heartbeat in `meta`
    fcntl: Any = None
else:
    fcntl = _fcntl

_NAME = 40


def slug(name: str) -> str:
    """Turn a name into what every file system takes, or "run"."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_NAME].rstrip("-") or "run"


def new_path(directory: str | Path, name: str) -> Path:
    """Return the path of a run file that nobody has, in a directory made if need be.

    The file is made, empty, so that no other run takes the name. Where that is impossible the
    path is returned all the same: the recorder says what is wrong and tries again.
    """
    directory = Path(directory)
    while True:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        path = directory / f"{stamp}-{slug(name)}-{os.urandom(2).hex()}{SUFFIX}"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666))
        except FileExistsError:
            if not directory.is_dir():
                return path
        except OSError:
            return path
        else:
            return path


def journal_paths(path: Path) -> list[Path]:
    """Return the files of a run file's journal; the first carries the lock, the last is a ring."""
    return [path.with_suffix(f".journal{number}") for number in ("", 2, 3, 4, 5)]


def lock(descriptor: int, path: Path) -> None:
    """Take the writer's lock on the open journal of the run file at `path`.

    Raises
    ------
    BlockingIOError
        If another writer has it.
    """
    if fcntl is None:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        msg = f"another process writes {path}"
        raise BlockingIOError(msg) from error
    except OSError:  # a file system without locks
        return


def is_written(path: Path) -> bool | None:
    """Whether a living process writes the run file at `path`; None where nobody can know.

    It opens the journal and closes it again, which leaves a writer's lock alone, also one of
    this process: `flock` belongs to the open file and not, as `lockf` does, to the process.
    """
    journal = journal_paths(path)[0]
    if fcntl is None:
        return None if journal.exists() else False
    try:
        descriptor = os.open(journal, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False

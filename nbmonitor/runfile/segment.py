"""One file of a journal: bytes are appended to it, read back, and done away with.

A *mapped* segment is a stretch of preallocated file in memory. Writing to it is a copy: no
system call, and the interpreter's lock is kept, so it costs the training thread a fraction of
what a `write` costs when the caches are cold. The pages belong to the system: they are in the
file whatever happens to the process. Where a mapping is not safe (`mappable`), an *appended*
segment makes one `write` of each record.

It knows no records.
"""

from __future__ import annotations

import errno
import mmap
import os
import threading
from pathlib import Path
from typing import Protocol

MAPPED_BYTES = 512 * 1024
APPENDED_BYTES = 64 * 1024 * 1024
# A store to a mapped page that can't be backed kills the process. These file systems reserve
# what `posix_fallocate` asks for; network and copy-on-write ones don't.
_RESERVING = frozenset({"ext2", "ext3", "ext4", "xfs", "tmpfs", "overlay"})
_MOUNTS = Path("/proc/self/mountinfo")


class Segment(Protocol):
    """Where a journal's bytes go."""

    @property
    def used(self) -> int:
        """Bytes appended since the last `reset`."""

    @property
    def sink(self) -> Sink:
        """What appends: the object whose `write` takes bytes."""

    def read(self) -> bytes:
        """Everything appended since the last `reset`."""

    def reset(self, used: int) -> bool:
        """Do away with everything appended, if that is `used` bytes: say whether it was."""

    def close(self) -> None:
        """Let go of the file."""


class Sink(Protocol):
    """The part of a segment that the training thread touches."""

    def write(self, data: bytes, /) -> object:
        """Append all of `data` or raise."""


def mappable(directory: Path) -> bool:
    """Whether files in `directory` can be written through memory without danger."""
    try:
        device = directory.stat().st_dev
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    wanted = f"{os.major(device)}:{os.minor(device)}"
    kinds = {
        line.split(" - ", 1)[1].split()[0]
        for line in mounts
        if " - " in line and line.split()[2] == wanted
    }
    return bool(kinds) and kinds <= _RESERVING


class Mapped:
    """A preallocated file in memory; zeros follow what was appended."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        os.posix_fallocate(descriptor, 0, MAPPED_BYTES)
        self.map = mmap.mmap(descriptor, MAPPED_BYTES)
        if self.map[0]:
            # What a process before this one has left stays until it is in the database.
            self.map.seek(MAPPED_BYTES)
        else:
            # Touches every page: the first write to one costs ten times the next.
            self.map[:] = bytes(MAPPED_BYTES)

    @property
    def used(self) -> int:
        """Bytes appended since the last `reset`."""
        return self.map.tell()

    @property
    def sink(self) -> Sink:
        """The mapping itself: its `write` appends whole or raises ValueError."""
        return self.map

    def read(self) -> bytes:
        """Everything appended since the last `reset`."""
        return self.map[: self.map.tell()]

    def reset(self, used: int) -> bool:
        """Fill with zeros, if `used` bytes were appended; say whether."""
        zeros = bytes(used)
        if self.map.tell() != used:
            return False
        self.map.seek(0)
        self.map[:used] = zeros
        return True

    def close(self) -> None:
        """Let go of the file."""
        # It has a descriptor of its own, and with it a share in the lock. A thread that is about
        # to write gets a ValueError.
        self.map.close()
        os.close(self._descriptor)


class Appended:
    """A file that grows, one `write` a record.

    Parameters
    ----------
    descriptor
        Of the open file.
    mark
        Written after each piece, in the same call; to write it alone does nothing.
    limit
        Bytes that the file may have.
    """

    def __init__(self, descriptor: int, mark: bytes = b"", limit: int = APPENDED_BYTES) -> None:
        self._descriptor, self._mark, self._limit = descriptor, mark, limit
        self._lock = threading.Lock()
        self._broken = False
        self.used = os.fstat(descriptor).st_size

    @property
    def sink(self) -> Sink:
        """The segment itself."""
        return self

    def write(self, data: bytes) -> int:
        """Append all of `data`.

        Raises
        ------
        OSError
            If there is no room; nothing of `data` is left then.
        """
        if data == self._mark:
            return 0
        data += self._mark
        with self._lock:
            if self._broken or self.used + len(data) > self._limit:
                raise OSError(errno.EFBIG, "the journal has reached its bound")
            written = os.write(self._descriptor, data)
            if written != len(data):
                # Nothing could be read that came after half a record.
                self._broken = True
                os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - written)
                self._broken = False
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.used += written
            return written

    def read(self) -> bytes:
        """Everything appended since the last `reset`."""
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        return os.read(self._descriptor, os.fstat(self._descriptor).st_size)

    def cut(self, size: int) -> None:
        """Do away with what comes after the first `size` bytes."""
        os.ftruncate(self._descriptor, size)
        self.used, self._broken = size, False

    def reset(self, used: int) -> bool:
        """Cut the file to nothing, if `used` bytes were appended; say whether."""
        with self._lock:
            if self.used != used:
                return False
            self.cut(0)
            return True

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

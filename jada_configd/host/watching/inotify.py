"""One inotify instance (inotify(7)): watches in, raw events out, as cheap as the kernel has them.

What the events mean for the files that are held is `watch.py`'s. watchdog's `InotifyFD` makes
the instance, and its module's bindings add and remove watches. Its callbacks are left alone: they
make an object of every event, warn when a watch is added again, and take EACCES for a watch.
"""

import ctypes
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from watchdog.observers.inotify_c import (
    InotifyConstants,
    InotifyFD,
    Mask,
    WatchDescriptor,
    inotify_add_watch,
    inotify_rm_watch,
)

from jada_configd.errors import HostError

# What can change which file, directory or link a name stands for, or who may read it. Nothing that
# a reader causes, and no writes: those are asked for at the one file (`FILE`), so that a busy
# neighbour in the same directory costs nothing.
DIRECTORY: Final = (
    InotifyConstants.IN_CREATE
    | InotifyConstants.IN_DELETE
    | InotifyConstants.IN_MOVED_FROM
    | InotifyConstants.IN_MOVED_TO
    | InotifyConstants.IN_ATTRIB
    | InotifyConstants.IN_DELETE_SELF
    | InotifyConstants.IN_MOVE_SELF
    | InotifyConstants.IN_ONLYDIR
    | InotifyConstants.IN_DONT_FOLLOW
)
# CLOSE_WRITE beside MODIFY: a write through a mapping (mmap(2)) shows nowhere else.
FILE: Final = (
    InotifyConstants.IN_MODIFY | InotifyConstants.IN_CLOSE_WRITE | InotifyConstants.IN_DONT_FOLLOW
)
WRITTEN: Final = InotifyConstants.IN_MODIFY | InotifyConstants.IN_CLOSE_WRITE
OVERFLOW: Final = InotifyConstants.IN_Q_OVERFLOW
IGNORED: Final = InotifyConstants.IN_IGNORED

# 64 KiB hold some 2,000 events; the longest is 272 bytes (NAME_MAX and its header, padded).
_BUFFER: Final = 65536
_LONGEST: Final = 16 + 256
_READS: Final = 16  # as much as the queue holds by default; more waits for the next call
_HEADER: Final = struct.Struct("iIII")
_LIMITS: Final = Path("/proc/sys/fs/inotify")


class Inotify:
    """The kernel's queue of file-system events behind one descriptor; never blocks."""

    def __init__(self) -> None:
        """Raises `HostError` where the user has no instance left."""
        try:
            self._instance = InotifyFD()
        except OSError as error:
            text = f"cannot watch files: {error.strerror}; {limit('max_user_instances')}"
            raise HostError(text) from error
        # Private, hence the narrow pin of watchdog; and inherited by children unless told.
        self._descriptor = self._instance._inotify_fd  # noqa: SLF001
        os.set_inheritable(self._descriptor, False)  # noqa: FBT003 - the system's own signature
        os.set_blocking(self._descriptor, False)

    def fileno(self) -> int:
        """The descriptor: readable when there are events."""
        return self._descriptor

    def add(self, path: str, mask: int) -> int:
        """Watch; the same file or directory always has the same number. Raises `OSError`."""
        watch = inotify_add_watch(self._descriptor, os.fsencode(path), Mask(mask))
        if watch < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), path)
        return watch

    def remove(self, watch: int) -> None:
        """Stop watching; one that the kernel has dropped by itself is no error."""
        inotify_rm_watch(self._descriptor, WatchDescriptor(watch))

    def read(self) -> Iterator[tuple[int, int, bytes]]:
        """What has happened up to now, as (watch, mask, name)."""
        for _ in range(_READS):
            try:
                buffer = os.read(self._descriptor, _BUFFER)
            except BlockingIOError:
                return
            yield from _events(buffer)
            if len(buffer) <= _BUFFER - _LONGEST:
                return  # all that there was; one more read would only say so

    def close(self) -> None:
        """Give the instance back, and the pipe that came with it."""
        # close() leaves this to a thread that was never started.
        self._instance._close_resources()  # noqa: SLF001


def limit(name: str) -> str:
    """One of the user's limits on inotify with its value, for an operator."""
    try:
        value = (_LIMITS / name).read_text().strip()
    except OSError:
        return f"fs.inotify.{name} is reached"
    return f"fs.inotify.{name} is {value}"


def _events(buffer: bytes) -> list[tuple[int, int, bytes]]:
    events = []
    offset = 0
    while offset < len(buffer):
        watch, mask, _cookie, length = _HEADER.unpack_from(buffer, offset)
        offset += 16
        name = buffer[offset : offset + length].rstrip(b"\0") if length else b""
        events.append((watch, mask, name))
        offset += length
    return events

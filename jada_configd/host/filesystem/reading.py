"""Reads a regular file whole from a descriptor, or says in one sentence why not; never blocks."""

import os
import stat
from typing import Final

from jada_configd.core.wording import escaped
from jada_configd.errors import HostError, Refused, Stale
from jada_configd.host.filesystem.complaints import complaint
from jada_configd.host.filesystem.walk import End

BYTES_AT_MOST: Final = 8 * 1024 * 1024
_TRIES: Final = 4

_SORTS: Final = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a link",
}

# O_NONBLOCK: the lease of another process is refused, not waited for (fcntl(2), F_SETLEASE).
_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def open_regular(end: End) -> int:
    """A descriptor to read from, of the very inode that was walked to; raises `HostError`.

    Nothing but a regular file is opened: that can act on a device, or on the writer of a FIFO.
    """
    path = end.path
    check_regular(path, end.facts)
    end.directory.ground.at_file(path, end.directory.facts, end.facts)
    try:
        return os.open(f"/proc/self/fd/{end.descriptor}", _FLAGS)
    except FileNotFoundError:
        raise HostError(f"{escaped(path)} cannot be opened: /proc is not mounted") from None
    except OSError as error:
        raise complaint(error, path) from None


def check_regular(path: str, facts: os.stat_result) -> None:
    """Raises `Refused` for what is no regular file, or more than anybody's settings can be."""
    if not stat.S_ISREG(facts.st_mode):
        sort = _SORTS.get(stat.S_IFMT(facts.st_mode), "no file")
        raise Refused(f"{escaped(path)} is {sort}")
    if facts.st_size > BYTES_AT_MOST:
        most = BYTES_AT_MOST // 1024 // 1024
        raise Refused(f"{escaped(path)} has {facts.st_size} bytes, more than {most} MiB")


def read_whole(descriptor: int, path: str, before: os.stat_result) -> tuple[bytes, os.stat_result]:
    """The bytes as they stood at one moment, and the facts of that moment; raises `HostError`.

    `before` are the facts of the same inode at any moment before, checked to be a regular file's.
    """
    try:
        for _ in range(_TRIES):
            data = _read(descriptor, before.st_size)
            facts = os.fstat(descriptor)
            if len(data) == before.st_size and same_moment(before, facts):
                return data, facts
            check_regular(path, facts)
            before = facts
    except OSError as error:
        raise complaint(error, path) from None
    raise Stale(f"{escaped(path)} is being written: it changed each time that it was read")


def same_moment(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether nothing was written to the inode between two looks."""
    return (
        one.st_mtime_ns == other.st_mtime_ns
        and one.st_ctime_ns == other.st_ctime_ns
        and one.st_size == other.st_size
    )


def _read(descriptor: int, size: int) -> bytes:
    data = os.pread(descriptor, size + 1, 0)
    while 0 < len(data) < size:
        more = os.pread(descriptor, size + 1 - len(data), len(data))
        if not more:
            break
        data += more
    return data

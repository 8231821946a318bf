"""Tells whether a descriptor lies on a mount that a user made, without asking that file system.

The only file systems that an unprivileged user can mount where this program looks are FUSE's
(fuse(4), fusermount3(1)). Such a mount shows whatever owners its maker likes, and a request to it
need never be answered: fstat(2), statfs(2) and a lookup would all wait for its maker. Where a mount
begins is found by the walk; which one it is, /proc/self/fdinfo and /proc/self/mountinfo tell.
"""

import os
import select
from dataclasses import dataclass
from typing import Final

_TABLE: Final = "/proc/self/mountinfo"
_CHUNK: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Fuse:
    """A FUSE mount: its type as mounted (`fuse.sshfs`), and who mounted it."""

    kind: str
    uid: int


class UnknownMount(Exception):
    """The descriptor is on no mount that the kernel lists here."""


class Mounts:
    """The mount table, read anew when the kernel says that it has changed (proc(5), mountinfo)."""

    def __init__(self) -> None:
        self._table: int | None = None
        self._changes = select.poll()
        self._known: dict[int, Fuse | None] = {}

    def close(self) -> None:
        """Give the table's descriptor back."""
        if self._table is not None:
            self._changes.unregister(self._table)
            os.close(self._table)
            self._table = None

    def fuse(self, descriptor: int) -> Fuse | None:
        """The FUSE mount on which the descriptor lies, None where it is another sort of mount.

        Raises `UnknownMount`, and OSError where there is no /proc. While the descriptor is open its
        mount keeps its number, so a number that the unchanged table has means the same mount.
        """
        number = _mount_number(descriptor)
        if self._table is None or self._changes.poll(0):
            self._read()
        try:
            return self._known[number]
        except KeyError:
            raise UnknownMount from None

    def _read(self) -> None:
        if self._table is None:
            self._table = os.open(_TABLE, os.O_RDONLY | os.O_CLOEXEC)
            self._changes.register(self._table, select.POLLPRI)  # POLLERR comes by itself
        os.lseek(self._table, 0, os.SEEK_SET)
        text = b"".join(iter(lambda: os.read(self._table or -1, _CHUNK), b""))
        self._known = dict(map(_parse, text.split(b"\n")[:-1]))


def _mount_number(descriptor: int) -> int:
    about = os.open(f"/proc/self/fdinfo/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        text = os.read(about, _CHUNK)
    finally:
        os.close(about)
    _, found, rest = text.partition(b"mnt_id:")
    if not found:
        raise UnknownMount
    return int(rest.split(maxsplit=1)[0])


def _parse(line: bytes) -> tuple[int, Fuse | None]:
    """`36 35 98:0 /root /point rw,noatime shared:1 - fuse.sshfs host:/ rw,user_id=1000`."""
    front, _, back = line.partition(b" - ")
    number = int(front.split(maxsplit=1)[0])
    kind, _, options = back.split(b" ", 2)
    if kind != b"fuse" and not kind.startswith((b"fuse.", b"fuseblk")):
        return number, None
    for option in options.rsplit(b" ", 1)[-1].split(b","):
        if option.startswith(b"user_id="):
            return number, Fuse(os.fsdecode(kind), int(option[8:]))
    return number, Fuse(os.fsdecode(kind), -1)

"""What the watcher needs to know of mounts: when one changes, and where users have theirs.

A mount over a directory on the way is no event in that directory, and a file system that a user
serves (fuse(4)) may leave a look at it unanswered for ever.
"""

import os
import re
import select
from pathlib import Path
from typing import Final

_TABLE: Final = Path("/proc/self/mountinfo")
# Fields as in: 36 35 98:0 /root /point rw,noatime shared:1 - fuse.sshfs host:/ rw,user_id=1000.
_POINT: Final = 4
_ESCAPED: Final = re.compile(rb"\\([0-7]{3})")
_USER: Final = re.compile(rb"(?:^|,)user_id=([1-9][0-9]*)(?:,|$)")


class MountTable:
    """The mount table as the kernel shows it to this process (proc(5), mountinfo).

    Polling takes the news from an open table, and whoever waits for an epoll descriptor polls what
    is behind it. So one open table wakes, and another, which is polled here alone, tells.
    """

    def __init__(self, epoll: select.epoll) -> None:
        """`epoll` is to become readable when the table changes."""
        self._files: list[int] = []
        self._poll = select.poll()
        self.users = frozenset[str]()
        """Where file systems that ordinary users serve were mounted when `changed` last told."""
        try:
            for _ in range(2):
                self._files.append(os.open(_TABLE, os.O_RDONLY | os.O_CLOEXEC))
        except OSError:
            return  # no /proc: mounts are seen at the next sweep
        epoll.register(self._files[0], select.EPOLLPRI)
        self._poll.register(self._files[1], select.POLLPRI)
        self.users = _users()

    def changed(self) -> bool:
        """Whether anything was mounted or unmounted since the last call."""
        if not self._poll.poll(0):
            return False
        self.users = _users()
        return True

    def close(self) -> None:
        """Give the descriptors back."""
        for each in self._files:
            os.close(each)


def _users() -> frozenset[str]:
    try:
        return points(_TABLE.read_bytes())
    except OSError:
        return frozenset()


def points(table: bytes) -> frozenset[str]:
    """The mount points in such a table that belong to a FUSE mount of an ordinary user."""
    found = set()
    for line in table.split(b"\n"):
        front, _, back = line.partition(b" - ")
        fields, about = front.split(b" "), back.split(b" ")
        if len(fields) > _POINT and about[0].startswith(b"fuse") and _USER.search(about[-1]):
            point = _ESCAPED.sub(lambda match: bytes([int(match[1], 8)]), fields[_POINT])
            found.add(os.fsdecode(point))
    return frozenset(found)

"""Mounts as this process sees them, where the host's own have moved on.

A sandboxed unit has a mount namespace of its own (systemd.exec(5), PrivateMounts=). What is mounted
and unmounted on the host reaches it; `mount -o remount,rw` does not, because whether a mount is
read-only belongs to the mount, and there is one in each namespace (mount_namespaces(7)).
"""

import os
import re
from pathlib import Path
from typing import Final

_TABLE: Final = Path("/proc/self/mountinfo")
# Fields as in: 36 35 98:0 /root /point ro,noatime shared:1 - ext4 /dev/sda1 ro,errors=remount-ro
_ID, _DEVICE, _POINT, _OPTIONS = 0, 2, 4, 5
_ESCAPED: Final = re.compile(r"\\([0-7]{3})")


class MountView:
    """Remembers which file systems were read-only as a whole."""

    def __init__(self, table: Path = _TABLE) -> None:
        """`table`: where the kernel shows the mounts of this process (proc(5), mountinfo)."""
        self._table = table
        self._closed = frozenset[tuple[str, str]]()
        self.outdated()

    def outdated(self) -> str | None:
        """A place where this process alone is left with a read-only mount, or None.

        A mount that was read-only from the beginning over a file system that was not is meant so.
        """
        closed = set()
        found = None
        for key, point, mount, whole in self._mounts():
            if mount and whole:
                closed.add(key)
            elif mount and key in self._closed:
                found = found or point
        self._closed = frozenset(closed)
        return found

    def _mounts(self) -> list[tuple[tuple[str, str], str, bool, bool]]:
        """Identity and place of each mount, whether it is read-only, and its file system."""
        try:
            text = os.fsdecode(self._table.read_bytes())
        except OSError:
            return []
        mounts = []
        for line in text.split("\n"):
            front, _, back = line.partition(" - ")
            fields, about = front.split(" "), back.split(" ")
            if len(fields) > _OPTIONS:
                point = _ESCAPED.sub(lambda match: chr(int(match[1], 8)), fields[_POINT])
                key = (fields[_ID], fields[_DEVICE])
                mounts.append((key, point, _closed(fields[_OPTIONS]), _closed(about[-1])))
        return mounts


def _closed(options: str) -> bool:
    return "ro" in options.split(",")

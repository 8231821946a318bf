"""How much of a limit a live process uses, as far as the kernel tells that of one process."""

import os
from collections.abc import Mapping
from typing import Final

from jada_configd.errors import Unable
from jada_configd.host.processes import procfs

# proc(5), /proc/pid/status, in KiB: what the kernel holds against these limits (getrlimit(2)).
_SIZES: Final[Mapping[str, str]] = {
    "as": "VmSize",
    "data": "VmData",
    "memlock": "VmLck",
    "stack": "VmStk",
}
_KIB: Final = 1024


def open_descriptors(pid: int) -> int | None:
    """How many descriptors a process has open; None where it has gone, or may not be looked at.

    Since Linux 6.2 it is the size of `/proc/PID/fd`, which costs the same at any number and asks
    for no right at all; before, or at none, the entries are counted (proc(5)).
    """
    path = f"/proc/{pid}/fd"
    try:
        if count := os.stat(path).st_size:
            return count
        with os.scandir(path) as entries:
            return sum(1 for _ in entries)
    except OSError:
        return None


def in_use(pid: int, limit: str) -> int | None:
    """What counts against a limit (limits.conf name), in its own unit; None: nobody can tell.

    `nproc`, `sigpending` and `msgqueue` bound a user, not a process, and of the rest nothing is
    kept: those are never told.
    """
    try:
        if limit == "nofile":
            return open_descriptors(pid)
        if limit == "cpu":
            stat = procfs.stat(pid)
            return None if stat is None else stat.ticks // os.sysconf("SC_CLK_TCK")
        words = procfs.status(pid).get(_SIZES.get(limit, ""), "").split()
    except Unable:
        return None
    return int(words[0]) * _KIB if words and words[0].isdigit() else None

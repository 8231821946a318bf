"""What a process may do and what bounds it, and how far the kernel's other limits are used up."""

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final

from jada_configd.core.survey import InotifyLook, ProcessLook
from jada_configd.errors import Unable
from jada_configd.host.processes import procfs
from jada_configd.host.processes.limits import limits

# By number (linux/capability.h, capabilities(7)): those that anything here depends on.
CAPABILITIES: Final[Mapping[int, str]] = {
    0: "CAP_CHOWN",
    1: "CAP_DAC_OVERRIDE",
    3: "CAP_FOWNER",
    21: "CAP_SYS_ADMIN",
    24: "CAP_SYS_RESOURCE",
    28: "CAP_LEASE",
}
_LIMITS: Final = "/proc/sys/fs/inotify"
_INSTANCE: Final = "anon_inode:inotify"
_GROUPS: Final = "/sys/fs/cgroup"
_SCAN_SECONDS: Final = 0.5  # for the descriptors of all processes; there may be millions


def process_look(pid: int) -> ProcessLook | None:
    """The process, or None where it has gone. Raises `Unable`."""
    status = procfs.status(pid)
    if not status:
        return None
    held = int(status.get("CapEff", "0"), 16)
    most, used = _memory(pid)
    return ProcessLook(
        pid=pid,
        uid=_real_uid(status),
        capabilities=frozenset(name for bit, name in CAPABILITIES.items() if held >> bit & 1),
        limits=limits(pid),
        confinement=_confinement(pid),
        memory=used,
        memory_most=most,
    )


def own_pid() -> int:
    """The process that asks: in a child, what it says of itself is true of its parent too."""
    return os.getpid()


def inotify_look(uid: int, daemon: int) -> InotifyLook:
    """The limits and their use by that user's processes, the daemon's (its PID, or 0) left out.

    The kernel counts by the real user id of who made the instance (inotify_user(7), ucounts).
    """
    watches, instances = _inotify_use(uid, daemon)
    return InotifyLook(
        number(f"{_LIMITS}/max_user_watches"),
        number(f"{_LIMITS}/max_user_instances"),
        number(f"{_LIMITS}/max_queued_events"),
        watches,
        instances,
    )


def number(path: str) -> int | None:
    """What a file of the kernel's says, None where it says no number."""
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def _inotify_use(uid: int, leave_out: int) -> tuple[int, int]:
    """Watches and instances; of a host with very many descriptors, at least so many."""
    until = time.monotonic() + _SCAN_SECONDS
    watches = instances = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) == leave_out or time.monotonic() > until:
            continue
        try:
            if _real_uid(procfs.status(int(pid))) != uid:
                continue
            found = list(_inotify_descriptors(pid))
        except (OSError, Unable):  # it has gone, or is closed to us
            continue
        instances += len(found)
        watches += sum(text.count("inotify wd:") for text in found)
    return watches, instances


def _inotify_descriptors(pid: str) -> Iterable[str]:
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):  # closed meanwhile
            if os.readlink(f"/proc/{pid}/fd/{descriptor}") == _INSTANCE:
                with open(f"/proc/{pid}/fdinfo/{descriptor}", encoding="ascii") as file:
                    yield file.read()


def _real_uid(status: Mapping[str, str]) -> int:
    words = status.get("Uid", "").split()
    return int(words[0]) if words else -1


def _confinement(pid: int) -> str:
    """`unconfined`, `system_u:system_r:…`, `/usr/bin/x (enforce)`; "" where no module says one."""
    try:
        return procfs.read(pid, "attr/current").rstrip(b"\0\n").decode(errors="replace")
    except Unable:
        return ""


def _memory(pid: int) -> tuple[int | None, int | None]:
    """The most that its control group may have, and has, in bytes (cgroup v2, memory.max)."""
    try:
        lines = procfs.read(pid, "cgroup").decode(errors="replace").splitlines()
    except Unable:
        return None, None
    group = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), None)
    if not group:
        return None, None
    place = f"{_GROUPS}{group}".rstrip("/")
    return number(f"{place}/memory.max"), number(f"{place}/memory.current")

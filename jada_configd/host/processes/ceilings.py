"""The most that a service can be given on this host, and what would raise it."""

from typing import Final

from jada_configd.core.facts import Ceiling, LimitValue
from jada_configd.errors import Unable
from jada_configd.host.processes import procfs
from jada_configd.host.processes.limits import limits

_CAP_SYS_RESOURCE: Final = 24  # linux/capability.h
_ALL_IDS: Final = [b"0", b"0", b"4294967295"]  # user_namespaces(7): how the first one maps its ids
_NR_OPEN: Final = "/proc/sys/fs/nr_open"


def ceiling(limit: str, manager_pid: int = 1) -> Ceiling | None:
    """The most that a service can be given by the service manager with this PID, or None.

    A process gets its limits from the service manager before it gives up privileges, so it is that
    one's capability and hard limit that count (capabilities(7), getrlimit(2)); `nofile` never goes
    beyond fs.nr_open (proc(5)). The same holds for a login, which PID 1's children give.
    """
    bounds = []
    if limit == "nofile" and (most := _nr_open()) is not None:
        bounds.append(Ceiling(most, f"fs.nr_open is {most}, which sysctl can raise"))
    if (hard := _hard_limit(limit, manager_pid)) is not None:
        who = "PID 1" if manager_pid == 1 else f"the service manager (process {manager_pid})"
        reason = f"{who} lacks CAP_SYS_RESOURCE, and its own hard limit of {limit} is {hard}"
        bounds.append(Ceiling(hard, f"{reason}, which whoever starts it can raise"))
    return min(bounds, key=lambda bound: bound.value or 0, default=None)


def _hard_limit(limit: str, pid: int) -> LimitValue:
    """The hard limit of a process that cannot go beyond it; None where nothing binds it."""
    if pid <= 0:
        return None
    try:
        capabilities = int(procfs.status(pid).get("CapEff", ""), 16)
        if capabilities >> _CAP_SYS_RESOURCE & 1 and _is_in_first_namespace(pid):
            return None
        return limits(pid).get(limit, (None, None))[1]
    except (Unable, ValueError):
        return None


def _is_in_first_namespace(pid: int) -> bool:
    """Whether its capabilities count for limits (capabilities(7), user_namespaces(7)).

    A container's PID 1 may show all of them, and have them in its own user namespace alone.
    """
    return procfs.read(pid, "uid_map").split() in ([], _ALL_IDS)


def _nr_open() -> int | None:
    try:
        with open(_NR_OPEN, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None

"""The limits of a live process: as the kernel writes them, and the setting of one (prlimit(2))."""

import errno
import os
import resource
import select
from collections.abc import Mapping
from typing import Final

from jada_configd.core.actions import SetProcessLimit
from jada_configd.core.facts import LimitPair, LimitValue
from jada_configd.core.limits import pair_text, value_text
from jada_configd.errors import Refused, Stale, Unable
from jada_configd.host.processes import procfs
from jada_configd.host.processes.usage import in_use

# proc(5), /proc/pid/limits: by the kernel's words for them, the names of limits.conf(5) and the
# numbers of getrlimit(2).
_LIMITS: Final[Mapping[str, tuple[str, int]]] = {
    "Max cpu time": ("cpu", resource.RLIMIT_CPU),
    "Max file size": ("fsize", resource.RLIMIT_FSIZE),
    "Max data size": ("data", resource.RLIMIT_DATA),
    "Max stack size": ("stack", resource.RLIMIT_STACK),
    "Max core file size": ("core", resource.RLIMIT_CORE),
    "Max resident set": ("rss", resource.RLIMIT_RSS),
    "Max processes": ("nproc", resource.RLIMIT_NPROC),
    "Max open files": ("nofile", resource.RLIMIT_NOFILE),
    "Max locked memory": ("memlock", resource.RLIMIT_MEMLOCK),
    "Max address space": ("as", resource.RLIMIT_AS),
    "Max file locks": ("locks", 10),  # RLIMIT_LOCKS, which Python does not name
    "Max pending signals": ("sigpending", resource.RLIMIT_SIGPENDING),
    "Max msgqueue size": ("msgqueue", resource.RLIMIT_MSGQUEUE),
    "Max nice priority": ("nice", resource.RLIMIT_NICE),
    "Max realtime priority": ("rtprio", resource.RLIMIT_RTPRIO),
    "Max realtime timeout": ("rttime", resource.RLIMIT_RTTIME),
}
NUMBERS: Final[Mapping[str, int]] = dict(_LIMITS.values())
_NAME_COLUMNS: Final = 26


def parse_limits(text: str) -> dict[str, LimitPair]:
    """`/proc/pid/limits` by the names of limits.conf(5); lines that make no sense are left out."""
    limits = {}
    for line in text.splitlines():
        known = _LIMITS.get(line[:_NAME_COLUMNS].rstrip())
        words = line[_NAME_COLUMNS:].split()
        if known and len(words) >= 2 and all(map(_is_limit, words[:2])):  # noqa: PLR2004 - soft, hard
            limits[known[0]] = (_limit(words[0]), _limit(words[1]))
    return limits


def limits(pid: int) -> dict[str, LimitPair]:
    """All limits of a process, none where it has gone. Raises `Unable`."""
    return parse_limits(procfs.read(pid, "limits").decode(errors="replace"))


def set_limit(action: SetProcessLimit) -> None:
    """Set one limit of the very process that was looked at (prlimit(2)).

    Raises `Stale` where it has gone, or uses more by now than the limit would come down to;
    `Refused` where the kernel wants CAP_SYS_RESOURCE for it, and `Unable` where it takes no such
    value at all.
    """
    pid, limit = action.pid, action.limit
    pair = (_for_kernel(action.soft), _for_kernel(action.hard))
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError as error:
        raise Stale(f"process {pid} has gone") from error
    try:
        stat = procfs.stat(pid)
        if stat is None or stat.started != action.started:
            raise Stale(f"process {pid} is not the one that was looked at")
        _check_use(action)
        resource.prlimit(pid, NUMBERS[limit], pair)
        # The number can only have passed to another process if ours had ended before.
        if _is_over(descriptor):
            raise Stale(f"process {pid} has ended meanwhile")
    except ProcessLookupError as error:
        raise Stale(f"process {pid} has gone") from error
    except PermissionError as error:
        wanted = f"{limit} {pair_text((action.soft, action.hard))}"
        raise Refused(
            f"the kernel does not let us give process {pid} {wanted} without CAP_SYS_RESOURCE"
        ) from error
    except (OSError, ValueError, OverflowError) as error:
        why = os.strerror(error.errno or errno.EINVAL) if isinstance(error, OSError) else error
        raise Unable(f"process {pid} takes no {limit} {value_text(action.soft)}: {why}") from error
    finally:
        os.close(descriptor)


def _check_use(action: SetProcessLimit) -> None:
    """Raise `Stale` where a soft limit would come down to what the process uses by now."""
    soft = action.soft
    used = None if soft is None else in_use(action.pid, action.limit)
    if soft is None or not used or used < soft:
        return
    have, _ = resource.prlimit(action.pid, NUMBERS[action.limit])
    if have == resource.RLIM_INFINITY or have > soft:
        raise Stale(f"process {action.pid} uses {soft} or more of {action.limit} by now")


def _is_over(descriptor: int) -> bool:
    """Whether the process behind a pidfd has ended (pidfd_open(2))."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _is_limit(word: str) -> bool:
    return word == "unlimited" or (word.isascii() and word.isdigit())


def _limit(word: str) -> LimitValue:
    return None if word == "unlimited" else int(word)


def _for_kernel(value: LimitValue) -> int:
    return resource.RLIM_INFINITY if value is None else value

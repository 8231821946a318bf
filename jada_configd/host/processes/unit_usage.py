"""What the processes of a unit use of their limits, each held against its own.

What is near is decided elsewhere (`core/usage.py`). No file is read that need not be, since there
may be thousands of processes: psutil, which has all of this too, takes ten times as long.
"""

import os
import resource
from collections.abc import Collection, Iterable, Mapping
from typing import Final, NamedTuple

from jada_configd.core.facts import Usage, Use
from jada_configd.errors import Unable
from jada_configd.host.processes import control_groups, procfs
from jada_configd.host.processes.limits import NUMBERS, parse_limits
from jada_configd.host.processes.usage import in_use

_USERS: Final = "nproc"
_GROUPS: Final = "tasks"
_UNBOUND: Final = resource.RLIM_INFINITY  # -1 in Python
# Who has one of these is bound by no RLIMIT_NPROC, and neither is root (setrlimit(2)).
_CAP_SYS_ADMIN: Final = 21  # linux/capability.h
_CAP_SYS_RESOURCE: Final = 24


class _Process(NamedTuple):
    """A process with its threads, the user as whom it acts, and its soft limits."""

    pid: int
    threads: int
    uid: int
    softs: Mapping[str, int]


class _Raw(NamedTuple):
    """A use before it is known who it is, so that it sorts: the nearest to its limit first."""

    away: float  # the share, negated
    idle: int
    pid: int
    used: int
    soft: int
    uid: int = -1


def usage(
    control_group: str, near: Mapping[str, float], mount: str = control_groups.MOUNT
) -> Usage | None:
    """What a control group's processes use; None where there are none. See `Reader.usage`."""
    own = ("nofile", *(near.keys() - {"nofile", _USERS, _GROUPS}))
    softs = _Softs((*own, _USERS))
    processes = []
    for pid in control_groups.members(control_group, mount):
        found = _threads(pid)
        if found is not None:
            processes.append(_Process(pid, *found, softs.of(pid)))
    if not processes:
        return None
    raw = {limit: _of_processes(processes, limit) for limit in own}
    raw[_USERS] = _of_users(processes)
    uses = {limit: _nearest(found, near.get(limit)) for limit, found in raw.items()}
    if (tasks := control_groups.tasks(control_group, mount)) is not None:
        uses[_GROUPS] = (Use(*tasks),)
    told = {limit: each for limit, each in uses.items() if each}
    return Usage(len(processes), sum(each.threads for each in processes), told)


def _threads(pid: int) -> tuple[int, int] | None:
    """How many threads a process has, and its effective uid; None where it has gone.

    `/proc/PID/task` has a link for each thread beside two of its own, and is that user's, where
    the process cannot be dumped too (proc(5)).
    """
    try:
        found = os.stat(f"/proc/{pid}/task")
    except OSError:
        return None
    return found.st_nlink - 2, found.st_uid


class _Softs:
    """The soft limits of many processes; what was read of one is not parsed again for its like."""

    def __init__(self, wanted: Collection[str]) -> None:
        self._wanted = wanted
        self._may_ask = True
        self._parsed: dict[bytes, Mapping[str, int]] = {}

    def of(self, pid: int) -> Mapping[str, int]:
        """By limit, `_UNBOUND` for infinity; what cannot be told is not among them.

        prlimit(2) tells one in a microsecond, but of other users' processes to CAP_SYS_RESOURCE
        alone; `/proc/PID/limits` tells everybody, and takes ten times as long.
        """
        if self._may_ask:
            try:
                return {each: resource.prlimit(pid, NUMBERS[each])[0] for each in self._wanted}
            except PermissionError:
                self._may_ask = False  # the next one is hardly another user's
            except OSError:
                return {}
        try:
            text = procfs.read(pid, "limits")
        except Unable:
            return {}
        if text not in self._parsed:
            pairs = parse_limits(text.decode(errors="replace"))
            self._parsed[text] = {
                each: _UNBOUND if pairs[each][0] is None else pairs[each][0] or 0
                for each in self._wanted
                if each in pairs
            }
        return self._parsed[text]


def _of_processes(processes: Iterable[_Process], limit: str) -> list[_Raw]:
    """What each process uses of one of its own limits."""
    found = []
    for process in processes:
        soft = process.softs.get(limit)
        used = None if soft is None else in_use(process.pid, limit)
        if soft is not None and used is not None:
            found.append(_raw(process.pid, used, soft))
    return found


def _raw(pid: int, used: int, soft: int, uid: int = -1) -> _Raw:
    share = used / soft if soft > 0 else float(soft == 0 and used > 0)
    return _Raw(-share, -used, pid, used, soft, uid)


def _nearest(found: list[_Raw], near: float | None) -> tuple[Use, ...]:
    """The highest share first, and behind it those from `near` on, as far as they live."""
    found.sort()
    uses: list[Use] = []
    for raw in found:
        if uses and (near is None or -raw.away < near):
            break
        if (use := _named(raw)) is not None:
            uses.append(use)
    return tuple(uses)


def _named(raw: _Raw) -> Use | None:
    try:
        stat = procfs.stat(raw.pid)
    except Unable:
        return None
    if stat is None:
        return None
    limit = None if raw.soft < 0 else raw.soft
    name = stat.name.decode(errors="replace")
    return Use(raw.used, limit, raw.pid, stat.started, name, raw.uid)


# ---- what bounds a user


def _of_users(processes: Iterable[_Process]) -> list[_Raw]:
    """Of each user the process that its nproc limit binds first.

    The kernel counts a user's threads wherever they run (getrlimit(2), RLIMIT_NPROC), those of a
    set-uid program to who called it; here they are its owner's.
    """
    by_user: dict[int, list[_Process]] = {}
    for process in processes:
        by_user.setdefault(process.uid, []).append(process)
    counted = {uid: sum(each.threads for each in have) for uid, have in by_user.items()}
    _count_others(counted, {each.pid for have in by_user.values() for each in have})
    return [_first_bound(have, counted[uid], uid) for uid, have in by_user.items()]


def _first_bound(processes: list[_Process], used: int, uid: int) -> _Raw:
    """The process with the lowest limit that binds it; where none is bound, the first one."""
    softs = [(each.softs.get(_USERS, _UNBOUND), each.pid) for each in processes] if uid else []
    for soft, pid in sorted(each for each in softs if each[0] >= 0):
        if not _is_privileged(pid):
            return _raw(pid, used, soft, uid)
    return _raw(min(each.pid for each in processes), used, _UNBOUND, uid)


def _is_privileged(pid: int) -> bool:
    try:
        capabilities = int(procfs.status(pid).get("CapEff", "0"), 16)
    except (Unable, ValueError):
        return False
    return bool(capabilities >> _CAP_SYS_ADMIN & 1 or capabilities >> _CAP_SYS_RESOURCE & 1)


def _count_others(counted: dict[int, int], known: Collection[int]) -> None:
    """Add the threads of these users that run elsewhere; of root, whom nothing binds, none."""
    wanted = counted.keys() - {0}
    if not wanted:
        return
    try:
        names = os.listdir("/proc")
    except OSError:
        return
    for name in names:
        if name.isdecimal() and int(name) not in known:
            found = _threads(int(name))
            if found is not None and found[1] in wanted:
                counted[found[1]] += found[0]

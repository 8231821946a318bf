"""Live processes: their limits as the kernel has them, and the setting of one (prlimit(2)).

What `/proc` says is parsed apart from reading it: the parsers are pure, text in, facts out. Which
limits a process should have, and whether it is worth a restart, is decided elsewhere.
"""

import errno
import os
import resource
import select
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from jada_configd.core.actions import SetProcessLimit
from jada_configd.core.seams import Ceiling, LimitPair, LimitValue, ProcessFact
from jada_configd.errors import Refused, Stale, Unable

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
_NUMBERS: Final = dict(_LIMITS.values())
_NAME_COLUMNS: Final = 26
_CAP_SYS_RESOURCE: Final = 24  # linux/capability.h
_PF_FORKNOEXEC: Final = 0x40  # linux/sched.h: forked, and runs its parent's program still
# What systemd 255 and later executes in the child; it sets the limits, then executes the service.
_EXECUTOR: Final = "systemd-executor"
_STARTED_FIELD: Final = 22  # of /proc/pid/stat; the first after the name is the third
_FLAGS_FIELD: Final = 9
_READ_BYTES: Final = 1 << 17  # all of each file but a boundless command line
_NR_OPEN: Final = "/proc/sys/fs/nr_open"


@dataclass(frozen=True, slots=True)
class Stat:
    """What `/proc/pid/stat` tells, as far as it matters here."""

    name: bytes
    state: str
    started: int  # clock ticks since boot
    flags: int


def parse_stat(text: bytes) -> Stat | None:
    """`/proc/pid/stat` (proc(5)); the name may hold blanks and brackets. None: not to be read."""
    before, bracket, after = text.rpartition(b")")
    fields = after.split()
    if not bracket or len(fields) <= _STARTED_FIELD - 3:
        return None
    name = before.partition(b"(")[2]
    started, flags = fields[_STARTED_FIELD - 3], fields[_FLAGS_FIELD - 3]
    if not (started.isdigit() and flags.isdigit()):
        return None
    return Stat(name, fields[0].decode(errors="replace"), int(started), int(flags))


def parse_limits(text: str) -> dict[str, LimitPair]:
    """`/proc/pid/limits` by the names of limits.conf(5); lines that make no sense are left out."""
    limits = {}
    for line in text.splitlines():
        known = _LIMITS.get(line[:_NAME_COLUMNS].rstrip())
        words = line[_NAME_COLUMNS:].split()
        if known and len(words) >= 2 and all(map(_is_limit, words[:2])):  # noqa: PLR2004 - soft, hard
            limits[known[0]] = (_limit(words[0]), _limit(words[1]))
    return limits


def parse_status(text: str) -> Mapping[str, str]:
    """`/proc/pid/status` as keys and values."""
    lines = (line.partition(":") for line in text.splitlines())
    return {key: value.strip() for key, colon, value in lines if colon}


def process(pid: int) -> ProcessFact | None:
    """The live process, or None where it has gone; a zombie has. Raises `Unable`."""
    stat = _stat(pid)
    if stat is None:
        return None
    # Asked before the limits are read: those of a child that has started meanwhile are its own.
    command = _read(pid, "cmdline")
    starting = _is_starting(stat, command, _program(pid))
    limits = parse_limits(_read(pid, "limits").decode(errors="replace"))
    owner = parse_status(_read(pid, "status").decode(errors="replace")).get("Uid", "").split()
    words = command.decode(errors="replace").removesuffix("\0").split("\0")
    again = _stat(pid)
    if again is None or again.started != stat.started or not limits or not owner:
        return None
    return ProcessFact(
        pid=pid,
        started=stat.started,
        uid=int(owner[0]),
        limits=limits,
        command=tuple(words) if command else (),
        starting=starting,
    )


def set_limit(action: SetProcessLimit) -> None:
    """Set one limit of the very process that was looked at (prlimit(2)).

    Raises `Stale` where it has gone, `Refused` where the kernel wants CAP_SYS_RESOURCE for it, and
    `Unable` where it takes no such value at all.
    """
    pid, limit = action.pid, action.limit
    pair = (_for_kernel(action.soft), _for_kernel(action.hard))
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError as error:
        raise Stale(f"process {pid} has gone") from error
    try:
        stat = _stat(pid)
        if stat is None or stat.started != action.started:
            raise Stale(f"process {pid} is not the one that was looked at")
        resource.prlimit(pid, _NUMBERS[limit], pair)
        # The number can only have passed to another process if ours had ended before.
        if _is_over(descriptor):
            raise Stale(f"process {pid} has ended meanwhile")
    except ProcessLookupError as error:
        raise Stale(f"process {pid} has gone") from error
    except PermissionError as error:
        wanted = f"{limit} {_shown(action.soft)}:{_shown(action.hard)}"
        raise Refused(
            f"the kernel does not let us give process {pid} {wanted} without CAP_SYS_RESOURCE"
        ) from error
    except (OSError, ValueError, OverflowError) as error:
        why = os.strerror(error.errno or errno.EINVAL) if isinstance(error, OSError) else error
        raise Unable(f"process {pid} takes no {limit} {_shown(action.soft)}: {why}") from error
    finally:
        os.close(descriptor)


def ceiling(limit: str, manager_pid: int = 1) -> Ceiling | None:
    """The most that a service can be given by the service manager with this PID, or None.

    A process gets its limits from the service manager before it gives up privileges, so it is that
    one's capability and hard limit that count (capabilities(7), getrlimit(2)); `nofile` never goes
    beyond fs.nr_open (proc(5)).
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
        status = parse_status(_read(pid, "status").decode(errors="replace"))
        limits = parse_limits(_read(pid, "limits").decode(errors="replace"))
        capabilities = int(status.get("CapEff", ""), 16)
    except (Unable, ValueError):
        return None
    if capabilities >> _CAP_SYS_RESOURCE & 1:
        return None
    return limits.get(limit, (None, None))[1]


def _nr_open() -> int | None:
    try:
        with open(_NR_OPEN, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def _is_over(descriptor: int) -> bool:
    """Whether the process behind a pidfd has ended (pidfd_open(2))."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _is_starting(stat: Stat, command: bytes, program: str | None) -> bool:
    """Whether systemd has forked it and it has not become the service yet: its limits are not set.

    Till it executes the service's program the child runs systemd's own, from systemd 255 on
    systemd-executor. To tell the program (None: not told) the kernel wants CAP_SYS_PTRACE; without
    it the names have to do that the child has: systemd's, then `(program)` for all its command.
    """
    forked = bool(stat.flags & _PF_FORKNOEXEC)
    if program is not None:
        return program == _EXECUTOR or (forked and program == "systemd")
    if (stat.name[:1] + stat.name[-1:]) == b"()":
        return forked or command.rstrip(b"\0") == stat.name
    first = command.partition(b"\0")[0]
    return (forked and stat.name == b"systemd") or first.endswith(b"/" + _EXECUTOR.encode())


def _program(pid: int) -> str | None:
    """The name of the program that runs, empty where it is not root's; None: the kernel won't say.

    systemd's are root's: a service cannot pass for one that is starting by what it is called.
    """
    link = f"/proc/{pid}/exe"
    try:
        name = os.readlink(link).removesuffix(" (deleted)").rpartition("/")[2]
        return name if os.stat(link).st_uid == 0 else ""
    except OSError:
        return None


def _stat(pid: int) -> Stat | None:
    """None where there is no such process, or only what is left of one."""
    stat = parse_stat(_read(pid, "stat"))
    return None if stat is None or stat.state in "ZXx" else stat


def _read(pid: int, name: str) -> bytes:
    """A file of `/proc/pid`, empty where the process has gone. Raises `Unable`."""
    try:
        descriptor = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return b""
    except OSError as error:
        raise Unable(f"/proc/{pid}/{name}: {error.strerror}") from error
    try:
        parts = []
        left = _READ_BYTES
        while left > 0 and (part := os.read(descriptor, left)):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)
    except ProcessLookupError:
        return b""
    except OSError as error:
        raise Unable(f"/proc/{pid}/{name}: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _is_limit(word: str) -> bool:
    return word == "unlimited" or (word.isascii() and word.isdigit())


def _limit(word: str) -> LimitValue:
    return None if word == "unlimited" else int(word)


def _for_kernel(value: LimitValue) -> int:
    return resource.RLIM_INFINITY if value is None else value


def _shown(value: LimitValue) -> str:
    return "infinity" if value is None else str(value)

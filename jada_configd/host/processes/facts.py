"""One live process as it is, and whether it has become what systemd starts it for.

Which limits it should have, and whether that is worth a restart, is decided elsewhere.
"""

import os
from typing import Final

from jada_configd.core.facts import ProcessFact
from jada_configd.host.processes import procfs
from jada_configd.host.processes.limits import limits
from jada_configd.host.processes.procfs import Stat

_PF_FORKNOEXEC: Final = 0x40  # linux/sched.h: forked, and runs its parent's program still
# What systemd 255 and later executes in the child; it sets the limits, then executes the service.
_EXECUTOR: Final = "systemd-executor"


def process(pid: int) -> ProcessFact | None:
    """The live process, or None where it has gone; a zombie has. Raises `Unable`."""
    stat = procfs.stat(pid)
    if stat is None:
        return None
    # Asked before the limits are read: those of a child that has started meanwhile are its own.
    command = procfs.read(pid, "cmdline")
    starting = _is_starting(stat, command, _program(pid))
    found = limits(pid)
    owner = procfs.status(pid).get("Uid", "").split()
    words = command.decode(errors="replace").removesuffix("\0").split("\0")
    again = procfs.stat(pid)
    if again is None or again.started != stat.started or not found or not owner:
        return None
    return ProcessFact(
        pid=pid,
        started=stat.started,
        uid=int(owner[0]),
        limits=found,
        command=tuple(words) if command else (),
        starting=starting,
        name=stat.name.decode(errors="replace"),
    )


def is_starting(pid: int, stat: Stat) -> bool:
    """Whether systemd has forked it, and it does not run its program yet. Raises `Unable`."""
    # An executor that was started by way of a descriptor has that one's number for a name.
    named = stat.name.startswith((b"(", b"systemd")) or stat.name.isdigit()
    if not (named or stat.flags & _PF_FORKNOEXEC):
        return False  # at the price of what is known already
    return _is_starting(stat, procfs.read(pid, "cmdline"), _program(pid))


def is_pam_session(stat: Stat) -> bool:
    """Whether it is what systemd leaves behind to close a PAM session (PAMName=, systemd.exec(5)).

    It runs none of the service's program and opens nothing; its limits are nobody's business.
    """
    return stat.name == b"(sd-pam)" and bool(stat.flags & _PF_FORKNOEXEC)


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

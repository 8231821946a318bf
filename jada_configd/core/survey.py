"""What a survey of the host tells: facts, gathered by `host/survey/`, judged by `diagnosis/`.

None of them was asked by changing anything. What could not be looked at is `Unknown`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from jada_configd.core.facts import LimitPair, UnitFact


@dataclass(frozen=True, slots=True)
class Unknown:
    """What could not be looked at: one sentence that says why.

    `stuck` is the mount point of a file system that does not answer, "" where it is none of that.
    """

    why: str
    stuck: str = ""


@dataclass(frozen=True, slots=True)
class ProcessLook:
    """One process: what it may do, and what bounds it.

    `capabilities` are the effective ones (capabilities(7)); `confinement` is what its security
    module calls its domain or profile, "" without one. Memory is that of its control group, bytes.
    """

    pid: int
    uid: int
    capabilities: frozenset[str]
    limits: Mapping[str, LimitPair]
    confinement: str = ""
    memory: int | None = None
    memory_most: int | None = None


@dataclass(frozen=True, slots=True)
class InotifyLook:
    """The kernel's limits for one user (inotify(7)), None where it does not tell, and what is used.

    `used` leaves out the daemon's own, which it has already.
    """

    most_watches: int | None
    most_instances: int | None
    most_events: int | None
    used_watches: int
    used_instances: int


@dataclass(frozen=True, slots=True)
class ClockLook:
    """`synchronised` is None where the kernel does not tell (adjtimex(2))."""

    synchronised: bool | None
    year: int


@dataclass(frozen=True, slots=True)
class SecurityLook:
    """The security module that may refuse what permissions grant: its name, "" without one."""

    module: str
    enforcing: bool


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of the mount table (proc(5), mountinfo). `user` is who made a FUSE mount, or None."""

    point: str
    kind: str
    read_only: bool
    user: int | None = None


@dataclass(frozen=True, slots=True)
class PlaceLook:
    """A directory in which the program has to write, and the file system that it is on.

    `path` is what was asked for, `there` the nearest directory that exists. `daemon_read_only` is
    how the daemon sees it, None where none runs or it does not tell. Bytes and inodes are those
    that are left to this user, None where the file system has no such number.
    """

    path: str
    there: str
    mount: Mount
    writable: bool = True
    read_only: bool = False
    daemon_read_only: bool | None = None
    free_bytes: int | None = None
    free_inodes: int | None = None
    immutable: tuple[str, ...] = ()  # what chattr(1) has made so, files in it included
    append_only: tuple[str, ...] = ()
    problem: str | None = None  # why it is not used, though it could be written


@dataclass(frozen=True, slots=True)
class FileLook:
    """A settings file of the policy. `problem`: why it is not read; `lacks`: what is not there."""

    path: str
    origin: str
    create: bool
    problem: str | None = None
    lacks: str = ""


@dataclass(frozen=True, slots=True)
class ManagerLook:
    """The service manager. `route` is the way to it in words, None where nobody answers."""

    runs: bool
    route: str | None
    by_bus: bool
    problem: str | None
    pid: int


@dataclass(frozen=True, slots=True)
class ProgramLook:
    """A program of a command line. `lacks`: itself or its interpreter, where that is not there."""

    path: str
    real: str
    lacks: str | None


@dataclass(frozen=True, slots=True)
class ServiceLook:
    """Our own unit as installed, and how far it is what this installation would install.

    `stale` are the files that differ, `closed` the places that the policy needs and the unit keeps
    from being written, `unordered` the services that may start before ours although they need not.
    """

    unit: UnitFact
    program: ProgramLook | None
    command: tuple[str, ...]  # that an installation of this very program would have
    stale: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    unordered: tuple[str, ...] = ()
    others: tuple[str, ...] = ()  # other installations on the search path, by where they lead


@dataclass(frozen=True, slots=True)
class DaemonLook:
    """What a daemon that runs says of itself (`status.json`)."""

    pid: int
    state: str
    reason: str
    version: str
    revision: str | None


@dataclass(frozen=True, slots=True)
class PamLook:
    """How logins are set up: by name of a file in /etc/pam.d, whether pam_limits is in its way.

    `usepam`: what sshd_config(5) says, None where it says nothing or there is no sshd.
    """

    limited: Mapping[str, bool]
    usepam: bool | None = None

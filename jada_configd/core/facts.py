"""The facts that a look at the world returns, and a probe that asks for one: plain frozen data.

The protocols through which they come are `seams.py`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

LimitValue: TypeAlias = int | None  # None is infinity (RLIM_INFINITY, getrlimit(2))
LimitPair: TypeAlias = tuple[LimitValue, LimitValue]  # soft, hard


@dataclass(frozen=True, slots=True)
class Content:
    """A regular file that was read whole."""

    path: str  # as asked for
    target: str  # where the bytes are, after links inside the owner's own tree
    data: bytes
    mode: int  # permission bits alone (07777)
    uid: int
    gid: int
    inode: int
    mtime_ns: int  # CLOCK_REALTIME, nanoseconds since the epoch
    # Last change of content or name, as CLOCK_MONOTONIC by the clock as it is set now; 0: unknown.
    changed_ns: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Missing:
    """There is no such file. `directory` tells whether the place it belongs in exists.

    Where it does not, `lacks` is the first directory that there is not, behind whatever link.
    """

    path: str
    directory: bool
    uid: int = -1  # owner of that directory, -1 where there is none
    gid: int = -1
    lacks: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something is there that is not read, or may not be: one sentence says what and whose."""

    path: str
    problem: str


FileFact: TypeAlias = Content | Missing | Unreadable


@dataclass(frozen=True, slots=True)
class UnitFact:
    """One unit as the service manager tells it (org.freedesktop.systemd1(5)).

    Times are CLOCK_MONOTONIC in nanoseconds (systemd gives microseconds), 0 where there is none.
    `limits` are what systemd would give (`LimitNOFILE` and `LimitNOFILESoft`), by limits.conf name.
    """

    name: str
    load_state: str  # loaded | not-found | masked | bad-setting | error
    active_state: str  # active | reloading | inactive | failed | activating | deactivating
    sub_state: str = ""
    result: str = ""
    unit_file_state: str = ""
    main_pid: int = 0
    main_started_ns: int = 0
    activating_since_ns: int = 0  # InactiveExitTimestampMonotonic: ExecStartPre= counts too
    state_changed_ns: int = 0  # StateChangeTimestampMonotonic: the end of a reload is one, too
    can_reload: bool = False
    need_daemon_reload: bool = False
    job: bool = False  # a job is queued or running
    fragment: str = ""
    drop_ins: tuple[str, ...] = ()
    command: tuple[str, ...] = ()  # argv of the first ExecStart=
    control_group: str = ""
    limits: Mapping[str, LimitPair] | None = None
    once: bool = False  # Type=oneshot: it is done when its command has ended well
    restarts: int = 0  # NRestarts: by Restart=, since somebody last started it
    ended: str = ""  # how its last main process ended: "exit status 3", "signal SEGV"; "": well
    start_burst: int = 0  # StartLimitBurst; 0: as many starts as anybody likes
    start_interval_ns: int = 0  # StartLimitIntervalSec, within which so many; 0: the same


@dataclass(frozen=True, slots=True)
class ProcessFact:
    """One live process. `started` is in clock ticks since boot (proc(5), field 22 of stat).

    `starting`: systemd has forked it, and it has not executed its program yet. Its limits are not
    set so far, whatever they are.
    """

    pid: int
    started: int
    uid: int
    limits: Mapping[str, LimitPair]
    command: tuple[str, ...] = ()
    starting: bool = False
    name: str = ""  # /proc/PID/comm: what it calls itself


@dataclass(frozen=True, slots=True)
class Stray:
    """One live process of a control group that has other limits than were asked for, with these.

    `started` and `starting` are those of `ProcessFact`.
    """

    pid: int
    started: int
    name: str
    limits: Mapping[str, LimitPair]
    starting: bool = False


@dataclass(frozen=True, slots=True)
class Use:
    """How much of one limit is used by a process, which stands beside it.

    `limit` is what binds it (soft; None: nothing does). Of a limit that bounds a user (`nproc`),
    `uid` is that user and `used` what all its processes have; of `tasks`, which bounds a control
    group, there is no process: `pid` is 0.
    """

    used: int
    limit: LimitValue
    pid: int = 0
    started: int = 0  # as in ProcessFact
    name: str = ""  # as the process calls itself
    uid: int = -1

    @property
    def share(self) -> float:
        """Of the limit, 1 being all of it."""
        if self.limit is None:
            return 0.0
        return self.used / self.limit if self.limit else float(self.used > 0)


@dataclass(frozen=True, slots=True)
class Usage:
    """What the processes of one unit use; `threads` are those of all of them together.

    `uses` are by limits.conf name (and `tasks`), the highest share first: always the highest, and
    behind it whatever was asked for. What cannot be told here is not among them.
    """

    processes: int
    threads: int
    uses: Mapping[str, tuple[Use, ...]]


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The most that a service can be given here, and what would raise it."""

    value: LimitValue
    reason: str  # "fs.nr_open is 1048576"


@dataclass(frozen=True, slots=True)
class SysctlFact:
    """A kernel parameter as it is now (proc_sys(5)), by its key with dots.

    `text` is what the kernel gives, None where it gives nothing: `problem` says why. `obstacle`
    says why nobody here can set it. `refused` is the value that we gave it last and what came of
    that, where the kernel did not take it and nothing has changed since.
    """

    key: str
    text: str | None
    problem: str | None = None
    obstacle: str | None = None
    refused: tuple[str, str] | None = None


LimitLayer: TypeAlias = Literal["kernel default", "manager default", "unit file", "drop-in"]


@dataclass(frozen=True, slots=True)
class LimitLine:
    """Something that says what a limit of a unit is to be; of all that are taken the last wins.

    `limit` is a limits.conf name, `source` is `path:line`, or who says so where no file does, and
    `text` the value as it is written there. `ignored` is why systemd passes over the line: then
    `soft` and `hard` say nothing.
    """

    limit: str
    soft: LimitValue
    hard: LimitValue
    layer: LimitLayer
    source: str
    text: str = ""
    ignored: str | None = None


@dataclass(frozen=True, slots=True)
class Owed:
    """A unit's debt: corrections that it has not taken up.

    `stale` says that a process of the unit may have read a wrong value; `since_ns` is the moment of
    the correction (CLOCK_MONOTONIC): a main process that started later has settled the debt.
    `first_ns` is the moment of the first correction of those that it sums up, 0: the same.
    `reloaded`: a reload was made since, which settles no staleness. `skipped`: the unit was busy
    for so long that it was given up; the next correction asks again.
    """

    stale: bool
    since_ns: int
    fields: tuple[str, ...]
    reloaded: bool = False
    first_ns: int = 0
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class Probe:
    """A command that answers a question about a unit with its exit status.

    It runs as a transient unit `name` of its own, outside our sandbox: as the user and group of
    `unit`, for `seconds` at most, its output in the journal. One of a name runs at a time. No word
    of `command` is expanded: a `$` is one. `as_root`: as the service manager's own user, which is
    root's but for a user's manager.
    """

    name: str
    unit: str
    command: tuple[str, ...]
    seconds: float
    as_root: bool = False


@dataclass(frozen=True, slots=True)
class Inhibitor:
    """A lock against shutdown in mode "block" (systemd-inhibit(1)), held by a process."""

    pid: int
    who: str
    why: str

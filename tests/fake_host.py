"""A host in memory: files, units, processes, and a monotonic clock that is turned by hand.

It answers to both seams, `Reader` and `Writer`, as the real one does: a daemon-reload and a job are
started and end when the test says, a restart makes a process with the limits that the drop-ins
give, nobody gets more than the host's ceiling. It can fail at any action (`before`) or die there
(`dies_after`). It is trusted because `tests/contracts` runs on it and on the real one.
"""

import enum
import fnmatch
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias

from jada_configd.core.actions import (
    Action,
    How,
    KeepEvidence,
    ReloadUnits,
    RemoveFile,
    ReplaceFile,
    SetProcessLimit,
    SetSysctl,
    StartJob,
    digest,
)
from jada_configd.core.course import NOTHING, Course
from jada_configd.core.facts import (
    Ceiling,
    Content,
    FileFact,
    Inhibitor,
    LimitLine,
    LimitPair,
    LimitValue,
    Missing,
    Owed,
    Probe,
    ProcessFact,
    Stray,
    SysctlFact,
    UnitFact,
    Unreadable,
    Usage,
    Use,
)
from jada_configd.core.ledger import Ledger
from jada_configd.core.model import ResourceId
from jada_configd.core.resources import Scope
from jada_configd.errors import HostError, ManagerGone, Refused, Stale, Unable, UnitRefused
from jada_configd.formats.limit_lines import limit_lines
from jada_configd.formats.sysctl_lines import plain

UNITS: Final = "/etc/systemd/system"
SCOPE: Final = Scope(UNITS, managed=True)
BOOTED_NS: Final = 1_000_000_000_000  # the clock of a new host: it has been up for a while
TICK_NS: Final = 10_000_000  # of field 22 of /proc/PID/stat (proc(5))
MICROSECOND_NS: Final = 1_000
MILLISECOND_NS: Final = 1_000_000
SECOND_NS: Final = 1_000_000_000
RESTART_NS: Final = 100 * MILLISECOND_NS  # RestartSec=
ENDS_NS: Final = 3 * SECOND_NS  # after that a process ends that does not exit at once
START_NS: Final = 90 * SECOND_NS  # TimeoutStartSec=
PROBE_NS: Final = 20 * MILLISECOND_NS  # what a probe takes
DEFAULTS: Final[Mapping[str, LimitPair]] = {
    "nofile": (1024, 524288),
    "nproc": (15000, 15000),
    "core": (0, None),
}


class Died(BaseException):
    """The daemon was killed just here. No `except Exception` catches a kill -9 either."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A regular file."""

    data: bytes
    mode: int
    uid: int
    gid: int
    inode: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Process:
    """A process of a unit. `saw` is what stood in the host's files when it started.

    `reread` is the same at its last reload, None where there was none.
    """

    pid: int
    started_ns: int
    uid: int
    limits: Mapping[str, LimitPair]
    saw: Mapping[str, bytes]
    reread: Mapping[str, bytes] | None = None
    command: tuple[str, ...] = ("/usr/bin/agent",)
    name: str = "agent"


# What comes of a main process: it gets ready and goes on, it gets ready and ends a while later, it
# exits before it is ready, or it never gets ready.
Fate: TypeAlias = Literal["runs", "ends", "exits", "hangs"]


class Phase(enum.Enum):
    """How far a job has come. Each step of it ends one of these, but for a start that hangs."""

    STOPPING = enum.auto()
    STARTING = enum.auto()
    RELOADING = enum.auto()
    HANGING = enum.auto()


@dataclass(frozen=True, slots=True)
class Job:
    """A job that systemd has in hand."""

    number: int
    unit: str
    how: How
    begun_ns: int
    phase: Phase


@dataclass(slots=True)
class Unit:
    """A unit, as it stands in its files (`own`), as systemd has loaded it, and as it runs."""

    name: str
    load_state: str = "loaded"
    active_state: str = "inactive"
    sub_state: str = ""
    result: str = "success"
    can_reload: bool = False
    own: Mapping[str, LimitPair] = field(default_factory=dict)
    uid: int = 1000
    used: dict[str, int] = field(default_factory=dict)  # of its limits, else 1
    process: Process | None = None  # the main one
    others: tuple[Process, ...] = ()  # in its control group
    activating_since_ns: int = 0
    state_changed_ns: int = 0
    restarts: int = 0  # by Restart=
    ended: str = ""  # how its last main process ended; nothing once another has started
    start_burst: int = 5
    start_interval_ns: int = 10 * SECOND_NS
    fate: Callable[[Process], Fate] = field(default=lambda _: "runs", repr=False)
    comes_back: bool = False  # Restart=on-failure
    answers: Callable[[Process | None], str] = field(default=lambda _: "", repr=False)  # its probes
    starts: list[int] = field(default_factory=list)  # when, whoever made them; not before a reset
    next: tuple[int, Literal["ends", "again"]] | None = None  # what becomes of it by itself
    loaded: Mapping[str, LimitPair] = field(default_factory=dict)
    loaded_files: tuple[tuple[str, bytes, int], ...] = ()  # path, content, mtime


@dataclass(frozen=True, slots=True)
class FileChanged:
    """What a watcher would tell."""

    path: str


@dataclass(frozen=True, slots=True)
class UnitChanged:
    """A unit's state or main process is another."""

    unit: str


@dataclass(frozen=True, slots=True)
class UnitsReloaded:
    """A daemon-reload has ended."""


@dataclass(frozen=True, slots=True)
class JobEnded:
    """A job has ended. `result` is systemd's word."""

    job: Job
    result: str


@dataclass(frozen=True, slots=True)
class ProbeEnded:
    """A probe has ended; `why` is "" where it passed."""

    name: str
    why: str


Told: TypeAlias = FileChanged | UnitChanged | UnitsReloaded | JobEnded | ProbeEnded


class FakeHost:
    """The whole host. What others do to it are the methods without `Action`."""

    def __init__(self) -> None:
        self.now_ns = BOOTED_NS
        self.files: dict[str, Entry] = {}
        self.directories: dict[str, tuple[int, int]] = {"/": (0, 0)}
        self.blocked: dict[str, str] = {}  # path -> why it is not read
        self.units: dict[str, Unit] = {}
        self.ceilings: dict[str, Ceiling] = {}
        self.raises_limits = True  # CAP_SYS_RESOURCE
        self.same_user = False  # processes run as the user that we are
        self.in_use_by: dict[tuple[int, str], int] = {}  # of a process, by limit
        self.inhibiting: dict[str, tuple[Inhibitor, ...]] = {}  # locks by the unit that holds them
        self.forked: set[int] = set()  # processes that have not executed their program yet
        self.sysctls: dict[str, str] = {}  # key with dots -> text
        self.read_only: set[str] = set()  # keys that nobody can set
        self.bounds: dict[str, tuple[int, str]] = {}  # the most, and whether more "clamps" or fails
        self.refusals: dict[str, tuple[str, str, str]] = {}  # value, text afterwards, why
        self.manager_is_gone = False
        self.refuses_probes = False
        self.good: dict[str, bytes] = {}
        self.kept_before: dict[str, bytes] = {}
        self.course_of: Callable[[str], Course] = lambda _: NOTHING
        self.evidence: list[tuple[str, bytes]] = []
        self.ledger = Ledger()
        self.jobs: list[Job] = []
        self.accepted: Callable[[Job], object] = lambda _: None
        self.job_results: dict[str, list[str]] = {}  # of the next jobs of a unit, else "done"
        self.reloads = 0  # daemon-reloads under way
        self.seen: dict[str, UnitFact] = {}  # as they were last looked at
        self.probes: dict[str, tuple[int, Probe]] = {}  # those under way, and when each ends
        self.told: list[Told] = []
        self.done: list[Action] = []
        self.attempts = 0
        self.before: list[Callable[[Action], None]] = []
        self.dies_after: int | None = None  # so many effects
        self.effects = 0
        self._numbers = 100
        self.make_directory(UNITS, 0, 0)

    # ---- the clock

    def clock_ns(self) -> int:
        """CLOCK_MONOTONIC."""
        return self.now_ns

    def advance(self, nanoseconds: int) -> None:
        """Let time pass; what happens by itself happens in between."""
        until_ns = self.now_ns + nanoseconds
        while (next_ns := self.next_ns()) is not None and next_ns <= until_ns:
            self.now_ns = max(self.now_ns, next_ns)
            self._happen()
        self.now_ns = until_ns

    def next_ns(self) -> int | None:
        """When the next thing happens by itself."""
        moments = [unit.next[0] for unit in self.units.values() if unit.next is not None]
        return min((*moments, *(at_ns for at_ns, _ in self.probes.values())), default=None)

    # ---- what others do to files

    def make_directory(self, path: str, uid: int = 1000, gid: int = 1000) -> None:
        """A directory, and root's own ones on the way to it."""
        while path not in self.directories:
            self.directories[path] = (uid, gid)
            path, uid, gid = posixpath.dirname(path), 0, 0

    def write(self, path: str, data: bytes, *, mode: int = 0o600, uid: int = 1000) -> None:
        """Write in place, or make the file with its directory."""
        self.make_directory(posixpath.dirname(path), uid, uid)
        before = self.files.get(path)
        if before is None:
            self.files[path] = Entry(data, mode, uid, uid, self._number(), self.now_ns)
        else:
            self.files[path] = replace(before, data=data, mtime_ns=self.now_ns)
        self.told.append(FileChanged(path))

    def move_over(self, path: str, data: bytes) -> None:
        """Rename another file over this one."""
        before = self.files[path]
        self.files[path] = replace(before, data=data, inode=self._number(), mtime_ns=self.now_ns)
        self.told.append(FileChanged(path))

    def unlink(self, path: str) -> None:
        """Remove a file, if it is there."""
        if self.files.pop(path, None) is not None:
            self.told.append(FileChanged(path))

    # ---- what others do to units

    def add_unit(self, unit: Unit) -> Unit:
        """A unit, read as its files stand now."""
        self.units[unit.name] = unit
        self._load(unit)
        return unit

    def start(self, name: str, *, ago_ns: int = 0, restarts: int = 0) -> Process:
        """Start a unit by hand, or anew; `ago_ns` that it has run for that long.

        What comes of it is its `fate`. `restarts`: by Restart=, so often by now.
        """
        unit = self.units[name]
        self._cancel_jobs(name)
        unit.active_state, unit.sub_state = "active", "running"
        unit.activating_since_ns = unit.state_changed_ns = self.now_ns - ago_ns
        unit.process = process = self._new_process(unit, self.now_ns - ago_ns)
        unit.others = ()  # KillMode=control-group, systemd.kill(5)
        unit.result, unit.restarts, unit.ended = "success", restarts, ""
        unit.starts.append(self.now_ns - ago_ns)
        unit.next = None
        self._unit_changed(unit)
        match unit.fate(process):
            case "exits":
                self._end_main(unit)
            case "ends":
                unit.next = self.now_ns + ENDS_NS, "ends"
            case "hangs":
                unit.active_state, unit.sub_state = "activating", "start"
                unit.next = self.now_ns + START_NS, "ends"
        return process

    def begin_activation(self, name: str) -> None:
        """The unit is in its `ExecStartPre=`."""
        unit = self.units[name]
        self._cancel_jobs(name)
        unit.active_state, unit.sub_state = "activating", "start-pre"
        unit.activating_since_ns = unit.state_changed_ns = self.now_ns
        unit.process, unit.others, unit.next = None, (), None
        unit.result, unit.restarts = "success", 0
        self._unit_changed(unit)

    def start_main(self, name: str) -> Process:
        """The main process of an activating unit starts; it is not ready yet."""
        unit = self.units[name]
        unit.sub_state = "start"
        unit.state_changed_ns = self.now_ns
        unit.process = self._new_process(unit, self.now_ns)
        unit.ended = ""
        self._unit_changed(unit)
        return unit.process

    def become_ready(self, name: str) -> None:
        """An activating unit is active."""
        unit = self.units[name]
        unit.active_state, unit.sub_state = "active", "running"
        unit.state_changed_ns = self.now_ns
        self._unit_changed(unit)

    def stop(self, name: str, *, failed: bool = False, by_hand: bool = True) -> None:
        """Stop a unit by hand, which is a job too, or let it fail."""
        unit = self.units[name]
        self._cancel_jobs(name)
        unit.active_state = "failed" if failed else "inactive"
        unit.sub_state, unit.result = "dead", "exit-code" if failed else "success"
        unit.ended = "exit status 1" if failed else ""
        unit.process, unit.others, unit.next = None, (), None
        unit.state_changed_ns = self.now_ns
        self._unit_changed(unit)
        if not failed and by_hand:
            job = Job(self._number(), name, "restart", self.now_ns, Phase.STOPPING)
            self.told.append(JobEnded(job, "done"))

    def crash(self, name: str) -> None:
        """The main process dies and `Restart=` starts another at once."""
        self.start(name, restarts=self.units[name].restarts + 1)

    def reload(self, name: str) -> None:
        """A reload by hand: the process reads its files again."""
        unit = self.units[name]
        assert unit.process is not None
        unit.process = replace(unit.process, reread=self._contents())
        unit.state_changed_ns = self.now_ns
        self._unit_changed(unit)

    def lower_limit(
        self, name: str, limit: str, pair: LimitPair, *, pid: int | None = None
    ) -> None:
        """Somebody's prlimit(1), on the main process or another; systemd does not notice."""
        unit = self.units[name]
        assert unit.process is not None

        def lowered(process: Process) -> Process:
            if process.pid != (unit.process.pid if pid is None and unit.process else pid):
                return process
            return replace(process, limits={**process.limits, limit: pair})

        unit.others = tuple(map(lowered, unit.others))
        unit.process = lowered(unit.process)

    def fork(self, name: str, child: str = "worker") -> Process:
        """The main process starts another, which has its limits; nobody is told."""
        unit = self.units[name]
        assert unit.process is not None
        process = replace(
            unit.process, pid=self._number(), started_ns=self.now_ns, name=child, reread=None
        )
        unit.others = (*unit.others, process)
        return process

    def end(self, name: str, pid: int) -> None:
        """One of the other processes ends; nobody is told."""
        unit = self.units[name]
        unit.others = tuple(each for each in unit.others if each.pid != pid)

    # ---- what was started ends

    def finish_reload(self) -> None:
        """All daemon-reloads that are under way have been made."""
        self.reloads = 0
        for unit in self.units.values():
            self._load(unit)
        self.told.append(UnitsReloaded())

    def step_job(self, job: Job) -> None:
        """One job comes one phase further: a restart stops the unit, then starts it and is done."""
        unit = self.units[job.unit]
        index = self.jobs.index(job)
        results = self.job_results.get(job.unit)
        del self.jobs[index]
        if job.phase is Phase.STOPPING:
            self.stop(job.unit, by_hand=False)
            self.jobs.insert(index, replace(job, phase=Phase.STARTING))
            return
        result = results.pop(0) if results else "done"
        if job.phase is Phase.STARTING:
            if result == "done":
                self.start(job.unit)
                if unit.active_state != "active":
                    result = "failed"
                if unit.process is not None and unit.next is not None and result == "failed":
                    self.jobs.insert(index, replace(job, phase=Phase.HANGING))
                    return
            else:
                self.stop(job.unit, failed=True)
        elif unit.process is not None:
            unit.active_state, unit.sub_state = "active", "running"
            if result == "done":
                self.reload(job.unit)
        self.told.append(JobEnded(job, result))

    # ---- Reader

    def read_file(self, path: str) -> FileFact:
        """See `Reader`."""
        if path in self.blocked:
            return Unreadable(path, self.blocked[path])
        if path in self.directories:
            return Unreadable(path, f"{path} is a directory")
        entry = self.files.get(path)
        if entry is None:
            uid, gid = self.directories.get(posixpath.dirname(path), (-1, -1))
            return Missing(path, directory=uid != -1, uid=uid, gid=gid)
        return Content(
            path,
            path,
            entry.data,
            entry.mode,
            entry.uid,
            entry.gid,
            entry.inode,
            entry.mtime_ns,
            entry.mtime_ns,
        )

    def glob(self, pattern: str) -> tuple[str, ...]:
        """See `Reader`."""
        entries = self.files.keys() | self.directories.keys() | self.blocked.keys()
        return tuple(sorted(path for path in entries if _matches(path, pattern)))

    def exists(self, path: str) -> bool:
        """See `Reader`."""
        return path in self.files or path in self.directories

    def unit(self, name: str) -> UnitFact:
        """See `Reader`. As on the real host, the ledger hears of each look."""
        if self.manager_is_gone:
            raise ManagerGone("neither the bus nor systemctl answers")
        fact = self.seen[name] = self._fact(name)
        self.ledger.pay_off(fact)
        return fact

    def process(self, pid: int) -> ProcessFact | None:
        """See `Reader`."""
        process = self._living(pid)
        if process is None:
            return None
        ticks = process.started_ns // TICK_NS
        starting = pid in self.forked
        return ProcessFact(
            pid, ticks, process.uid, process.limits, process.command, starting, process.name
        )

    def strays(self, control_group: str, wanted: Mapping[str, LimitPair]) -> tuple[Stray, ...]:
        """See `Reader`."""
        unit = self.units.get(control_group.rpartition("/")[2], Unit(""))
        return tuple(
            Stray(
                each.pid,
                each.started_ns // TICK_NS,
                each.name,
                {limit: each.limits[limit] for limit in wanted},
                each.pid in self.forked,
            )
            for each in sorted(_processes(unit), key=lambda each: (each.started_ns, each.pid))
            if any(each.limits[limit] != pair for limit, pair in wanted.items())
        )

    def in_use(self, pid: int, limit: str) -> int | None:
        """See `Reader`."""
        mains = {each.process.pid: each for each in self.units.values() if each.process}
        of_unit = mains[pid].used.get(limit) if pid in mains and limit == "nofile" else None
        return self.in_use_by.get((pid, limit), of_unit)

    def ceiling(self, limit: str) -> Ceiling | None:
        """See `Reader`."""
        return self.ceilings.get(limit)

    def usage(self, unit: UnitFact, near: Mapping[str, float]) -> Usage | None:
        """See `Reader`. What `used` says is the main process's; each has one thread, but for it."""
        known = self.units.get(unit.control_group.rpartition("/")[2])
        processes = _processes(known) if known else ()
        if known is None or not processes:
            return None
        threads = len(processes) - 1 + known.used.get("nproc", 1)
        uses = {}
        for limit in dict.fromkeys(("nofile", "nproc", *near)):
            found = [
                Use(
                    known.used.get(limit, 1) if each is known.process else 1,
                    each.limits[limit][0],
                    each.pid,
                    each.started_ns // TICK_NS,
                    each.name,
                )
                for each in processes
                if limit in each.limits
            ]
            if limit == "nproc":  # all have one user, whom the lowest limit binds first
                uid = processes[0].uid
                first = min(found, key=lambda use: float("inf") if use.limit is None else use.limit)
                bound = first.limit if uid else None
                found = [replace(first, used=threads, limit=bound, uid=uid)]
            found.sort(key=lambda use: -use.share)
            kept = [use for use in found[1:] if use.share >= near.get(limit, float("inf"))]
            if found:
                uses[limit] = (found[0], *kept)
        return Usage(len(processes), threads, uses)

    def limit_lines(self, unit: str) -> tuple[LimitLine, ...]:
        """See `Reader`. What a unit has of its own is told line by line of its file."""
        if self.manager_is_gone:
            raise ManagerGone("neither the bus nor systemctl answers")
        lines = [
            LimitLine(limit, *pair, "kernel default", "the service manager")
            for limit, pair in DEFAULTS.items()
        ]
        known = self.units.get(unit)
        if known is None or known.load_state != "loaded":
            return tuple(lines)
        lines += [
            LimitLine(limit, *pair, "unit file", f"{UNITS}/{unit}:{number}")
            for number, (limit, pair) in enumerate(known.own.items(), 2)
        ]
        for path, data, _ in self._unit_files(known):
            lines += limit_lines(data, "Service", "drop-in", path)
        return tuple(lines)

    def sysctl(self, key: str) -> SysctlFact:
        """See `Reader`."""
        if ".." in key:
            return SysctlFact(key, None, f"{key} is no key of a kernel parameter")
        text = self.sysctls.get(key)
        if text is None:
            return SysctlFact(key, None, f"this kernel has no {key}: a module may not be loaded")
        obstacle = f"{key} is read-only here" if key in self.read_only else None
        value, after, why = self.refusals.get(key, ("", "", ""))
        refused = (value, why) if key in self.refusals and after == text else None
        return SysctlFact(key, text, obstacle=obstacle, refused=refused)

    def last_good(self, resource: str) -> bytes | None:
        """See `Reader`."""
        return self.good.get(resource)

    def inhibitors(self, unit: UnitFact) -> tuple[Inhibitor, ...]:
        """See `Reader`."""
        if self.manager_is_gone:
            raise ManagerGone("neither the bus nor systemctl answers")
        return self.inhibiting.get(unit.name, ())

    def owed(self, unit: str) -> Owed | None:
        """See `Reader`."""
        return self.ledger.owed(unit)

    def course(self, unit: str) -> Course:
        """See `Reader`."""
        return self.course_of(unit)

    def stood_before(self, resource: str) -> bytes | None:
        """See `Reader`."""
        return self.kept_before.get(resource)

    def keep_before(self, resource: ResourceId, content: bytes) -> None:
        """As the state directory does."""
        self.kept_before[str(resource)] = content

    # ---- Writer

    def keep_evidence(self, action: KeepEvidence) -> None:
        """See `Writer`."""
        with _Effect(self, action):
            self.evidence.append((action.resource, action.content))

    def replace_file(self, action: ReplaceFile) -> None:
        """See `Writer`."""
        with _Effect(self, action):
            if action.path in self.blocked or action.path in self.directories:
                raise Refused(self.blocked.get(action.path, f"{action.path} is a directory"))
            directory = posixpath.dirname(action.path)
            before = self.files.get(action.path)
            if action.replaces is None:
                if before is not None:
                    raise Stale(f"{action.path} exists by now")
                if action.make_directories:
                    self.make_directory(directory, 0, 0)
                elif directory not in self.directories:
                    raise HostError(f"{directory} does not exist")
            elif before is None:
                raise Stale(f"{action.path} is gone by now")
            elif digest(before.data) != action.replaces:
                raise Stale(f"{action.path} has other content than was looked at")
            owner = (max(action.uid, 0), max(action.gid, 0))
            self.files[action.path] = Entry(
                action.content, action.mode, *owner, self._number(), self.now_ns
            )
            self.told.append(FileChanged(action.path))

    def remove_file(self, action: RemoveFile) -> None:
        """See `Writer`."""
        with _Effect(self, action):
            before = self.files.get(action.path)
            if before is None:
                raise Stale(f"{action.path} is gone by now")
            if digest(before.data) != action.replaces:
                raise Stale(f"{action.path} has other content than was looked at")
            self.unlink(action.path)
            directory = posixpath.dirname(action.path)
            if directory.endswith(".service.d") and not any(
                _is_in(each, directory) for each in self.files
            ):
                del self.directories[directory]

    def set_sysctl(self, action: SetSysctl) -> None:
        """See `Writer`. As the kernel does, it takes what it can."""
        with _Effect(self, action):
            key, value = action.key, action.value
            if key not in self.sysctls:
                raise Unable(f"this kernel has no {key}: a module may not be loaded")
            if plain(self.sysctls[key]) != plain(action.replaces):
                raise Stale(f"{key} has another value than was looked at")
            most, more = self.bounds.get(key, (None, ""))
            number = plain(value)
            beyond = most is not None and isinstance(number, int) and number > most
            why = f"the kernel did not keep {value} for {key}"
            if key in self.read_only or (beyond and more != "clamps"):
                why = f"the kernel takes no {value} for {key}: Invalid argument"
            else:
                self.sysctls[key] = f"{most if beyond else value}\n"
            if plain(self.sysctls[key]) == number:
                self.refusals.clear()
            else:
                self.refusals[key] = (value, self.sysctls[key], why)

    def reload_units(self) -> None:
        """See `Writer`."""
        with _Effect(self, ReloadUnits()):
            if self.manager_is_gone:
                raise ManagerGone("neither the bus nor systemctl answers")
            self.reloads += 1

    def set_process_limit(self, action: SetProcessLimit) -> None:
        """See `Writer`."""
        with _Effect(self, action):
            process = self._living(action.pid)
            if process is None or process.started_ns // TICK_NS != action.started:
                raise Stale(f"process {action.pid} is gone by now")
            want = (action.soft, action.hard)
            ceiling = self.ceilings.get(action.limit)
            beyond = ceiling is not None and _above(action.hard, ceiling.value)
            raises = _above(action.hard, process.limits[action.limit][1])
            may = self.raises_limits or (self.same_user and not raises)
            if not may or beyond or _above(action.soft, action.hard):
                raise Refused(f"the kernel refuses {action.limit} to process {action.pid}")
            unit = next(each for each in self.units.values() if process in _processes(each))
            self.lower_limit(unit.name, action.limit, want, pid=action.pid)

    def start_job(self, action: StartJob) -> None:
        """See `Writer`. What does not run is left alone, as with systemd's `Try` jobs, or started.

        "start" takes the place of a job that starts the unit, with its number, as with systemd.
        """
        with _Effect(self, action):
            if self.manager_is_gone:
                raise ManagerGone("neither the bus nor systemctl answers")
            unit = self.units.get(action.unit)
            if unit is None or unit.load_state != "loaded":
                raise UnitRefused(f"Unit {action.unit} not found, or masked.")
            reloads = action.how == "reload" or (
                action.how == "reload-or-restart" and unit.can_reload
            )
            if reloads and not unit.can_reload:
                raise UnitRefused(f"Job type reload is not applicable for unit {action.unit}.")
            phase = Phase.RELOADING if reloads else Phase.STOPPING
            job = Job(self._job_number(action), action.unit, action.how, self.now_ns, phase)
            self._queue(job, unit)
            self.accepted(job)

    def _queue(self, job: Job, unit: Unit) -> None:
        if unit.active_state in ("inactive", "failed"):
            if job.how != "start":
                self.told.append(JobEnded(job, "done"))
                return
            self.begin_activation(unit.name)
            unit.starts.clear()  # reset-failed
            self.jobs.append(replace(job, phase=Phase.STARTING))
            return
        self._cancel_jobs(unit.name)
        self.jobs.append(job)
        if job.how == "start":
            unit.result, unit.restarts = "success", 0  # reset-failed
            unit.starts.clear()
            unit.next = None
        if job.phase is not Phase.RELOADING:
            unit.active_state = "deactivating"
        elif unit.active_state == "active":
            unit.active_state = "reloading"
        unit.state_changed_ns = self.now_ns
        self._unit_changed(unit)

    # ---- probes, whose ends are events

    def start_probe(self, probe: Probe) -> str:
        """As the service manager does."""
        if self.manager_is_gone:
            raise ManagerGone("neither the bus nor systemctl answers")
        if self.refuses_probes:
            raise UnitRefused(f"Unit {probe.name} was masked.")
        self.probes[probe.name] = self.now_ns + PROBE_NS, probe
        return "job"

    def stop_probe(self, name: str) -> None:
        """As the service manager does; it tells no end."""
        self.probes.pop(name, None)

    # ---- what the daemon keeps

    def remember(self, resource: ResourceId, content: bytes) -> None:
        """Keep last good content, as `memory.py` does."""
        self.good[str(resource)] = content

    def effect(self) -> None:
        """Something lasting has been done; this may have been the last."""
        self.effects += 1
        if self.dies_after is not None and self.effects >= self.dies_after:
            raise Died

    # ---- for comparison and for reading

    def __repr__(self) -> str:
        parts = [f"files={ {path: each.data for path, each in self.files.items()} }"]
        parts += [f"units={list(self.units.values())}", f"ceilings={self.ceilings}"]
        parts += [f"raises_limits={self.raises_limits}", f"blocked={self.blocked}"]
        return f"FakeHost({', '.join(parts)}, done={self.done})"

    def snapshot(self) -> dict[str, Any]:
        """All that can be changed here, as one comparable value."""
        return {
            "files": dict(self.files),
            "directories": dict(self.directories),
            "sysctls": dict(self.sysctls),
            "evidence": list(self.evidence),
            "good": dict(self.good),
            "units": {name: repr(unit) for name, unit in self.units.items()},
            "jobs": list(self.jobs),
            "reloads": self.reloads,
            "done": list(self.done),
        }

    # ---- within

    def _happen(self) -> None:
        """What is due by now happens."""
        for name, (at_ns, probe) in list(self.probes.items()):
            if at_ns <= self.now_ns:
                del self.probes[name]
                unit = self.units.get(probe.unit, Unit(probe.unit))
                self.told.append(ProbeEnded(name, unit.answers(unit.process)))
        for unit in self.units.values():
            if unit.next is None or unit.next[0] > self.now_ns:
                continue
            if unit.next[1] == "ends":
                self._end_main(unit)
            else:
                self._start_again(unit)

    def _end_main(self, unit: Unit) -> None:
        """The main process ends, and `Restart=` will have it started again, or it has failed."""
        hanging = [job for job in self.jobs if job.unit == unit.name]
        restarts = unit.restarts
        self.jobs = [job for job in self.jobs if job not in hanging]
        self.stop(unit.name, failed=True)
        unit.restarts, unit.ended = restarts, "exit status 3"
        if unit.comes_back:
            unit.active_state, unit.sub_state = "activating", "auto-restart"
            unit.activating_since_ns = self.now_ns
            unit.next = self.now_ns + RESTART_NS, "again"
        self.told += (JobEnded(job, "failed") for job in hanging)

    def _start_again(self, unit: Unit) -> None:
        since_ns = self.now_ns - unit.start_interval_ns
        if unit.start_burst and sum(each > since_ns for each in unit.starts) >= unit.start_burst:
            ended, restarts = unit.ended, unit.restarts
            self.stop(unit.name, failed=True)
            unit.ended, unit.restarts, unit.result = ended, restarts, "start-limit-hit"
        else:
            self.start(unit.name, restarts=unit.restarts + 1)

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _contents(self) -> dict[str, bytes]:
        return {path: entry.data for path, entry in self.files.items()}

    def _living(self, pid: int) -> Process | None:
        processes = (each for unit in self.units.values() for each in _processes(unit))
        return next((each for each in processes if each.pid == pid), None)

    def _cancel_jobs(self, name: str) -> None:
        """A job that somebody else's takes the place of (systemctl(1), --job-mode=replace)."""
        for job in [job for job in self.jobs if job.unit == name]:
            self.jobs.remove(job)
            self.told.append(JobEnded(job, "canceled"))

    def _job_number(self, action: StartJob) -> int:
        """Of a new job, or of the one that it takes the place of, whose end is not told then."""
        for job in self.jobs if action.how == "start" else ():
            if job.unit == action.unit and job.phase is not Phase.RELOADING:
                self.jobs.remove(job)
                return job.number
        return self._number()

    def _unit_changed(self, unit: Unit) -> None:
        self.told.append(UnitChanged(unit.name))

    def _new_process(self, unit: Unit, started_ns: int) -> Process:
        limits = {
            limit: (self._clamped(limit, soft), self._clamped(limit, hard))
            for limit, (soft, hard) in {**DEFAULTS, **unit.loaded}.items()
        }
        return Process(self._number(), started_ns, unit.uid, limits, self._contents())

    def _clamped(self, limit: str, value: LimitValue) -> LimitValue:
        """systemd takes what it can get, without a word."""
        ceiling = self.ceilings.get(limit)
        return ceiling.value if ceiling and _above(value, ceiling.value) else value

    def _unit_files(self, unit: Unit) -> tuple[tuple[str, bytes, int], ...]:
        directory = f"{UNITS}/{unit.name}.d"
        return tuple(
            (path, entry.data, entry.mtime_ns)
            for path, entry in sorted(self.files.items())
            if _is_in(path, directory) and path.endswith(".conf")
        )

    def _load(self, unit: Unit) -> None:
        if unit.load_state != "loaded":
            unit.loaded, unit.loaded_files = {}, ()
            return
        unit.loaded_files = self._unit_files(unit)
        unit.loaded = dict(unit.own)
        for _, data, _ in unit.loaded_files:
            unit.loaded |= _limits_in(data)

    def _fact(self, name: str) -> UnitFact:
        unit = self.units.get(name) or Unit(name, load_state="not-found")
        loaded = unit.load_state == "loaded"
        process = unit.process
        return UnitFact(
            name,
            unit.load_state,
            unit.active_state,
            unit.sub_state,
            unit.result,
            main_pid=process.pid if process else 0,
            main_started_ns=_systemd_time(process.started_ns) if process else 0,
            activating_since_ns=_systemd_time(unit.activating_since_ns),
            state_changed_ns=_systemd_time(unit.state_changed_ns),
            can_reload=unit.can_reload,
            need_daemon_reload=loaded and unit.loaded_files != self._unit_files(unit),
            job=any(job.unit == name for job in self.jobs),
            drop_ins=tuple(path for path, _, _ in unit.loaded_files),
            control_group=f"/system.slice/{name}" if _processes(unit) else "",
            limits={**DEFAULTS, **unit.loaded} if loaded else None,
            restarts=unit.restarts,
            ended=unit.ended,
            start_burst=unit.start_burst,
            start_interval_ns=unit.start_interval_ns,
        )


class _Effect:
    """One action: what comes before it may raise or change the host; it counts when it is done."""

    def __init__(self, host: FakeHost, action: Action) -> None:
        self._host = host
        self._action = action

    def __enter__(self) -> None:
        host = self._host
        host.attempts += 1
        if host.dies_after == 0:
            raise Died
        for hook in tuple(host.before):
            hook(self._action)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> Literal[False]:
        if kind is None:
            self._host.done.append(self._action)
            self._host.effect()
        return False


class Looks:
    """The host's `Reader`, and nothing else of it."""

    def __init__(self, host: FakeHost) -> None:
        self.read_file = host.read_file
        self.glob = host.glob
        self.exists = host.exists
        self.unit = host.unit
        self.process = host.process
        self.strays = host.strays
        self.in_use = host.in_use
        self.ceiling = host.ceiling
        self.sysctl = host.sysctl
        self.usage = host.usage
        self.limit_lines = host.limit_lines
        self.last_good = host.last_good
        self.inhibitors = host.inhibitors
        self.owed = host.owed
        self.course = host.course
        self.stood_before = host.stood_before
        self.exists = host.exists
        self.inhibitors = host.inhibitors


def _processes(unit: Unit) -> tuple[Process, ...]:
    """All in its control group."""
    return unit.others if unit.process is None else (unit.process, *unit.others)


def named(actions: Iterable[Action]) -> list[str]:
    """The actions by their classes."""
    return [type(action).__name__ for action in actions]


def _above(value: LimitValue, ceiling: LimitValue) -> bool:
    return ceiling is not None and (value is None or value > ceiling)


def _is_in(path: str, directory: str) -> bool:
    return posixpath.dirname(path) == directory


def _matches(path: str, pattern: str) -> bool:
    """glob(7): a wildcard matches no slash, and a leading period only where the pattern has one."""
    names, wanted = path.split("/"), pattern.split("/")
    return len(names) == len(wanted) and all(
        fnmatch.fnmatchcase(name, want) and (not name.startswith(".") or want.startswith("."))
        for name, want in zip(names, wanted, strict=True)
    )


def _systemd_time(moment_ns: int) -> int:
    return moment_ns // MICROSECOND_NS * MICROSECOND_NS


_LIMIT_LINE = re.compile(r"Limit([A-Z]+)=(infinity|\d+)(?::(infinity|\d+))?")


def _limits_in(data: bytes) -> dict[str, LimitPair]:
    """The limits that a drop-in gives; a line that systemd would not take is passed over."""
    limits: dict[str, LimitPair] = {}
    section = ""
    for line in data.decode(errors="replace").splitlines():
        section = line if line.startswith("[") else section
        found = _LIMIT_LINE.fullmatch(line)
        if section != "[Service]" or found is None:
            continue
        soft, hard = (
            None if word == "infinity" else int(word)
            for word in (found[2], found[3] if found[3] is not None else found[2])
        )
        if not _above(soft, hard):
            limits[found[1].lower()] = (soft, hard)
    return limits

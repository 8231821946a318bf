"""The real machine behind the seams: one class reads it, another changes it."""

import os
import time
from collections.abc import Callable, Mapping

from jada_configd.core.actions import (
    KeepEvidence,
    RemoveFile,
    ReplaceFile,
    SetProcessLimit,
    SetSysctl,
    StartJob,
)
from jada_configd.core.course import NOTHING, Course
from jada_configd.core.facts import (
    Ceiling,
    FileFact,
    Inhibitor,
    LimitLine,
    LimitPair,
    Owed,
    ProcessFact,
    Stray,
    SysctlFact,
    UnitFact,
    Usage,
)
from jada_configd.errors import ManagerGone
from jada_configd.host.filesystem.files import Files
from jada_configd.host.manager.limit_lines import configuration_directories, unit_limit_lines
from jada_configd.host.manager.systemd import Systemd
from jada_configd.host.processes import (
    ceilings,
    control_groups,
    facts,
    limits,
    strays,
    unit_usage,
    usage,
)
from jada_configd.host.storage.state import StateDirectory
from jada_configd.host.sysctls import Sysctls


class MachineReader:
    """Looks at the machine; every method of `core/seams.py: Reader`, and none that changes it.

    `systemd` and `state` are None on a scratch root, and where there is nothing to read from.
    """

    def __init__(  # noqa: PLR0913 - what it asks of others, each by its name
        self,
        files: Files,
        systemd: Systemd | None,
        state: Callable[[], StateDirectory | None],
        sysctls: Sysctls,
        *,
        owed: Callable[[str], Owed | None],
        seen: Callable[[UnitFact], None],
        course: Callable[[str], Course] = lambda _: NOTHING,
        groups: str = control_groups.MOUNT,
    ) -> None:
        """`owed` knows what a unit has not taken up; `seen` is told of each unit that is looked at.

        `course` knows how a unit does on what was changed. `groups` is where control groups are
        mounted.
        """
        self._files = files
        self._owed = owed
        self._seen = seen
        self._course = course
        self._systemd = systemd
        self._state = state
        self._sysctls = sysctls
        self._groups = groups
        self.units: dict[str, UnitFact] = {}  # as they were last seen
        self.usages: dict[str, tuple[Usage, float]] = {}  # the same, with when (CLOCK_REALTIME)

    def read_file(self, path: str) -> FileFact:
        """The file, decided hop by hop by ownership."""
        return self._files.read_file(path)

    def glob(self, pattern: str) -> tuple[str, ...]:
        """The paths that match."""
        return self._files.glob(pattern)

    def exists(self, path: str) -> bool:
        """Whether anything stands there."""
        return self._files.exists(path)

    def unit(self, name: str) -> UnitFact:
        """The unit as the service manager has it."""
        fact = self._manager_seen().unit(name)
        self._seen(fact)
        self.units[name] = fact
        return fact

    def process(self, pid: int) -> ProcessFact | None:
        """The live process."""
        return facts.process(pid)

    def strays(self, control_group: str, wanted: Mapping[str, LimitPair]) -> tuple[Stray, ...]:
        """The live processes of a control group that lack some of these limits."""
        return strays.strays(control_group, wanted, self._manager_pid(), self._groups)

    def in_use(self, pid: int, limit: str) -> int | None:
        """What of a limit a process uses."""
        return usage.in_use(pid, limit)

    def usage(self, unit: UnitFact, near: Mapping[str, float]) -> Usage | None:
        """What a unit's processes use of their limits."""
        found = unit_usage.usage(unit.control_group, near, self._groups)
        if found is None:
            self.usages.pop(unit.name, None)
        else:
            self.usages[unit.name] = (found, time.time())
        return found

    def ceiling(self, limit: str) -> Ceiling | None:
        """The most that a service can be given here."""
        return ceilings.ceiling(limit, self._manager_pid())

    def sysctl(self, key: str) -> SysctlFact:
        """A parameter of the running kernel."""
        return self._sysctls.look(key)

    def limit_lines(self, unit: str) -> tuple[LimitLine, ...]:
        """All that says what the limits of a unit are to be, by its files when last looked at."""
        fact = self.units.get(unit) or self.unit(unit)  # to ask again costs more than all the rest
        systemd = self._manager_seen()
        where = configuration_directories(user=systemd.user, environ=os.environ)
        return unit_limit_lines(self._files, fact, systemd.manager(), where, user=systemd.user)

    def last_good(self, resource: str) -> bytes | None:
        """The last content that was as declared."""
        state = self._state()
        return None if state is None else state.last_good(resource)

    def inhibitors(self, unit: UnitFact) -> tuple[Inhibitor, ...]:
        """The locks against shutdown that processes of the unit hold."""
        held = self._manager_seen().inhibitors()
        pids = control_groups.members(unit.control_group, self._groups) if held else ()
        return tuple(each for each in held if each.pid in pids)

    def owed(self, unit: str) -> Owed | None:
        """What the unit has not taken up yet."""
        return self._owed(unit)

    def course(self, unit: str) -> Course:
        """How the unit does on what was changed."""
        return self._course(unit)

    def stood_before(self, resource: str) -> bytes | None:
        """What stood in the file of a resource before a change that is on trial."""
        state = self._state()
        return None if state is None else state.before(resource)

    def _manager_seen(self) -> Systemd:
        if self._systemd is None:
            raise ManagerGone(_NO_MANAGER)
        return self._systemd

    def _manager_pid(self) -> int:
        return 1 if self._systemd is None else self._systemd.manager_pid()


class MachineWriter:
    """Changes the machine; every method of `apply.py: Writer`."""

    def __init__(
        self,
        files: Files,
        systemd: Systemd | None,
        state: Callable[[], StateDirectory],
        started: Callable[[StartJob, str], None],
        sysctls: Sysctls,
    ) -> None:
        """`started` is told each job that was accepted, with the name by which its end comes."""
        self._files = files
        self._systemd = systemd
        self._state = state
        self._started = started
        self._sysctls = sysctls

    def keep_evidence(self, action: KeepEvidence) -> None:
        """Keep bytes that are about to be replaced, 0600, in the state directory."""
        self._state().keep_evidence(action.resource, action.content)

    def replace_file(self, action: ReplaceFile) -> None:
        """Put whole content in place, over what was looked at and nothing else."""
        self._files.replace_file(action)

    def remove_file(self, action: RemoveFile) -> None:
        """Remove what was looked at."""
        self._files.remove_file(action)

    def set_sysctl(self, action: SetSysctl) -> None:
        """Give the running kernel a value in place of the one that was looked at."""
        self._sysctls.set(action)

    def reload_units(self) -> None:
        """Start a daemon-reload; its end is an event."""
        self._manager().reload_units()

    def set_process_limit(self, action: SetProcessLimit) -> None:
        """prlimit(2) on the very process that was looked at."""
        limits.set_limit(action)

    def start_job(self, action: StartJob) -> None:
        """Start a job; its end is an event."""
        self._started(action, self._manager().start_job(action.unit, action.how))

    def _manager(self) -> Systemd:
        if self._systemd is None:
            raise ManagerGone(_NO_MANAGER)
        return self._systemd


_NO_MANAGER = "there is no service manager on a scratch root"

"""Wires the parts up: the machine behind its seams, the ledger, and the loop that turns on them."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from jada_configd.core.actions import StartJob
from jada_configd.core.facts import ProcessFact, UnitFact
from jada_configd.core.ledger import Ledger
from jada_configd.core.overlay import overlaid
from jada_configd.core.report import BreakerMoved, Event, Report, Tried
from jada_configd.core.resources import Scope, resolve
from jada_configd.core.specs import Policy
from jada_configd.errors import Busy, HostError
from jada_configd.formats.limits_precedence import accounts_of
from jada_configd.host.directories import Directories
from jada_configd.host.filesystem.files import Files
from jada_configd.host.machine import MachineReader, MachineWriter
from jada_configd.host.manager.systemd import Systemd
from jada_configd.host.passes import Passes
from jada_configd.host.probing.commands import Commands
from jada_configd.host.storage.locks import Standing, lock
from jada_configd.host.sysctls import Sysctls
from jada_configd.host.time_zones import TimeZones
from jada_configd.loop import Loop, World
from jada_configd.memory import Memory
from jada_configd.policy import bypass_warnings, login_warnings
from jada_configd.probation import Probation
from jada_configd.probing import Probing
from jada_configd.reconcile import Reconciler
from jada_configd.standings import Standings
from jada_configd.takeup import TakeUp
from jada_configd.verdicts import Verdicts
from jada_configd.ways_back import WaysBack

if TYPE_CHECKING:  # watchdog is dear to import, and only a daemon watches
    from jada_configd.host.watching.watch import Watcher


PASS_LOCK: Final = "pass.lock"  # noqa: S105 - a file's name
DAEMON_LOCK: Final = "daemon.lock"
LOCK_SECONDS: Final = 30.0  # that a command waits for another pass to end
START_SECONDS: Final = 1.0  # that a daemon does: services wait for its start


@dataclass(frozen=True, slots=True)
class Assembly:
    """All parts of one run."""

    directories: Directories
    memory: Memory
    ledger: Ledger
    reader: MachineReader
    reconciler: Reconciler
    takeup: TakeUp
    probation: Probation
    standings: Standings
    ways_back: WaysBack
    verdicts: Verdicts
    scope: Scope
    loop: Loop
    systemd: Systemd | None
    watcher: "Watcher | None"

    def save(self) -> None:
        """Keep what is worth keeping beyond this process."""
        self.memory.save_debts(self.ledger)
        self.memory.save_known(self.ledger)

    def advise(self, policy: Policy) -> Policy:
        """The policy with the warnings that only the host can give."""
        if self.systemd is None or not (policy.bypasses or policy.logins):
            return policy
        found = bypass_warnings(policy, self._commands_of)
        found += login_warnings(policy, self._user_of)
        return replace(policy, warnings=(*policy.warnings, *found))

    def _commands_of(self, unit: str) -> list[tuple[str, ...]]:
        """What the unit is started with, and what runs."""
        fact, process = self._running(unit)
        return [each.command for each in (fact, process) if each is not None]

    def _user_of(self, unit: str) -> str | None:
        """As whom the main process of a unit runs."""
        _, process = self._running(unit)
        try:
            return accounts_of(self.reader).name_of(process.uid) if process else None
        except HostError:
            return None

    def _running(self, unit: str) -> tuple[UnitFact | None, ProcessFact | None]:
        """The unit and its main process, as far as somebody can tell."""
        fact = None
        try:
            fact = self.reader.unit(unit)
            return fact, self.reader.process(fact.main_pid) if fact.main_pid else None
        except HostError:
            return fact, None

    def look(self, policy: Policy) -> tuple[Policy, list[Report], list[str]]:
        """What `check` finds, what the host has to say of the policy, and what stood in the way."""
        policy = self.advise(policy)
        troubles: list[str] = []
        self.loop.serve(policy)
        fallbacks = self.verdicts.breakers.fallbacks()
        declared = resolve(policy, self.reader, self.scope, troubles)
        resources = [overlaid(each, fallbacks) for each in declared]
        self.ways_back.hold({str(each.id): each for each in resources})
        reports = self.reconciler.check([(each, "operator") for each in resources])
        return policy, reports, [*troubles, *self.loop.troubles()]

    def troubles(self) -> list[str]:
        """What keeps the parts from doing their work, one sentence each."""
        troubles = list(self.watcher.problems()) if self.watcher is not None else []
        if self.systemd is not None and not self.systemd.connected and self.loop.holds_units():
            way = self.systemd.route
            asked = f"systemd is asked through {way}" if way else "nobody tells of units"
            troubles.append(f"no bus: {asked}")
        return [*troubles, *self.loop.troubles(), *self.memory.troubles()]


def assemble(
    directories: Directories,
    tell: Callable[[Event], None],
    *,
    daemon: bool,
    writes: bool = True,
) -> Assembly:
    """The parts for a daemon (watcher, jobs after the first pass) or for one pass of a command.

    `writes` False: for looking alone. Raises `HostError`, and `Busy` where another pass is stuck.
    """
    files = Files(directories.root)
    memory = Memory(directories.state, create=writes)
    lock_path = f"{directories.runtime}/{PASS_LOCK}"
    ledger = _ledger(memory, lock_path, daemon=daemon) if writes else memory.ledger()
    systemd = Systemd(user=directories.user) if directories.managed else None
    watcher = _watcher(directories) if daemon else None
    sysctls = Sysctls()
    # A look at a unit that runs anew says that it has taken up what it owed.
    reader = MachineReader(
        files,
        systemd,
        memory.reachable,
        sysctls,
        owed=ledger.owed,
        seen=ledger.pay_off,
        course=lambda unit: probation.course(unit),  # noqa: PLW0108 - it is made below
    )

    def save_debts() -> None:
        if writes:
            memory.save_debts(ledger)

    probing = Probing(
        systemd if writes else None,
        Commands(user=directories.user),
        lambda: reader.units,
        lambda unit: ledger.owed(unit) is not None,
    )
    takeup = TakeUp(reader, ledger, save_debts, memory.keep_before, probing.rounds)
    verdicts = Verdicts(memory, keeps=writes)

    def tried(event: Tried | BreakerMoved) -> None:
        loop.tried(event)

    standings = Standings(ledger.trials, probing, verdicts, tried)
    ways_back = WaysBack(ledger, takeup, verdicts)
    probation = Probation(reader, ledger, takeup, probing, verdicts, standings, ways_back, tried)
    reconciler = Reconciler(
        reader, ledger, takeup, time.monotonic_ns, memory.keep, ways_back.sparing
    )
    scope = Scope(directories.units, managed=directories.managed, user=directories.user)
    passes = Passes(Standing(lock_path, 0 if daemon else LOCK_SECONDS), files)
    loop: Loop

    def started(action: StartJob, job: str) -> None:
        loop.jobs.started(action, job)

    world = World(
        reader=reader,
        writer=MachineWriter(files, systemd, memory.state, started, sysctls),
        ledger=ledger,
        takeup=takeup,
        reconciler=reconciler,
        probation=probation,
        ways_back=ways_back,
        breakers=verdicts.breakers,
        scope=scope,
        calendar=TimeZones(),
        systemd=systemd,
        watcher=watcher,
        pass_lock=lambda: passes,
        clean_litter=files.clean_litter,
        retries=memory.retries,
        take_retries=memory.take_retries if writes else tuple,
    )
    loop = Loop(world, tell, jobs_allowed=not daemon)
    return Assembly(
        directories,
        memory,
        ledger,
        reader,
        reconciler,
        takeup,
        probation,
        standings,
        ways_back,
        verdicts,
        scope,
        loop,
        systemd,
        watcher,
    )


def _watcher(directories: Directories) -> "Watcher":
    from jada_configd.host.watching.watch import Watcher

    return Watcher(directories.root)


def _ledger(memory: Memory, lock_path: str, *, daemon: bool) -> Ledger:
    """The ledger, read while nobody is in the middle of a pass.

    A daemon starts even where a pass hangs, and tells so. What that one has begun it takes for its
    own then, which costs a restart that was not needed, at most.
    """
    try:
        with lock(lock_path, START_SECONDS if daemon else LOCK_SECONDS):
            return memory.ledger()
    except Busy:
        if not daemon:
            raise
        return memory.ledger()

"""The loop: sleep until a hint or a due time, reconcile what is due, tell the sinks.

`run` turns it until it is told to stop, `apply` until nothing is under way any more. It never waits
for a job: the end of one is an event, like a hint.
"""

import time
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from jada_configd.apply import Writer
from jada_configd.core.breaker import Breakers
from jada_configd.core.ledger import Ledger
from jada_configd.core.model import Cause, ResourceId
from jada_configd.core.report import BreakerMoved, Event, Reconciled, Report, Tried
from jada_configd.core.resources import Scope, service_of
from jada_configd.core.schedule import Schedule
from jada_configd.core.seams import Calendar, Reader
from jada_configd.core.specs import Policy, ServiceSpec
from jada_configd.core.status import Board, Last, kept, state_of
from jada_configd.core.windows import Windows
from jada_configd.hearing import Hearing
from jada_configd.holdings import Holdings
from jada_configd.host.manager.systemd import JobEnded, ProbeEnded, Systemd
from jada_configd.jobs import Jobs
from jada_configd.kinds import KINDS
from jada_configd.pass_lock import PassLock
from jada_configd.probation import Probation
from jada_configd.reconcile import Reconciler
from jada_configd.takeup import TakeUp
from jada_configd.ways_back import WaysBack

if TYPE_CHECKING:  # watchdog is dear to import, and only a daemon watches
    from jada_configd.host.watching.watch import Watcher


SWEEP_NS: Final = 300_000_000_000  # while there is no policy that says how often
RESOLVE_AGAIN_NS: Final = 10_000_000_000  # at the next turn from then on


@dataclass(frozen=True, slots=True)
class World:
    """What the loop turns on, wired up by `assembly.py`. `watcher` and `systemd` may be missing."""

    reader: Reader
    writer: Writer
    ledger: Ledger
    takeup: TakeUp
    reconciler: Reconciler
    probation: Probation
    ways_back: WaysBack
    breakers: Breakers
    scope: Scope
    calendar: Calendar
    systemd: Systemd | None
    watcher: "Watcher | None"
    pass_lock: Callable[[], AbstractContextManager[object]]  # raises Busy
    clean_litter: Callable[[Collection[str]], object]
    retries: str  # the file by which an operator has something tried again
    take_retries: Callable[[], tuple[str, ...]]


class Loop:
    """One thread that looks, corrects and tells."""

    def __init__(
        self, world: World, tell: Callable[[Event], None], *, jobs_allowed: bool = True
    ) -> None:
        self.board = Board({name: kind.noun for name, kind in KINDS.items()})
        self.schedule = Schedule(sweep_ns=SWEEP_NS)
        self.policy: Policy | None = None
        self._world = world
        self._tell = tell
        self._jobs_allowed = jobs_allowed
        self._holdings = Holdings(world.reader, world.scope)
        self._hearing = Hearing(
            world.watcher, world.systemd, self.schedule, self._holdings, self, world.retries
        )
        self.selector = self._hearing.selector
        self.jobs = Jobs(world.ledger, world.takeup, world.reconciler, world.probation)
        world.probation.at_work = self.jobs.of
        if world.systemd is not None:
            world.probation.hears = world.systemd.hears
        self._pass_lock = PassLock(world.pass_lock, asks_again=world.watcher is not None)
        self._cleaned = False
        self._asked: set[ResourceId] = set()  # services that owe something since their last look
        self._resolve_again_ns = 0

    # ---- what is held

    def enforce(self, policy: Policy, cause: Cause) -> None:
        """Hold this policy from now on; everything is due."""
        self.policy = policy
        self.schedule.sweep_ns = int(policy.sweep * 1e9)
        self.serve(policy)
        self._resolve()
        self._forget_others()
        self.schedule.hint_all(time.monotonic_ns(), cause)

    def serve(self, policy: Policy) -> None:
        """These are the services that take corrections up, and the windows in which that is done.

        On a scratch root there are neither: nothing runs there that a window could protect.
        """
        managed = self._world.scope.managed
        units = policy.services if managed else ()
        self._world.takeup.services = {spec.unit: spec for spec in units}
        self._world.probation.enforce(policy.revision, time.monotonic_ns())
        windows = Windows(policy.windows, self._world.calendar) if policy.windows else None
        self._world.reconciler.obstacles.windows = windows if managed else None
        contests = self._world.reconciler.contests
        contests.rule(policy.contested_after, policy.contested_within)

    def allow_jobs(self) -> None:
        """From now on services are looked at too, and take up what they owe."""
        self._jobs_allowed = True
        self._hold()
        now_ns = time.monotonic_ns()
        waited = (each for each in self._holdings.resources if KINDS[each.kind].starts_jobs)
        self.schedule.hint(waited, now_ns, "startup")

    def _resolve(self) -> None:
        self._hearing.lost_match = False
        if self.policy is None:
            return
        others = self._holdings.resolve(self.policy, self._world.breakers.fallbacks())
        if self._holdings.trouble is not None:
            self._resolve_again_ns = time.monotonic_ns() + RESOLVE_AGAIN_NS
        if self._world.watcher is not None:
            self._world.watcher.watch(self._holdings.watched() | {self._world.retries})
        if self._world.systemd is not None:
            self._world.systemd.follow(self._holdings.units())
        self._hold()
        self.schedule.hint(others, time.monotonic_ns())

    def _forget_others(self) -> None:
        """Not at each resolution: a file of a pattern that is gone for a moment is known again."""
        units = (
            frozenset(spec.unit for spec in self.policy.services) if self.policy else frozenset()
        )
        held = frozenset(map(str, self._holdings.resources))
        self._world.ledger.forget_others(held, units)

    def _hold(self) -> None:
        held = {
            each: resource
            for each, resource in self._holdings.resources.items()
            if self._jobs_allowed or not KINDS[each.kind].starts_jobs
        }
        new = held.keys() - self.board.entries.keys()
        self.board.hold(held)
        self._world.reconciler.hold(frozenset(held))
        self._world.ways_back.hold({str(each): resource for each, resource in held.items()})
        self.schedule.hold(held)
        self.schedule.hint(new, time.monotonic_ns(), "startup")

    # ---- one turn

    def turn(self, until_ns: int) -> list[int]:
        """Sleep until something happens, but no longer than `until_ns`; then do what is due.

        Returns the descriptors of others (signals, the policy's child) that became readable.
        """
        due_ns = self._world.probation.due_ns() if self._jobs_allowed else None
        until_ns = until_ns if due_ns is None else min(until_ns, due_ns)
        readable = self._hearing.sleep(until_ns, self._pass_lock.not_before_ns)
        detected_ns = time.monotonic_ns()
        if self.schedule.next_opening() is not None:
            self.schedule.open_windows(time.time(), detected_ns)
        self._hearing.hear(detected_ns)
        self._watch_services(detected_ns)
        self._sweep()
        self._pass()
        self._hearing.catch_up()
        self.board.counters.overflows = self._hearing.overflows
        return readable

    def job_ended(self, event: JobEnded, now_ns: int) -> None:
        """What the unit owes may be settled by that."""
        applied = self.jobs.ended(event.job, event.result, now_ns)
        if applied is None:
            self._world.probation.interfered(event.unit)
            return
        self.board.counters.service_applies += event.result == "done"
        self._tell(applied)

    def probe_ended(self, event: ProbeEnded, now_ns: int) -> None:
        """There may be news of how its unit does."""
        unit = self._world.probation.answered(event.name, event.why, now_ns)
        if unit is not None:
            self.schedule.hint((service_of(unit),), now_ns)

    def missed(self) -> None:
        """Somebody may have stopped what is on trial."""
        self._world.probation.missed()

    def _watch_services(self, now_ns: int) -> None:
        """Ask what is to be asked, and take up what is held otherwise by what was found."""
        if not self._jobs_allowed:
            return
        probation = self._world.probation
        if self._hearing.told_to_retry:
            self._hearing.told_to_retry = False
            for unit in self._world.take_retries():
                probation.retry(unit, now_ns)
        self.schedule.hint(map(service_of, probation.turn(now_ns)), now_ns)
        if probation.take_moved():
            self._resolve()
            self.schedule.hint_all(now_ns, "retry")

    def _sweep(self) -> None:
        if self.schedule.sweep(time.monotonic_ns()):
            if self._world.watcher is not None:
                self._world.watcher.refresh()
            if self._world.reconciler.obstacles.windows is not None:
                self._world.reconciler.obstacles.windows.read_zones()
            self._resolve()
            self._forget_others()
        elif self._hearing.lost_match or self._resolve_again():
            self._resolve()

    def _resolve_again(self) -> bool:
        """Whether to follow patterns anew that could not be followed to their end."""
        unfinished = self._holdings.trouble is not None
        return unfinished and time.monotonic_ns() >= self._resolve_again_ns

    def _pass(self) -> None:
        now_ns = time.monotonic_ns()
        if now_ns < self._pass_lock.not_before_ns or self.schedule.next_due() > now_ns:
            return
        reports = self._pass_lock.within(lambda: self._reconcile(now_ns), now_ns)
        if reports is not None:
            self._take(reports)

    def _reconcile(self, now_ns: int) -> list[Report]:
        if not self._cleaned:  # with the lock held, no temporary file is in use
            self._world.clean_litter(self._holdings.paths())
            self._cleaned = True
        due = self.schedule.take_due(now_ns)
        held = self._holdings.resources
        # in the order of the policy, which counts for kernel parameters
        batch = [(held[each], due[each]) for each in held if each in due]
        return self._world.reconciler.reconcile(batch, self._world.writer)

    def _take(self, reports: Iterable[Report]) -> None:
        self.board.counters.passes += 1
        now = clock()
        now_ns = time.monotonic_ns()
        for report in reports:
            self.schedule.settle(report, now_ns)
            self._asked.discard(report.resource.id)
            news = self.board.take(report, now)
            if report.is_correction:
                self._time(report)
                if KINDS[report.resource.id.kind].moves_ceilings:
                    self._hearing.lost_match = True  # "max" is another number
                    self.schedule.hint(self._holdings.asking_manager(), now_ns)
            if news:
                self._tell(Reconciled(report))
            if isinstance(report.resource.spec, ServiceSpec) and self._jobs_allowed:
                self._judge(report.resource.spec.unit)
        asked = set(map(service_of, self._world.takeup.take_asked()))
        self._asked |= asked
        self.schedule.hint(asked, now_ns)

    def _judge(self, unit: str) -> None:
        """How the service does on what was changed, now that it has been looked at."""
        again_ns = self._world.probation.look(unit, time.monotonic_ns())
        if again_ns is not None:
            self.schedule.hint((service_of(unit),), again_ns, "retry")

    def tried(self, event: Tried | BreakerMoved) -> None:
        """It is known how a service does on a change, or its breaker has moved for that."""
        if isinstance(event, Tried) and event.outcome == "healthy":
            self.board.healthy.setdefault(event.unit, kept()).append(event.seconds)
        self._tell(event)

    def _time(self, report: Report) -> None:
        took = max(0, report.corrected_ns - report.detected_ns) / 1e9
        change = next(iter(report.drift.changes), None)
        self.board.last = Last(time.strftime("%H:%M:%S"), change, took)
        if not KINDS[report.resource.id.kind].asks_manager:
            self.board.corrected.append(took)

    # ---- how things stand

    def reports(self) -> list[Report]:
        """The last report of every resource, in the order of the policy."""
        entries = self.board.entries
        return [entries[each].report for each in self._holdings.resources if each in entries]

    def troubles(self) -> list[str]:
        """What keeps the loop itself from its work, one sentence each."""
        windows = self._world.reconciler.obstacles.windows
        unreadable = None if windows is None else windows.trouble
        each = (self._holdings.trouble, self._pass_lock.trouble, unreadable)
        return [trouble for trouble in each if trouble is not None]

    def blocked(self) -> bool:
        """Whether a pass is due that another one keeps from beginning."""
        return self._pass_lock.is_held_up

    def owes_nothing(self, unit: str) -> bool:
        """Whether the unit has taken up all that was corrected."""
        return self._world.ledger.owed(unit) is None

    def holds_units(self) -> bool:
        """Whether the policy has anything to do with the service manager."""
        return bool(self._holdings.asking_manager())

    def under_way(self, *, early: bool = False) -> bool:
        """Whether anything is on its way to being corrected, or a job is.

        `early`: only what has to be right before the services that we hold start.
        """
        # A service that was looked at before the file that it reads was corrected is so once more.
        asked = self._jobs_allowed and self._asked & self._holdings.resources.keys()
        if (asked or self.jobs.under_way() or self._world.probation.under_way()) and not early:
            return True
        return any(
            state_of(report) == "correcting"
            for report in self.board.reports()
            if not early or KINDS[report.resource.id.kind].early
        )


def clock(at: float | None = None) -> str:
    """A moment (CLOCK_REALTIME; None: now) as contract and journal write it: UTC, milliseconds."""
    now = time.time() if at is None else at
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"

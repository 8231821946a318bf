"""The loop in miniature, on a fake host: what is due is reconciled, what was started ends.

It has no watcher, no bus and no real time, so that a test decides which hints arrive, and when the
daemon dies. What it shares with the real loop is the schedule and all below it. Jobs are allowed
from the first turn on, and each event is heard, however long it takes.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jada_configd.core.applies import reload_takes_up
from jada_configd.core.facts import Probe
from jada_configd.core.ledger import Ledger
from jada_configd.core.model import Cause, Resource, ResourceId
from jada_configd.core.overlay import overlaid
from jada_configd.core.probes import Question, probe_name
from jada_configd.core.report import BreakerMoved, Report, Tried
from jada_configd.core.resources import resolve, service_of
from jada_configd.core.schedule import GAP_NS, Schedule
from jada_configd.core.specs import Policy, ServiceSpec
from jada_configd.core.windows import Windows
from jada_configd.kinds import KINDS
from jada_configd.probation import Probation
from jada_configd.probing import Probing
from jada_configd.reconcile import Reconciler
from jada_configd.standings import Standings
from jada_configd.takeup import TakeUp
from jada_configd.verdicts import Verdicts
from jada_configd.ways_back import WaysBack
from tests.fake_calendar import FakeCalendar
from tests.fake_host import (
    SCOPE,
    SECOND_NS,
    Died,
    FakeHost,
    FileChanged,
    Job,
    JobEnded,
    Phase,
    ProbeEnded,
    Told,
    UnitChanged,
    UnitsReloaded,
)

BOOT: Final = "boot"
TURN_NS: Final = 50_000  # what one turn takes
MOST_TURNS: Final = 600
JOB_REST_NS: Final = 10 * SECOND_NS
JOB_REST_MOST_NS: Final = 300 * SECOND_NS
STILL_NS: Final = 40 * SECOND_NS


class Questions:
    """A probe for each question, to which the fake host has the answer."""

    def health(self, question: Question, spec: ServiceSpec, since: float) -> Probe:
        name = probe_name(question, spec.unit)
        return Probe(name, spec.unit, (question, f"{since:.3f}"), spec.health.timeout)

    def busy(self, spec: ServiceSpec) -> Probe | None:
        if not isinstance(spec.busy, tuple):
            return None
        return Probe(probe_name("busy", spec.unit), spec.unit, spec.busy, spec.health.timeout)


@dataclass(frozen=True, slots=True)
class Disk:
    """Where verdicts are kept."""

    loop: "FakeLoop"

    def verdicts(self) -> Mapping[str, Any] | None:
        return self.loop.kept_verdicts()

    def save_verdicts(self, plain: Mapping[str, Any]) -> None:
        self.loop.save_verdicts(plain)


class Restless(AssertionError):
    """The host does not come to rest."""


class FakeLoop:
    """A daemon on a fake host. `boot` starts it, also after it died."""

    def __init__(self, host: FakeHost, policy: Policy) -> None:
        self.host = host
        self.policy = policy
        self.calendar = FakeCalendar(host)
        self.disk: dict[str, Any] = {}  # the state directory
        self.keeps_known = True
        self.reports: dict[ResourceId, Report] = {}
        self.history: list[Report] = []
        self.tried: list[Tried | BreakerMoved] = []
        self.boot()

    # ---- start and end

    def boot(self) -> None:
        """A daemon starts; it knows what was kept, and nothing of what is under way."""
        host = self.host
        host.dies_after = None
        host.told.clear()
        host.refusals.clear()  # the daemon's own memory
        self.ledger = host.ledger = Ledger.of(self.disk.get("debts"), self.disk.get("known"), BOOT)
        host.probes.clear()  # who hears of their end is dead
        host.seen.clear()
        self.probing = Probing(
            host, Questions(), lambda: host.seen, lambda unit: self.ledger.owed(unit) is not None
        )
        rounds = self.probing.rounds
        self.takeup = TakeUp(host, self.ledger, self._save, host.keep_before, rounds)
        self.verdicts = Verdicts(Disk(self))
        now, tell = self.calendar.now, self.tried.append
        standings = Standings(self.ledger.trials, self.probing, self.verdicts, tell, now)
        self.ways_back = WaysBack(self.ledger, self.takeup, self.verdicts, now)
        self.probation = Probation(
            host,
            self.ledger,
            self.takeup,
            self.probing,
            self.verdicts,
            standings,
            self.ways_back,
            tell,
        )
        self.probation.at_work = lambda unit: self._last.get(unit) in self._jobs
        host.course_of = self.probation.course
        self.reconciler = Reconciler(
            host,
            self.ledger,
            self.takeup,
            host.clock_ns,
            host.remember,
            self.ways_back.sparing,
        )
        self.schedule = Schedule(sweep_ns=300 * SECOND_NS)
        self._jobs: dict[int, str] = {}  # number and unit
        self._last: dict[str, int] = {}  # by unit
        self._failures: dict[str, int] = {}
        host.accepted = self._job_accepted
        self.reports.clear()
        self.enforce(self.policy, "startup")

    def enforce(self, policy: Policy, cause: Cause = "policy") -> None:
        """Hold this policy from now on."""
        self.policy = policy
        self.takeup.services = {spec.unit: spec for spec in policy.services}
        windows = Windows(policy.windows, self.calendar) if policy.windows else None
        self.reconciler.obstacles.windows = windows
        self.probation.enforce(policy.revision, self.host.now_ns)
        self.reconciler.contests.rule(policy.contested_after, policy.contested_within)
        self._resolve()
        self.reports = {each: told for each, told in self.reports.items() if each in self.resources}
        self._forget_others()
        self.schedule.hint_all(self.host.now_ns, cause)

    def retry(self, unit: str) -> bool:
        """An operator has it tried again."""
        return self.probation.retry(unit, self.host.now_ns)

    def keep_known(self) -> None:
        """Save what is known, as the loop does now and then."""
        if self.keeps_known:
            self.disk["known"] = _stored(self.ledger.known(BOOT))

    def kept_verdicts(self) -> Mapping[str, Any] | None:
        """What is on the disk."""
        return self.disk.get("verdicts")

    def save_verdicts(self, plain: Mapping[str, Any]) -> None:
        """As the state directory does."""
        self.disk["verdicts"] = _stored(dict(plain))
        self.host.effect()

    def _save(self) -> None:
        self.disk["debts"] = _stored(self.ledger.debts(BOOT))
        self.keep_known()
        self.host.effect()

    def _resolve(self) -> None:
        fallbacks = self.verdicts.breakers.fallbacks()
        found = [overlaid(each, fallbacks) for each in resolve(self.policy, self.host, SCOPE)]
        before = getattr(self, "resources", {})
        self.resources: dict[ResourceId, Resource] = {
            each.id: before[each.id] if repr(before.get(each.id)) == repr(each) else each
            for each in found
        }
        self.reconciler.hold(frozenset(self.resources))
        self.schedule.hold(self.resources)
        self.ways_back.hold({str(each): resource for each, resource in self.resources.items()})
        self.schedule.hint(self.resources.keys() - before.keys(), self.host.now_ns, "startup")
        others = [each for each, then in before.items() if self.resources.get(each) is not then]
        self.schedule.hint(others, self.host.now_ns)

    def _forget_others(self) -> None:
        units = frozenset(spec.unit for spec in self.policy.services)
        self.ledger.forget_others(frozenset(map(str, self.resources)), units)

    # ---- turns

    def turn(self) -> list[Report]:
        """Look at what is due, and correct it."""
        self._watch_services()
        now_ns = self.host.now_ns
        self.schedule.open_windows(self.calendar.now(), now_ns)
        due = self.schedule.take_due(now_ns)
        batch = [(each, due[each.id]) for each in self.resources.values() if each.id in due]
        reports = self.reconciler.reconcile(batch, self.host)
        self.host.advance(TURN_NS)
        for report in reports:
            self.schedule.settle(report, self.host.now_ns)
            self.reports[report.resource.id] = report
            if isinstance(report.resource.spec, ServiceSpec):
                self._look_after(report.resource.spec.unit)
        self.history += reports
        asked = self.takeup.take_asked()
        self.schedule.hint(map(service_of, asked), self.host.now_ns)
        if any(
            report.is_correction and KINDS[report.resource.id.kind].moves_ceilings
            for report in reports
        ):
            self._resolve()
            managed = (each for each in self.resources if KINDS[each.kind].asks_manager)
            self.schedule.hint(managed, self.host.now_ns)
        self.keep_known()
        return reports

    def _look_after(self, unit: str) -> None:
        again_ns = self.probation.look(unit, self.host.now_ns)
        if again_ns is not None:
            self.schedule.hint((service_of(unit),), again_ns, "retry")

    def _watch_services(self) -> None:
        now_ns = self.host.now_ns
        self.schedule.hint(map(service_of, self.probation.turn(now_ns)), now_ns)
        if self.probation.take_moved():
            self._resolve()
            self.schedule.hint_all(now_ns, "retry")

    def sweep(self) -> None:
        """Everything is due, whatever was heard."""
        self._resolve()
        self._forget_others()
        self.schedule.hint_all(self.host.now_ns, "sweep")

    def hear(self, told: Iterable[Told] | None = None) -> None:
        """Take in what has happened: all that the host tells, or what a test makes of that."""
        if told is None:
            told = self.host.told
            self.host.told = []
        for each in told:
            match each:
                case FileChanged():
                    self._hint_path(each.path)
                case UnitChanged():
                    self._hint(self._of_unit(each.unit))
                case UnitsReloaded():
                    self._hint(each for each in self.resources if KINDS[each.kind].asks_manager)
                case JobEnded():
                    self._judge(each.job, each.result)
                    self._hint(self._of_unit(each.job.unit))
                case ProbeEnded():
                    unit = self.probation.answered(each.name, each.why, self.host.now_ns)
                    self._hint(() if unit is None else (service_of(unit),))

    def settle(self) -> list[Report]:
        """Turn until nothing happens any more: what is due is done, what was started ends.

        Time passes until nothing has been changed for `STILL_NS`, so that what is tried again and
        again has had its chances. Raises `Restless` where that does not end.
        """
        host = self.host
        effects, until_ns = host.effects, host.now_ns + STILL_NS
        for _ in range(MOST_TURNS):
            if host.effects != effects:
                effects, until_ns = host.effects, host.now_ns + STILL_NS
            if not self._goes_on(until_ns):
                return list(self.reports.values())
        raise Restless([str(each) for each in self.reports.values()])

    def live(self, nanoseconds: int) -> None:
        """Let that much time pass, whether it comes to rest or not."""
        until_ns = self.host.now_ns + nanoseconds
        turns = MOST_TURNS + nanoseconds // SECOND_NS  # who looks more often spins
        while self._goes_on(until_ns):
            turns -= 1
            if turns < 0:
                raise Restless([str(each) for each in self.reports.values()])
        self.host.advance(max(0, until_ns - self.host.now_ns))

    def _goes_on(self, until_ns: int) -> bool:
        """Do the next thing that there is to do before that moment; whether there is any."""
        host = self.host
        self.hear()
        self.schedule.open_windows(self.calendar.now(), host.now_ns)
        self._watch_services()
        due_ns = min((at for at, _ in self.schedule._due.values()), default=until_ns)
        jobs = [job for job in host.jobs if job.phase is not Phase.HANGING]
        moments = (due_ns, self.probation.due_ns(), host.next_ns())
        next_ns = min(each for each in moments if each is not None)
        opens = self.schedule.next_opening()
        if opens is not None:
            next_ns = min(next_ns, host.now_ns + (opens - self.calendar.now()) * SECOND_NS)
        if due_ns <= host.now_ns:
            self.turn()
        elif host.reloads:
            host.finish_reload()
        elif jobs:
            host.step_job(jobs[0])
            host.advance(GAP_NS)  # there is time to look at each step
        elif next_ns >= until_ns:
            return False
        else:
            host.advance(max(0, next_ns - host.now_ns))
        return True

    def settle_or_die(self, effects: int) -> bool:
        """The same, but killed after so many effects; whether it was."""
        self.host.effects = 0
        self.host.dies_after = effects
        try:
            self.settle()
        except Died:
            return True
        finally:
            self.host.dies_after = None
        return False

    # ---- hints

    def _hint(self, resources: Iterable[ResourceId]) -> None:
        self.schedule.hint(resources, self.host.now_ns)

    def _hint_path(self, path: str) -> None:
        known = [
            each.id
            for each in self.resources.values()
            if path in KINDS[each.id.kind].watches(each.spec)
        ]
        if known:
            self._hint(known)
        else:
            self._resolve()

    def _of_unit(self, unit: str) -> list[ResourceId]:
        return [
            each.id
            for each in self.resources.values()
            if unit in KINDS[each.id.kind].units(each.spec)
        ]

    def _job_accepted(self, job: Job) -> None:
        self._jobs[job.number] = job.unit
        self._last[job.unit] = job.number
        self.ledger.pacing.applied(job.unit, job.how, self.host.now_ns)
        self.probation.begun(job.unit, job.how, self.host.now_ns)
        self.takeup.save()
        self.reconciler.obstacles.at_work.add(service_of(job.unit))

    def _judge(self, job: Job, result: str) -> None:
        if job.number not in self._jobs:
            self.probation.interfered(job.unit)
            return
        service = service_of(job.unit)
        del self._jobs[job.number]
        if result == "canceled":
            self.probation.interfered(job.unit)
        if self._last.get(job.unit) not in self._jobs:
            self.reconciler.obstacles.at_work.discard(service)
        if result != "done":
            failures = self._failures.get(job.unit, 0)
            self._failures[job.unit] = failures + 1
            rest_ns = min(JOB_REST_NS << min(failures, 10), JOB_REST_MOST_NS)
            self.reconciler.obstacles.resting[service] = self.host.now_ns + rest_ns
            return
        self._failures.pop(job.unit, None)
        self.reconciler.obstacles.resting.pop(service, None)
        if job.how == "reload":
            spec = self.takeup.services[job.unit]
            owed = self.ledger.owed(job.unit)
            takes_up = reload_takes_up(spec, owed.fields if owed else ())
            self.ledger.reloaded(job.unit, job.begun_ns, takes_up=takes_up)
        else:
            self.ledger.restarted(job.unit, job.begun_ns)
        self.takeup.save()


def _stored(plain: dict[str, Any]) -> dict[str, Any]:
    """What is written and read again."""
    return json.loads(json.dumps(plain))  # type: ignore[no-any-return]

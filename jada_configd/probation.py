"""Services on probation: how each does on what was changed, and what follows from that.

What a trial is, and when it has come to an end, is `core/trial.py`'s; its probes are asked by
`probing.py`. Here a verdict becomes a deed: the change stands, or what stood before comes back and
the revision is not tried again. How services do outside of trials is `standings.py`'s.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from jada_configd.core.course import Before, Course
from jada_configd.core.ledger import Ledger
from jada_configd.core.marks import Mark
from jada_configd.core.model import Field, Resource
from jada_configd.core.report import Outcome, Tried
from jada_configd.core.resources import services_of
from jada_configd.core.seams import Reader, UnitFact
from jada_configd.core.specs import ServiceSpec
from jada_configd.core.staleness import first_started_ns, runs
from jada_configd.core.trial import (
    Healthy,
    Over,
    Pending,
    Trial,
    Unhealthy,
    Verdict,
    identity,
    is_up,
    judge,
    seen,
)
from jada_configd.errors import HostError
from jada_configd.probing import Probing
from jada_configd.standings import Standings
from jada_configd.takeup import TakeUp
from jada_configd.verdicts import Verdicts

NEVER_NS: Final = 1 << 62
ASKED_AT_MOST_NS: Final = 30_000_000_000  # then a service is not known to have been healthy


class Probation:
    """Judges, and remembers what follows. The loop calls `look` after each look at a service."""

    def __init__(  # noqa: PLR0913, PLR0917 - those that it asks, and those that it tells
        self,
        reader: Reader,
        ledger: Ledger,
        takeup: TakeUp,
        probing: Probing,
        verdicts: Verdicts,
        standings: Standings,
        tell: Callable[[Tried], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        """`tell` hears how each trial has ended.

        `now` is the wall clock (CLOCK_REALTIME, seconds), for people to read.
        """
        self._now = now
        self._reader = reader
        self._ledger = ledger
        self._takeup = takeup
        self._probing = probing
        self._verdicts = verdicts
        self._standings = standings
        self._tell = tell
        # Units of which somebody else's job has ended lately, or may have before we listened.
        self._stopped = set(ledger.trials.units())
        self._resources: Mapping[str, Resource] = {}
        self.at_work: Callable[[str], bool] = lambda _: False
        self.hears: Callable[[], bool] = lambda: True  # of jobs that are none of ours
        self._moved = False  # what is to be held is another than before
        self._revision = ""

    # ---- what is held

    def enforce(self, revision: str, now_ns: int) -> None:
        """This revision of the policy is in force from now on, with the services of `takeup`."""
        specs = self._takeup.services
        self._revision = revision
        self._standings.enforce(specs, revision, now_ns)
        if self._verdicts.marks.keep_to(revision):
            self._verdicts.changed = True
            for unit in self._ledger.trials.units():
                self._supersede(unit)
        self._probing.serve(specs)
        self._save()

    def hold(self, resources: Mapping[str, Resource]) -> None:
        """These are the resources from now on, by their ids in words."""
        self._resources = resources

    def sparing(self, resource: str) -> tuple[frozenset[Field] | None, str] | None:
        """What of a resource is left as it is, because a service did not bear it."""
        found = self._verdicts.marks.sparing(resource)
        if found is None:
            return None
        mark, fields = found
        if self._verdicts.breakers.holds_fallback(mark.unit):
            return None
        return fields, mark.sentence()

    # ---- what there is to know

    def course(self, unit: str) -> Course:
        """How the unit does on what was changed."""
        spec, trial = self._takeup.services.get(unit), self._ledger.trials.of(unit)
        mark = self._verdicts.marks.of(unit)
        course = Course(
            taken_back=mark.sentence() if mark else None,
            in_place=self._standings.in_place(unit),
            busy=self._probing.busy(unit),
        )
        if spec is None or trial is None:
            return replace(course, ailment=self._standings.ailment(unit))
        if trial.purpose != "change" and not trial.begun_ns:
            back_to = self._back_to(unit) if trial.purpose == "way back" else ()
            return replace(course, goes_back=True, back_to=back_to)
        if not trial.begun_ns:
            asks = trial.sound is None and spec.health.probes
            return replace(course, asks=asks, ailment=self._standings.ailment(unit))
        return replace(course, awaits=f"{unit} to be healthy for {spec.health.stable:g} s")

    def under_way(self) -> list[str]:
        """What is being watched: `jada-agent.service is being watched`."""
        trials = (self._ledger.trials.of(unit) for unit in self._ledger.trials.units())
        return [
            f"{trial.unit} is watched until it is known to be healthy"
            for trial in trials
            if trial is not None and (trial.begun_ns or trial.purpose != "change")
        ]

    def _back_to(self, unit: str) -> tuple[Before, ...]:
        """What stood in the files that this unit reads, as far as there is a way back to it."""
        return tuple(
            each
            for each in self._ledger.trials.befores()
            if (resource := self._resources.get(each.resource)) and unit in services_of(resource)
        )

    # ---- what has happened

    def begun(self, unit: str, how: str, now_ns: int) -> None:
        """A job of ours was accepted: the change is being taken up."""
        trial = self._ledger.trials.of(unit)
        self._stopped.discard(unit)
        if trial is None:
            return
        if trial.purpose == "way back" and how == "start":
            self._put_back(unit, now_ns)
        self._ledger.trials.put(trial.begin(now_ns, self._standings.restarts(unit)))

    def interfered(self, unit: str) -> None:
        """A job of somebody else's on this unit has ended."""
        self._stopped.add(unit)

    def missed(self) -> None:
        """What happened lately was not heard."""
        self._stopped.update(self._ledger.trials.units())

    def answered(self, probe: str, why: str, now_ns: int) -> str | None:
        """A probe has ended, well (`why` "") or so; the unit that there is news of, or None."""
        return self._probing.ended(probe, why, now_ns)

    def turn(self, now_ns: int) -> list[str]:
        """Ask what is to be asked now; the units that there is news of."""
        self._standings.turn(now_ns)
        self._save()
        return self._probing.turn(now_ns)

    def due_ns(self) -> int:
        """When `turn` has something to do."""
        due = (self._probing.due_ns(), self._standings.due_ns())
        return min((each for each in due if each is not None), default=NEVER_NS)

    def retry(self, unit: str, now_ns: int) -> bool:
        """An operator says that it be tried again; whether there was anything to try."""
        unmarked = self._verdicts.marks.remove(unit)
        half_open = self._standings.retry(unit, now_ns)
        if not (half_open or unmarked):
            return False
        self._verdicts.changed |= unmarked
        if not self._supersede(unit):
            self._close(unit)
        self._probing.forget(unit)
        self._moved = True
        self._save()
        return True

    def take_moved(self) -> bool:
        """Whether what is to be held is another since the last call, or is to be tried again."""
        moved, self._moved = self._moved, False
        return self._standings.take_moved() or moved

    def look(self, unit: str, now_ns: int) -> int | None:
        """Judge a unit that was just looked at; when to look at it again, None: whenever."""
        spec = self._takeup.services.get(unit)
        try:
            fact = self._reader.unit(unit)
        except HostError:
            return None
        if spec is None:
            return None
        self._ledger.pacing.see(fact, now_ns)
        again_ns = self._judged(spec, fact, now_ns)
        standing_ns = self._standings.look(spec, fact, now_ns)
        self._save()
        moments = [each for each in (again_ns, standing_ns) if each is not None]
        return min(moments, default=None)

    # ---- trials

    def _judged(self, spec: ServiceSpec, fact: UnitFact, now_ns: int) -> int | None:
        trial = self._ledger.trials.of(spec.unit)
        if trial is None:
            return None
        if not trial.begun_ns:
            trial = self._not_begun(spec, fact, trial, now_ns)
            if trial is None or not trial.begun_ns:
                return None
        trial = seen(trial, fact, now_ns)
        self._ledger.trials.put(trial)
        last = self._probing.rounds.get(spec.unit)
        verdict = judge(
            trial,
            spec.health,
            fact,
            last,
            now_ns,
            at_work=self.at_work(spec.unit),
            # What nobody told of may have been: no service is started that somebody has stopped.
            stopped=spec.unit in self._stopped or not self.hears(),
        )
        return self._act_on(spec, fact, trial, verdict, now_ns)

    def _not_begun(
        self, spec: ServiceSpec, fact: UnitFact, trial: Trial, now_ns: int
    ) -> Trial | None:
        """Before a job of ours: how it does as it is, or a start that was not ours."""
        if trial.purpose != "change":
            return None
        if self._ledger.owed(spec.unit) is None:
            if not runs(fact):
                self._over(trial, "it does not run")
                return None
            return trial.begin(first_started_ns(fact) or now_ns, fact.restarts)
        if trial.sound is None:
            sound = self._soundness(spec, fact, now_ns, trial)
            if sound is not None:
                trial = replace(trial, sound=sound)
                self._ledger.trials.put(trial)
        return trial

    def _soundness(
        self, spec: ServiceSpec, fact: UnitFact, now_ns: int, trial: Trial
    ) -> bool | None:
        last = self._probing.rounds.get(spec.unit)
        if last is not None and last.main == identity(fact):
            return last.passed
        if not is_up(fact) or now_ns > trial.found_ns + ASKED_AT_MOST_NS:
            return False
        self._probing.ask(spec.unit, now_ns)
        return None

    def _act_on(
        self, spec: ServiceSpec, fact: UnitFact, trial: Trial, verdict: Verdict, now_ns: int
    ) -> int | None:
        match verdict:
            case Pending():
                if verdict.asks:
                    self._probing.ask(spec.unit, now_ns)
                return verdict.again_ns
            case Healthy():
                self._healthy(spec, trial, now_ns)
            case Unhealthy():
                self._unhealthy(spec, fact, trial, verdict.why, now_ns)
            case Over():
                self._over(trial, verdict.why)
        return now_ns

    def _healthy(self, spec: ServiceSpec, trial: Trial, now_ns: int) -> None:
        self._close(spec.unit)
        self._standings.well(spec.unit)
        self._standings.result(spec.unit, None, now_ns)
        if trial.purpose == "way back":
            self._ended_back(trial, now_ns, well=True)
            return
        self._tell(_tried(trial, "healthy", "", now_ns))

    def _unhealthy(
        self, spec: ServiceSpec, fact: UnitFact, trial: Trial, why: str, now_ns: int
    ) -> None:
        self._probing.forget(spec.unit)
        if trial.purpose == "way back":
            self._close(spec.unit)
            self._standings.ail(fact, f"{spec.unit} is not healthy on what came back either: {why}")
            self._ended_back(trial, now_ns, well=False, why=why)
            self._standings.result(spec.unit, why, now_ns)
            return
        back_to = self._back_to(spec.unit)
        if (
            spec.on_unhealthy == "keep"
            or self._standings.has_moved(spec.unit)
            or not (trial.stale and trial.sound and back_to)
        ):
            self._close(spec.unit)
            self._standings.ail(fact, f"{spec.unit} did not become healthy on a change: {why}")
            self._tell(_tried(trial, "unhealthy", why, now_ns))
            self._standings.result(spec.unit, why, now_ns)
            return
        # Kept before any file goes back: whoever starts from here on must not correct it again.
        self._verdicts.marks.put(
            Mark(spec.unit, self._revision, why, self._now(), _spared(back_to))
        )
        self._verdicts.changed = True
        self._save()
        self._ledger.settle(spec.unit)
        way_back = replace(trial, purpose="way back", begun_ns=0, why=why, stale=False)
        self._ledger.trials.put(way_back)
        self._moved = True

    def _put_back(self, unit: str, now_ns: int) -> None:
        """What others read too they have to take up as it is now."""
        fields = ("",)
        for before in self._back_to(unit):
            for other in services_of(self._resources[before.resource]):
                spec = self._takeup.services.get(other)
                if other != unit and spec is not None:
                    self._takeup.also(spec, fields, now_ns)

    def _ended_back(self, trial: Trial, now_ns: int, *, well: bool, why: str = "") -> None:
        self._verdicts.marks.ended(trial.unit, well=well)
        self._verdicts.changed = True
        told = _tried(trial, "rolled-back", trial.why, now_ns)
        self._tell(replace(told, well=well, beside=why))
        self._moved = True

    def _over(self, trial: Trial, why: str) -> None:
        self._close(trial.unit)
        if trial.purpose == "way back":
            told = _tried(trial, "rolled-back", trial.why, trial.found_ns)
            self._tell(replace(told, beside=why))

    def _supersede(self, unit: str) -> bool:
        """What a unit goes back from is held no more; whether it was on its way."""
        trial = self._ledger.trials.of(unit)
        if trial is None or trial.purpose != "way back":
            return False
        self._ledger.trials.put(trial.superseded())
        return True

    def _close(self, unit: str) -> None:
        self._ledger.trials.close(unit)
        for before in self._back_to(unit):
            self._takeup.forget_before(self._resources[before.resource])
            self._moved = True  # what stands there is good by now, or is not to be held
        self._stopped.discard(unit)

    def _save(self) -> None:
        self._takeup.save()
        self._verdicts.save()


def _spared(back_to: tuple[Before, ...]) -> dict[str, frozenset[Field] | None]:
    """The fields that go back, by resource; of a drop-in all, and what processes have of it."""
    spared: dict[str, frozenset[Field] | None] = {}
    for before in back_to:
        fields = None if before.whole else frozenset(field for field, _ in before.values)
        spared[before.resource] = fields
        kind, _, name = before.resource.partition(":")
        if kind == "unit-dropin":
            spared[f"process-limits:{name}"] = None
    return spared


def _tried(trial: Trial, outcome: Outcome, why: str, now_ns: int) -> Tried:
    took = max(0, now_ns - trial.found_ns) / 1e9
    return Tried(trial.unit, outcome, why, trial.fields, took)

"""Services on probation: how each does on what was changed, and what follows from that.

What a trial is, and when it has come to an end, is `core/trial.py`'s; its probes are asked by
`probing.py`. Here a verdict becomes a deed: the change stands, or what stood before comes back, of
which `ways_back.py` keeps account. How services do outside of trials is `standings.py`'s.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from jada_configd.core.course import Course
from jada_configd.core.facts import UnitFact
from jada_configd.core.ledger import Ledger
from jada_configd.core.report import Outcome, Tried
from jada_configd.core.seams import Reader
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
from jada_configd.ways_back import WaysBack

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
        ways_back: WaysBack,
        tell: Callable[[Tried], None],
    ) -> None:
        """`tell` hears how each trial has ended."""
        self._reader = reader
        self._ledger = ledger
        self._takeup = takeup
        self._probing = probing
        self._verdicts = verdicts
        self._standings = standings
        self._ways_back = ways_back
        self._tell = tell
        # Units of which somebody else's job has ended lately, or may have before we listened.
        self._stopped = set(ledger.trials.units())
        self.at_work: Callable[[str], bool] = lambda _: False
        self.hears: Callable[[], bool] = lambda: True  # of jobs that are none of ours
        self._moved = False  # what is to be held is another than before
        self._hung: set[str] = set()  # units that do not end a start on what was corrected since
        self._retried: set[str] = set()  # units to be tried again once they have gone back
        self._revision = ""

    # ---- what is held

    def enforce(self, revision: str, now_ns: int) -> None:
        """This revision of the policy is in force from now on, with the services of `takeup`."""
        specs = self._takeup.services
        self._standings.enforce(specs, revision, now_ns)
        self._revision = revision
        # A way back comes to its end first: what comes next is tried on a service that runs.
        going_back = frozenset(unit for unit in specs if self._goes_back(unit))
        self._ways_back.keep_to(revision, going_back)
        self._probing.serve(specs)
        self._save()

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
            back_to = self._ways_back.to(unit) if trial.purpose == "way back" else ()
            return replace(course, goes_back=True, back_to=back_to)
        if not trial.begun_ns:
            asks = trial.sound is None and spec.health.probes
            ailment, hung = self._standings.ailment(unit), unit in self._hung
            return replace(course, asks=asks, ailment=ailment, hung=hung)
        return replace(course, awaits=f"{unit} to be healthy for {spec.health.stable:g} s")

    def under_way(self) -> list[str]:
        """What is on trial, one sentence each: `jada-agent.service is watched until ...`."""
        trials = (self._ledger.trials.of(unit) for unit in self._ledger.trials.units())
        return [
            f"{trial.unit} is watched until it is known to be healthy"
            for trial in trials
            if trial is not None and (trial.begun_ns or trial.purpose != "change")
        ]

    # ---- what has happened

    def begun(self, unit: str, how: str, now_ns: int) -> None:
        """A job of ours was accepted: the change is being taken up."""
        trial = self._ledger.trials.of(unit)
        self._stopped.discard(unit)
        self._hung.discard(unit)
        if trial is None:
            return
        if trial.purpose == "way back" and how == "start":
            self._ways_back.begun(unit, now_ns)
        self._ledger.trials.put(trial.begin(now_ns, self._standings.restarts(unit), self._revision))

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

    def due_ns(self) -> int | None:
        """When `turn` has something to do."""
        due = (self._probing.due_ns(), self._standings.due_ns())
        return min((each for each in due if each is not None), default=None)

    def retry(self, unit: str, now_ns: int) -> bool:
        """An operator says that it be tried again; whether there was anything to try."""
        if self._goes_back(unit):
            self._retried.add(unit)
            return True
        unmarked = self._ways_back.unmark(unit)
        half_open = self._standings.retry(unit, now_ns)
        if not (half_open or unmarked):
            return False
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
            since_ns = fact.activating_since_ns
            if fact.active_state == "failed" and since_ns > trial.found_ns:
                # It has started on the change and is down again, before anybody looked.
                return trial.begin(since_ns, fact.restarts, self._revision)
            if not runs(fact):
                self._over(trial, "it does not run", now_ns)
                return None
            return trial.begin(first_started_ns(fact) or now_ns, fact.restarts, self._revision)
        if _hangs(spec, fact, trial, now_ns):
            self._hung.add(spec.unit)
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
        if last is not None and last.main == identity(fact) and last.tells is not None:
            return last.tells
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
                self._over(trial, verdict.why, now_ns)
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
        tried_once = trial.purpose == "fallback" or self._standings.is_unclosed(spec.unit)
        if (
            spec.on_unhealthy == "keep"
            or tried_once
            or not (trial.stale and trial.sound and self._ways_back.to(spec.unit))
        ):
            self._close(spec.unit)
            self._standings.ail(fact, f"{spec.unit} did not become healthy on a change: {why}")
            self._tell(_tried(trial, "unhealthy", why, now_ns))
            self._standings.result(spec.unit, why, now_ns)
            return
        # Kept before any file goes back: whoever starts from here on must not correct it again.
        self._ways_back.mark(spec.unit, why, trial.revision)
        self._save()
        self._ledger.settle(spec.unit)
        way_back = replace(trial, purpose="way back", begun_ns=0, why=why, stale=False)
        self._ledger.trials.put(way_back)
        self._moved = True

    def _ended_back(self, trial: Trial, now_ns: int, *, well: bool, why: str = "") -> None:
        self._ways_back.ended(trial.unit, well=well)
        told = _tried(trial, "rolled-back", trial.why, now_ns)
        self._tell(replace(told, well=well, beside=why))
        self._moved = True
        self._go_on(trial.unit, now_ns)

    def _over(self, trial: Trial, why: str, now_ns: int) -> None:
        self._close(trial.unit)
        if trial.purpose == "way back":
            told = _tried(trial, "rolled-back", trial.why, trial.found_ns)
            self._tell(replace(told, beside=why))
            self._go_on(trial.unit, now_ns)

    def _goes_back(self, unit: str) -> bool:
        trial = self._ledger.trials.of(unit)
        return trial is not None and trial.purpose == "way back"

    def _go_on(self, unit: str, now_ns: int) -> None:
        """What has come while the unit was going back: another policy, or an operator's word."""
        mark = self._verdicts.marks.of(unit)
        if unit in self._retried or (mark is not None and mark.revision != self._revision):
            self._retried.discard(unit)
            self.retry(unit, now_ns)

    def _close(self, unit: str) -> None:
        self._ledger.trials.close(unit)
        if self._ways_back.to(unit):
            self._ways_back.forget(unit)
            self._moved = True  # what stands there is good by now, or is not to be held
        self._stopped.discard(unit)

    def _save(self) -> None:
        self._takeup.save()
        self._verdicts.save()


def _hangs(spec: ServiceSpec, fact: UnitFact, trial: Trial, now_ns: int) -> bool:
    """Whether a start gets nowhere that began after what is on trial was found to be wrong.

    What has been corrected since is not kept waiting for it: it may be the very cure.
    """
    since_ns = fact.activating_since_ns
    late_ns = since_ns + int(spec.health.within * 1e9)
    return fact.active_state == "activating" and trial.found_ns < since_ns and late_ns <= now_ns


def _tried(trial: Trial, outcome: Outcome, why: str, now_ns: int) -> Tried:
    took = max(0, now_ns - trial.found_ns) / 1e9
    return Tried(trial.unit, outcome, why, trial.fields, took)

"""How services do when nothing is on trial: ends that nobody asked for, probes asked by the clock.

What is found is a result for the breaker of a service that has a fallback; one that opens has other
values held, and a unit that has failed started on them.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from jada_configd.core.breaker import State, held_in_place
from jada_configd.core.facts import UnitFact
from jada_configd.core.report import BreakerMoved
from jada_configd.core.specs import ServiceSpec
from jada_configd.core.trial import Identity, Trial, identity, is_up
from jada_configd.core.trials import Trials
from jada_configd.probing import Probing
from jada_configd.verdicts import Verdicts

REVIVED_AFTER_NS: Final = 1_000_000_000  # by then its files have the fallback's values


@dataclass(slots=True)
class _Standing:
    """One service: what was last seen of it."""

    main: Identity = (0, 0)
    since_ns: int = 0
    restarts: int = 0
    failed: bool = False
    ailment: str | None = None  # why it is not healthy, as far as that is not for its probes to say
    heard_ns: int = 0  # the result that was last taken into account
    half_open_ns: int = 0  # when the policy's values were last to be tried
    revive_ns: int | None = None  # when it may start on its fallback, should it have failed

    def see(self, fact: UnitFact, now_ns: int) -> bool:
        """Take note of a look; whether its main process has ended by itself since the last."""
        failed = fact.active_state == "failed"
        crashed = fact.restarts > self.restarts or (failed and not self.failed)
        known = self.main != (0, 0)
        self.restarts, self.failed = fact.restarts, failed
        if identity(fact) != self.main or not is_up(fact):
            self.main = identity(fact) if is_up(fact) else (0, 0)
            self.since_ns = now_ns
        if fact.active_state == "inactive":
            self.ailment = None  # it was stopped, or is done
        return crashed and known


class Standings:
    """By unit. Who judges trials says beside what came of them (`result`, `ail`, `well`)."""

    def __init__(
        self,
        trials: Trials,
        probing: Probing,
        verdicts: Verdicts,
        tell: Callable[[BreakerMoved], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        """`tell` hears each move of a breaker; `now` is CLOCK_REALTIME, seconds."""
        self._trials = trials
        self._probing = probing
        self._verdicts = verdicts
        self._tell = tell
        self._now = now
        self._specs: Mapping[str, ServiceSpec] = {}
        self._standing: dict[str, _Standing] = {}
        self._moved = False

    def enforce(self, specs: Mapping[str, ServiceSpec], revision: str, now_ns: int) -> None:
        """These are the services from now on, by this revision of the policy."""
        self._specs = specs
        fallbacks = {unit: spec.fallback for unit, spec in specs.items() if spec.fallback}
        for unit in self._verdicts.breakers.hold(fallbacks, revision, now_ns, self._now()):
            self._tell(BreakerMoved(unit, "closed", "the policy has changed"))
        self._standing = {unit: each for unit, each in self._standing.items() if unit in specs}

    # ---- what there is to know

    def ailment(self, unit: str) -> str | None:
        """Why a service is not healthy, where there is more to say than systemd does."""
        standing, last = self._standing.get(unit, _Standing()), self._probing.rounds.get(unit)
        if last is not None and last.failures and last.main == standing.main:
            return f"{unit} is not healthy: {'; '.join(last.failures)}"
        return standing.ailment

    def is_healthy(self, fact: UnitFact) -> bool | None:
        """Whether a service is healthy, None where that is not known yet."""
        spec, trial = self._specs.get(fact.name), self._trials.of(fact.name)
        if not is_up(fact) or self.ailment(fact.name) is not None:
            return False
        if trial is not None and trial.begun_ns:
            return None
        if spec is None or not spec.health.probes:
            return True
        last = self._probing.rounds.get(fact.name)
        passed = last is not None and last.main == identity(fact) and last.passed
        return True if passed else None

    def in_place(self, unit: str) -> str | None:
        """That a fallback is held for a service, and why."""
        breaker = self._verdicts.breakers.status(unit)
        if breaker is None or breaker["state"] != "open":
            return None
        return held_in_place(unit, breaker["why"])

    def is_unclosed(self, unit: str) -> bool:
        """Whether its breaker is open or half-open: what fails then goes to the fallback."""
        return self._verdicts.breakers.state(unit) in ("open", "half-open")

    def restarts(self, unit: str) -> int:
        """What `NRestarts` was when it was last looked at."""
        return self._standing_of(unit).restarts

    # ---- what has happened

    def turn(self, now_ns: int) -> None:
        """Breakers whose time has come."""
        for unit in self._verdicts.breakers.turn(now_ns, self._now()):
            self._half_open(unit, now_ns, "its time has come")

    def due_ns(self) -> int | None:
        """When `turn` has something to do."""
        return self._verdicts.breakers.next_due_ns()

    def retry(self, unit: str, now_ns: int) -> bool:
        """An operator says that the policy's values be tried; whether others were held."""
        known = self._standing_of(unit)
        revive_ns, half_open_ns = known.revive_ns, known.half_open_ns
        self._standing[unit] = _Standing(half_open_ns=half_open_ns, revive_ns=revive_ns)
        if not self._verdicts.breakers.retry(unit, self._now()):
            return False
        self._half_open(unit, now_ns, "an operator says so")
        return True

    def take_moved(self) -> bool:
        """Whether other values are to be held since the last call."""
        moved, self._moved = self._moved, False
        return moved

    def well(self, unit: str) -> None:
        """A trial has found the service healthy."""
        self._standing_of(unit).ailment = None

    def ail(self, fact: UnitFact, why: str) -> None:
        """A trial has found it not to be, until it has run for long enough."""
        standing = self._standing_of(fact.name)
        standing.ailment = why
        standing.since_ns, standing.main = 0, (0, 0)
        standing.restarts, standing.failed = fact.restarts, fact.active_state == "failed"

    def result(self, unit: str, problem: str | None, now_ns: int) -> None:
        """One more result for its breaker; None is healthy."""
        state = self._verdicts.breakers.result(unit, problem, now_ns, self._now())
        if state is None:
            return
        if state == "open":
            self._standing_of(unit).revive_ns = now_ns + REVIVED_AFTER_NS
        self._move(unit)
        self._tell(self._breaker_moved(unit, state, problem))

    def look(self, spec: ServiceSpec, fact: UnitFact, now_ns: int) -> int | None:
        """The service was looked at just now; when to look again, None: whenever."""
        standing = self._standing_of(spec.unit)
        crashed = standing.see(fact, now_ns)
        if self._trials.of(spec.unit) is not None or not self._counts(spec.unit, fact):
            return None
        if crashed:
            self.result(spec.unit, _end(fact), now_ns)
            standing.heard_ns = now_ns
        if standing.failed and spec.fallback is not None:
            return self._fails(spec, fact, standing, now_ns)
        if not is_up(fact):
            return None
        stable_ns = standing.since_ns + int(spec.health.stable * 1e9)
        if now_ns < stable_ns:
            return stable_ns if standing.ailment or spec.fallback else None
        ailed = standing.ailment is not None
        self._stable(spec, standing, now_ns)
        return now_ns if ailed and standing.ailment is None else None  # it was told to be ailing

    def _stable(self, spec: ServiceSpec, standing: _Standing, now_ns: int) -> None:
        """It has run for long enough: that is a result, or what its probes say since."""
        last = self._probing.rounds.get(spec.unit)
        if not spec.health.probes:
            standing.ailment = None
            self.result(spec.unit, None, now_ns)
        elif last is not None and last.main == standing.main and last.ended_ns != standing.heard_ns:
            standing.heard_ns = last.ended_ns
            standing.ailment = None
            if last.passed or last.failures:
                self.result(spec.unit, "; ".join(last.failures) or None, now_ns)

    def _fails(
        self, spec: ServiceSpec, fact: UnitFact, standing: _Standing, now_ns: int
    ) -> int | None:
        """A unit that stays failed is found so each time, and is started once it may fall back."""
        if self._verdicts.breakers.holds_fallback(spec.unit):
            if standing.revive_ns is None or now_ns < standing.revive_ns:
                return standing.revive_ns
            standing.revive_ns = None
            self._trials.put(Trial(spec.unit, "fallback", now_ns, stale=False, sound=False))
            return now_ns
        due_ns = standing.heard_ns + int(spec.health.every * 1e9)
        if now_ns >= due_ns:
            standing.heard_ns = now_ns
            self.result(spec.unit, f"it has failed ({fact.result})", now_ns)
            return now_ns
        return due_ns

    def _counts(self, unit: str, fact: UnitFact) -> bool:
        """Whether what runs is on the values that a half-open breaker has tried."""
        if self._verdicts.breakers.state(unit) != "half-open":
            return True
        return identity(fact)[1] > self._standing_of(unit).half_open_ns

    def _standing_of(self, unit: str) -> _Standing:
        return self._standing.setdefault(unit, _Standing())

    def _half_open(self, unit: str, now_ns: int, why: str) -> None:
        self._standing_of(unit).half_open_ns = now_ns
        self._move(unit)
        self._tell(BreakerMoved(unit, "half-open", why))

    def _breaker_moved(self, unit: str, state: State, problem: str | None) -> BreakerMoved:
        fallback = self._specs[unit].fallback
        retry = fallback.retry if fallback is not None and state == "open" else None
        return BreakerMoved(unit, state, problem or "it is healthy on what the policy says", retry)

    def _move(self, unit: str) -> None:
        self._probing.forget(unit)
        self._moved = True


def _end(fact: UnitFact) -> str:
    """What ended; how is not known any more where systemd has started the next one."""
    return " with ".join(filter(None, ("its main process ended", fact.ended)))

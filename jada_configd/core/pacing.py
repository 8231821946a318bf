"""The pace of applies: whether a job for a unit may be begun now, and if not, until when and why.

Asked after each look, with the unit and its debt as they are then. What is remembered is by unit:
when a job of ours was last accepted, what starts there were (`core/starts.py`), and since when a
restart waits for a busy service. Whether one is busy is found out elsewhere, and only where it has
to be known. All moments are CLOCK_MONOTONIC in nanoseconds.
"""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from jada_configd.core.actions import How
from jada_configd.core.facts import Owed, UnitFact
from jada_configd.core.specs import ServiceSpec
from jada_configd.core.starts import Starts, most_starts, whole
from jada_configd.core.wording import count, seconds

_SECOND_NS: Final = 1_000_000_000
ASIDE_NS: Final = 3600 * _SECOND_NS  # what is given up is asked again by the next correction


@dataclass(frozen=True, slots=True)
class Wait:
    """Not yet: `until_ns` is when to ask again.

    `sentence` says why, and says the same for as long as it waits. `gives_up`: it was busy for too
    long, and the policy has it left alone then.
    """

    sentence: str
    until_ns: int
    gives_up: bool = False


@dataclass(slots=True)
class _Drain:
    """A restart waits for a busy service: the debt's first correction, and since when it does."""

    debt_ns: int
    since_ns: int


@dataclass(slots=True)
class _Unit:
    """What is remembered of one unit."""

    starts: Starts = field(default_factory=Starts)
    can_reload: bool = False
    applied_ns: int | None = None
    drain: _Drain | None = None
    given_up_ns: int | None = None  # the last correction of the debt that was given up


class Pacing:
    """What the pace of applies hangs on, by unit; `changed` says that it is worth saving."""

    def __init__(self) -> None:
        self._units: dict[str, _Unit] = {}
        self.changed = False

    def see(self, fact: UnitFact, now_ns: int) -> None:
        """A look at a unit, each of which may show starts."""
        unit = self._unit(fact.name)
        unit.can_reload = fact.can_reload
        self.changed |= unit.starts.see(fact, now_ns)

    def applied(self, name: str, how: How, now_ns: int) -> None:
        """A job of ours was accepted."""
        unit = self._unit(name)
        unit.applied_ns = now_ns
        if how == "start" or ends_process(how, can_reload=unit.can_reload):
            unit.starts.ask(now_ns)
            unit.drain = None
        self.changed = True

    def wait(
        self, spec: ServiceSpec, fact: UnitFact, owed: Owed, how: How, now_ns: int
    ) -> Wait | None:
        """What holds a job up, however idle its unit is; None where nothing does.

        A "start" is a way back, and is not held up by anything.
        """
        self.see(fact, now_ns)
        if how == "start":
            return None
        unit = self._unit(fact.name)
        return (
            _gather(spec, owed, now_ns)
            or _keep_apart(spec, unit, now_ns)
            or (_keep_spare(fact, unit, now_ns) if _ends(how, fact) else None)
        )

    def drain(
        self, spec: ServiceSpec, fact: UnitFact, owed: Owed, how: How, busy: str | None, now_ns: int
    ) -> Wait | None:
        """What a job that ends a process waits for while its unit is busy; None: it may be begun.

        To be asked when nothing else holds it up, for this begins the wait. `busy` is why it counts
        as busy, None where it is idle.
        """
        if how == "start" or not _ends(how, fact):
            return None
        unit = self._unit(fact.name)
        if spec.drain_policy == "skip" and (owed.skipped or unit.given_up_ns == owed.since_ns):
            return _given_up(spec, now_ns)
        if busy is None:
            self.changed |= unit.drain is not None
            unit.drain = None
            return None
        until_ns = self._drain_of(unit, owed, now_ns).since_ns + _ns(spec.drain)
        if until_ns > now_ns:
            most = seconds(spec.drain)
            return Wait(f"waits until {spec.unit} is idle, {most} at most: {busy}", until_ns)
        if spec.drain_policy == "restart":
            return None
        unit.drain, unit.given_up_ns = None, owed.since_ns
        self.changed = True
        return _given_up(spec, now_ns)

    def hold(self, units: Collection[str]) -> None:
        """These are the units from now on; what is remembered of others is forgotten."""
        self._units = {name: unit for name, unit in self._units.items() if name in units}

    def plain(self) -> dict[str, Any]:
        """All of it as plain JSON; its moments mean something within one boot only."""
        return {
            name: {
                "starts": unit.starts.plain(),
                "can_reload": unit.can_reload,
                "applied_ns": unit.applied_ns,
                "drain": None if unit.drain is None else [unit.drain.debt_ns, unit.drain.since_ns],
                "given_up_ns": unit.given_up_ns,
            }
            for name, unit in self._units.items()
        }

    @classmethod
    def of(cls, plain: object) -> "Pacing":
        """The pace as it was kept; of a unit whose entry is garbled nothing is known."""
        pacing = cls()
        if isinstance(plain, Mapping):
            for name, entry in plain.items():
                with suppress(KeyError, TypeError, ValueError):
                    pacing._units[str(name)] = _unit_of(entry)
        return pacing

    def _unit(self, name: str) -> _Unit:
        return self._units.setdefault(name, _Unit())

    def _drain_of(self, unit: _Unit, owed: Owed, now_ns: int) -> _Drain:
        """The wait of this debt: more corrections do not begin it anew, another debt does."""
        debt_ns = _first_ns(owed)
        if unit.drain is None or unit.drain.debt_ns != debt_ns:
            unit.drain = _Drain(debt_ns, now_ns)
            self.changed = True
        return unit.drain


def ends_process(how: How, *, can_reload: bool) -> bool:
    """Whether work that is in flight would be lost with the process that does it."""
    return how in ("restart", "start") or (how == "reload-or-restart" and not can_reload)


def _ends(how: How, fact: UnitFact) -> bool:
    return ends_process(how, can_reload=fact.can_reload)


def _gather(spec: ServiceSpec, owed: Owed, now_ns: int) -> Wait | None:
    """The first change of a debt opens the window, and no later one keeps it open."""
    until_ns = _first_ns(owed) + _ns(spec.gather)
    if until_ns <= now_ns:
        return None
    within = seconds(spec.gather)
    return Wait(f"waits: changes within {within} share one apply of {spec.unit}", until_ns)


def _keep_apart(spec: ServiceSpec, unit: _Unit, now_ns: int) -> Wait | None:
    if unit.applied_ns is None:
        return None
    until_ns = unit.applied_ns + _ns(spec.min_interval)
    if until_ns <= now_ns:
        return None
    apart = seconds(spec.min_interval)
    return Wait(f"waits: two applies of {spec.unit} are {apart} apart", until_ns)


def _keep_spare(fact: UnitFact, unit: _Unit, now_ns: int) -> Wait | None:
    until_ns = unit.starts.free_ns(fact, now_ns)
    if until_ns is None:
        return None
    within = seconds(fact.start_interval_ns / _SECOND_NS)
    allowed = f"systemd lets {fact.name} start {count(fact.start_burst, 'time')} in {within}"
    spare = ", and the last is kept spare" if most_starts(fact) < fact.start_burst else ""
    return Wait(f"waits: {allowed}{spare}", until_ns)


def _given_up(spec: ServiceSpec, now_ns: int) -> Wait:
    busy = f"{spec.unit} was busy for {seconds(spec.drain)}"
    sentence = f"{busy}, so its restart is given up until the next correction"
    return Wait(sentence, now_ns + ASIDE_NS, gives_up=True)


def _first_ns(owed: Owed) -> int:
    return owed.first_ns or owed.since_ns


def _ns(span: float) -> int:
    return round(span * _SECOND_NS)


def _unit_of(plain: Any) -> _Unit:  # noqa: ANN401 - whatever stood in the file
    drain = plain["drain"]
    return _Unit(
        starts=Starts.of(plain["starts"]),
        can_reload=bool(plain["can_reload"]),
        applied_ns=_moment(plain["applied_ns"]),
        drain=None if drain is None else _Drain(*map(whole, drain)),
        given_up_ns=_moment(plain["given_up_ns"]),
    )


def _moment(plain: object) -> int | None:
    return None if plain is None else whole(plain)

"""The circuit breakers of the services that have a fallback: whose values are held now, and why.

What counts as a result, and how one is had, is decided elsewhere; what is put in place of the
policy's values stands in `overlay.py`. Nothing happens here by itself: a breaker that is due turns
half-open when it is asked to.

`now_ns` is CLOCK_MONOTONIC in nanoseconds and decides; `now` is CLOCK_REALTIME in seconds, and is
for people to read.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal, TypeAlias

from jada_configd.core.specs import FallbackSpec

State: TypeAlias = Literal["closed", "open", "half-open"]

BESIDE: Final = "; with the fallback's values: "  # parts the two whys of an open breaker
_SECOND_NS: Final = 1_000_000_000
_LAST_MOMENT: Final = 253_402_300_799.0  # the end of the year 9999, the last that has a date


@dataclass(frozen=True, slots=True)
class _Breaker:
    """One unit. `failures` are the unhealthy results in a row on the policy's own values.

    `since` is when it came into this state, `why` the last of the failures, and `beside` what is
    wrong on the fallback's values as well. `due_ns`, and `retry_at` for people, is when an open one
    turns half-open; None: not known in this boot.
    """

    since: float
    state: State = "closed"
    failures: int = 0
    why: str | None = None
    beside: str | None = None
    due_ns: int | None = None
    retry_at: float | None = None

    def waits(self, due_ns: int, now_ns: int, now: float) -> "_Breaker":
        """The same, due then."""
        return replace(self, due_ns=due_ns, retry_at=now + (due_ns - now_ns) / _SECOND_NS)

    def half_open(self, now: float) -> "_Breaker":
        """The policy's values are tried."""
        return _Breaker(now, "half-open", self.failures, self.why)


class Breakers:
    """One breaker a unit that has a fallback; `changed`: it is not as it was last kept."""

    def __init__(self) -> None:
        self._specs: dict[str, FallbackSpec] = {}
        self._revision = ""
        self._breakers: dict[str, _Breaker] = {}
        self.changed = False

    def hold(
        self, specs: Mapping[str, FallbackSpec], revision: str, now_ns: int, now: float
    ) -> tuple[str, ...]:
        """These units have a fallback from now on; what is known of others is forgotten.

        Another revision of the policy closes all: somebody has changed something, and what is
        wanted now has not been tried. Returns the units whose breaker was not closed before that.
        """
        same = revision == self._revision
        before = self._breakers if same else {}
        unclosed = {unit for unit, each in self._breakers.items() if each.state != "closed"}
        held = {unit: before.get(unit) or _Breaker(now) for unit in specs}
        self._specs = dict(specs)
        for unit, breaker in held.items():
            if breaker.state == "open":  # its moment may be of another boot, or garbled
                latest_ns = now_ns + _retry_ns(specs[unit])
                due_ns = latest_ns if breaker.due_ns is None else min(breaker.due_ns, latest_ns)
                held[unit] = breaker.waits(due_ns, now_ns, now)
        self.changed |= revision != self._revision or held != self._breakers
        self._revision, self._breakers = revision, held
        return () if same else tuple(unit for unit in specs if unit in unclosed)

    def result(self, unit: str, problem: str | None, now_ns: int, now: float) -> State | None:
        """What was found of the service, None being healthy; the state if that is another one now.

        Of an open breaker it tells how the fallback's values do, and changes nothing. Of a
        half-open one it decides, and has to be a result of the values that are tried.
        """
        breaker, spec = self._breakers.get(unit), self._specs.get(unit)
        if breaker is None or spec is None:
            return None
        if breaker.state == "open":
            return self._put(unit, replace(breaker, beside=problem))
        if problem is None:
            return self._put(unit, _Breaker(breaker.since if breaker.state == "closed" else now))
        failures = breaker.failures + 1
        if breaker.state == "closed" and failures < spec.after:
            return self._put(unit, replace(breaker, failures=failures, why=problem))
        opened = _Breaker(now, "open", failures, problem)
        return self._put(unit, opened.waits(now_ns + _retry_ns(spec), now_ns, now))

    def turn(self, now_ns: int, now: float) -> tuple[str, ...]:
        """The units whose breaker has turned half-open, its time having come."""
        due = [
            unit
            for unit, breaker in self._breakers.items()
            if breaker.due_ns is not None and breaker.due_ns <= now_ns
        ]
        for unit in due:
            self._put(unit, self._breakers[unit].half_open(now))
        return tuple(due)

    def next_due_ns(self) -> int | None:
        """When the next breaker turns half-open, None where none is open."""
        moments = (breaker.due_ns for breaker in self._breakers.values())
        return min((due_ns for due_ns in moments if due_ns is not None), default=None)

    def retry(self, unit: str, now: float) -> bool:
        """An operator has the policy's values tried now; whether that was waited for."""
        breaker = self._breakers.get(unit)
        if breaker is None or breaker.state != "open":
            return False
        self._put(unit, breaker.half_open(now))
        return True

    def holds_fallback(self, unit: str) -> bool:
        """Whether the fallback's values are held in place of the policy's."""
        return unit in self.fallbacks()

    def state(self, unit: str) -> State | None:
        """Its state, as it is held or as it was kept; None: it has none."""
        breaker = self._breakers.get(unit)
        return None if breaker is None else breaker.state

    def fallbacks(self) -> dict[str, FallbackSpec]:
        """What is held in place of the policy's values, by unit."""
        return {
            unit: spec for unit, spec in self._specs.items() if self._breakers[unit].state == "open"
        }

    def status(self, unit: str) -> dict[str, Any] | None:
        """One breaker for `status` and metrics; None: the unit has no fallback."""
        breaker = self._breakers.get(unit)
        if breaker is None:
            return None
        why = breaker.why
        if breaker.beside is not None:
            why = f"{why}{BESIDE}{breaker.beside}"
        return {
            "state": breaker.state,
            "failures": breaker.failures,
            "since": breaker.since,
            "why": why,
            "retry_at": breaker.retry_at,
        }

    def plain(self, boot: str) -> dict[str, Any]:
        """All of it as plain JSON; when a breaker is due means something in that boot only."""
        units = {unit: asdict(breaker) for unit, breaker in self._breakers.items()}
        for each in units.values():
            del each["retry_at"]  # follows from `due_ns`, by the clock as it will be set then
        return {"boot": boot, "revision": self._revision, "units": units}

    @classmethod
    def of(cls, plain: Mapping[str, Any] | None, boot: str) -> "Breakers":
        """The breakers as they were kept, to be held once more; what is garbled counts as nothing.

        One that opened in another boot waits anew: how much of that is over, no clock can tell.
        """
        breakers = cls()
        with suppress(KeyError, TypeError, ValueError, AttributeError, OverflowError):
            if plain:
                same_boot = plain["boot"] == boot
                units = {
                    unit: _breaker_of(each, same_boot=same_boot)
                    for unit, each in plain["units"].items()
                }
                breakers._revision, breakers._breakers = str(plain["revision"]), units
        return breakers

    def _put(self, unit: str, breaker: _Breaker) -> State | None:
        before = self._breakers[unit]
        self._breakers[unit] = breaker
        self.changed |= breaker != before
        return breaker.state if breaker.state != before.state else None


def held_in_place(unit: str, why: str | None) -> str:
    """What an operator has to know of an open breaker; of one that was kept `why` may be gone."""
    what = f"the fallback of {unit} is held in place of the policy's values"
    return f"{what}: {why}" if why else what


def _retry_ns(spec: FallbackSpec) -> int:
    return round(spec.retry * _SECOND_NS)


def _breaker_of(plain: Mapping[str, Any], *, same_boot: bool) -> _Breaker:
    """One breaker as it was kept; raises `ValueError` and what else comes of garbled data."""
    since, failures, due_ns = plain["since"], plain["failures"], plain["due_ns"]
    if type(since) not in (int, float) or not 0 <= since <= _LAST_MOMENT:
        raise ValueError(since)
    if type(failures) is not int or failures < 0:
        raise ValueError(failures)
    if not all(isinstance(plain[name], str | None) for name in ("why", "beside")):
        raise ValueError(plain)
    breaker = _Breaker(since, "closed", failures, plain["why"], plain["beside"])
    match plain["state"]:
        case "closed":
            return breaker
        case "half-open":
            return replace(breaker, state="half-open")
        case "open":
            known = same_boot and type(due_ns) is int
            return replace(breaker, state="open", due_ns=due_ns if known else None)
    raise ValueError(plain)

"""Where the numbers of the metrics come from; what each is called stands in `metrics.py`."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

from jada_configd.core.account import RECOVERY_BOUNDS, WELL, Account
from jada_configd.core.breaker import State as Breaker
from jada_configd.core.histogram import Histogram
from jada_configd.core.model import Result
from jada_configd.core.report import Outcome
from jada_configd.core.status import State

Sample: TypeAlias = tuple[tuple[str, ...], "int | float | Histogram"]  # values of the labels

RESOURCES_MOST: Final = 2000  # that have a series of their own, those that are not in sync first
INFINITY: Final = float("inf")
_ENDS: Final = ("done", "failed")  # of a job: they have a series before there was any


@dataclass(frozen=True, slots=True)
class Facts:
    """What metrics are made of: how things stand as plain JSON, and what has happened."""

    snapshot: Mapping[str, Any]
    account: Account


Samples: TypeAlias = Callable[[Facts], Iterator[Sample]]


# ---- of the daemon


def build(facts: Facts) -> Iterator[Sample]:
    """The version."""
    yield (facts.snapshot["version"],), 1


def states(facts: Facts) -> Iterator[Sample]:
    """Each state, of which one holds."""
    for state in get_args(State):
        yield (state,), int(facts.snapshot["state"] == state)


def moment(name: str) -> Samples:
    """A moment of the account, once there was one."""

    def samples(facts: Facts) -> Iterator[Sample]:
        moment = getattr(facts.account, name)
        if moment is not None:
            yield (), moment

    return samples


def counted(name: str) -> Samples:
    """A counter of the board."""

    def samples(facts: Facts) -> Iterator[Sample]:
        yield (), facts.snapshot["counters"][name]

    return samples


# ---- of the policy


def policy(facts: Facts) -> Iterator[Sample]:
    """The policy in force, where there is one."""
    policy, mode = facts.snapshot["policy"], facts.snapshot["mode"]
    if policy["revision"] is not None:
        yield (policy["path"], policy["revision"], mode), 1


def policy_valid(facts: Facts) -> Iterator[Sample]:
    """Whether the policy on disk loads."""
    yield (), int(facts.snapshot["policy"]["error"] is None)


def policy_rejected(facts: Facts) -> Iterator[Sample]:
    """How many did not."""
    yield (), facts.account.policy_rejected


# ---- of resources


def results(facts: Facts) -> Iterator[Sample]:
    """How many resources have each result."""
    found = Counter(each["result"] for each in facts.snapshot["resources"])
    for result in get_args(Result):
        if result != "corrected":  # a moment; the state after it is in-sync
            yield (result,), found[result]


def in_sync(facts: Facts) -> Iterator[Sample]:
    """Each resource, up to a bound."""
    resources = facts.snapshot["resources"]
    if len(resources) > RESOURCES_MOST:
        first = sorted(resources, key=lambda each: each["result"] == "in-sync")
        resources = first[:RESOURCES_MOST]
    for each in resources:
        yield (each["id"], _kind(each)), int(each["result"] == "in-sync")


def by_kind(name: str) -> Samples:
    """A count of the account, from 0 on for each kind that is held."""

    def samples(facts: Facts) -> Iterator[Sample]:
        counts: Counter[str] = getattr(facts.account, name)
        kinds = {_kind(each) for each in facts.snapshot["resources"]}
        for kind in sorted(kinds | counts.keys()):
            yield (kind,), counts[kind]

    return samples


def corrections(facts: Facts) -> Iterator[Sample]:
    """How long corrections took, by kind."""
    for kind, histogram in sorted(facts.account.correction_seconds.items()):
        yield (kind,), histogram


def _kind(resource: Mapping[str, Any]) -> str:
    return str(resource["id"]).partition(":")[0]


# ---- of services: those that the policy names now


def applies(facts: Facts) -> Iterator[Sample]:
    """Jobs by unit and end."""
    applies = facts.account.applies
    for unit in _units(facts):
        ends = {end for each, end in applies if each == unit}
        for end in sorted(ends.union(_ENDS)):
            yield (unit, end), applies[unit, end]


def apply_seconds(facts: Facts) -> Iterator[Sample]:
    """How long jobs took, by unit."""
    for unit in _units(facts):
        if unit in facts.account.apply_seconds:
            yield (unit,), facts.account.apply_seconds[unit]


def trials(facts: Facts) -> Iterator[Sample]:
    """Trials by unit and outcome."""
    for unit in _units(facts):
        for outcome in get_args(Outcome):
            yield (unit, outcome), facts.account.trials[unit, outcome]


def roll_backs(facts: Facts) -> Iterator[Sample]:
    """Roll-backs by unit and what came of them."""
    for unit in _units(facts):
        for well in WELL.values():
            yield (unit, well), facts.account.roll_backs[unit, well]


def recovery_seconds(facts: Facts) -> Iterator[Sample]:
    """How long it took from drifts to healthy services, by unit."""
    for unit in _units(facts):
        yield (unit,), facts.account.recovery_seconds.get(unit) or Histogram(RECOVERY_BOUNDS)


def rolled_back(facts: Facts) -> Iterator[Sample]:
    """Whether each unit is kept from the policy in force."""
    for service in facts.snapshot["services"]:
        yield (service["unit"],), int(service["rolled_back"] is not None)


def breakers(facts: Facts) -> Iterator[Sample]:
    """Each state of each breaker, of which one holds."""
    for unit, breaker in _breakers(facts):
        for state in get_args(Breaker):
            yield (unit, state), int(breaker["state"] == state)


def breaker_moves(facts: Facts) -> Iterator[Sample]:
    """How often each breaker came into each state."""
    for unit, _ in _breakers(facts):
        for state in get_args(Breaker):
            yield (unit, state), facts.account.breaker_moves[unit, state]


def _breakers(facts: Facts) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Those of the units that have a fallback."""
    for service in facts.snapshot["services"]:
        if service["breaker"] is not None:
            yield service["unit"], service["breaker"]


def _units(facts: Facts) -> list[str]:
    return [service["unit"] for service in facts.snapshot["services"]]


def up(facts: Facts) -> Iterator[Sample]:
    """Whether each unit is active."""
    for service in facts.snapshot["services"]:
        yield (service["unit"],), int(service["active"] in ("active", "reloading"))


def truth(name: str) -> Samples:
    """What is true or false of a service; null, which is neither, has no sample."""

    def samples(facts: Facts) -> Iterator[Sample]:
        for service in facts.snapshot["services"]:
            if service[name] is not None:
                yield (service["unit"],), int(service[name])

    return samples


def usage(side: Literal["used", "limit"]) -> Samples:
    """One side of the use of each limit."""

    def samples(facts: Facts) -> Iterator[Sample]:
        for service in facts.snapshot["services"]:
            for limit, use in (service["usage"] or {}).items():
                if isinstance(use, Mapping):
                    number = use[side]
                    yield (service["unit"], limit), INFINITY if number == "infinity" else number

    return samples


def population(name: str) -> Samples:
    """How many of something a unit has, while it runs."""

    def samples(facts: Facts) -> Iterator[Sample]:
        for service in facts.snapshot["services"]:
            if service["usage"] is not None:
                yield (service["unit"],), service["usage"][name]

    return samples

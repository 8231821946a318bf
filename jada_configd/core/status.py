"""How things stand: the last report of every resource, folded into one state and one reason."""

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from jada_configd.core.model import Change, Resource, ResourceId, pointer, same
from jada_configd.core.report import Report
from jada_configd.core.wording import count, escaped, impersonal, seconds

State: TypeAlias = Literal["degraded", "contested", "drifted", "correcting", "held", "in-sync"]

# The worst that holds is the state of the host.
_WORST_FIRST: Final[tuple[State, ...]] = (
    "degraded",
    "contested",
    "drifted",
    "correcting",
    "held",
    "in-sync",
)
LATENCIES_KEPT = 512
GONE_AFTER_NS: Final = 60_000_000_000  # a problem that is back sooner was never gone
FIELDS_NAMED = 3  # in one line; all of them stand in --json


def state_of(report: Report) -> State:
    """What one resource makes of the host."""
    if report.degrades:
        return "degraded"
    if report.is_contested:
        return "contested"
    match report.result:
        case "in-sync" | "corrected" if report.settled:
            return "in-sync"
        case "held":
            return "held"
        case "waiting" if report.again_ns is not None:
            return "correcting"
        case _:
            return "drifted"


def worst(states: Iterable[State]) -> State:
    """The worst of some states."""
    return min(states, key=_WORST_FIRST.index, default="in-sync")


def overall(reports: Iterable[Report], troubles: Iterable[str]) -> tuple[State, str]:
    """The state of the host, and the reason for it in one short sentence ("" when in sync)."""
    first = next(iter(troubles), None)
    if first is not None:
        return "degraded", escaped(first)
    states = [(state_of(report), report) for report in reports]
    state = worst(each for each, _ in states)
    if state == "in-sync":
        return state, ""
    having = [report for each, report in states if each == state]
    more = f" (and {len(having) - 1} more)" if len(having) > 1 else ""
    return state, escaped(reason(having[0])) + more


def reason(report: Report) -> str:
    """Why a resource is not in sync, in one sentence."""
    if report.problem:
        return f"{report.resource.id}: {report.problem}"
    changes = report.drift.changes
    fields = ", ".join(pointer(change.field) for change in changes[:FIELDS_NAMED])
    if len(changes) > FIELDS_NAMED:
        fields += f" and {len(changes) - FIELDS_NAMED} more"
    return f"{report.resource.id}: {fields or report.result}"


@dataclass(slots=True)
class _Entry:
    report: Report
    since: str
    corrections: int = 0
    trouble: str | None = None  # the last problem that came without a change of a field, impersonal
    trouble_ns: int = 0  # and when it was last seen
    is_untold: bool = False  # it is back, and was told before: that it has gone again is no news

    def comes_and_goes(self, report: Report) -> bool:
        """Whether it says again what it said a moment ago, as a service in a crash loop does."""
        if report.problem is None or report.drift.changes or state_of(report) == "correcting":
            return False
        trouble = impersonal(report.problem)
        again = trouble == self.trouble
        again = again and report.detected_ns < self.trouble_ns + GONE_AFTER_NS
        self.trouble, self.trouble_ns = trouble, report.detected_ns
        return again


@dataclass(slots=True)
class Counters:
    """What has happened since the daemon started."""

    passes: int = 0
    corrections: int = 0
    failures: int = 0
    service_applies: int = 0
    overflows: int = 0


@dataclass(slots=True)
class Last:
    """The last correction."""

    clock: str  # local time of day
    change: Change | None
    seconds: float


def kept() -> deque[float]:
    """Latencies, the last few hundred."""
    return deque(maxlen=LATENCIES_KEPT)


@dataclass(slots=True)
class Board:
    """The last report of every resource, counters and latencies; nothing is decided on them.

    `nouns`: what a resource of a kind is called where they are counted; of others nothing is said.
    """

    nouns: Mapping[str, str]
    entries: dict[ResourceId, _Entry] = field(default_factory=dict)
    counters: Counters = field(default_factory=Counters)
    corrected: deque[float] = field(default_factory=kept)
    healthy: dict[str, deque[float]] = field(default_factory=dict)  # by unit
    last: Last | None = None

    def hold(self, resources: Mapping[ResourceId, Resource]) -> None:
        """These are the resources from now on."""
        self.entries = {each: entry for each, entry in self.entries.items() if each in resources}

    def take(self, report: Report, now: str) -> bool:
        """Note a report; whether it says anything that the last one of this resource did not."""
        entry = self.entries.get(report.resource.id)
        news = entry is None or not _say_the_same(entry.report, report)
        if entry is None:
            entry = self.entries[report.resource.id] = _Entry(report, now)
        elif state_of(entry.report) != state_of(report):
            entry.since = now
        entry.report = report
        again = entry.comes_and_goes(report)
        if news and report.result != "in-sync":
            entry.is_untold = again
        news = news and not again and not (report.eased and entry.is_untold)
        if report.is_correction:
            entry.corrections += 1
            self.counters.corrections += 1
            news = True
        elif report.result == "failed" and news:
            self.counters.failures += 1
        return news or (report.contest is not None and report.contest.stands != "on")

    def reports(self) -> list[Report]:
        """The last report of every resource."""
        return [entry.report for entry in self.entries.values()]

    def line(self, state: State, why: str) -> str:
        """`STATUS=`: one short line that an operator can act on."""
        if state != "in-sync":
            return f"{state}: {why}"
        named = Counter(self.nouns.get(resource.kind, "") for resource in self.entries)
        held = [count(named[noun], noun) for noun in dict.fromkeys(self.nouns.values()) if noun]
        told = [each for each in held if not each.startswith("0 ")] or held[:1]
        line = f"in sync: {', '.join(told)}"
        if self.last is not None:
            what = escaped(pointer(self.last.change.field)) if self.last.change else "a lost file"
            line += f"; last correction {self.last.clock} {what} ({seconds(self.last.seconds)})"
        return line


def _say_the_same(one: Report, other: Report) -> bool:
    """Whether two reports tell the same. A correction ended in sync: to find it so is no news.

    Nor is it what a contested field is just now.
    """
    if one.lasting != other.lasting or not _is_one_problem(one, other):
        return False
    if one.lasting in ("in-sync", "contested"):
        return True
    pairs = tuple(zip(one.drift.changes, other.drift.changes, strict=False))
    return len(one.drift.changes) == len(other.drift.changes) and all(
        old.field == new.field and same(old.have, new.have) and same(old.want, new.want)
        for old, new in pairs
    )


def _is_one_problem(one: Report, other: Report) -> bool:
    """Whether nothing else is in the way, or too near to its limit, whoever it is by now."""
    return impersonal(one.problem or "") == impersonal(other.problem or "")

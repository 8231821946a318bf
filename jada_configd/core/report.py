"""What came of one resource in one pass, and what the sinks are told."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from jada_configd.core.breaker import State
from jada_configd.core.model import Cause, Drift, Field, Resource, Result


@dataclass(frozen=True, slots=True)
class Contest:
    """That fields of a resource are fought over: it begins here, goes on, or is over."""

    stands: Literal["begun", "on", "over"]
    fields: tuple[Field, ...]
    sentence: str


Outcome: TypeAlias = Literal["healthy", "unhealthy", "rolled-back"]


@dataclass(frozen=True, slots=True)
class Report:
    """The end of one pass over one resource.

    `drift` is what was found, before anything was done. `problem` is one sentence or None.
    `actions` are what was (or would be) done. `again_ns` asks for another look at that moment,
    `backs_off` that it be tried again with growing gaps (else a hint or the sweep comes back).
    `degrades` says that the machine, not the content, is in the way. `look_by_ns` is when to look
    at the latest, whatever came of this look. `eased` is one sentence about what was told to be
    near a limit and no longer is; `known`: the problem says nothing but what was told. Moments are
    CLOCK_MONOTONIC in nanoseconds; `corrected_ns` is 0 where nothing was corrected. `opens_at`
    alone is of the wall clock (CLOCK_REALTIME, seconds): when the window opens that it waits for.
    `contest` is there while the resource is fought over, and once more when that is over.
    """

    resource: Resource
    result: Result
    drift: Drift
    problem: str | None = None
    actions: tuple[str, ...] = ()
    cause: Cause = "sweep"
    detected_ns: int = 0
    corrected_ns: int = 0
    again_ns: int | None = None
    backs_off: bool = False
    degrades: bool = False
    traceback: str | None = None
    look_by_ns: int | None = None
    eased: str | None = None
    known: bool = False
    opens_at: int | None = None
    contest: Contest | None = None

    @property
    def is_contested(self) -> bool:
        """Whether it is fought over, or left alone because of that."""
        fought = self.contest is not None and self.contest.stands != "over"
        return fought or self.result == "contested"

    @property
    def is_correction(self) -> bool:
        """Whether it was corrected; in a contest that is counted, and not told each time."""
        return self.result == "corrected" or (self.is_contested and self.corrected_ns > 0)

    @property
    def lasting(self) -> Result:
        """The result that stays true after the moment of a correction."""
        if self.result != "corrected":
            return self.result
        return "contested" if self.is_contested else "in-sync"

    @property
    def settled(self) -> bool:
        """Whether the resource is as declared now; what was corrected may have a problem left."""
        return self.result == "in-sync" or (self.result == "corrected" and self.problem is None)


@dataclass(frozen=True, slots=True)
class Reconciled:
    """One resource has been looked at and, perhaps, corrected."""

    report: Report


@dataclass(frozen=True, slots=True)
class ServiceApplied:
    """A job that took corrections up has ended."""

    unit: str
    how: str
    job_result: str  # done | failed | canceled | timeout | dependency | skipped
    fields: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Tried:
    """It is known how a service does on a change.

    `why` is why it did not do well. "rolled-back": what stood before was put back; `well` is
    whether the service does well on that (None: nobody will know), else `beside` is why not.
    `seconds` are from the drift, or the new policy, to the verdict.
    """

    unit: str
    outcome: Outcome
    why: str
    fields: tuple[str, ...]
    seconds: float
    well: bool | None = None
    beside: str = ""


@dataclass(frozen=True, slots=True)
class BreakerMoved:
    """The breaker of a service is in another state now, and `why` it came into that.

    `retry` is in how many seconds an open one has the policy's values tried again.
    """

    unit: str
    state: State
    why: str
    retry: float | None = None


@dataclass(frozen=True, slots=True)
class PolicyLoaded:
    """A policy came into force."""

    path: str
    revision: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PolicyRejected:
    """A policy did not load; the last good one, if any, stays in force."""

    path: str
    messages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand after a turn of the loop: a word, a line, and all of it as plain JSON.

    `textfile` is where the policy in force has the metrics written, None: nowhere.
    """

    state: str
    line: str
    snapshot: Mapping[str, Any]
    textfile: str | None = None


Event: TypeAlias = (
    Reconciled | ServiceApplied | Tried | BreakerMoved | PolicyLoaded | PolicyRejected | Standing
)

"""What has happened since the start of the process, counted from the events that sinks are told.

Nothing is decided on it, no counter in it ever goes backwards, and no resource is named in it: what
comes and goes with the files of a pattern is counted by kind.
"""

from collections import Counter
from collections.abc import Collection
from typing import Final

from jada_configd.core.histogram import Histogram
from jada_configd.core.model import ResourceId
from jada_configd.core.report import (
    BreakerMoved,
    Event,
    PolicyLoaded,
    PolicyRejected,
    Reconciled,
    Report,
    ServiceApplied,
    Tried,
)
from jada_configd.core.status import state_of

# Seconds. A file takes a millisecond; a drop-in waits for a daemon-reload, a limit for a restart.
CORRECTION_BOUNDS: Final = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip
# By default a service counts as healthy after 5 s; it may be busy before, or wait for a window.
RECOVERY_BOUNDS: Final = (
    1.0, 2.5, 5.0, 7.5, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 14400.0,
)  # fmt: skip
APPLY_BOUNDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)

WELL: Final = {True: "yes", False: "no", None: "unknown"}  # on what came back


class Account:
    """Counters and distributions; moments are seconds since the epoch, None before the first."""

    def __init__(self, now: float) -> None:
        self.started = now
        self.policy_loaded: float | None = None
        self.policy_rejected = 0
        self.last_correction: float | None = None
        self.drifts: Counter[str] = Counter()  # by kind, as the next two
        self.corrections: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.contests: Counter[str] = Counter()  # by kind too
        self.applies: Counter[tuple[str, str]] = Counter()  # by unit and end of the job
        self.correction_seconds: dict[str, Histogram] = {}  # by kind
        self.apply_seconds: dict[str, Histogram] = {}  # by unit
        self.trials: Counter[tuple[str, str]] = Counter()  # by unit and outcome
        self.roll_backs: Counter[tuple[str, str]] = Counter()  # by unit and whether it did well
        self.recovery_seconds: dict[str, Histogram] = {}  # by unit
        self.breaker_moves: Counter[tuple[str, str]] = Counter()  # by unit and state
        self._adrift: set[ResourceId] = set()
        self._contested: dict[ResourceId, int] = {}  # fields

    @property
    def contested(self) -> Counter[str]:
        """Fields that are contested now, by kind: the one count here that falls again."""
        fields: Counter[str] = Counter()
        for resource, count in self._contested.items():
            fields[resource.kind] += count
        return fields

    def take(self, event: Event, now: float) -> None:
        """Count an event."""
        match event:
            case Reconciled(report):
                self._reconciled(report, now)
            case ServiceApplied():
                self.applies[event.unit, event.job_result] += 1
                found = self.apply_seconds.setdefault(event.unit, Histogram(APPLY_BOUNDS))
                found.observe(event.seconds)
            case Tried():
                self._tried(event)
            case BreakerMoved():
                self.breaker_moves[event.unit, event.state] += 1
            case PolicyLoaded():
                self.policy_loaded = now
            case PolicyRejected():
                self.policy_rejected += 1

    def hold(self, resources: Collection[str]) -> None:
        """These are the resources from now on; what drifts of others is forgotten."""
        if self._adrift:
            self._adrift = {each for each in self._adrift if str(each) in resources}
        for each in [each for each in self._contested if str(each) not in resources]:
            del self._contested[each]

    def _reconciled(self, report: Report, now: float) -> None:
        kind = report.resource.id.kind
        self._drifted(report)
        self._fought_over(report)
        if report.result == "failed":
            self.failures[kind] += 1
        elif report.is_correction:
            self.corrections[kind] += 1
            self.last_correction = now
            found = self.correction_seconds.setdefault(kind, Histogram(CORRECTION_BOUNDS))
            found.observe(max(0, report.corrected_ns - report.detected_ns) / 1e9)

    def _tried(self, event: Tried) -> None:
        self.trials[event.unit, event.outcome] += 1
        if event.outcome == "rolled-back":
            self.roll_backs[event.unit, WELL[event.well]] += 1
        elif event.outcome == "healthy":
            found = self.recovery_seconds.setdefault(event.unit, Histogram(RECOVERY_BOUNDS))
            found.observe(event.seconds)

    def _fought_over(self, report: Report) -> None:
        contest = report.contest
        if contest is None or contest.stands == "over":
            if report.result != "failed":  # of what could not be looked at nothing is known
                self._contested.pop(report.resource.id, None)
            return
        self._contested[report.resource.id] = len(contest.fields)
        self.contests[report.resource.id.kind] += contest.stands == "begun"

    def _drifted(self, report: Report) -> None:
        """One drift counts once, however often it is told until it is over.

        What is on its way to being right, or half-written, is told again when that has ended.
        """
        if state_of(report) == "correcting":
            return
        each = report.resource.id
        if report.result != "in-sync" and report.drift and each not in self._adrift:
            self.drifts[each.kind] += 1
            self._adrift.add(each)
        if report.settled:
            self._adrift.discard(each)

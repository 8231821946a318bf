"""Jobs of ours that have not ended, and what the end of one means for what its unit owes."""

import time
from dataclasses import dataclass
from typing import Final

from jada_configd.core.actions import How, StartJob
from jada_configd.core.applies import reload_takes_up
from jada_configd.core.ledger import Ledger
from jada_configd.core.report import ServiceApplied
from jada_configd.core.resources import service_of
from jada_configd.probation import Probation
from jada_configd.reconcile import Reconciler
from jada_configd.takeup import TakeUp

REST_NS: Final = 10_000_000_000  # a unit whose job failed is left alone for this long,
REST_MOST_NS: Final = 300_000_000_000  # and for longer each time, up to this


@dataclass(frozen=True, slots=True)
class _Job:
    unit: str
    how: How
    at_ns: int
    fields: tuple[str, ...]


class Jobs:
    """Keeps account of jobs from their acceptance to their end."""

    def __init__(
        self, ledger: Ledger, takeup: TakeUp, reconciler: Reconciler, probation: Probation
    ) -> None:
        self._ledger = ledger
        self._takeup = takeup
        self._reconciler = reconciler
        self._probation = probation
        self._jobs: dict[str, _Job] = {}
        self._last: dict[str, str] = {}  # by unit; of an earlier one the end may have been lost
        self._failures: dict[str, int] = {}

    def under_way(self) -> list[str]:
        """What units are doing for us now: `restart of jada-agent.service`."""
        return [f"{job.how} of {job.unit}" for job in self._jobs.values()]

    def of(self, unit: str) -> bool:
        """Whether the last job of ours for this unit has not ended."""
        return self._last.get(unit) in self._jobs

    def started(self, action: StartJob, job: str) -> None:
        """A job was accepted; its end will be an event."""
        owed = self._ledger.owed(action.unit)
        fields = owed.fields if owed is not None else ()
        now_ns = time.monotonic_ns()
        self._jobs[job] = _Job(action.unit, action.how, now_ns, fields)
        self._last[action.unit] = job
        self._ledger.pacing.applied(action.unit, action.how, now_ns)
        self._probation.begun(action.unit, action.how, now_ns)
        self._takeup.save()
        # systemd may show a unit without its job before it tells how that has ended.
        self._reconciler.obstacles.at_work.add(service_of(action.unit))

    def ended(self, job: str, result: str, now_ns: int) -> ServiceApplied | None:
        """A job has ended so; None where it was none of ours."""
        ours = self._jobs.pop(job, None)
        if ours is None:
            return None
        if result == "canceled":
            self._probation.interfered(ours.unit)
        if not self.of(ours.unit):
            self._reconciler.obstacles.at_work.discard(service_of(ours.unit))
        self._judge(ours, result, now_ns)
        took = (now_ns - ours.at_ns) / 1e9
        return ServiceApplied(ours.unit, ours.how, result, ours.fields, took)

    def _judge(self, job: _Job, result: str, now_ns: int) -> None:
        """What ended well settles what it can; after another end the unit rests a while."""
        resting = self._reconciler.obstacles.resting
        if result == "done":
            self._failures.pop(job.unit, None)
            resting.pop(service_of(job.unit), None)
            if job.how == "reload":
                spec = self._takeup.services.get(job.unit)
                takes_up = spec is not None and reload_takes_up(spec, job.fields)
                self._ledger.reloaded(job.unit, job.at_ns, takes_up=takes_up)
            else:
                self._ledger.restarted(job.unit, job.at_ns)
            self._takeup.save()
            return
        failures = self._failures.get(job.unit, 0)
        self._failures[job.unit] = failures + 1
        resting[service_of(job.unit)] = now_ns + min(REST_NS << min(failures, 10), REST_MOST_NS)

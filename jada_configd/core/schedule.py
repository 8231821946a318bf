"""Which resource is due when: hints, sweeps, waits, windows, back-off. Level-triggered throughout.

A hint moves a due time forward and carries no fact, so that losing, repeating or reordering hints
changes when something is looked at and never what comes of it.
"""

from collections.abc import Iterable

from jada_configd.core.model import Cause, ResourceId
from jada_configd.core.report import Report

# Two looks at one resource are at least this far apart, so that a file written a thousand times a
# second costs a few hundred looks; what falls in between is folded into one trailing look.
GAP_NS = 3_000_000
# The same for a resource whose last look failed: a hint may mean that it can be mended now.
FAILED_GAP_NS = 100_000_000
BACK_OFF_NS = 1_000_000_000
BACK_OFF_MOST_NS = 30_000_000_000


class Schedule:
    """Due times, in CLOCK_MONOTONIC nanoseconds.

    When a window opens is kept by the wall clock instead (CLOCK_REALTIME, seconds): whoever sleeps
    asks each time how far off that is, so that a clock that was set anew counts at the next turn.
    """

    def __init__(self, sweep_ns: int) -> None:
        self.sweep_ns = sweep_ns
        self._held: frozenset[ResourceId] = frozenset()
        self._due: dict[ResourceId, tuple[int, Cause]] = {}
        self._looked: dict[ResourceId, int] = {}
        self._failures: dict[ResourceId, int] = {}
        self._opens: dict[ResourceId, int] = {}
        self._next_sweep = 0

    def hold(self, resources: Iterable[ResourceId]) -> None:
        """These are the resources from now on; what is known of others is forgotten."""
        self._held = frozenset(resources)
        self._due = {each: due for each, due in self._due.items() if each in self._held}
        self._looked = {each: at for each, at in self._looked.items() if each in self._held}
        self._failures = {each: n for each, n in self._failures.items() if each in self._held}
        self._opens = {each: at for each, at in self._opens.items() if each in self._held}

    def hint(self, resources: Iterable[ResourceId], now_ns: int, cause: Cause = "hint") -> None:
        """Something may have happened to these: look at them now, or as soon as the gap allows."""
        for resource in resources:
            if resource not in self._held:
                continue
            gap = FAILED_GAP_NS if resource in self._failures else GAP_NS
            looked = self._looked.get(resource)
            self._at(resource, now_ns if looked is None else max(now_ns, looked + gap), cause)

    def hint_all(self, now_ns: int, cause: Cause) -> None:
        """Everything is due now."""
        self._next_sweep = now_ns + self.sweep_ns
        for resource in self._held:
            self._at(resource, now_ns, cause)

    def sweep(self, now_ns: int) -> bool:
        """Whether a sweep is due; if so everything is due, and the next one is set."""
        if now_ns < self._next_sweep:
            return False
        self.hint_all(now_ns, "sweep")
        return True

    def take_due(self, now_ns: int) -> dict[ResourceId, Cause]:
        """What is due now, with why; it is due no more."""
        due = {each: cause for each, (at, cause) in self._due.items() if at <= now_ns}
        for resource in due:
            del self._due[resource]
            self._opens.pop(resource, None)
            self._looked[resource] = now_ns
        return due

    def settle(self, report: Report, now_ns: int) -> None:
        """What came of a look decides when the next one is due, if not by hint or sweep."""
        resource = report.resource.id
        if report.opens_at is not None:
            self._opens[resource] = report.opens_at
        if report.backs_off:
            failures = self._failures.get(resource, 0)
            self._failures[resource] = failures + 1
            wait = min(BACK_OFF_NS << min(failures, 10), BACK_OFF_MOST_NS)
            self._at(resource, now_ns + wait, "retry")
            return
        self._failures.pop(resource, None)
        if report.again_ns is not None:
            self._at(resource, max(report.again_ns, now_ns + GAP_NS), "retry")
        if report.look_by_ns is not None:
            self._at(resource, max(report.look_by_ns, now_ns + GAP_NS), "sweep")

    def next_opening(self) -> int | None:
        """When the next window opens for which something waits (CLOCK_REALTIME, seconds)."""
        return min(self._opens.values(), default=None)

    def open_windows(self, now: float, now_ns: int) -> None:
        """What waited for a window that is open by the wall clock (`now`) is due."""
        for resource in [each for each, at in self._opens.items() if at <= now]:
            del self._opens[resource]
            self.hint((resource,), now_ns, "retry")

    def next_due(self) -> int:
        """The next moment at which there is something to do."""
        return min((self._next_sweep, *(at for at, _ in self._due.values())))

    def _at(self, resource: ResourceId, when_ns: int, cause: Cause) -> None:
        due = self._due.get(resource)
        if due is None or when_ns < due[0]:
            self._due[resource] = (when_ns, cause)

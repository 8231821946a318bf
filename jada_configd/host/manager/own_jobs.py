"""Jobs of ours that have not ended, and the finding of an end that nobody has told of."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from jada_configd.core.actions import How
from jada_configd.host.manager.polls import FIRST_NS, Poll
from jada_configd.host.manager.routes import JobEnded
from jada_configd.host.manager.unit_facts import UnitLook, job_result

_UNHEARD_NS: Final = 30_000_000_000  # should the signal of a job's end be lost, it is found then


@dataclass(frozen=True, slots=True)
class _Job:
    unit: str
    how: How
    poll: Poll


class OwnJobs:
    """Keeps account of jobs from their acceptance to their end."""

    def __init__(self) -> None:
        self._jobs: dict[str, _Job] = {}

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._jobs)

    def started(self, job: str, unit: str, how: How, *, heard: bool) -> None:
        """A job was accepted; `heard`: its end will be told."""
        self._jobs[job] = _Job(unit, how, Poll.after(_UNHEARD_NS if heard else FIRST_NS))

    def ended(self, job: str) -> None:
        """The end of a job was told."""
        self._jobs.pop(job, None)

    def missed(self) -> None:
        """An end may not have been told."""
        for job in self._jobs.values():
            job.poll.soon()

    def dues(self) -> list[int]:
        """When they are to be looked after (CLOCK_MONOTONIC, nanoseconds)."""
        return [job.poll.due_ns for job in self._jobs.values()]

    def look_after(self, look_at: Callable[[str], UnitLook]) -> Iterator[JobEnded]:
        """Find ends by looks at the units."""
        for path, job in list(self._jobs.items()):
            if not job.poll.is_due():
                continue
            job.poll.later()
            look = look_at(job.unit)
            if look.job == 0 or not path.endswith(f"/{look.job}"):
                del self._jobs[path]
                yield JobEnded(job.unit, path, job_result(look, reload=job.how == "reload"))

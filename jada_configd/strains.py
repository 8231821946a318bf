"""How near things are to their limits, told beside whatever else came of a look."""

from collections.abc import Collection
from dataclasses import replace

from jada_configd.core.model import ResourceId, Result
from jada_configd.core.report import Report
from jada_configd.core.usage import LOOK_EVERY_NS, Alarms
from jada_configd.looks import Look


class Strains:
    """Puts strains into reports; a strain neither blocks nor asks for anything that is done."""

    def __init__(self) -> None:
        self._alarms = Alarms()

    def hold(self, resources: Collection[ResourceId]) -> None:
        """These are the resources from now on; what is remembered of others is forgotten."""
        self._alarms.hold(frozenset(map(str, resources)))

    def beside(self, look: Look | Report, report: Report, result: Result) -> Report:
        """What came of a look, and beside it how near the thing is to its limits.

        `result` is that of a strain alone. What was corrected is told so; the strain with the next.
        """
        if isinstance(look, Report):
            return report
        told = self._alarms.take(str(look.resource.id), look.observed.strains)
        if look.observed.strains or told.eased:
            look_by_ns = look.at_ns + LOOK_EVERY_NS if look.observed.strains else None
            look_by_ns = report.look_by_ns or look_by_ns
            known = told.known and not look.drift
            report = replace(report, look_by_ns=look_by_ns, eased=told.eased, known=known)
        if told.problem is None:
            return report
        report = replace(report, problem="; ".join(filter(None, (report.problem, told.problem))))
        if report.result == "corrected":
            return replace(report, look_by_ns=look.at_ns)
        return replace(report, result=result) if report.result == "in-sync" else report

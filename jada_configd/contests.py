"""What a contest means for a pass: what is not corrected yet, who is left alone, what is told.

Whether there is one, and how long, is decided in `core/contest.py`. What is contested is left out
of a plan until its gap has passed; whatever else has drifted there is corrected at once.
"""

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from jada_configd.core.actions import KeepEvidence, ReloadUnits, StartJob
from jada_configd.core.contest import (
    QUIET_NS,
    Fight,
    Fights,
    contested_sentence,
    fields_of,
    over_sentence,
)
from jada_configd.core.model import Drift, Field, Resource, ResourceId
from jada_configd.core.plan import Plan
from jada_configd.core.report import Contest, Report
from jada_configd.core.resources import services_of
from jada_configd.core.specs import DropIn, SettingsSpec
from jada_configd.core.wording import escaped
from jada_configd.kinds import KINDS
from jada_configd.looks import Look, narrowed

ASK_AGAIN_NS: Final = 1_000_000_000  # whether a contest is over that should be by now


class Contests:
    """Asked of each look before anything is begun, and of each report before it is told."""

    def __init__(self) -> None:
        self._fights = Fights()
        self._left_alone: dict[ResourceId, tuple[str, ...]] = {}  # units, by what is contested
        self._begun: set[ResourceId] = set()  # not told yet
        self._over: dict[ResourceId, dict[Field, Fight]] = {}  # the same

    def rule(self, after: int, within: float) -> None:
        """What is a contest from now on; `within` is seconds."""
        self._fights.after, self._fights.within_ns = after, int(within * 1e9)

    def hold(self, resources: Collection[ResourceId], now_ns: int) -> None:
        """These are the resources from now on; of others only what was lately is remembered."""
        self._fights.hold(resources, now_ns)
        self._begun.intersection_update(resources)
        for remembered in (self._left_alone, self._over):
            for each in remembered.keys() - frozenset(resources):
                remembered.pop(each, None)

    def parted(self, look: Look) -> Look | Report:
        """The look with no more in its plan than may be done now; a report where that fails.

        Where only the whole can be put right, and something in it is not contested, it is.
        """
        resource = look.resource
        if _is_service(resource):
            return self._service(look)
        if resource.mode != "enforce":
            self._fights.forget(resource.id)
            self._note(resource)
            return look
        before = self._fights.of(resource.id)
        early = self._fights.found(resource.id, fields_of(look.drift), look.at_ns)
        if before:
            self._note(resource, before)
        if not early or not look.plan.actions:
            return look
        left_until_ns = min(early.values())
        free = tuple(each for each in look.drift.changes if each.field not in early)
        if free:
            part = narrowed(look, Drift(free, look.drift.problem))
            if isinstance(part, Report) or part.plan == look.plan:
                return part if isinstance(part, Report) else look
            if part.plan.actions:
                return replace(part, left_until_ns=left_until_ns)
        plan = Plan(waits=self._sentence(resource))
        return replace(look, plan=plan, left_until_ns=left_until_ns)

    def corrected(self, look: Look, done_ns: int) -> None:
        """What the look's plan says has been done, whatever has become of it by now."""
        # A reload that is asked for again, because it was lost, corrects nothing anew.
        direct = (
            not isinstance(each, KeepEvidence | ReloadUnits | StartJob)
            for each in look.plan.actions
        )
        resource = look.resource
        if _is_service(resource) or not any(direct):
            return
        if self._fights.corrected(resource.id, look.drift, done_ns):
            self._begun.add(resource.id)
            self._note(resource)

    def beside(self, look: Look | Report, report: Report) -> Report:
        """What came of a look, and beside it what is contested there.

        What was corrected of that alone is counted, and not told each time.
        """
        resource = look.resource
        if isinstance(look, Report) or _is_service(resource):
            return report
        fights = self._fights.of(resource.id)
        over = self._over.pop(resource.id, None)
        if not fights:
            if over is None:
                return report
            told = Contest("over", tuple(sorted(over)), over_sentence(over))
            return replace(report, contest=told)
        begun = resource.id in self._begun
        self._begun.discard(resource.id)
        sentence = self._sentence(resource)
        contest = Contest("begun" if begun else "on", tuple(sorted(fights)), sentence)
        report = replace(report, contest=contest)
        if report.result == "contested":  # it says why already
            return report
        under_way = report.result == "waiting" and report.again_ns is not None
        if not (report.settled or report.result == "corrected" or under_way):
            return report
        told_alone = report.result == "corrected" and not fields_of(report.drift) <= fights.keys()
        look_by_ns = report.look_by_ns
        if not under_way:
            ends_ns = max(each.wrong_ns for each in fights.values()) + QUIET_NS
            look_by_ns = min(look_by_ns or ends_ns, ends_ns)
        return replace(
            report,
            result=report.result if told_alone else "contested",
            problem="; ".join(filter(None, (report.problem, sentence))),
            look_by_ns=look_by_ns,
        )

    def _service(self, look: Look) -> Look:
        """A unit is left alone while something is contested that it would take up."""
        unit = look.resource.id.name
        rivals = [each for each, units in self._left_alone.items() if unit in units]
        if not rivals or not look.may_act or look.plan.way_back:
            return look
        wrong_ns = max(
            fight.wrong_ns for each in rivals for fight in self._fights.of(each).values()
        )
        until_ns = max(wrong_ns + QUIET_NS, look.at_ns + ASK_AGAIN_NS)
        plan = Plan(waits=f"is left alone while {escaped(str(rivals[0]))} is contested")
        return replace(look, plan=plan, left_until_ns=until_ns)

    def _note(self, resource: Resource, before: dict[Field, Fight] | None = None) -> None:
        """Keep account of who is left alone, and of what is over."""
        if self._fights.of(resource.id):
            self._left_alone[resource.id] = _takers(resource)
            return
        self._left_alone.pop(resource.id, None)
        self._begun.discard(resource.id)
        if before:
            self._over[resource.id] = before

    def _sentence(self, resource: Resource) -> str:
        fights = self._fights.of(resource.id)
        return contested_sentence(fights, services=bool(_takers(resource)))


def _is_service(resource: Resource) -> bool:
    """Whether its corrections are jobs: what a unit has taken up nobody changes back."""
    return KINDS[resource.id.kind].starts_jobs


def _takers(resource: Resource) -> tuple[str, ...]:
    """The units that take up its corrections by jobs; a process's limits need none."""
    return services_of(resource) if isinstance(resource.spec, SettingsSpec | DropIn) else ()

"""A service that takes corrections up: whether it has, how it does on them, and the job for that.

A model is read when a process starts, so a file put right under a running process changes nothing
in it. What a unit has yet to take up stands in the ledger (`core/ledger.py`); where it has to go
back on a change, the plan is the whole way back.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from jada_configd.core.actions import (
    Action,
    How,
    ReloadUnits,
    RemoveFile,
    ReplaceFile,
    StartJob,
    digest,
)
from jada_configd.core.applies import apply_for
from jada_configd.core.course import NOTHING, Before, Course
from jada_configd.core.facts import Content, FileFact, Missing, Owed, UnitFact
from jada_configd.core.model import Drift, Exactly, Field, Observed, Rule
from jada_configd.core.plan import Plan
from jada_configd.core.seams import Reader
from jada_configd.core.specs import ServiceSpec
from jada_configd.core.unreachable import unreachable_note
from jada_configd.core.usage import near, strains, unmeasured
from jada_configd.formats.put_back import put_back

LOADED: Field = ("loaded",)
HEALTHY: Field = ("healthy",)


@dataclass(frozen=True, slots=True)
class PutBack:
    """A file that has to become what it was: as it was, with its bytes, and as it is."""

    before: Before
    content: bytes | None
    now: FileFact


@dataclass(frozen=True, slots=True)
class Evidence:
    """The unit as systemd has it, its debt, and how it does; what has to be put back, and busy."""

    unit: UnitFact
    owed: Owed | None
    course: Course = NOTHING
    back: tuple[PutBack, ...] = ()
    busy: str | None = None


class ServiceKind:
    """`service:UNIT`."""

    name: ClassVar[str] = "service"
    noun: ClassVar[str] = "service"
    early: ClassVar[bool] = False
    asks_manager: ClassVar[bool] = True
    starts_jobs: ClassVar[bool] = True
    moves_ceilings: ClassVar[bool] = False

    def watches(self, spec: ServiceSpec) -> tuple[str, ...]:
        """The file that says whether it is busy; of its unit the service manager tells itself."""
        return (spec.busy,) if isinstance(spec.busy, str) else ()

    def units(self, spec: ServiceSpec) -> tuple[str, ...]:
        """Itself."""
        return (spec.unit,)

    def desired(self, spec: ServiceSpec) -> Mapping[Field, Rule]:
        """What runs has taken up what is on disk, and does well on it."""
        return {LOADED: Exactly(value=True), HEALTHY: Exactly(value=True)}

    def observe(self, spec: ServiceSpec, reader: Reader) -> Observed:
        """Whether the unit has taken everything up, and what keeps it from running.

        How near it is to its limits stands beside all that, and says nothing about a debt.
        """
        unit = reader.unit(spec.unit)
        owed = reader.owed(spec.unit)
        course = reader.course(spec.unit)
        usage = reader.usage(unit, near(spec.usage))
        told = (course.taken_back, course.in_place, _problem(spec, unit) or course.ailment)
        problem = "; ".join(filter(None, told)) or None
        note = None
        if problem is None and unit.active_state == "inactive":
            note = f"{spec.unit} is inactive; a correction does not start it"
        elif problem is None and usage is not None:
            note = unmeasured(spec.usage, usage)
        if problem is None and note is None and owed is None:
            note = unreachable_note(reader, unit, spec.limits)
        back = tuple(
            PutBack(each, _stood(each, reader), reader.read_file(each.path))
            for each in course.back_to
        )
        busy = _busy(spec, unit, course, reader) if owed is not None else None
        return Observed(
            {
                LOADED: owed is None,
                HEALTHY: not (course.goes_back or course.awaits or course.ailment),
            },
            Evidence(unit, owed, course, back, busy),
            problem,
            note,
            strains=strains(spec.usage, usage),
            degrades=course.taken_back is not None or course.in_place is not None,
        )

    def plan(self, spec: ServiceSpec, drift: Drift, observed: Observed) -> Plan:
        """One job, what puts back what it does not run well on, or what it waits for."""
        evidence = observed.evidence
        if not isinstance(evidence, Evidence):
            return Plan(waits=f"somebody who mends {spec.unit}")
        if evidence.course.goes_back:
            return _way_back(spec, evidence)
        if evidence.owed is None:
            if evidence.course.awaits is not None:
                return Plan(waits=evidence.course.awaits, under_way=True)
            return Plan(waits=f"somebody who mends {spec.unit}")
        how = how_to_apply(spec, evidence.unit, evidence.owed)
        if how is None:
            apply = apply_for(spec, evidence.owed.fields)
            return Plan(waits=f"a restart of {spec.unit} by hand (apply = {apply!r})")
        if evidence.unit.job and not (evidence.course.hung and how == "restart"):
            return Plan(waits=f"the job that {spec.unit} has in hand", under_way=True)
        if evidence.course.asks:
            return Plan(waits=f"word of how {spec.unit} does before the change", under_way=True)
        return Plan((StartJob(spec.unit, how),))


def _stood(before: Before, reader: Reader) -> bytes | None:
    """The bytes that stood there; None where there were none, or they are not to be had."""
    if not before.existed or before.content is not None:
        return before.content
    content = reader.stood_before(before.resource)
    return content if content is not None and digest(content) == before.bytes_digest else None


def _way_back(spec: ServiceSpec, evidence: Evidence) -> Plan:
    """Every file as it was, systemd told of its own, and the unit started anew, failed or not."""
    unreadable = [each for each in evidence.back if not isinstance(each.now, Content | Missing)]
    if unreadable:
        return Plan(waits=f"a readable {unreadable[0].before.path}", way_back=True)
    files = [action for each in evidence.back for action in _put_back(each)]
    reload = (ReloadUnits(),) if any(each.before.is_drop_in for each in evidence.back) else ()
    return Plan((*files, *reload, StartJob(spec.unit, "start")), way_back=True)


def _put_back(each: PutBack) -> list[Action]:
    before, now = each.before, each.now
    if not isinstance(now, Content):
        # Where its directory is gone too, nothing is left of what the service did not bear.
        homeless = isinstance(now, Missing) and not (before.is_drop_in or now.directory)
        if each.content is None or homeless:
            return []
        owner = (before.mode, before.uid, before.gid)
        return [
            ReplaceFile(before.path, each.content, *owner, None, make_directories=before.is_drop_in)
        ]
    values = () if before.whole else before.values
    lost = before.existed and each.content is None
    as_left = digest(now.data) == before.wrote and not lost
    content = put_back(now.data, each.content, values, as_left=as_left)
    if content is None and lost:
        return []
    if content is None:
        return [RemoveFile(before.path, digest(now.data))]
    if content == now.data:
        return []
    owner = (before.mode, before.uid, before.gid) if as_left else (now.mode, now.uid, now.gid)
    return [ReplaceFile(before.path, content, *owner, digest(now.data))]


def _busy(spec: ServiceSpec, unit: UnitFact, course: Course, reader: Reader) -> str | None:
    """What says that work is in flight, or None."""
    if isinstance(spec.busy, str) and reader.exists(spec.busy):
        return f"{spec.busy} exists"
    if course.busy is not None:
        return course.busy
    for each in reader.inhibitors(unit):
        return f"process {each.pid} ({each.who}) holds off a shutdown: {each.why}"
    return None


def how_to_apply(spec: ServiceSpec, unit: UnitFact, owed: Owed) -> How | None:
    """The job that settles a debt, or None where the policy or the unit allows none that does.

    A reload does not load a model, so a stale process is restarted wherever `apply` allows it.
    """
    match apply_for(spec, owed.fields):
        case "none":
            return None
        case "reload":
            return "reload" if unit.can_reload and not owed.reloaded else None
        case "restart":
            return "restart"
        case "reload-or-restart":
            return "restart" if owed.stale or not unit.can_reload else "reload"


def _problem(spec: ServiceSpec, unit: UnitFact) -> str | None:
    match unit.load_state:
        case "loaded":
            pass
        case "not-found":
            return f"{spec.unit} does not exist"
        case "masked":
            return f"{spec.unit} is masked; systemctl unmask {spec.unit} lets it run"
        case other:
            return f"{spec.unit} does not load ({other}); systemctl status {spec.unit} tells why"
    if unit.sub_state == "auto-restart":
        again = f"has failed ({unit.result}) and is started again and again"
        return f"{spec.unit} {again}; systemctl status {spec.unit} tells why"
    if unit.active_state == "failed":
        return f"{spec.unit} has failed ({unit.result}); systemctl status {spec.unit} tells why"
    return None

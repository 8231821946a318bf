"""A service that takes corrections up: whether it has, and the job that makes it.

A model is read when a process starts, so a file put right under a running process changes nothing
in it. What a unit has yet to take up stands in the ledger (`core/ledger.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from jada_configd.core.actions import How, StartJob
from jada_configd.core.model import Drift, Exactly, Field, Observed, Rule
from jada_configd.core.plan import Plan
from jada_configd.core.seams import Owed, Reader, UnitFact
from jada_configd.core.specs import ServiceSpec
from jada_configd.core.unreachable import unreachable_note
from jada_configd.core.usage import near, strains, unmeasured

LOADED: Field = ("loaded",)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The unit as systemd has it, and its debt."""

    unit: UnitFact
    owed: Owed | None


class ServiceKind:
    """`service:UNIT`."""

    name: ClassVar[str] = "service"
    noun: ClassVar[str] = "service"
    early: ClassVar[bool] = False
    asks_manager: ClassVar[bool] = True
    starts_jobs: ClassVar[bool] = True
    moves_ceilings: ClassVar[bool] = False

    def watches(self, spec: ServiceSpec) -> tuple[str, ...]:
        """Nothing: the service manager tells of its units itself."""
        return ()

    def units(self, spec: ServiceSpec) -> tuple[str, ...]:
        """Itself."""
        return (spec.unit,)

    def desired(self, spec: ServiceSpec) -> Mapping[Field, Rule]:
        """What runs has taken up what is on disk."""
        return {LOADED: Exactly(value=True)}

    def observe(self, spec: ServiceSpec, reader: Reader) -> Observed:
        """Whether the unit has taken everything up, and what keeps it from running.

        How near it is to its limits stands beside all that, and says nothing about a debt.
        """
        unit = reader.unit(spec.unit)
        owed = reader.owed(spec.unit)
        usage = reader.usage(unit, near(spec.usage))
        problem = _problem(spec, unit)
        note = None
        if problem is None and unit.active_state == "inactive":
            note = f"{spec.unit} is inactive; a correction does not start it"
        elif problem is None and usage is not None:
            note = unmeasured(spec.usage, usage)
        if problem is None and note is None and owed is None:
            note = unreachable_note(reader, unit, spec.limits)
        return Observed(
            {LOADED: owed is None},
            Evidence(unit, owed),
            problem,
            note,
            strains=strains(spec.usage, usage),
        )

    def plan(self, spec: ServiceSpec, drift: Drift, observed: Observed) -> Plan:
        """One job, or what it waits for."""
        evidence = observed.evidence
        if not isinstance(evidence, Evidence) or evidence.owed is None:
            return Plan(waits=f"somebody who mends {spec.unit}")
        how = how_to_apply(spec, evidence.unit, evidence.owed)
        if how is None:
            return Plan(waits=f"a restart of {spec.unit} by hand (apply = {spec.apply!r})")
        if evidence.unit.job:
            return Plan(waits=f"the job that {spec.unit} has in hand", under_way=True)
        return Plan((StartJob(spec.unit, how),))


def how_to_apply(spec: ServiceSpec, unit: UnitFact, owed: Owed) -> How | None:
    """The job that settles a debt, or None where the policy or the unit allows none that does.

    A reload does not load a model, so a stale process is restarted wherever `apply` allows it.
    """
    match spec.apply:
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

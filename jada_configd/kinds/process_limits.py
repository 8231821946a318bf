"""The limits that the processes of a unit really have, as the kernel tells them.

systemd takes a limit that it cannot reach without a word and repeats it when asked; only the
process itself is the truth (proc(5), getrlimit(2)). All processes in the unit's control group are
compared, whichever of them the policy's `live` has changed while they run.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from jada_configd.core.actions import SetProcessLimit
from jada_configd.core.facts import LimitValue, ProcessFact, UnitFact
from jada_configd.core.limit_faults import Fault, Judge
from jada_configd.core.limits import plain_value
from jada_configd.core.model import Drift, Exactly, Field, Json, Observed, Rule, Value
from jada_configd.core.plan import Plan
from jada_configd.core.seams import Reader
from jada_configd.core.specs import ProcessLimits

OTHERS = "others"  # all processes but the main one
_SIDES = ("soft", "hard")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is wrong. `restart_helps`: systemd would give some of it to a new process.

    What another process lacks that the main one has, it was not started without: it, or who started
    it, has set its limits since, and would do so again.
    """

    faults: tuple[Fault, ...]
    restart_helps: bool


class ProcessLimitsKind:
    """`process-limits:UNIT`."""

    name: ClassVar[str] = "process-limits"
    noun: ClassVar[str] = ""
    early: ClassVar[bool] = False
    asks_manager: ClassVar[bool] = True
    starts_jobs: ClassVar[bool] = False
    moves_ceilings: ClassVar[bool] = False

    def watches(self, spec: ProcessLimits) -> tuple[str, ...]:
        """Nothing: a new main process is told by the service manager, the rest by the sweep."""
        return ()

    def units(self, spec: ProcessLimits) -> tuple[str, ...]:
        """Its own: it has another main process by then."""
        return (spec.unit,)

    def desired(self, spec: ProcessLimits) -> Mapping[Field, Rule]:
        """Soft and hard, each a field: of the main process, and of all others together."""
        sides = [
            (limit, side, Exactly(plain_value(value)))
            for limit, pair in spec.limits.items()
            for side, value in zip(_SIDES, pair, strict=True)
        ]
        rules: dict[Field, Rule] = {(limit, side): rule for limit, side, rule in sides}
        return rules | {(OTHERS, limit, side): rule for limit, side, rule in sides}

    def observe(self, spec: ProcessLimits, reader: Reader) -> Observed:
        """What the processes have; nothing is held where none runs."""
        unit = reader.unit(spec.unit)
        main = reader.process(unit.main_pid) if unit.main_pid else None
        judge = Judge(spec, unit, reader)
        faults = tuple(judge.faults(main))
        if main is None and not faults:
            return Observed({}, vacant=True, interim=True)
        # Between fork and exec a process has limits that are not its own yet (systemd.exec(5)).
        forked = {
            f"{each.process.pid}:{each.process.started}": None
            for each in faults
            if each.process.starting
        }
        helps = _restart_helps(faults, unit, is_main_there=main is not None)
        return Observed(
            _main_fields(spec, main) | _other_fields(spec, faults),
            Evidence(faults, helps),
            judge.told(faults),
            unsettled=" ".join(forked) or None,
        )

    def plan(self, spec: ProcessLimits, drift: Drift, observed: Observed) -> Plan:
        """prlimit(2) on the processes; a restart where that is refused and one would help."""
        evidence = observed.evidence
        if not isinstance(evidence, Evidence):
            return Plan(waits="a process")
        to_set = [fault for fault in evidence.faults if fault.reason is None]
        ready = [fault for fault in to_set if not fault.process.starting]
        if ready:
            return Plan(
                tuple(
                    SetProcessLimit(each.process.pid, each.process.started, each.limit, *each.want)
                    for each in ready
                ),
                or_restart=spec.unit if evidence.restart_helps else None,
            )
        if to_set:
            pid = to_set[0].process.pid
            return Plan(waits=f"process {pid} to run its program", under_way=True)
        if all(fault.reason == "beyond" for fault in evidence.faults):
            return Plan(waits="a higher ceiling on this host")
        return Plan(waits=f"processes of {spec.unit} to start anew")


def _restart_helps(faults: Iterable[Fault], unit: UnitFact, *, is_main_there: bool) -> bool:
    given = unit.limits or {}
    return any(
        given.get(fault.limit) == fault.want
        for fault in faults
        if fault.reason is None and (fault.main or not is_main_there)
    )


def _main_fields(spec: ProcessLimits, main: ProcessFact | None) -> dict[Field, Value]:
    """Where there is no main process, nothing is wrong with it."""
    has = spec.limits if main is None else main.limits
    return {
        (limit, side): plain_value(value)
        for limit in spec.limits
        if limit in has
        for side, value in zip(_SIDES, has[limit], strict=True)
    }


def _other_fields(spec: ProcessLimits, faults: Iterable[Fault]) -> dict[Field, Value]:
    """The one wrong value that all have who have one, or each that there is, in order."""
    wrong: dict[Field, set[LimitValue]] = {}
    for fault in faults:
        for side, have, want in zip(_SIDES, fault.have, fault.want, strict=True):
            if not fault.main and have != want:
                wrong.setdefault((OTHERS, fault.limit, side), set()).add(have)
    fields: dict[Field, Value] = {}
    for limit, pair in spec.limits.items():
        for side, want in zip(_SIDES, pair, strict=True):
            field = (OTHERS, limit, side)
            numbers = wrong.get(field, {want})
            values: list[Json] = [
                *sorted(number for number in numbers if number is not None),
                *("infinity" for number in numbers if number is None),
            ]
            fields[field] = values if len(values) > 1 else values[0]
    return fields

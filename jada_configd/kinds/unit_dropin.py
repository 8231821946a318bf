"""The drop-in of a unit: what stands in our file, and what systemd makes of it.

The two are fields of their own (`/LimitNOFILE`, `/systemd/LimitNOFILE`), because systemd reads a
file only at daemon-reload and a later drop-in of somebody else may say otherwise. What the running
process really has is the matter of `process_limits`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from jada_configd.core.actions import ReloadUnits, RemoveFile, ReplaceFile, digest
from jada_configd.core.model import Drift, Exactly, Field, Observed, Rule, Value
from jada_configd.core.plan import Plan
from jada_configd.core.seams import Content, LimitPair, Missing, Reader, UnitFact, Unreadable
from jada_configd.core.specs import DropIn
from jada_configd.formats.key_value import parse_unit, render_drop_in

FILE_MODE = 0o644
_HEADER: Field = ("header",)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The file as it was read, and the unit as systemd has it (None where it was not asked)."""

    fact: Content | Missing
    unit: UnitFact | None


def directive(limit: str) -> str:
    """The unit-file name of a limit: `LimitNOFILE` for `nofile` (systemd.exec(5))."""
    return f"Limit{limit.upper()}"


def limit_text(pair: LimitPair) -> str:
    """Soft and hard as systemd writes them; one number where both are one."""
    soft, hard = ("infinity" if value is None else str(value) for value in pair)
    return soft if soft == hard else f"{soft}:{hard}"


class DropInKind:
    """`unit-dropin:UNIT`."""

    name: ClassVar[str] = "unit-dropin"
    noun: ClassVar[str] = "file"
    early: ClassVar[bool] = True
    asks_manager: ClassVar[bool] = True
    starts_jobs: ClassVar[bool] = False
    moves_ceilings: ClassVar[bool] = False

    def watches(self, spec: DropIn) -> tuple[str, ...]:
        """Our drop-in."""
        return (spec.path,)

    def units(self, spec: DropIn) -> tuple[str, ...]:
        """Its own."""
        return (spec.unit,)

    def desired(self, spec: DropIn) -> Mapping[Field, Rule]:
        """Each line of the file, and each limit as systemd must have loaded it."""
        if not spec.limits:
            return {}
        wanted = {directive(limit): limit_text(pair) for limit, pair in spec.limits.items()}
        rules: dict[Field, Rule] = {(name,): Exactly(value) for name, value in wanted.items()}
        if spec.managed:
            rules |= {("systemd", name): Exactly(value) for name, value in wanted.items()}
        rules[_HEADER] = Exactly(spec.header)
        return rules

    def observe(self, spec: DropIn, reader: Reader) -> Observed:
        """The lines of our file and, where a service manager is asked, what it has loaded."""
        fact = reader.read_file(spec.path)
        if isinstance(fact, Unreadable):
            return Observed({}, None, fact.problem)
        unit = reader.unit(spec.unit) if spec.managed else None
        fields = _file_fields(fact)
        if not spec.limits:
            problem = "its entry has left the policy" if _is_left(spec, fact, unit) else None
            return Observed({}, Evidence(fact, unit), problem)
        foreign = sorted(_foreign(spec, fields))
        problem = f"holds what the policy does not name: {', '.join(foreign)}" if foreign else None
        fields |= _loaded_fields(spec, unit)
        if problem is None and unit is not None and not foreign:
            problem = _overridden(spec, fields, unit)
        return Observed(fields, Evidence(fact, unit), problem)

    def plan(self, spec: DropIn, drift: Drift, observed: Observed) -> Plan:
        """The file where it differs, then a daemon-reload where systemd has not read it."""
        evidence = observed.evidence
        if not isinstance(evidence, Evidence):
            return Plan(waits="somebody who removes what is in the way")
        fact = evidence.fact
        reload = (ReloadUnits(),) if spec.managed else ()
        if not spec.limits:
            if isinstance(fact, Missing):
                return Plan(reload)
            return Plan((RemoveFile(spec.path, digest(fact.data)), *reload))
        content = _content(spec)
        if isinstance(fact, Missing):
            create = ReplaceFile(spec.path, content, FILE_MODE, -1, -1, None, make_directories=True)
            return Plan((create, *reload))
        if any(change.field[0] != "systemd" for change in drift.changes) or _foreign(
            spec, _file_fields(fact)
        ):
            replaces = digest(fact.data)
            replace = ReplaceFile(spec.path, content, FILE_MODE, fact.uid, fact.gid, replaces)
            return Plan((replace, *reload))
        if evidence.unit is not None and _pending(spec, evidence.unit):
            return Plan(reload)
        return Plan(waits="whoever set a later drop-in")


def _is_left(spec: DropIn, fact: Content | Missing, unit: UnitFact | None) -> bool:
    """Whether our file, or what systemd has read from it, is still there."""
    if isinstance(fact, Content):  # without our header it is somebody else's by now
        return fact.data.startswith(f"# {spec.header}\n".encode())
    return unit is not None and _pending(spec, unit)


def _content(spec: DropIn) -> bytes:
    lines = [(directive(limit), limit_text(pair)) for limit, pair in spec.limits.items()]
    return render_drop_in([spec.header], {"Service": lines}).encode()


def _file_fields(fact: Content | Missing) -> dict[Field, Value]:
    if isinstance(fact, Missing):
        return {}
    text = fact.data.decode(errors="replace")
    fields: dict[Field, Value] = {}
    first = text.partition("\n")[0]
    if first.startswith("# "):
        fields[_HEADER] = first.removeprefix("# ")
    for line in parse_unit(text):
        key = line.key or f"line {line.line}"  # what systemd would not read is not ours either
        fields[(key if line.section == "Service" else f"{line.section}.{key}",)] = line.value
    return fields


def _foreign(spec: DropIn, fields: Mapping[Field, Value]) -> set[str]:
    ours = {_HEADER, *((directive(limit),) for limit in spec.limits)}
    return {field[0] for field in fields if field not in ours and field[0] != "systemd"}


def _loaded_fields(spec: DropIn, unit: UnitFact | None) -> dict[Field, Value]:
    if unit is None:
        return {}
    if unit.limits is None:  # not-found, masked: the service entry says so, not this one
        return {
            ("systemd", directive(limit)): limit_text(pair) for limit, pair in spec.limits.items()
        }
    return {
        ("systemd", directive(limit)): limit_text(unit.limits[limit])
        for limit in spec.limits
        if limit in unit.limits
    }


def _pending(spec: DropIn, unit: UnitFact) -> bool:
    """Whether systemd has yet to read our file, or has yet to notice that it went."""
    return unit.need_daemon_reload or (bool(spec.limits) and spec.path not in unit.drop_ins)


def _overridden(spec: DropIn, fields: Mapping[Field, Value], unit: UnitFact) -> str | None:
    """Who says otherwise after us, where systemd has read our file and yet has another value."""
    if unit.limits is None or _pending(spec, unit):
        return None
    for limit, pair in spec.limits.items():
        have = fields.get(("systemd", directive(limit)))
        if have == limit_text(pair) or fields.get((directive(limit),)) != limit_text(pair):
            continue
        later = unit.drop_ins[unit.drop_ins.index(spec.path) + 1 :]
        who = (
            f"a later drop-in sets it: {', '.join(later)}" if later else "systemd refused the line"
        )
        return f"systemd gives {directive(limit)}={have}; {who}"
    return None

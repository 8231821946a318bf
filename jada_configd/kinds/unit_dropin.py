"""The drop-in of a unit: what stands in our file, and what systemd makes of it.

The two are fields of their own (`/LimitNOFILE`, `/systemd/LimitNOFILE`), because systemd reads a
file only at daemon-reload and a later drop-in of somebody else may say otherwise. What the running
process really has is the matter of `process_limits`.

A daemon-reload is for what it would bring: systemd has not read our file, or it would give the
limit by the files as they are now, whoever has changed them. An edit of somebody else's that would
bring nothing of ours stays pending and is told; to load it is theirs to decide.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from jada_configd.core.actions import ReloadUnits
from jada_configd.core.facts import Content, LimitLine, Missing, UnitFact, Unreadable
from jada_configd.core.limits import directive, limit_text, line_text, line_that_gives
from jada_configd.core.model import Drift, Exactly, Field, Observed, Rule, Value
from jada_configd.core.our_files import HEADER, header_field, is_ours, put
from jada_configd.core.overriding import overridden
from jada_configd.core.plan import Plan
from jada_configd.core.seams import Reader
from jada_configd.core.specs import DropIn
from jada_configd.core.wording import in_the_way
from jada_configd.formats.key_value import parse_unit, render_drop_in


@dataclass(frozen=True, slots=True)
class Evidence:
    """The file as it was read, and whether a daemon-reload brings what systemd lacks of it."""

    fact: Content | Missing
    reload_helps: bool = False


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
        rules[HEADER] = Exactly(spec.header)
        return rules

    def observe(self, spec: DropIn, reader: Reader) -> Observed:
        """The lines of our file and, where a service manager is asked, what it has loaded."""
        fact = reader.read_file(spec.path)
        if isinstance(fact, Unreadable):
            return Observed({}, None, in_the_way(spec.path, fact.problem))
        return replace(self._read(spec, fact, reader), file=fact)

    def _read(self, spec: DropIn, fact: Content | Missing, reader: Reader) -> Observed:
        unit = reader.unit(spec.unit) if spec.managed else None
        fields = _file_fields(fact)
        if not spec.limits:
            problem = "its entry has left the policy" if _is_left(spec, fact, unit) else None
            return Observed({}, Evidence(fact), problem)
        foreign = sorted(_foreign(spec, fields))
        problem = f"holds what the policy does not name: {', '.join(foreign)}" if foreign else None
        fields |= _loaded_fields(spec, unit)
        if unit is None or unit.limits is None:
            return Observed(fields, Evidence(fact), problem)
        lacking = _lacking(spec, unit)
        if not lacking:
            return Observed(fields, Evidence(fact), problem, _unread_note(spec, unit, reader))
        wrong = [limit for limit in lacking if _stands(spec, fields, limit)]
        lines = reader.limit_lines(spec.unit) if wrong else ()
        helped = {limit for limit in wrong if _reload_gives(spec, unit, limit, lines)}
        left = next((limit for limit in wrong if limit not in helped), None)
        if problem is None and left is not None:
            ours = _as_listed(spec, fact, unit)
            problem = _overridden(spec, unit, left, lines, ours)
        return Observed(fields, Evidence(fact, bool(helped)), problem)

    def plan(self, spec: DropIn, drift: Drift, observed: Observed) -> Plan:
        """The file where it differs, then a daemon-reload where systemd has not read it."""
        evidence = observed.evidence
        if not isinstance(evidence, Evidence):
            return Plan(waits="somebody who removes what is in the way")
        fact = evidence.fact
        reload = (ReloadUnits(),) if spec.managed else ()
        if not spec.limits:
            return Plan((*put(spec.path, None, fact), *reload))
        if any(change.field[0] != "systemd" for change in drift.changes) or _foreign(
            spec, _file_fields(fact)
        ):
            return Plan((*put(spec.path, _content(spec), fact), *reload))
        if evidence.reload_helps:
            return Plan(reload)
        return Plan(waits="whoever set a later drop-in")


def _is_left(spec: DropIn, fact: Content | Missing, unit: UnitFact | None) -> bool:
    """Whether our file, or what systemd has read from it, is still there."""
    if isinstance(fact, Content):
        return is_ours(fact, spec.header)
    return unit is not None and spec.path in unit.drop_ins


def _content(spec: DropIn) -> bytes:
    lines = [(directive(limit), limit_text(pair)) for limit, pair in spec.limits.items()]
    return render_drop_in([spec.header], {"Service": lines}).encode()


def _file_fields(fact: Content | Missing) -> dict[Field, Value]:
    if isinstance(fact, Missing):
        return {}
    text = fact.data.decode(errors="replace")
    fields: dict[Field, Value] = {**header_field(text)}
    for line in parse_unit(text):
        key = line.key or f"line {line.line}"  # what systemd would not read is not ours either
        fields[(key if line.section == "Service" else f"{line.section}.{key}",)] = line.value
    return fields


def _foreign(spec: DropIn, fields: Mapping[Field, Value]) -> set[str]:
    ours = {HEADER, *((directive(limit),) for limit in spec.limits)}
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


def _as_listed(spec: DropIn, fact: Content | Missing, unit: UnitFact) -> str:
    """Our file as systemd lists it: under its own path where a directory on the way is a link."""
    if isinstance(fact, Content) and fact.target in unit.drop_ins:
        return fact.target
    return spec.path


def _lacking(spec: DropIn, unit: UnitFact) -> list[str]:
    """The limits of which systemd gives another value than the policy's."""
    given = unit.limits or {}
    return [limit for limit, pair in spec.limits.items() if given.get(limit) != pair]


def _stands(spec: DropIn, fields: Mapping[Field, Value], limit: str) -> bool:
    """Whether our file says of a limit what it should."""
    return fields.get((directive(limit),)) == limit_text(spec.limits[limit])


def _reload_gives(spec: DropIn, unit: UnitFact, limit: str, lines: tuple[LimitLine, ...]) -> bool:
    """Whether systemd, once it has read its files again, would give the limit.

    A directory that has come into being since it read them makes it say that it needs no reload
    (systemd 252), so our file counts as unread wherever it is not listed, or masked by its name.
    """
    names = {path.rpartition("/")[2] for path in unit.drop_ins}
    if spec.path.rpartition("/")[2] not in names:
        return True
    line = line_that_gives(lines, limit) if unit.need_daemon_reload else None
    return line is not None and (line.soft, line.hard) == spec.limits[limit]


def _overridden(
    spec: DropIn, unit: UnitFact, limit: str, lines: tuple[LimitLine, ...], ours: str
) -> str | None:
    """Who says otherwise after us."""
    given = (unit.limits or {}).get(limit)
    if given is None:
        return None
    return overridden(unit, limit, given, lines, ours, user=_is_users(spec))


def _is_users(spec: DropIn) -> bool:
    return not spec.path.startswith("/etc/")


def _unread_note(spec: DropIn, unit: UnitFact, reader: Reader) -> str | None:
    """That systemd has yet to read somebody else's edit, and what would come of our limits."""
    if not unit.need_daemon_reload:
        return None
    reload = f"systemctl {'--user ' if _is_users(spec) else ''}daemon-reload"
    lines = reader.limit_lines(spec.unit)
    for limit, pair in spec.limits.items():
        line = line_that_gives(lines, limit)
        if line is not None and (line.soft, line.hard) != pair:
            return (
                f"the files of {spec.unit} have changed since systemd read them; "
                f"a `{reload}` would bring {line_text(line)}"
            )
    return f"the files of {spec.unit} have changed since systemd read them; `{reload}` has it read"

"""A kernel parameter: what the kernel has, our line for the next boot, and what wins there.

The three are fields of their own: a boot sets what the files say, whatever the kernel has now, and
a later file of somebody else may say otherwise than ours (systemd-sysctl.service(8)).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from jada_configd.core.actions import Action, SetSysctl
from jada_configd.core.facts import Content, FileFact, Missing, SysctlFact, Unreadable
from jada_configd.core.model import Drift, Exactly, Field, Observed, Rule, Value, same
from jada_configd.core.our_files import HEADER, header_field, is_ours, put
from jada_configd.core.plan import Plan
from jada_configd.core.seams import Reader
from jada_configd.core.specs import Sysctl
from jada_configd.core.wording import MASKED, escaped, in_the_way
from jada_configd.formats.sysctl_lines import Line, normal, parse_sysctls, plain, render_sysctls
from jada_configd.formats.sysctl_precedence import (
    DIRECTORIES,
    SUFFIX,
    Setting,
    files_in_order,
    setting_of,
)

LIVE: Field = ("live",)
FILE: Field = ("file",)
BOOT: Field = ("boot",)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Our file as it was read, None where it cannot be, and the kernel's value where it was asked.

    `is_whole`: what our file says of this key, and what else this resource looks at, is right.
    """

    file: Content | Missing | None
    is_whole: bool
    live: SysctlFact | None


class SysctlKind:
    """`sysctl:KEY`."""

    name: ClassVar[str] = "sysctl"
    noun: ClassVar[str] = "kernel parameter"
    early: ClassVar[bool] = True
    asks_manager: ClassVar[bool] = False
    starts_jobs: ClassVar[bool] = False
    moves_ceilings: ClassVar[bool] = True

    def watches(self, spec: Sysctl) -> tuple[str, ...]:
        """Our file. Of /proc/sys the kernel tells nothing: the sweep finds what changed there."""
        return () if spec.path is None else (spec.path,)

    def units(self, spec: Sysctl) -> tuple[str, ...]:
        """None: no unit has a kernel parameter of its own."""
        return ()

    def desired(self, spec: Sysctl) -> Mapping[Field, Rule]:
        """One value in the kernel, in our file and after a boot."""
        if spec.value is None:
            return {}
        value = Exactly(plain(spec.value))
        rules: dict[Field, Rule] = {LIVE: value} if spec.live else {}
        if spec.path is not None:
            rules |= {FILE: value, BOOT: value}
            if spec.leads:
                rules[HEADER] = Exactly(spec.header)
        return rules

    def observe(self, spec: Sysctl, reader: Reader) -> Observed:
        """What the kernel has, and what the files say."""
        fact = None if spec.path is None else reader.read_file(spec.path)
        if spec.value is None:
            return _observe_left(spec, fact)
        problems: list[str] = []
        fields: dict[Field, Value] = {}
        live = reader.sysctl(spec.key) if spec.live else None
        if live is not None:
            if live.text is not None:
                fields[LIVE] = plain(live.text)
            problems += _live_problems(spec, live)
        file: Content | Missing | None = None
        is_whole = True
        if isinstance(fact, Unreadable):
            problems.append(in_the_way(fact.path, fact.problem))
        elif fact is not None:
            file = fact
            lines = _lines(fact)
            fields |= _file_fields(spec, fact, lines)
            foreign = _foreign(spec, lines)
            is_whole = not foreign and all(
                same(fields.get(field, ""), rule.wanted(fields.get(field, "")))
                for field, rule in self.desired(spec).items()
                if field in (FILE, HEADER)
            )
            if foreign:
                problems.append(f"{spec.path} holds what the policy does not name: {foreign}")
        if spec.path is not None:
            problems += _boot(spec, fact, reader, fields)
        problem = "; ".join(problems) or None
        return Observed(fields, Evidence(file, is_whole, live), problem)

    def plan(self, spec: Sysctl, drift: Drift, observed: Observed) -> Plan:
        """The kernel's value where it can be set, and our file where it differs."""
        evidence = observed.evidence
        if not isinstance(evidence, Evidence):
            return Plan(waits="somebody who removes what is in the way")
        actions: list[Action] = []
        live = evidence.live
        if live is not None and spec.value is not None and _can_be_set(spec, live, observed):
            actions.append(SetSysctl(spec.key, spec.value, live.text or ""))
        if spec.path is not None and evidence.file is not None and not evidence.is_whole:
            actions += put(spec.path, _content(spec), evidence.file)
        return Plan(tuple(actions), waits=None if actions else "the kernel, or whoever sets it")


def _observe_left(spec: Sysctl, fact: FileFact | None) -> Observed:
    """A key that has left the policy: it has to leave our file, and the kernel keeps its value."""
    if isinstance(fact, Unreadable):
        return Observed({}, None, in_the_way(fact.path, fact.problem))
    if not is_ours(fact, spec.header) or not _of_key(spec, _lines(fact)):
        return Observed({}, Evidence(None, is_whole=True, live=None))
    keeps = "; the running kernel keeps its value" if spec.live else ""
    problem = f"its entry has left the policy{keeps}"
    return Observed({}, Evidence(fact, is_whole=False, live=None), problem)


def _live_problems(spec: Sysctl, live: SysctlFact) -> list[str]:
    """What keeps the kernel's value from being read, or from being put right."""
    if live.text is None:
        return [live.problem or f"the kernel does not tell {spec.key}"]
    if spec.value is None or same(plain(live.text), plain(spec.value)):
        return []
    if live.obstacle is not None:
        return [live.obstacle]
    if live.refused is not None and live.refused[0] == spec.value:
        return [live.refused[1]]
    return []


def _can_be_set(spec: Sysctl, live: SysctlFact, observed: Observed) -> bool:
    value = plain(spec.value or "")
    differs = live.text is not None and not same(observed.fields[LIVE], value)
    return differs and not _live_problems(spec, live)


def _lines(fact: Content | Missing) -> list[Line]:
    return [] if isinstance(fact, Missing) else parse_sysctls(_text(fact))


def _text(fact: Content) -> str:
    return fact.data.decode(errors="replace")


def _of_key(spec: Sysctl, lines: Sequence[Line]) -> list[Line]:
    key = normal(spec.key)
    return [line for line in lines if line.key == key]


def _file_fields(
    spec: Sysctl, fact: Content | Missing, lines: Sequence[Line]
) -> dict[Field, Value]:
    fields: dict[Field, Value] = {}
    ours = _of_key(spec, lines)
    if ours and ours[-1].value is not None:
        fields[FILE] = plain(ours[-1].value)
    if isinstance(fact, Content) and spec.leads:
        fields |= header_field(_text(fact))
    return fields


def _foreign(spec: Sysctl, lines: Sequence[Line]) -> str:
    """The lines of our file that we would not write, but for keys that are on their way out."""
    if not spec.leads:
        return ""
    known = {normal(key) for key in (*(key for key, _ in spec.entries), *spec.left)}
    seen: set[str] = set()
    foreign = []
    for line in lines:
        if line.key not in known or line.key in seen or line.value is None or line.lenient:
            foreign.append(f"line {line.line}")
        seen.add(line.key)
    return ", ".join(foreign)


def _boot(
    spec: Sysctl,
    ours: FileFact | None,
    reader: Reader,
    fields: dict[Field, Value],
) -> list[str]:
    """Takes down what a boot would set, and says who it is that says otherwise than our file."""
    setting, problems = _setting_at_boot(spec, ours, reader)
    if setting is not None and setting.value is not None:
        fields[BOOT] = plain(setting.value)
    if setting is None or setting.path == spec.path or FILE not in fields:
        return problems
    where = f"{escaped(setting.path)}:{setting.line}"
    if setting.value is None:
        return [*problems, f"{where} keeps the next boot from setting it"]
    wanted = plain(spec.value or "")
    if same(fields[BOOT], wanted) or not same(fields[FILE], wanted):
        return problems
    return [*problems, f"{where} sets it otherwise at the next boot"]


def _setting_at_boot(
    spec: Sysctl, ours: FileFact | None, reader: Reader
) -> tuple[Setting | None, list[str]]:
    found = [path for each in DIRECTORIES for path in reader.glob(f"{each}/*{SUFFIX}")]
    files: list[tuple[str, list[Line]]] = []
    problems = []
    for path in files_in_order(found):
        fact = ours if path == spec.path else reader.read_file(path)
        if isinstance(fact, Content):
            files.append((path, parse_sysctls(_text(fact))))
        elif isinstance(fact, Unreadable) and fact.problem != MASKED and path != spec.path:
            problems.append(f"{escaped(path)} may set it at the next boot: {fact.problem}")
    return setting_of(normal(spec.key), files), problems


def _content(spec: Sysctl) -> bytes | None:
    """The whole file, alike for all whose lines stand in it; None where there is nothing to say."""
    return render_sysctls(spec.header, spec.entries).encode() if spec.entries else None

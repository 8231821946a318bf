"""What logins are given: the lines of our file in limits.d, and whose lines count in their place.

pam_limits reads these files anew at each login, so a file put right is right for the next one. It
never reaches a service: systemd gives a process its limits, and reads nothing of this.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from jada_configd.core.facts import Content, LimitPair, LimitValue, Missing, Unreadable
from jada_configd.core.limits import pair_text, plain_value
from jada_configd.core.login_items import SINGLE
from jada_configd.core.model import Drift, Exactly, Field, Observed, Rule, Value
from jada_configd.core.our_files import HEADER, header_field, is_ours, put
from jada_configd.core.plan import Plan
from jada_configd.core.resources.logins import LOGIN_FILES
from jada_configd.core.seams import Reader
from jada_configd.core.specs import LoginLimits
from jada_configd.core.wording import count, escaped, in_the_way
from jada_configd.formats.limits_conf import Line, parse, render
from jada_configd.formats.limits_precedence import (
    Accounts,
    accounts_of,
    beats,
    rank,
    same_limit,
)

_SIDES: Final = ("soft", "hard")


@dataclass(frozen=True, slots=True)
class Evidence:
    """The file as it was read; `correctable` where writing it anew would make a difference."""

    fact: Content | Missing
    correctable: bool


class LoginLimitsKind:
    """`login-limits:DOMAIN`."""

    name: ClassVar[str] = "login-limits"
    noun: ClassVar[str] = "login"
    early: ClassVar[bool] = True
    asks_manager: ClassVar[bool] = False
    starts_jobs: ClassVar[bool] = False
    moves_ceilings: ClassVar[bool] = False

    def watches(self, spec: LoginLimits) -> tuple[str, ...]:
        """Our file, and all others that pam_limits reads, those that are yet to come as well."""
        return (spec.path, *spec.others, LOGIN_FILES)

    def units(self, spec: LoginLimits) -> tuple[str, ...]:
        """None: no login is a unit of ours."""
        return ()

    def desired(self, spec: LoginLimits) -> Mapping[Field, Rule]:
        """Each side of each limit, and for the first domain the header of the file."""
        rules: dict[Field, Rule] = {
            field: Exactly(plain_value(value)) for field, value in _fields(spec.limits).items()
        }
        if spec.leads and _content(spec) is not None:
            rules[HEADER] = Exactly(spec.header)
        return rules

    def observe(self, spec: LoginLimits, reader: Reader) -> Observed:
        """The domain's lines in our file, and what other files make of them."""
        fact = reader.read_file(spec.path)
        if isinstance(fact, Unreadable):
            return Observed({}, None, in_the_way(spec.path, fact.problem))
        text = fact.data.decode(errors="replace") if isinstance(fact, Content) else ""
        lines = parse(text)
        if spec.domain in spec.left:
            return _left(spec, fact, lines)
        have = _have(spec, lines)
        fields: dict[Field, Value] = {
            field: plain_value(have[field]) for field in _fields(spec.limits) if field in have
        }
        if spec.leads:
            fields |= header_field(text)
        strays = list(_strays(spec, lines))
        is_wrong = bool(strays) or _differs(spec, have) or (spec.leads and _is_off(spec, fact))
        evidence = Evidence(fact, is_wrong)
        if strays:
            named = ", ".join(dict.fromkeys(strays))
            return Observed(fields, evidence, f"holds what the policy does not name: {named}")
        accounts = accounts_of(reader)
        wins, partly = _others(spec, reader, accounts)
        problem = _beyond(spec) or _first(wins)
        notes = "; ".join(_notes(spec, accounts, partly)) if problem is None else None
        return Observed(fields, evidence, problem, notes or None)

    def plan(self, spec: LoginLimits, drift: Drift, observed: Observed) -> Plan:
        """The whole file, for all domains: whichever of them asks, it is the same action."""
        evidence = observed.evidence
        if not isinstance(evidence, Evidence):
            return Plan(waits="somebody who removes what is in the way")
        content, fact = _content(spec), evidence.fact
        if not evidence.correctable or (content is None and isinstance(fact, Missing)):
            return Plan(waits="a higher ceiling" if spec.beyond else "whoever set the other limit")
        return Plan(put(spec.path, content, fact))


def _fields(limits: Mapping[str, LimitPair]) -> dict[Field, LimitValue]:
    fields: dict[Field, LimitValue] = {}
    for limit, (soft, hard) in limits.items():
        if limit in SINGLE:
            fields[limit,] = hard
        else:
            fields[limit, "soft"], fields[limit, "hard"] = soft, hard
    return fields


def _content(spec: LoginLimits) -> bytes | None:
    """The whole file, or None where there is nothing to say in it.

    What counts least stands first: of `priority` and `nonewprivs`, the last line counts.
    """
    entries = sorted(spec.entries, key=lambda entry: -rank(entry[0]))
    lines = [(domain, item, pair) for domain, each in entries for item, pair in each.items()]
    return render(spec.header, lines).encode() if lines else None


def _left(spec: LoginLimits, fact: Content | Missing, lines: list[Line]) -> Observed:
    """Whether anything of a domain that the policy has no more is still there."""
    left = is_ours(fact, spec.header) and (
        any(line.domain == spec.domain for line in lines) or _content(spec) is None
    )
    problem = "its entry has left the policy" if left else None
    return Observed({}, Evidence(fact, left), problem)


def _have(spec: LoginLimits, lines: list[Line]) -> dict[Field, LimitValue]:
    """What the lines of the domain come to: of two about one thing, the last counts."""
    return {
        (line.item, side) if side else (line.item,): line.value
        for line in lines
        if line.domain == spec.domain
        for side in line.sides
    }


def _differs(spec: LoginLimits, have: Mapping[Field, LimitValue]) -> bool:
    """Whether a limit that can be had is not as it should be."""
    return any(
        field not in have or have[field] != value
        for field, value in _fields(spec.limits).items()
        if field[0] not in spec.beyond
    )


def _is_off(spec: LoginLimits, fact: Content | Missing) -> bool:
    """Whether the file as such is: there without need, or without our header."""
    if _content(spec) is None:
        return isinstance(fact, Content)
    return not is_ours(fact, spec.header)


def _strays(spec: LoginLimits, lines: list[Line]) -> Iterator[str]:
    """What stands in our file and is not ours: our own domain's; all else is the first one's."""
    entries = dict(spec.entries)
    for line in lines:
        if line.domain in spec.left:
            continue
        known = entries.get(line.domain)
        if known is None or line.problem is not None:
            if spec.leads:
                yield f"line {line.line}"
        elif line.domain == spec.domain and line.item not in known:
            yield f"line {line.line}"


def _others(spec: LoginLimits, reader: Reader, accounts: Accounts) -> tuple[list[str], list[str]]:
    """The lines of other files that count in place of ours: for all of a domain, and for some."""
    wins, partly = [], []
    for path in spec.others:
        fact = reader.read_file(path)
        if isinstance(fact, Unreadable):
            partly.append(f"{escaped(fact.problem)}, and may say otherwise")
            continue
        if isinstance(fact, Missing):
            continue
        later = path > spec.path  # limits.conf, which is read first, sorts first
        for line in parse(fact.data.decode(errors="replace")):
            if line.problem or not _contradicts(line, spec.limits):
                continue
            if not beats(line, spec.domain, later=later):
                continue
            where, domain = f"{escaped(path)}:{line.line}", escaped(line.domain)
            if accounts.covers(line.domain, spec.domain):
                after = " after us" if later else ""
                sets = f"sets {line.item} for {domain}{after}"
                wins.append(f"{where} {sets if line.item else f'takes all limits off {domain}'}")
            elif accounts.touches(line.domain, spec.domain):
                sets = f"sets {line.item} for {domain}" if line.item else f"exempts {domain}"
                partly.append(f"{where} {sets}, which counts there in place of this")
    return wins, partly


def _contradicts(line: Line, limits: Mapping[str, LimitPair]) -> bool:
    """Whether a line says of a limit of ours something else than we do."""
    if not line.item:
        return bool(limits)
    for limit, pair in limits.items():
        if same_limit(line.item, limit):
            wanted = dict(zip(_SIDES, pair, strict=True)) | {"": pair[1]}
            return line.item != limit or any(line.value != wanted[side] for side in line.sides)
    return False


def _beyond(spec: LoginLimits) -> str | None:
    """Why a limit is left out: pam_limits gives it to nobody, and some of its releases no login."""
    for limit, reason in spec.beyond.items():
        pair = pair_text(spec.limits[limit])
        return (
            f"no login can get {limit} {pair} here, and it might be refused over it, so it is left "
            f"out: {reason}"
        )
    return None


def _first(said: list[str]) -> str | None:
    """One sentence of several."""
    if not said:
        return None
    return said[0] + (f" (and {count(len(said) - 1, 'more line')})" if len(said) > 1 else "")


def _notes(spec: LoginLimits, accounts: Accounts, partly: list[str]) -> Iterator[str]:
    if not accounts.knows(spec.domain):
        place = "group" if spec.domain[0] in "@%" else "passwd"
        yield f"{escaped(spec.domain.lstrip('@%'))} does not stand in /etc/{place}"
    if said := _first(partly):
        yield said
    if spec.limits.keys() - SINGLE and spec.unserved != ():
        units = spec.unserved or ()
        limits = ", ".join(f'service."{unit}".limits' for unit in units) or 'service."UNIT".limits'
        yield f"login limits never reach services; {escaped(limits)} does"

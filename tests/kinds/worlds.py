"""Generated policies and hosts, kind by kind, and what must be true of each in the end.

A kind has a row here: worlds in which it has something to hold, what somebody else may do there,
and, told from the host alone, whether a resource of that kind is as declared and could be.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from hypothesis import strategies as st

from jada_configd.core.facts import Ceiling, LimitPair
from jada_configd.core.model import (
    ABSENT,
    Exactly,
    Field,
    Gone,
    Json,
    Members,
    Mode,
    OneOf,
    Resource,
    Rule,
    Value,
    same,
)
from jada_configd.core.our_files import header
from jada_configd.core.resources import DROP_IN, resolve
from jada_configd.core.resources.sysctls import SYSCTL_FILE
from jada_configd.core.specs import (
    DropIn,
    LimitWord,
    Policy,
    ProcessLimits,
    ServiceSpec,
    SettingsSpec,
    Sysctl,
    SysctlSpec,
)
from tests.fake_host import DEFAULTS, SCOPE, SECOND_NS, UNITS, FakeHost, Process, Unit

POLICY: Final = "/etc/jada-configd/policy.toml"
HOME: Final = "/home/ubuntu/.claude/settings.json"
ROOT: Final = "/root/.claude/settings.json"
OPT: Final = "/opt/agent/config/settings.json"
PATTERN: Final = "/home/*/.claude/settings.json"
EVE: Final = "/home/eve/.claude/settings.json"
AGENT: Final = "jada-agent.service"
OTHER: Final = "other.service"
BYSTANDER: Final = "bystander.service"  # no policy ever names it
LATER: Final = "zzz-somebody.conf"
LATER_SYSCTLS: Final = "/etc/sysctl.d/zzz-somebody.conf"
EARLIER_SYSCTLS: Final = "/usr/lib/sysctl.d/50-default.conf"
SYSCTL_KEYS: Final = ("fs.nr_open", "net.core.somaxconn", "net.ipv4.tcp_rmem")


@dataclass(slots=True)
class World:
    """A policy and the host on which it is to hold."""

    policy: Policy
    host: FakeHost

    def resources(self, kind: str) -> list[Resource]:
        """What is held of one kind, and may be changed."""
        found = resolve(self.policy, self.host, SCOPE)
        return [each for each in found if each.id.kind == kind and each.mode == "enforce"]


def policy(
    settings: tuple[SettingsSpec, ...] = (),
    services: tuple[ServiceSpec, ...] = (),
    mode: Mode = "enforce",
    sysctls: tuple[SysctlSpec, ...] = (),
) -> Policy:
    """A policy of these entries."""
    return Policy(POLICY, (POLICY,), "sha256:0", mode, 300.0, settings, services, sysctls=sysctls)


def settings_spec(path: str = HOME, **other: Any) -> SettingsSpec:  # noqa: ANN401 - of the spec
    """`[settings.NAME]`."""
    spec = SettingsSpec(
        name="orchestrator",
        path=path,
        services=(),
        create=True,
        on_missing="owned",
        rules={("model",): Exactly("sonnet")},
        mode="enforce",
        origin="policy.toml:7",
    )
    return replace(spec, **other)


def service_spec(unit: str = AGENT, **other: Any) -> ServiceSpec:  # noqa: ANN401 - of the spec
    """`[service."UNIT"]`, at any pace, and with no way back: what these do is tested by itself."""
    spec = ServiceSpec(
        unit=unit,
        apply="reload-or-restart",
        when="auto",
        limits={},
        mode="enforce",
        origin="policy.toml:20",
        gather=0.0,
        min_interval=0.0,
        on_unhealthy="keep",
    )
    return replace(spec, **other)


def sysctl_spec(key: str = "fs.nr_open", value: str = "1048576", **other: Any) -> SysctlSpec:  # noqa: ANN401 - of the spec
    """An entry of `[sysctl]`."""
    return replace(SysctlSpec(key, value, "enforce", "policy.toml:30"), **other)


# ------------------------------------------------------------------------------ JSON and its rules

FIELDS: Final[tuple[Field, ...]] = (
    ("model",),
    ("effortLevel",),
    ("permissions", "deny"),
    ("permissions", "allow"),
    ("env", "ANTHROPIC_MODEL"),
    ("a", "b", "c"),
)
_SCALARS: st.SearchStrategy[Json] = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 1, 1.0, -3, 2.5, 10**20]),
    st.sampled_from(["sonnet", "haiku", "", "é", "\n", "Bash(*)"]),
)
_LISTS: st.SearchStrategy[list[Json]] = st.lists(_SCALARS, max_size=3)
_LEAVES: st.SearchStrategy[Json] = st.one_of(_SCALARS, _LISTS)
_VALUES: st.SearchStrategy[Json] = st.recursive(
    _LEAVES,
    lambda below: st.dictionaries(st.sampled_from(["b", "c", "deny", "x", ""]), below, max_size=3),
    max_leaves=4,
)


@st.composite
def _members(draw: st.DrawFn) -> Members:
    members: list[Json] = ["Read(.env)", "Bash(*)", 1, None, True]
    chosen = draw(st.lists(st.sampled_from(range(5)), unique=True, min_size=1, max_size=4))
    cut = draw(st.integers(0, len(chosen)))
    return Members(
        tuple(members[each] for each in chosen[:cut]), tuple(members[each] for each in chosen[cut:])
    )


RULES: st.SearchStrategy[Rule] = st.one_of(
    _LEAVES.map(Exactly),
    st.just(Gone()),
    st.lists(_LEAVES, min_size=1, max_size=3).map(lambda values: OneOf(tuple(values))),
    _members(),
)
_RULE_SETS = st.dictionaries(st.sampled_from(FIELDS), RULES, min_size=1, max_size=4)


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """Settings that parse, some with owned keys, some with a key twice."""
    document: dict[str, Json] = draw(
        st.dictionaries(
            st.sampled_from(["model", "permissions", "env", "a", "theme", "hooks"]),
            _VALUES,
            max_size=4,
        )
    )
    for field in draw(st.lists(st.sampled_from(FIELDS), max_size=3)):
        put(document, field, draw(_LEAVES))
    text = json.dumps(document, indent=draw(st.sampled_from([None, 2, "\t"])))
    if document and draw(st.integers(0, 5)) == 0:
        twice = json.dumps({"model": draw(_SCALARS)})
        text = f"{twice[:-1]}, {text[1:]}"
    return text.encode() + draw(st.sampled_from([b"", b"\n"]))


def put(document: dict[str, Json], field: Field, value: Json) -> None:
    """Set a field, whatever was on the way to it."""
    for token in field[:-1]:
        below = document.get(token)
        if not isinstance(below, dict):
            below = document[token] = {}
        document = below
    document[field[-1]] = value


BROKEN: Final = (b"{", b'{"model": "haiku",}', b"[1]", b"// no\n{}", b'{"model": NaN}', b"\x00")
EMPTY: Final = (b"", b"\n", b"\xef\xbb\xbf")


def value_at(document: Json, field: Field) -> Value:
    """The value of a field as a reader of the whole file has it."""
    for token in field:
        if isinstance(document, dict) and token in document:
            document = document[token]
        elif isinstance(document, list) and token.isdecimal() and int(token) < len(document):
            document = document[int(token)]
        else:
            return ABSENT
    return document


def rule_holds(rule: Rule, have: Value) -> bool:
    """Whether a value is as a rule wants it."""
    match rule:
        case Exactly(value):
            return same(have, value)
        case Gone():
            return have is ABSENT
        case OneOf(values):
            return any(same(have, each) for each in values)
        case Members(include, exclude):
            if not isinstance(have, list):
                return not include
            has = [any(same(member, each) for member in have) for each in include]
            hasnt = [not any(same(member, each) for member in have) for each in exclude]
            return all(has) and all(hasnt)


def content_holds(spec: SettingsSpec, data: bytes | None) -> bool:
    """Whether a file's content, None where there is none, is as declared."""
    if data is None:
        return not spec.create or all(rule_holds(rule, ABSENT) for rule in spec.rules.values())
    text = data.decode("utf-8-sig").strip()
    try:
        document = json.loads(text) if text else {}
    except ValueError:
        return False
    return isinstance(document, dict) and all(
        rule_holds(rule, value_at(document, field)) for field, rule in spec.rules.items()
    )


# ------------------------------------------------------------------------------ what others do


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that somebody else does; where it cannot be done it is not."""

    name: str
    do: Callable[[FakeHost], None]

    def __repr__(self) -> str:
        return self.name


def writes(path: str, data: bytes) -> Deed:
    """Somebody writes a file in place."""

    def do(host: FakeHost) -> None:
        if path not in host.blocked:
            host.write(path, data)

    return Deed(f"write {path} {data!r}", do)


def removes(path: str) -> Deed:
    """Somebody removes a file."""
    return Deed(f"remove {path}", lambda host: host.unlink(path))


def _if_running(name: str, unit: str, act: Callable[[FakeHost], object]) -> Deed:
    def do(host: FakeHost) -> None:
        if unit in host.units and host.units[unit].process is not None:
            act(host)

    return Deed(f"{name} {unit}", do)


def stops(unit: str) -> Deed:
    """Somebody stops a unit."""
    return _if_running("stop", unit, lambda host: host.stop(unit))


def crashes(unit: str) -> Deed:
    """A service crashes, and is started anew."""
    return _if_running("crash", unit, lambda host: host.crash(unit))


def lowers(unit: str, limit: str, pair: LimitPair) -> Deed:
    """Somebody's prlimit."""
    return _if_running(
        f"prlimit --{limit}={pair}", unit, lambda host: host.lower_limit(unit, limit, pair)
    )


def forks(unit: str, pair: LimitPair | None) -> Deed:
    """A service starts another process, which may set a limit of its own."""

    def do(host: FakeHost) -> None:
        child = host.fork(unit)
        if pair is not None:
            host.lower_limit(unit, "nofile", pair, pid=child.pid)

    return _if_running(f"fork {pair}", unit, do)


def starts(unit: str) -> Deed:
    """Somebody starts a unit."""

    def do(host: FakeHost) -> None:
        if unit in host.units and host.units[unit].load_state == "loaded":
            host.start(unit)

    return Deed(f"start {unit}", do)


def drop_in(unit: str, name: str = DROP_IN) -> str:
    """The path of a drop-in."""
    return f"{UNITS}/{unit}.d/{name}"


DROP_IN_TEXTS: Final = (
    b"",
    b"[Service]\nLimitNOFILE=1\n",
    b"# somebody's\n[Service]\nLimitNPROC=7:8\nEnvironment=A=b\n",
    b"[Service\nnonsense\n",
    f"# {header(policy())}\n\n[Service]\nLimitNOFILE=99999\n".encode(),
)

_FILES = (HOME, ROOT, OPT, EVE)
_WRITES = st.builds(writes, st.sampled_from(_FILES), documents())
_TRUNCATIONS = st.builds(writes, st.sampled_from(_FILES), st.sampled_from([*BROKEN, *EMPTY]))
_REMOVALS = st.builds(removes, st.sampled_from(_FILES))
_UNIT_DEEDS = st.one_of(
    st.builds(stops, st.sampled_from([AGENT, OTHER])),
    st.builds(starts, st.sampled_from([AGENT, OTHER])),
    st.builds(crashes, st.sampled_from([AGENT, OTHER])),
    st.builds(
        lowers,
        st.sampled_from([AGENT, OTHER]),
        st.sampled_from(["nofile", "nproc", "core"]),
        st.sampled_from([(0, 0), (1, 2), (100, None)]),
    ),
    st.builds(forks, st.sampled_from([AGENT, OTHER]), st.sampled_from([None, (1, 2), (100, None)])),
)
_DROP_IN_DEEDS = st.one_of(
    st.builds(
        writes,
        st.sampled_from([drop_in(AGENT), drop_in(OTHER)]),
        st.sampled_from(DROP_IN_TEXTS),
    ),
    st.builds(removes, st.sampled_from([drop_in(AGENT), drop_in(OTHER)])),
)
SYSCTL_VALUES: Final = ("64", "4096", "1048576", "4096 87380\t6291456", "-1", "")
SYSCTL_TEXTS: Final = (
    b"",
    b"fs.nr_open = 77\n",
    b"-fs.nr_open\nnet/core/somaxconn=4096\n",
    b"net.*.somaxconn = 1\nfs.* = 2\n; none\nnonsense\n-net.ipv4.tcp_rmem = 1 2 3\n",
    f"# {header(policy())}\n\nfs.nr_open = 77\nvm.swappiness = 10\n".encode(),
)


def sets(key: str, value: str) -> Deed:
    """Somebody sets a kernel parameter, where there is one that can be set."""

    def do(host: FakeHost) -> None:
        if key in host.sysctls and key not in host.read_only:
            host.sysctls[key] = f"{value}\n"

    return Deed(f"sysctl {key}={value!r}", do)


_SYSCTL_DEEDS = st.one_of(
    st.builds(sets, st.sampled_from(SYSCTL_KEYS), st.sampled_from(SYSCTL_VALUES)),
    st.builds(
        writes,
        st.sampled_from([SYSCTL_FILE, LATER_SYSCTLS, EARLIER_SYSCTLS]),
        st.sampled_from(SYSCTL_TEXTS),
    ),
    st.builds(removes, st.sampled_from([SYSCTL_FILE, LATER_SYSCTLS])),
)
# What leads to one and the same end in whatever order it is seen: content is put there whole, and
# none of it is such that what stood there before comes back.
ABSOLUTE_DEEDS = st.one_of(_WRITES, _REMOVALS, _UNIT_DEEDS, _DROP_IN_DEEDS, _SYSCTL_DEEDS)
DEEDS = st.one_of(ABSOLUTE_DEEDS, _TRUNCATIONS)


# ------------------------------------------------------------------------------ policies and hosts

_WORDS: st.SearchStrategy[LimitWord] = st.sampled_from([10, 4096, 65536, 10**9, "infinity", "max"])
_CEILINGS = st.sampled_from([None, 20000, 1048576])
_THRESHOLDS = st.dictionaries(
    st.sampled_from(["nofile", "nproc", "tasks"]),
    st.sampled_from([0.01, 0.5, 0.8, 1.0]),
    max_size=2,
)
_MODES: st.SearchStrategy[Mode] = st.sampled_from(["enforce"] * 5 + ["observe"])


@st.composite
def _limits(draw: st.DrawFn, *, least: int) -> dict[str, tuple[LimitWord, LimitWord]]:
    names = draw(
        st.lists(st.sampled_from(["nofile", "nproc", "core"]), unique=True, min_size=least)
    )
    limits: dict[str, tuple[LimitWord, LimitWord]] = {}
    for name in names:
        soft, hard = draw(_WORDS), draw(_WORDS)
        limits[name] = (soft, hard) if _height(soft) <= _height(hard) else (hard, soft)
    return limits


def _height(word: LimitWord) -> float:
    return {"infinity": float("inf"), "max": 10**12}.get(str(word), 0) or float(word)


@st.composite
def _service_specs(draw: st.DrawFn, unit: str, least_limits: int) -> ServiceSpec:
    return service_spec(
        unit,
        apply=draw(
            st.sampled_from(["reload-or-restart"] * 3 + ["restart"] * 2 + ["reload", "none"])
        ),
        when=draw(st.sampled_from(["auto", "auto", "stale", "always"])),
        limits=draw(_limits(least=least_limits)),
        usage=draw(_THRESHOLDS),
        live=draw(st.sampled_from(["main"] * 3 + ["all", "none"])),
        mode=draw(_MODES),
    )


@st.composite
def _settings_specs(draw: st.DrawFn, path: str, units: list[str]) -> SettingsSpec:
    services = draw(st.lists(st.sampled_from(units), unique=True)) if units else []
    return settings_spec(
        path,
        services=tuple(services),
        create=draw(st.booleans()) if path != PATTERN else False,
        on_missing=draw(st.sampled_from(["owned", "owned", "last-good"])),
        rules=draw(_RULE_SETS),
        mode=draw(_MODES),
    )


@st.composite
def policies(
    draw: st.DrawFn, *, files: int = 0, units: int = 0, limits: int = 0, sysctls: int = 0
) -> Policy:
    """A policy with at least so many files, units, limits of each unit, and kernel parameters."""
    names = draw(st.lists(st.sampled_from([AGENT, OTHER]), unique=True, min_size=units))
    paths = draw(st.lists(st.sampled_from([HOME, ROOT, OPT, PATTERN]), unique=True, min_size=files))
    return policy(
        tuple(draw(_settings_specs(path, names)) for path in paths),
        tuple(draw(_service_specs(name, limits)) for name in names),
        sysctls=draw(_sysctl_specs(sysctls)),
    )


@st.composite
def _sysctl_specs(draw: st.DrawFn, least: int) -> tuple[SysctlSpec, ...]:
    """All of one mode, as a policy gives it."""
    keys = draw(st.lists(st.sampled_from(SYSCTL_KEYS), unique=True, min_size=least))
    mode = draw(_MODES)
    values = st.sampled_from([value.replace("\t", " ") for value in SYSCTL_VALUES])
    return tuple(sysctl_spec(key, draw(values), mode=mode) for key in keys)


_USED = st.sampled_from([0, 4, 900, 3300, 60000])


@st.composite
def _hosts(draw: st.DrawFn, held: Policy, *, running: bool) -> FakeHost:
    host = FakeHost()
    host.raises_limits = draw(st.integers(0, 4)) > 0
    host.same_user = draw(st.booleans())
    for limit in ("nofile", "nproc"):
        ceiling = draw(_CEILINGS)
        if ceiling is not None:
            host.ceilings[limit] = Ceiling(ceiling, f"the most {limit} is {ceiling}")
    for path in _FILES:
        _put_file(draw, host, path)
    for name in (AGENT, OTHER, BYSTANDER):
        _put_unit(draw, host, name, running=running)
    if held.sysctls:
        _put_sysctls(draw, host)
    return host


def _put_file(draw: st.DrawFn, host: FakeHost, path: str) -> None:
    state = draw(st.sampled_from(["good"] * 6 + ["broken", "empty", "gone", "nowhere", "blocked"]))
    match state:
        case "good":
            host.write(path, draw(documents()), mode=draw(st.sampled_from([0o600, 0o644])))
        case "broken":
            host.write(path, draw(st.sampled_from(BROKEN)))
        case "empty":
            host.write(path, draw(st.sampled_from(EMPTY)))
        case "gone":
            host.make_directory(path.rpartition("/")[0])
        case "blocked":
            host.make_directory(path.rpartition("/")[0])
            host.blocked[path] = f"{path} is a FIFO"


def _put_sysctls(draw: st.DrawFn, host: FakeHost) -> None:
    for key in (*SYSCTL_KEYS, "vm.swappiness"):
        state = draw(st.sampled_from(["free"] * 5 + ["gone", "read-only", "clamps", "refuses"]))
        if state != "gone":
            host.sysctls[key] = draw(st.sampled_from(SYSCTL_VALUES)) + "\n"
        if state == "read-only":
            host.read_only.add(key)
        elif state in ("clamps", "refuses"):
            host.bounds[key] = (5000, state)
    for path in (SYSCTL_FILE, LATER_SYSCTLS, EARLIER_SYSCTLS):
        if draw(st.integers(0, 2)) == 0:
            host.write(path, draw(st.sampled_from(SYSCTL_TEXTS)), mode=0o644, uid=0)
    if draw(st.integers(0, 9)) == 0:
        host.make_directory(SYSCTL_FILE.rpartition("/")[0], 0, 0)
        host.blocked[SYSCTL_FILE] = "/dev/null is a device"


def _put_unit(draw: st.DrawFn, host: FakeHost, name: str, *, running: bool) -> None:
    state = draw(
        st.sampled_from(
            ["active"] * 6 + ([] if running else ["inactive", "failed", "masked", "absent"])
        )
    )
    if state == "absent":
        return
    path = drop_in(name)
    if draw(st.integers(0, 2)) == 0:
        host.write(path, draw(st.sampled_from(DROP_IN_TEXTS)), mode=0o644, uid=0)
    if draw(st.integers(0, 5)) == 0:
        host.write(drop_in(name, LATER), b"[Service]\nLimitNOFILE=77\n", mode=0o644, uid=0)
    own = draw(st.sampled_from([{}, {"nofile": (4096, 4096)}]))
    load_state = "masked" if state == "masked" else "loaded"
    used = draw(st.dictionaries(st.sampled_from(["nofile", "nproc"]), _USED, max_size=2))
    unit = Unit(name, load_state, own=own, can_reload=draw(st.booleans()), used=used)
    host.add_unit(unit)
    if state == "failed":
        host.stop(name, failed=True)
    elif state == "active":
        host.start(name, ago_ns=draw(st.sampled_from([1000 * SECOND_NS, SECOND_NS, 0])))
        limit = draw(st.sampled_from(["nofile", "nproc"]))
        if draw(st.booleans()):
            host.lower_limit(name, limit, (5, 6))
        for _ in range(draw(st.integers(0, 2))):
            child = host.fork(name)
            if draw(st.booleans()):
                host.lower_limit(name, limit, (7, 8), pid=child.pid)
    if draw(st.integers(0, 3)) == 0:  # and systemd has not read it
        host.write(path, draw(st.sampled_from(DROP_IN_TEXTS)), mode=0o644, uid=0)


@st.composite
def worlds(
    draw: st.DrawFn,
    *,
    files: int = 0,
    units: int = 0,
    limits: int = 0,
    sysctls: int = 0,
    running: bool = False,
) -> World:
    """Any world with at least so much to hold."""
    held = draw(policies(files=files, units=units, limits=limits, sysctls=sysctls))
    host = draw(_hosts(held, running=running))
    host.told.clear()
    return World(held, host)


# ------------------------------------------------------------------------------ the rows


@dataclass(frozen=True, slots=True)
class Row:
    """What the shared properties need to know of a kind."""

    worlds: st.SearchStrategy[World]
    holds: Callable[[World, Any], bool]  # the spec is as declared, told from the host alone
    can_hold: Callable[[World, Any], bool]
    races: Callable[[FakeHost, Any], list[Deed]]  # what somebody may do to it at any moment


def _settings_holds(world: World, spec: SettingsSpec) -> bool:
    if spec.path in world.host.blocked:
        return False
    entry = world.host.files.get(spec.path)
    return content_holds(spec, entry.data if entry else None)


def _settings_can(world: World, spec: SettingsSpec) -> bool:
    host = world.host
    return spec.path not in host.blocked and (
        not spec.create or spec.path.rpartition("/")[0] in host.directories
    )


def _settings_races(host: FakeHost, spec: SettingsSpec) -> list[Deed]:
    return [
        writes(spec.path, b'{"theme": "theirs"}\n'),
        Deed(
            "rename over",
            lambda host: (
                host.move_over(spec.path, b'{"model": "theirs"}')
                if spec.path in host.files
                else None
            ),
        ),
        removes(spec.path),
    ]


def _drop_in_holds(world: World, spec: DropIn) -> bool:
    host = world.host
    entry = host.files.get(spec.path)
    unit = host.units.get(spec.unit)
    if not spec.limits:
        return entry is None
    if entry is None or not entry.data.startswith(f"# {spec.header}\n".encode()):
        return False
    lines = entry.data.decode().split("[Service]\n")[1].splitlines()
    wanted = [f"Limit{limit.upper()}={_pair(pair)}" for limit, pair in spec.limits.items()]
    loaded = (
        unit is None
        or unit.load_state != "loaded"
        or all(unit.loaded.get(limit) == pair for limit, pair in spec.limits.items())
    )
    return sorted(lines) == sorted(wanted) and loaded


def _pair(pair: LimitPair) -> str:
    soft, hard = ("infinity" if each is None else str(each) for each in pair)
    return soft if soft == hard else f"{soft}:{hard}"


def _drop_in_can(world: World, spec: DropIn) -> bool:
    if any(_is_crossed(pair) for pair in spec.limits.values()):
        return False  # systemd passes such a line over
    return drop_in(spec.unit, LATER) not in world.host.files or "nofile" not in spec.limits


def _is_crossed(pair: LimitPair) -> bool:
    """Whether soft is over hard: a number above what "max" comes to here."""
    soft, hard = pair
    return hard is not None and (soft is None or soft > hard)


def _drop_in_races(host: FakeHost, spec: DropIn) -> list[Deed]:
    return [writes(spec.path, b"[Service]\nLimitNOFILE=3\n"), removes(spec.path)]


def _process_holds(world: World, spec: ProcessLimits) -> bool:
    return not any(_wrong_limits(world.host, spec))


def _wrong_limits(host: FakeHost, spec: ProcessLimits) -> list[tuple[Process, str]]:
    unit = host.units.get(spec.unit) or Unit(spec.unit)
    return [
        (process, limit)
        for process in (unit.process, *unit.others)
        if process is not None
        for limit, pair in spec.limits.items()
        if process.limits[limit] != pair
    ]


def _process_can(world: World, spec: ProcessLimits) -> bool:
    """Within reach of prlimit, or of a restart under a drop-in that counts, and not left alone."""
    host = world.host
    for limit, pair in spec.limits.items():
        ceiling = host.ceilings.get(limit)
        if _is_crossed(pair) or (ceiling and (pair[1] is None or pair[1] > (ceiling.value or 0))):
            return False
    wrong = _wrong_limits(host, spec)
    if not wrong:
        return True
    main = host.units[spec.unit].process
    if spec.live == "none" or host.ledger.has_tried(spec.unit):
        return False  # no restart is made for a second time, and was it in vain the first time?
    if spec.live == "main" and any(process != main for process, _ in wrong):
        return False
    if any(_is_used(host, process, limit, spec) for process, limit in wrong):
        return False
    refused = [process for process, limit in wrong if _is_refused(host, process, limit, spec)]
    service = next(each for each in world.policy.services if each.unit == spec.unit)
    restarts = service.apply in ("restart", "reload-or-restart") and _unit_is_well(world, spec.unit)
    is_loaded = drop_in(spec.unit, LATER) not in host.files or "nofile" not in spec.limits
    return not refused or (main in refused and restarts and is_loaded)


def _is_used(host: FakeHost, process: Process, limit: str, spec: ProcessLimits) -> bool:
    """Whether more is in use than the limit would come down to."""
    (have, _), (want, _) = process.limits[limit], spec.limits[limit]
    used = host.in_use(process.pid, limit) or 0
    return want is not None and (have is None or have > want) and used >= want > 0


def _is_refused(host: FakeHost, process: Process, limit: str, spec: ProcessLimits) -> bool:
    """Whether the kernel wants a right for it that we do not have."""
    (_, have), (_, want) = process.limits[limit], spec.limits[limit]
    raises = have is not None and (want is None or want > have)
    return not host.raises_limits and (raises or not host.same_user)


def _process_races(host: FakeHost, spec: ProcessLimits) -> list[Deed]:
    return [crashes(spec.unit), stops(spec.unit)]


def _unit_is_well(world: World, name: str) -> bool:
    unit = world.host.units.get(name)
    return unit is not None and unit.load_state == "loaded" and unit.active_state != "failed"


def _service_holds(world: World, spec: ServiceSpec) -> bool:
    """What runs has read right values of all that is held for it, and the unit is well.

    And it uses no more of its limits than it should.
    """
    if not _unit_is_well(world, spec.unit) or _is_strained(world, spec):
        return False
    process = world.host.units[spec.unit].process
    return process is None or all(
        content_holds(held.spec, read.get(held.spec.path))
        for read in (process.saw, process.saw if process.reread is None else process.reread)
        for held in world.resources("settings")
        if isinstance(held.spec, SettingsSpec)
        and spec.unit in held.spec.services
        and _settings_can(world, held.spec)
    )


def _service_can(world: World, spec: ServiceSpec) -> bool:
    return (
        spec.apply in ("restart", "reload-or-restart")
        and _unit_is_well(world, spec.unit)
        and not _is_strained(world, spec)
    )


def _is_strained(world: World, spec: ServiceSpec) -> bool:
    unit = world.host.units[spec.unit]
    main = () if unit.process is None else (unit.process,)
    for limit, threshold in spec.usage.items():
        for process in (*main, *unit.others):
            soft = process.limits.get(limit, (None, None))[0]
            used = unit.used.get(limit, 1) if process is unit.process else 1
            if limit == "nproc":
                used = unit.used.get(limit, 1) + len((*main, *unit.others)) - 1
            if soft is not None and used > 0 and used >= threshold * soft:
                return True
    return False


def _service_races(host: FakeHost, spec: ServiceSpec) -> list[Deed]:
    return [crashes(spec.unit), stops(spec.unit)]


def _sysctl_holds(world: World, spec: Sysctl) -> bool:
    host = world.host
    entry = host.files.get(SYSCTL_FILE)
    text = entry.data.decode() if entry else ""
    if spec.value is None:
        return f"\n{spec.key} =" not in text or not text.startswith(f"# {spec.header}\n")
    wanted = "".join(f"{key} = {value}".rstrip() + "\n" for key, value in spec.entries)
    live = host.sysctls.get(spec.key)
    return (
        live is not None
        and live.split() == spec.value.split()
        and text == f"# {spec.header}\n\n{wanted}"
        and _wins(world, spec)
    )


def _wins(world: World, spec: Sysctl) -> bool:
    """Whether no line behind our file says otherwise; patterns do not count against a key."""
    later = world.host.files.get(LATER_SYSCTLS)
    lines = later.data.decode().splitlines() if later and spec.value is not None else []
    for line in lines:
        key, equals, value = line.removeprefix("-").replace("/", ".").partition("=")
        if key.strip() == spec.key and (not equals or value.split() != (spec.value or "").split()):
            return False
    return True


def _sysctl_can(world: World, spec: Sysctl) -> bool:
    host = world.host
    if SYSCTL_FILE in host.blocked:
        return False
    if spec.value is None:
        return True
    live = host.sysctls.get(spec.key)
    if live is None or not _wins(world, spec):
        return False
    most, _ = host.bounds.get(spec.key, (None, ""))
    word = spec.value
    is_beyond = most is not None and word.isdecimal() and int(word) > most
    return live.split() == word.split() or not (spec.key in host.read_only or is_beyond)


def _sysctl_races(host: FakeHost, spec: Sysctl) -> list[Deed]:
    return [
        sets(spec.key, "33"),
        writes(SYSCTL_FILE, b"fs.nr_open = 3\n"),
        removes(SYSCTL_FILE),
    ]


ROWS: Final[Mapping[str, Row]] = {
    "settings": Row(worlds(files=1), _settings_holds, _settings_can, _settings_races),
    "sysctl": Row(worlds(sysctls=1), _sysctl_holds, _sysctl_can, _sysctl_races),
    "unit-dropin": Row(worlds(units=1, limits=1), _drop_in_holds, _drop_in_can, _drop_in_races),
    "process-limits": Row(
        worlds(units=1, limits=1, running=True), _process_holds, _process_can, _process_races
    ),
    "service": Row(worlds(files=1, units=1), _service_holds, _service_can, _service_races),
}


def ending(world: World) -> dict[str, Any]:
    """How a world has come out: all that is held or might be, but no pid, inode or moment.

    Owner and mode are left out, because they are those of whoever made the file last.
    """
    host = world.host
    services = world.policy.services
    owned = {spec.unit: spec.limits for spec in services if spec.mode == "enforce"}
    # Where limits cannot be set, or are not to be, those at the process's start remain.
    live = {
        spec.unit: spec.limits if spec.live != "none" and host.raises_limits else {}
        for spec in services
        if spec.mode == "enforce" and not host.units.get(spec.unit, Unit(spec.unit)).used
    }
    return {
        "files": {path: entry.data for path, entry in host.files.items()},
        "sysctls": {key: text.split() for key, text in host.sysctls.items()},
        "units": {
            name: (
                unit.active_state,
                {each: unit.loaded.get(each) for each in owned.get(name, {})},
                unit.process and {each: unit.process.limits[each] for each in live.get(name, {})},
            )
            for name, unit in host.units.items()
        },
    }


assert set(DEFAULTS) >= {"nofile", "nproc", "core"}

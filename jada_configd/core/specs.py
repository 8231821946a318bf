"""What a policy declares, kind by kind, as plain frozen data.

`policy/` makes these in a short-lived child and hands them over as JSON; `Policy.from_plain` is the
only way back in. Nothing here checks anything: what arrives has been validated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from jada_configd.core.facts import LimitPair
from jada_configd.core.model import Exactly, Field, Gone, Members, Mode, OneOf, Rule
from jada_configd.core.windows import Purpose, Window

Apply: TypeAlias = Literal["reload", "restart", "reload-or-restart", "none"]
OnUnhealthy: TypeAlias = Literal["roll-back", "keep"]
DrainPolicy: TypeAlias = Literal["restart", "skip"]
When: TypeAlias = Literal["always", "stale", "auto"]
Live: TypeAlias = Literal["main", "all", "none"]
OnMissing: TypeAlias = Literal["owned", "last-good"]
LimitWord: TypeAlias = int | Literal["infinity", "max"]


@dataclass(frozen=True, slots=True)
class SettingsSpec:
    """`[settings.NAME]`: some keys of JSON files. `path` may be a glob.

    Of one file, which several entries may hold together, `names` are those of all of them.
    """

    name: str
    path: str
    services: tuple[str, ...]
    create: bool
    on_missing: OnMissing
    rules: Mapping[Field, Rule]
    mode: Mode
    origin: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HealthSpec:
    """`[service."UNIT".health]`: when a service counts as healthy; durations are seconds.

    It is when its unit is active with one main process for `stable`, and all that is asked besides
    says so: `command` (argv) with exit status 0, `url` with HTTP status 200, and what the unit's
    journal shows of the patterns (PCRE2). A change that has not come to that `within` has failed.
    Each of these questions is asked anew `every` so often, and may take `timeout`.
    """

    stable: float = 5.0
    within: float = 60.0
    every: float = 10.0
    timeout: float = 10.0
    command: tuple[str, ...] = ()
    url: str | None = None
    journal_must: str | None = None
    journal_must_not: str | None = None

    @property
    def probes(self) -> bool:
        """Whether anything is asked besides what systemd tells."""
        asked = (self.command, self.url, self.journal_must, self.journal_must_not)
        return any(asked)

    def is_young(self, started_ns: int, now_ns: int) -> bool:
        """Whether a process that started then has not run for `stable` yet."""
        return now_ns < started_ns + int(self.stable * 1e9)


@dataclass(frozen=True, slots=True)
class FallbackSpec:
    """`[service."UNIT".fallback]`: what is held in place of the policy's values, and when.

    `rules` are held in the files of the entry `settings` once the service was unhealthy `after`
    times in a row; after `retry` seconds the policy's own values are tried once.
    """

    settings: str
    rules: Mapping[Field, Rule]
    after: int = 3
    retry: float = 1800.0


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """`[service."UNIT"]`: how a unit takes corrections up, and its limits as (soft, hard).

    `usage`: the share of a limit, 1 being all of it, from which on its use is told as drift. `live`
    says of which processes limits are changed while they run: of the main one, of all, of none.

    `applies` says for some fields, and all below them, what `apply` says for the rest. Changes
    within `gather` share one apply, two of which are `min_interval` apart (seconds). `busy` is a
    file that exists, or a command that ends with 0, while work is in flight: a restart waits for
    the end of that for `drain` seconds at most.
    """

    unit: str
    apply: Apply
    when: When
    limits: Mapping[str, tuple[LimitWord, LimitWord]]
    mode: Mode
    origin: str
    usage: Mapping[str, float] = field(default_factory=dict)
    live: Live = "main"
    applies: Mapping[Field, Apply] = field(default_factory=dict)
    gather: float = 0.2
    min_interval: float = 10.0
    busy: str | tuple[str, ...] | None = None
    drain: float = 300.0
    drain_policy: DrainPolicy = "restart"
    on_unhealthy: OnUnhealthy = "roll-back"
    health: HealthSpec = field(default_factory=HealthSpec)
    fallback: FallbackSpec | None = None


@dataclass(frozen=True, slots=True)
class LoginSpec:
    """`[login.DOMAIN]`: what a domain of limits.conf(5) gets at its logins, as (soft, hard).

    `maxlogins`, `maxsyslogins`, `nonewprivs` and `priority` are one number, on both sides.
    """

    domain: str
    limits: Mapping[str, tuple[LimitWord, LimitWord]]
    mode: Mode
    origin: str


@dataclass(frozen=True, slots=True)
class SysctlSpec:
    """An entry of `[sysctl]`: a kernel parameter, its key with dots, and the text of its value."""

    key: str
    value: str
    mode: Mode
    origin: str


@dataclass(frozen=True, slots=True)
class Policy:
    """A whole policy. `revision` is `sha256:` of its sources; durations are seconds."""

    path: str
    sources: tuple[str, ...]
    revision: str
    mode: Mode
    sweep: float
    settings: tuple[SettingsSpec, ...]
    services: tuple[ServiceSpec, ...]
    warnings: tuple[str, ...] = ()
    bypasses: tuple[tuple[str, str], ...] = ()  # unit, and where what may stop it is held
    sysctls: tuple[SysctlSpec, ...] = ()
    logins: tuple[LoginSpec, ...] = ()
    textfile: str | None = None  # where metrics are written
    windows: Mapping[Purpose, tuple[Window, ...]] = field(default_factory=dict)
    contested_after: int = 10  # corrections of one field within that many seconds are no contest
    contested_within: float = 60.0

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Policy":
        """The policy from the plain JSON that the validating child prints."""
        return cls(
            path=plain["path"],
            sources=tuple(plain["sources"]),
            revision=plain["revision"],
            mode=plain["mode"],
            sweep=plain["sweep"],
            settings=tuple(_settings(entry) for entry in plain["settings"]),
            services=tuple(_service(entry) for entry in plain["services"]),
            warnings=tuple(plain["warnings"]),
            bypasses=tuple((unit, place) for unit, place in plain["bypasses"]),
            sysctls=tuple(SysctlSpec(**entry) for entry in plain["sysctls"]),
            logins=tuple(_login(entry) for entry in plain["logins"]),
            textfile=plain["textfile"],
            windows={
                purpose: tuple(_window(entry) for entry in entries)
                for purpose, entries in plain["windows"].items()
            },
            contested_after=plain["contested_after"],
            contested_within=plain["contested_within"],
        )


def _settings(plain: Mapping[str, Any]) -> SettingsSpec:
    return SettingsSpec(
        name=plain["name"],
        path=plain["path"],
        services=tuple(plain["services"]),
        create=plain["create"],
        on_missing=plain["on_missing"],
        rules=_rules(plain["rules"]),
        mode=plain["mode"],
        origin=plain["origin"],
    )


def _rules(plain: Sequence[Mapping[str, Any]]) -> dict[Field, Rule]:
    return {tuple(rule["field"]): _rule(rule) for rule in plain}


def _rule(plain: Mapping[str, Any]) -> Rule:
    match plain["rule"]:
        case "exactly":
            return Exactly(plain["value"])
        case "gone":
            return Gone()
        case "one_of":
            return OneOf(tuple(plain["values"]))
        case _:
            return Members(tuple(plain["include"]), tuple(plain["exclude"]))


def _service(plain: Mapping[str, Any]) -> ServiceSpec:
    busy = plain["busy"]
    return ServiceSpec(
        unit=plain["unit"],
        apply=plain["apply"],
        when=plain["when"],
        limits={name: (soft, hard) for name, (soft, hard) in plain["limits"].items()},
        mode=plain["mode"],
        origin=plain["origin"],
        usage=plain["usage"],
        live=plain["live"],
        applies={tuple(field): apply for field, apply in plain["applies"]},
        gather=plain["gather"],
        min_interval=plain["min_interval"],
        busy=tuple(busy) if isinstance(busy, list) else busy,
        drain=plain["drain"],
        drain_policy=plain["drain_policy"],
        on_unhealthy=plain["on_unhealthy"],
        health=HealthSpec(**{**plain["health"], "command": tuple(plain["health"]["command"])}),
        fallback=None if plain["fallback"] is None else _fallback(plain["fallback"]),
    )


def _fallback(plain: Mapping[str, Any]) -> FallbackSpec:
    return FallbackSpec(plain["settings"], _rules(plain["rules"]), plain["after"], plain["retry"])


def _login(plain: Mapping[str, Any]) -> LoginSpec:
    limits = {name: (soft, hard) for name, (soft, hard) in plain["limits"].items()}
    return LoginSpec(plain["domain"], limits, plain["mode"], plain["origin"])


def _window(plain: Mapping[str, Any]) -> Window:
    days = frozenset(plain["days"])
    return Window(plain["text"], days, plain["begins"], plain["ends"], plain["zone"])


@dataclass(frozen=True, slots=True)
class DropIn:
    """The one drop-in of a unit; without limits, one that has to go.

    `limits` are resolved ("max" has become a number). `managed` is false on a scratch root, where
    no service manager is asked.
    """

    unit: str
    path: str
    header: str
    limits: Mapping[str, LimitPair]
    managed: bool


@dataclass(frozen=True, slots=True)
class Sysctl:
    """One kernel parameter, and the file that sets it, among others, at the next boot.

    `value` None: it has left the policy, and has to leave our file. `path` None: the file is none
    of ours to write. `entries` are all keys and values of the file, and `left` the keys in it that
    have left the policy. What else stands there is the matter of the one that `leads`. `live` is
    false on a scratch root, where no kernel is asked.
    """

    key: str
    value: str | None
    path: str | None
    header: str
    entries: tuple[tuple[str, str], ...]
    left: tuple[str, ...]
    leads: bool
    live: bool


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """What the processes of a unit must have; `limits` are resolved, `live` as in `ServiceSpec`."""

    unit: str
    limits: Mapping[str, LimitPair]
    live: Live = "main"


@dataclass(frozen=True, slots=True)
class LoginLimits:
    """What pam_limits must give a domain; without limits, one whose lines have to go.

    `limits` are resolved; why some are `beyond` reach stands there. `entries` are all that our file
    has to say, of this domain and of others, and `left` the domains whose lines have to go. What
    else stands in the file is the matter of the one that `leads`. `others` are the other files that
    pam_limits reads, in its order; `unserved` the services that have not a limit of these.
    """

    domain: str
    path: str
    header: str
    limits: Mapping[str, LimitPair]
    beyond: Mapping[str, str]
    entries: tuple[tuple[str, Mapping[str, LimitPair]], ...]
    left: tuple[str, ...]
    leads: bool
    others: tuple[str, ...]
    unserved: tuple[str, ...] | None = None  # None: the policy has no services at all

"""A policy and what a host has, resolved into the resources that are held."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from jada_configd.core.model import Mode, Resource, ResourceId, pointer
from jada_configd.core.seams import Content, LimitPair, LimitValue, Reader
from jada_configd.core.specs import (
    DropIn,
    LimitWord,
    Policy,
    ProcessLimits,
    SettingsSpec,
)
from jada_configd.core.wording import escaped
from jada_configd.errors import HostError, TooMany

DROP_IN = "zz-jada-configd.conf"  # `zz-`: override.conf would win over a number


@dataclass(frozen=True, slots=True)
class Scope:
    """Where units have their drop-ins; whether service manager and processes are looked at."""

    unit_directory: str
    managed: bool


def is_pattern(path: str) -> bool:
    """Whether a path has a wildcard (glob(7))."""
    return any(wildcard in path for wildcard in "*?[")


def resolve(
    policy: Policy, reader: Reader, scope: Scope, troubles: list[str] | None = None
) -> tuple[Resource, ...]:
    """Every resource that the policy holds on this host now.

    Where a pattern cannot be followed to its end, what it has found is held; `troubles` tells.
    To be done again at each sweep: globs match other files, and "max" is another number.
    """
    told = [] if troubles is None else troubles
    return (
        *_settings(policy, reader, told),
        *_units(policy, reader, scope),
        *_left_behind(policy, reader, scope, told),
    )


def _settings(policy: Policy, reader: Reader, troubles: list[str]) -> list[Resource]:
    exact = {spec.path for spec in policy.settings if not is_pattern(spec.path)}
    files: dict[str, SettingsSpec] = {}
    for spec in policy.settings:
        if is_pattern(spec.path):
            paths: tuple[str, ...] = tuple(
                path for path in _matches(spec.path, reader, troubles) if path not in exact
            )
        else:
            paths = (spec.path,)
        for path in paths:
            one = replace(spec, path=path)
            if path in files:
                troubles += _owned_twice(files[path], one)
                one = _merged(files[path], one)
            files[path] = one
    return [
        Resource(ResourceId("settings", path), spec, spec.mode, spec.origin)
        for path, spec in files.items()
    ]


def _matches(pattern: str, reader: Reader, troubles: list[str]) -> tuple[str, ...]:
    try:
        return reader.glob(pattern)
    except TooMany as error:
        troubles.append(str(error))
        return error.found
    except HostError as error:
        troubles.append(str(error))
        return ()


def _owned_twice(first: SettingsSpec, second: SettingsSpec) -> list[str]:
    """One sentence where two patterns that met in a file both own a field of it.

    Two entries of one path are refused when the policy is loaded; which files two patterns share is
    only seen here.
    """
    both = sorted(map(pointer, first.rules.keys() & second.rules.keys()))
    if not both:
        return []
    who = f"settings.{first.name} and settings.{second.name}"
    return [f"{escaped(first.path)}: {who} both own {escaped(', '.join(both))}; the first counts"]


def _merged(first: SettingsSpec, second: SettingsSpec) -> SettingsSpec:
    """Two entries that hold other fields of one file; where they disagree, the earlier counts."""
    mode: Mode = "observe" if "observe" in (first.mode, second.mode) else "enforce"
    return replace(
        first,
        rules={**second.rules, **first.rules},
        services=tuple(dict.fromkeys((*first.services, *second.services))),
        mode=mode,
    )


def _units(policy: Policy, reader: Reader, scope: Scope) -> list[Resource]:
    resources = []
    for spec in policy.services:
        if spec.limits:
            limits = {name: _pair(words, reader, name) for name, words in spec.limits.items()}
            resources.append(_drop_in(policy, spec.unit, limits, scope, spec.mode, spec.origin))
            if scope.managed:
                live = ProcessLimits(spec.unit, limits)
                resources.append(
                    Resource(ResourceId("process-limits", spec.unit), live, spec.mode, spec.origin)
                )
        if scope.managed:
            resources.append(
                Resource(ResourceId("service", spec.unit), spec, spec.mode, spec.origin)
            )
    return resources


def _left_behind(
    policy: Policy, reader: Reader, scope: Scope, troubles: list[str]
) -> list[Resource]:
    """Drop-ins that this very policy wrote once and no longer names."""
    wanted = {spec.unit for spec in policy.services if spec.limits}
    resources = []
    for path in _matches(f"{scope.unit_directory}/*.d/{DROP_IN}", reader, troubles):
        unit = path.split("/")[-2].removesuffix(".d")
        fact = reader.read_file(path)
        if unit in wanted or not isinstance(fact, Content):
            continue
        if fact.data.startswith(f"# {header(policy)}\n".encode()):
            resources.append(_drop_in(policy, unit, {}, scope, policy.mode, policy.path))
    return resources


def header(policy: Policy) -> str:
    """The comment with which every file of ours begins."""
    return f"Written by jada-configd from {policy.path}; what is changed here is put right again."


def _drop_in(
    policy: Policy,
    unit: str,
    limits: Mapping[str, LimitPair],
    scope: Scope,
    mode: Mode,
    origin: str,
) -> Resource:
    path = f"{scope.unit_directory}/{unit}.d/{DROP_IN}"
    spec = DropIn(unit, path, header(policy), limits, scope.managed)
    return Resource(ResourceId("unit-dropin", unit), spec, mode, origin)


def _pair(words: tuple[LimitWord, LimitWord], reader: Reader, limit: str) -> LimitPair:
    soft, hard = (_value(word, reader, limit) for word in words)
    return soft, hard


def _value(word: LimitWord, reader: Reader, limit: str) -> LimitValue:
    if word == "max":
        ceiling = reader.ceiling(limit)
        return None if ceiling is None else ceiling.value
    return None if word == "infinity" else int(word)


def services_of(resource: Resource) -> tuple[str, ...]:
    """The units that take up a correction of this resource."""
    match resource.spec:
        case SettingsSpec() as spec:
            return spec.services
        case DropIn() | ProcessLimits() as spec:
            return (spec.unit,)
        case _:
            return ()

"""Units: their drop-ins, those left behind included, their live limits, and the services."""

from collections.abc import Mapping

from jada_configd.core.facts import LimitPair
from jada_configd.core.limits import resolved
from jada_configd.core.model import Mode, Resource, ResourceId
from jada_configd.core.our_files import header, is_ours
from jada_configd.core.resources.places import Scope, matches
from jada_configd.core.seams import Reader
from jada_configd.core.specs import DropIn, LimitWord, Policy, ProcessLimits

DROP_IN = "zz-jada-configd.conf"  # `zz-`: override.conf would win over a number


def service_of(unit: str) -> ResourceId:
    """The resource that takes up what a unit owes."""
    return ResourceId("service", unit)


def units(policy: Policy, reader: Reader, scope: Scope) -> list[Resource]:
    """Each unit's drop-in and live limits, where the policy has limits for it, and the unit."""
    resources = []
    for spec in policy.services:
        if spec.limits:
            limits = {name: _pair(words, reader, name) for name, words in spec.limits.items()}
            resources.append(_drop_in(policy, spec.unit, limits, scope, spec.mode, spec.origin))
            if scope.managed:
                live = ProcessLimits(spec.unit, limits, spec.live)
                resources.append(
                    Resource(ResourceId("process-limits", spec.unit), live, spec.mode, spec.origin)
                )
        if scope.managed:
            resources.append(Resource(service_of(spec.unit), spec, spec.mode, spec.origin))
    return resources


def left_behind(
    policy: Policy, reader: Reader, scope: Scope, troubles: list[str]
) -> list[Resource]:
    """Drop-ins that this very policy wrote once and no longer names."""
    wanted = {spec.unit for spec in policy.services if spec.limits}
    resources = []
    for path in matches(f"{scope.unit_directory}/*.d/{DROP_IN}", reader, troubles):
        unit = path.split("/")[-2].removesuffix(".d")
        fact = reader.read_file(path)
        if unit not in wanted and is_ours(fact, header(policy)):
            resources.append(_drop_in(policy, unit, {}, scope, policy.mode, policy.path))
    return resources


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
    ceiling = reader.ceiling(limit) if "max" in words else None
    soft, hard = (resolved(limit, word, ceiling) for word in words)
    return soft, hard

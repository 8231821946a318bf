"""A policy and what a host has, resolved into the resources that are held."""

from jada_configd.core.model import Resource
from jada_configd.core.resources.logins import logins
from jada_configd.core.resources.places import Scope, is_pattern
from jada_configd.core.resources.settings import settings_files
from jada_configd.core.resources.sysctls import sysctls
from jada_configd.core.resources.units import DROP_IN, left_behind, service_of, units
from jada_configd.core.seams import Reader
from jada_configd.core.specs import DropIn, Policy, ProcessLimits, SettingsSpec

__all__ = ["DROP_IN", "Scope", "is_pattern", "resolve", "service_of", "services_of"]


def resolve(
    policy: Policy, reader: Reader, scope: Scope, troubles: list[str] | None = None
) -> tuple[Resource, ...]:
    """Every resource that the policy holds on this host now.

    Where a pattern cannot be followed to its end, what it has found is held; `troubles` tells.
    To be done again at each sweep: globs match other files, and "max" is another number.
    """
    told = [] if troubles is None else troubles
    return (
        *settings_files(policy, reader, told),
        *sysctls(policy, reader, scope),
        *units(policy, reader, scope),
        *left_behind(policy, reader, scope, told),
        *logins(policy, reader, scope, told),
    )


def services_of(resource: Resource) -> tuple[str, ...]:
    """The units that take up a correction of this resource."""
    match resource.spec:
        case SettingsSpec() as spec:
            return spec.services
        case DropIn() | ProcessLimits() as spec:
            return (spec.unit,)
        case _:
            return ()

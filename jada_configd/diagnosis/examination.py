"""All checks, in the order in which an operator reads them: what the others rest on comes first."""

from collections.abc import Iterator, Sequence

from jada_configd import __version__
from jada_configd.core.specs import Policy
from jada_configd.core.survey import Unknown
from jada_configd.diagnosis import (
    ceilings,
    places,
    policies,
    privileges,
    service,
    service_manager,
    surroundings,
)
from jada_configd.diagnosis.answers import (
    Around,
    Managed,
    Survey,
    units_of,
)
from jada_configd.diagnosis.ceilings import Wanted
from jada_configd.diagnosis.findings import Finding, problem, unknown
from jada_configd.installation.shipped import policies as shipped_policies


def examine(survey: Survey) -> list[Finding]:
    """Every finding; those that are well too."""
    return [
        *_policy(survey),
        *_process(survey),
        *_manager(survey),
        *_places(survey),
        *_kernel(survey),
        *_rest(survey),
    ]


def _policy(survey: Survey) -> Iterator[Finding]:
    around = survey.around
    daemon = around.daemon if isinstance(around, Around) else None
    user = survey.asked.where.user
    mine = [path for path in shipped_policies() if user == path.endswith("workstation.toml")]
    place = survey.asked.options
    yield from policies.policy(survey.policy, daemon, place=place, shipped=mine)


def _process(survey: Survey) -> Iterator[Finding]:
    asked, around, policy = survey.asked, survey.around, survey.declared
    if around is None:  # an image
        return
    sysctls = frozenset(spec.key for spec in policy.sysctls) if policy else frozenset()
    yield from privileges.identity(asked.uid, user=asked.where.user, sysctls=sysctls)
    if isinstance(around, Unknown):
        yield unknown("processes", around)
        return
    if around.doer is not None:
        manager = survey.managed.process if isinstance(survey.managed, Managed) else None
        above = manager.capabilities if manager is not None else None
        doer = privileges.Doer(around.doer, around.daemon is not None, above, around.container)
        yield from privileges.capabilities(
            doer,
            holds_files=policy is None or bool(policy.settings),
            holds_limits=_holds_limits(policy),
            sysctls=sysctls,
        )
        yield from privileges.confinement(around.security, doer)
        if around.daemon is not None:
            yield from ceilings.daemon(around.doer)
    elif around.daemon is None:  # not even this process is there
        says = "/proc is not mounted: no file can be read, and nothing told of a process"
        yield problem("processes", says, "mount -t proc proc /proc")


def _manager(survey: Survey) -> Iterator[Finding]:
    managed, policy, user = survey.managed, survey.declared, survey.asked.where.user
    around = survey.around
    if managed is None:
        return
    if isinstance(managed, Unknown):
        yield unknown("service-manager", managed)
        return
    named = service_manager.names_of(units_of(policy))
    yield from service_manager.bus(managed.manager, user=user, holds_units=bool(named))
    if isinstance(around, Around):
        if managed.manager.runs:
            yield from service_manager.version(around.version)
        yield from service_manager.journal(listens=around.journal)
    yield from service_manager.units(named, managed.units, user=user)
    if managed.service is not None:
        yield from service.installation(managed.service, user=user)
    if isinstance(around, Around):
        yield from service.daemon(around.daemon, managed.service, __version__, user=user)


def _places(survey: Survey) -> Iterator[Finding]:
    yield from places.directories(survey.places)
    if survey.declared is not None and survey.declared.settings and survey.asked.sees_all:
        yield from places.settings(survey.files, survey.settings_places)
    yield from places.file_systems((*survey.places, *survey.settings_places))


def _kernel(survey: Survey) -> Iterator[Finding]:
    managed, around, policy = survey.managed, survey.around, survey.declared
    if isinstance(managed, Managed):
        container = around.container if isinstance(around, Around) else ""
        if _holds_limits(policy) and managed.process is not None:
            yield from ceilings.manager(managed.process, container)
        wanted = _wanted(policy)
        yield from ceilings.limits(wanted, managed.ceilings, _nr_open(policy), container)
    if isinstance(around, Around) and policy is not None:
        if isinstance(survey.watches, Unknown):
            yield unknown("inotify", survey.watches)
        else:
            runs = around.daemon is not None
            yield from ceilings.inotify(survey.watches, around.inotify, runs=runs)


def _rest(survey: Survey) -> Iterator[Finding]:
    holds_logins = survey.declared is not None and bool(survey.declared.logins)
    if isinstance(survey.pam, Unknown):
        if holds_logins:
            yield unknown("logins", survey.pam)
    else:
        yield from surroundings.logins(survey.pam, holds_logins=holds_logins)
    if isinstance(survey.around, Around):
        yield from surroundings.clock(survey.around.clock)
    yield from surroundings.python(survey.python, survey.executable)


def _holds_limits(policy: Policy | None) -> bool:
    return policy is not None and any(spec.limits for spec in policy.services)


def _wanted(policy: Policy | None) -> Sequence[Wanted]:
    """Each limit by its larger half, the hard one."""
    found = []
    for spec in policy.services if policy is not None else ():
        for limit, (_, hard) in spec.limits.items():
            value = hard if isinstance(hard, int) else None
            found.append(Wanted(spec.unit, limit, value, spec.origin, is_max=hard == "max"))
    return found


def _nr_open(policy: Policy | None) -> int | None:
    """What the policy itself makes of the ceiling."""
    for spec in policy.sysctls if policy is not None else ():
        if spec.key == "fs.nr_open" and spec.value.isdigit():
            return int(spec.value)
    return None

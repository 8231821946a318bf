"""Limits of logins: one file for all domains of the policy, and for those that have left it."""

from collections.abc import Mapping

from jada_configd.core.facts import LimitPair, LimitValue
from jada_configd.core.limits import above, resolved
from jada_configd.core.login_items import FACTORS, SINGLE
from jada_configd.core.model import Resource, ResourceId
from jada_configd.core.our_files import header, is_ours
from jada_configd.core.resources.places import Scope, matches
from jada_configd.core.seams import Reader
from jada_configd.core.specs import LimitWord, LoginLimits, LoginSpec, Policy

LOGIN_DIRECTORY = "/etc/security/limits.d"
# `zz-`: of two lines of one sort the one that is read last counts.
LOGIN_FILE = f"{LOGIN_DIRECTORY}/zz-jada-configd.conf"
LOGIN_FILES = f"{LOGIN_DIRECTORY}/*.conf"
_MAIN_FILE = "/etc/security/limits.conf"


def logins(policy: Policy, reader: Reader, scope: Scope, troubles: list[str]) -> list[Resource]:
    """One resource for each domain; each plans the whole file, which is one for all of them.

    What is beyond reach here is never written: pam_limits may refuse a login over it, and gives the
    limit to nobody in any case. On a scratch root nobody knows what will be within reach.
    """
    if scope.user:
        return []
    left = _left_behind(policy, reader)
    if not policy.logins and not left:
        return []
    limits = {spec.domain: _resolved(spec, reader) for spec in policy.logins}
    beyond = {
        domain: _beyond(each, reader) if scope.managed else {} for domain, each in limits.items()
    }
    entries = tuple(
        (domain, {name: pair for name, pair in each.items() if name not in beyond[domain]})
        for domain, each in limits.items()
    )
    files = matches(LOGIN_FILES, reader, troubles)
    others = (_MAIN_FILE, *(path for path in sorted(files) if path != LOGIN_FILE))
    resources = []
    for index, domain in enumerate((*limits, *left)):
        spec = policy.logins[index] if domain in limits else None
        held = LoginLimits(
            domain=domain,
            path=LOGIN_FILE,
            header=header(policy),
            limits=limits.get(domain, {}),
            beyond=beyond.get(domain, {}),
            entries=entries,
            left=left,
            leads=index == 0,
            others=others,
            unserved=_unserved(policy, limits.get(domain, {})),
        )
        mode, origin = (spec.mode, spec.origin) if spec else (policy.mode, policy.path)
        resources.append(Resource(ResourceId("login-limits", domain), held, mode, origin))
    return resources


def _left_behind(policy: Policy, reader: Reader) -> tuple[str, ...]:
    """The domains for which this very policy wrote lines once, and that it no longer names.

    A file of ours with nothing in it has to go like a default that nobody wants any more.
    """
    fact = reader.read_file(LOGIN_FILE)
    if not is_ours(fact, header(policy)):
        return ()
    named = {spec.domain for spec in policy.logins}
    lines = fact.data.decode(errors="replace").split("\n")
    words = (line.partition("#")[0].split() for line in lines)
    domains = dict.fromkeys(each[0] for each in words if each and each[0].isprintable())
    if not named and not domains:
        return ("*",)
    return tuple(domain for domain in domains if domain not in named)


def _resolved(spec: LoginSpec, reader: Reader) -> dict[str, LimitPair]:
    return {
        name: (_value(soft, reader, name), _value(hard, reader, name))
        for name, (soft, hard) in spec.limits.items()
    }


def _value(word: LimitWord, reader: Reader, limit: str) -> LimitValue:
    if word != "max":
        return resolved(limit, word, None)
    most, factor = resolved(limit, word, reader.ceiling(limit)), FACTORS.get(limit, 1)
    return None if most is None else most // factor * factor


def _beyond(limits: Mapping[str, LimitPair], reader: Reader) -> dict[str, str]:
    """Why no login gets it, for each limit of which a side is above the host's ceiling."""
    found = {}
    for limit, pair in limits.items():
        ceiling = reader.ceiling(limit)
        if ceiling is not None and any(above(value, ceiling.value) for value in pair):
            found[limit] = ceiling.reason
        elif limit == "nofile" and None in pair:
            found[limit] = "how high fs.nr_open is cannot be read"
    return found


def _unserved(policy: Policy, limits: Mapping[str, LimitPair]) -> tuple[str, ...] | None:
    """The services of the policy that lack a limit which this domain has; None: it has none."""
    if not policy.services:
        return None
    shared = limits.keys() - SINGLE
    return tuple(spec.unit for spec in policy.services if shared - spec.limits.keys())

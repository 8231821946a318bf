"""Kernel parameters: those of the policy, and those that it named once and our file still has."""

from jada_configd.core.model import Resource, ResourceId
from jada_configd.core.our_files import header, is_ours
from jada_configd.core.resources.places import Scope
from jada_configd.core.seams import Reader
from jada_configd.core.specs import Policy, Sysctl

# `zz-`: 99-sysctl.conf, by which Debian has /etc/sysctl.conf read, would win over a number.
SYSCTL_FILE = "/etc/sysctl.d/zz-jada-configd.conf"


def sysctls(policy: Policy, reader: Reader, scope: Scope) -> list[Resource]:
    """One resource for each key; the file is one for all of them, and each plans the whole of it.

    What else stands in the file is the first one's matter, so that it is told once.
    """
    entries = tuple((spec.key, spec.value) for spec in policy.sysctls)
    left = () if scope.user else _left_behind(policy, reader)
    resources: list[Resource] = []
    for spec in policy.sysctls:
        held = Sysctl(
            key=spec.key,
            value=spec.value,
            path=None if scope.user else SYSCTL_FILE,
            header=header(policy),
            entries=entries,
            left=left,
            leads=not resources and not scope.user,
            live=scope.managed,
        )
        resources.append(Resource(ResourceId("sysctl", spec.key), held, spec.mode, spec.origin))
    for key in left:
        gone = Sysctl(
            key=key,
            value=None,
            path=SYSCTL_FILE,
            header=header(policy),
            entries=entries,
            left=left,
            leads=False,
            live=scope.managed,
        )
        resources.append(Resource(ResourceId("sysctl", key), gone, policy.mode, policy.path))
    return resources


def _left_behind(policy: Policy, reader: Reader) -> tuple[str, ...]:
    """The keys, as we write them, that this very policy had written and names no longer."""
    fact = reader.read_file(SYSCTL_FILE)
    if not is_ours(fact, header(policy)):
        return ()
    named = {spec.key for spec in policy.sysctls}
    lines = fact.data.decode(errors="replace").splitlines()
    pairs = (line.partition(" =") for line in lines if not line.startswith(("#", ";", "-")))
    keys = (key for key, equals, _ in pairs if equals and key.isprintable() and " " not in key)
    return tuple(dict.fromkeys(key for key in keys if key and key not in named))

"""What is held at the moment: the policy, resolved against the host, found by path and by unit."""

from collections.abc import Collection, Mapping

from jada_configd.core.model import Resource, ResourceId
from jada_configd.core.overlay import overlaid
from jada_configd.core.resources import Scope, is_pattern, resolve
from jada_configd.core.seams import Reader
from jada_configd.core.specs import FallbackSpec, Policy
from jada_configd.kinds import KINDS


class Holdings:
    """The resources of a policy, as they were last resolved."""

    def __init__(self, reader: Reader, scope: Scope) -> None:
        self._reader = reader
        self._scope = scope
        self._patterns: frozenset[str] = frozenset()
        self._by_path: dict[str, list[ResourceId]] = {}
        self._by_unit: dict[str, list[ResourceId]] = {}
        self.resources: dict[ResourceId, Resource] = {}
        self.trouble: str | None = None  # what could not be followed to its end

    def resolve(
        self, policy: Policy, fallbacks: Mapping[str, FallbackSpec] | None = None
    ) -> list[ResourceId]:
        """The policy against the host as it is now: globs, ceilings, what was left behind.

        `fallbacks`, by unit, are what is held in place of its values. Returns what was held before
        and is held no more, or otherwise: "max" is another number.
        """
        troubles: list[str] = []
        declared = resolve(policy, self._reader, self._scope, troubles)
        found = [overlaid(each, fallbacks or {}) for each in declared]
        self.trouble = troubles[0] if troubles else None
        before = self.resources
        self.resources = {
            each.id: before[each.id] if _is_same(before.get(each.id), each) else each
            for each in found
        }
        self._patterns = frozenset(spec.path for spec in policy.settings if is_pattern(spec.path))
        self._by_path = {}
        self._by_unit = {}
        for resource in self.resources.values():
            kind = KINDS[resource.id.kind]
            for path in kind.watches(resource.spec):
                self._by_path.setdefault(path, []).append(resource.id)
            for unit in kind.units(resource.spec):
                self._by_unit.setdefault(unit, []).append(resource.id)
        now = self.resources
        return [each for each, resource in before.items() if now.get(each) is not resource]

    def at_path(self, path: str) -> Collection[ResourceId] | None:
        """What a change of that path concerns; None: a pattern may match it, who knows."""
        return self._by_path.get(path)

    def of_unit(self, unit: str) -> Collection[ResourceId]:
        """What a change of that unit concerns."""
        return self._by_unit.get(unit, ())

    def paths(self) -> Collection[str]:
        """The files that are held."""
        return self._by_path.keys()

    def watched(self) -> frozenset[str]:
        """The paths and patterns whose change is a reason to look."""
        return self._patterns | self._by_path.keys()

    def units(self) -> Collection[str]:
        """The units whose change is a reason to look."""
        return self._by_unit.keys()

    def asking_manager(self) -> list[ResourceId]:
        """What the service manager has a say in."""
        return [each for each in self.resources if KINDS[each.kind].asks_manager]


def _is_same(one: Resource | None, other: Resource) -> bool:
    """Whether they are declared alike: to `==`, true is 1, and to a settings file it is not."""
    return one == other and repr(one) == repr(other)

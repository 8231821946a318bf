"""What stands in for the policy's own rules: a fallback's values, or nothing at all.

Which units have a fallback to hold is the breakers' (`breaker.py`) to say, and which fields were
rolled back somebody else's still.
"""

from collections.abc import Mapping
from dataclasses import replace

from jada_configd.core.model import Drift, Field, Resource, Rule
from jada_configd.core.specs import FallbackSpec, SettingsSpec


def overlaid(resource: Resource, fallbacks: Mapping[str, FallbackSpec]) -> Resource:
    """The resource with the values of these fallbacks, by unit, in place of the policy's.

    Only a file that the unit reads and that the fallback's entry holds, perhaps with others, is
    concerned. Of units that want different values of one field the one counts that is named first
    among the services of the file. What stays as it is comes back as the very same object.
    """
    spec = resource.spec
    if not fallbacks or not isinstance(spec, SettingsSpec) or resource.mode == "observe":
        return resource
    rules: dict[Field, Rule] = {}
    for unit in spec.services:
        fallback = fallbacks.get(unit)
        if fallback is not None and fallback.settings in (spec.names or (spec.name,)):
            rules = {**fallback.rules, **rules}
    if all(_is(spec.rules.get(field), rule) for field, rule in rules.items()):
        return resource
    return replace(resource, spec=replace(spec, rules={**spec.rules, **rules}))


def _is(one: Rule | None, other: Rule) -> bool:
    """Whether they want the same: to `==`, true is 1."""
    return repr(one) == repr(other)


def without(drift: Drift, fields: frozenset[Field] | None) -> Drift:
    """The drift without the changes of these fields; None: nothing is left of it."""
    if fields is None:
        return Drift()
    changes = tuple(change for change in drift.changes if change.field not in fields)
    return drift if changes == drift.changes else replace(drift, changes=changes)


def only(drift: Drift, fields: frozenset[Field]) -> Drift:
    """The changes of these fields alone."""
    return Drift(tuple(change for change in drift.changes if change.field in fields))


def unruled(spec: object, fields: frozenset[Field] | None) -> object:
    """A settings file's spec without the rules of these fields; any other as it is.

    A lost or broken file is made anew from all of its rules, and not from these.
    """
    if not fields or not isinstance(spec, SettingsSpec):
        return spec
    kept = {field: rule for field, rule in spec.rules.items() if field not in fields}
    return replace(spec, rules=kept)

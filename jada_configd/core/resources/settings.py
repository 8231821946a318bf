"""Settings files: patterns become files, and several entries of one file one resource."""

from dataclasses import replace

from jada_configd.core.model import Mode, Resource, ResourceId, pointer
from jada_configd.core.resources.places import is_pattern, matches
from jada_configd.core.seams import Reader
from jada_configd.core.specs import Policy, SettingsSpec
from jada_configd.core.wording import escaped


def settings_files(policy: Policy, reader: Reader, troubles: list[str]) -> list[Resource]:
    """One resource for each file that an entry names or matches."""
    exact = {spec.path for spec in policy.settings if not is_pattern(spec.path)}
    files: dict[str, SettingsSpec] = {}
    for spec in policy.settings:
        if is_pattern(spec.path):
            paths: tuple[str, ...] = tuple(
                path for path in matches(spec.path, reader, troubles) if path not in exact
            )
        else:
            paths = (spec.path,)
        for path in paths:
            one = replace(spec, path=path, names=(spec.name,))
            if path in files:
                troubles += _owned_twice(files[path], one)
                one = _merged(files[path], one)
            files[path] = one
    return [
        Resource(ResourceId("settings", path), spec, spec.mode, spec.origin)
        for path, spec in files.items()
    ]


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
        names=first.names + second.names,
    )

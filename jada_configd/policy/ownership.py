"""Which fields of which file each settings entry owns, and that none is owned twice.

Works on the tree as TOML gave it, and passes over what has the wrong sort: the models report that.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jada_configd.core.model import Field, Json, pointer
from jada_configd.core.wording import escaped
from jada_configd.policy import values
from jada_configd.policy.phrasing import Fault
from jada_configd.policy.places import Keys

LIST_TABLES: Final = ("one_of", "include", "exclude")
_SHOWN_POINTER: Final = 80  # characters


@dataclass(frozen=True, slots=True)
class Owned:
    """One field that an entry owns: where the policy says so, and the rule in its plain form."""

    field: Field
    keys: Keys
    rule: Mapping[str, Json]

    def plain(self) -> dict[str, Json]:
        """The rule as `Policy.from_plain` reads it."""
        return {"field": list(self.field), **self.rule}


@dataclass(frozen=True, slots=True)
class Entry:
    """One `[settings.NAME]` as far as it could be read; `path` is empty where it is not right."""

    keys: Keys
    tree: Mapping[str, Any]
    path: str
    owned: list[Owned]

    def serves(self, unit: str) -> bool:
        """Whether the unit takes up what is corrected in these files."""
        services = self.tree.get("services")
        return isinstance(services, list) and unit in services


@dataclass(frozen=True, slots=True)
class Clash:
    """Two places that own one field, or a field and something inside it."""

    first: Keys
    second: Keys
    field: Field


def owned_by(entry: Keys, tree: Mapping[str, Any], faults: list[Fault]) -> list[Owned]:
    """What one `[settings.NAME]` owns, in the order of its text; faults are added to the list."""
    owned = [
        Owned(field, keys, {"rule": "exactly", "value": value})
        for field, keys, value in _leaves(tree.get("set"), (*entry, "set"), faults)
        if _is_json(keys, value, faults)
    ]
    lists = {name: list(_lists(tree.get(name), (*entry, name), faults)) for name in LIST_TABLES}
    owned += [
        Owned(field, keys, {"rule": "one_of", "values": members})
        for field, keys, members in lists["one_of"]
    ]
    owned += _members(lists["include"], lists["exclude"], faults)
    owned += _absent(tree.get("absent"), (*entry, "absent"), faults)
    return owned


def clashes(owned: list[Owned]) -> Iterator[Clash]:
    """Every field of one file that is owned twice, the later place second."""
    by_field: dict[Field, Keys] = {}
    for each in owned:
        if each.field in by_field:
            yield Clash(by_field[each.field], each.keys, each.field)
        else:
            by_field[each.field] = each.keys
    for field, keys in by_field.items():
        for length in range(1, len(field)):
            above = by_field.get(field[:length])
            if above is not None:
                yield Clash(above, keys, field[:length])


def clashes_between(one: Iterable[Owned], other: Iterable[Owned]) -> Iterator[Clash]:
    """Every field that one entry owns and another owns too, or something inside or around it."""
    fields, others = ({each.field: each.keys for each in owned} for owned in (one, other))
    for field, keys in fields.items():
        for length in range(1, len(field) + 1):
            if field[:length] in others:
                yield Clash(keys, others[field[:length]], field[:length])
    for field, keys in others.items():
        for length in range(1, len(field)):
            if field[:length] in fields:
                yield Clash(fields[field[:length]], keys, field[:length])


def shown_pointer(field: Field) -> str:
    """The field as a JSON Pointer, safe to print."""
    text = escaped(pointer(field))
    return text if len(text) <= _SHOWN_POINTER else f"{text[:_SHOWN_POINTER]}..."


def _leaves(
    tree: object, keys: Keys, faults: list[Fault], field: Field = ()
) -> Iterator[tuple[Field, Keys, Any]]:
    """Field, keys in the policy and value of each leaf; an empty table inside owns nothing."""
    if not isinstance(tree, dict):
        return
    if not tree and field:
        faults.append(Fault(keys, "is an empty table, which owns nothing; name a key in it"))
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*keys, key), faults, (*field, key))
        else:
            yield (*field, key), (*keys, key), value


def _is_json(keys: Keys, value: object, faults: list[Fault]) -> bool:
    found = [Fault((*keys, *inside), what) for inside, what in values.leaf_faults(value)]
    faults += found
    return not found


def _lists(
    tree: object, keys: Keys, faults: list[Fault]
) -> Iterator[tuple[Field, Keys, list[Json]]]:
    for field, at, value in _leaves(tree, keys, faults):
        if not isinstance(value, list):
            faults.append(Fault(at, "must be an array of values"))
        elif not value:
            faults.append(Fault(at, "is an empty array, which says nothing; name a value"))
        elif _is_json(at, value, faults):
            twice = _repeated(value)
            if twice is not None:
                faults.append(Fault((*at, twice), "stands twice in this array"))
            yield field, at, value


def _members(
    include: list[tuple[Field, Keys, list[Json]]],
    exclude: list[tuple[Field, Keys, list[Json]]],
    faults: list[Fault],
) -> Iterator[Owned]:
    without = {field: (keys, members) for field, keys, members in exclude}
    for field, keys, members in include:
        _, excluded = without.pop(field, (keys, []))
        known = {_identity(member) for member in excluded}
        for index, member in enumerate(members):
            if _identity(member) in known:
                faults.append(Fault((*keys, index), "is in `exclude` of this list too"))
        yield Owned(field, keys, {"rule": "members", "include": members, "exclude": excluded})
    for field, (keys, members) in without.items():
        yield Owned(field, keys, {"rule": "members", "include": [], "exclude": members})


def _absent(pointers: object, keys: Keys, faults: list[Fault]) -> Iterator[Owned]:
    if not isinstance(pointers, list):
        return
    for index, text in enumerate(pointers):
        if isinstance(text, str):
            try:
                yield Owned(values.field(text), (*keys, index), {"rule": "gone"})
            except ValueError as error:
                faults.append(Fault((*keys, index), str(error)))


def _repeated(members: list[Json]) -> int | None:
    seen = set()
    for index, member in enumerate(members):
        identity = _identity(member)
        if identity in seen:
            return index
        seen.add(identity)
    return None


def _identity(value: Json) -> str:
    """One text for each JSON value: 1 is 1.0, true is not 1, the order of keys is nothing."""
    return json.dumps(_canonical(value), sort_keys=True)


def _canonical(value: Json) -> Json:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_canonical(each) for each in value]
    if isinstance(value, dict):
        return {key: _canonical(each) for key, each in value.items()}
    return value

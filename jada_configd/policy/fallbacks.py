"""What `[service."UNIT".fallback]` may hold: fields that its settings entry holds anyway.

Works on the tree as TOML gave it, as `ownership.py` does, and passes over what has the wrong sort.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jada_configd.core.model import Field, Json, same
from jada_configd.policy.documents import Documents
from jada_configd.policy.ownership import Entry, Owned, owned_by, shown_pointer
from jada_configd.policy.phrasing import Fault, dotted, quoted, suggestion
from jada_configd.policy.places import Keys

_FALLING: Final = ("exactly", "one_of")  # rules that put a value of the policy into their field


@dataclass(frozen=True, slots=True)
class Fallback:
    """One fallback as far as it could be read; `entry` is what its `settings` names."""

    keys: Keys
    entry: Entry | None
    owned: list[Owned]

    def holds_anyway(self, owned: Owned) -> bool:
        """Whether this value of it is the one from which it should fall back."""
        rules = {} if self.entry is None else {each.field: each.rule for each in self.entry.owned}
        rule = rules.get(owned.field, {})
        return rule.get("rule") == "exactly" and same(rule["value"], owned.rule["value"])


def fallbacks(
    tree: Mapping[str, Any], entries: Sequence[Entry], found: list[Fault]
) -> list[Fallback]:
    """Every fallback of the tree; what is wrong with one by itself is added to `found`."""
    services = tree.get("service")
    by_name = {entry.keys[1]: entry for entry in entries}
    made = []
    for unit, service in services.items() if isinstance(services, dict) else ():
        table = service.get("fallback") if isinstance(service, dict) else None
        if not isinstance(table, dict):
            continue
        keys: Keys = ("service", unit, "fallback")
        if table.get("set") == {}:
            what = "is an empty table, which holds nothing; name a key in it"
            found.append(Fault((*keys, "set"), what))
        owned = owned_by(keys, {"set": table.get("set")}, found)
        name = table.get("settings")
        entry = by_name.get(name) if isinstance(name, str) else None
        if isinstance(name, str):
            found += _entry_faults(keys, name, entry, entries)
        if entry is not None:
            found += [fault for each in owned for fault in _field_faults(each, entry)]
        made.append(Fallback(keys, entry, owned))
    return made


def clashing_fallbacks(made: Sequence[Fallback], documents: Documents) -> Iterator[Fault]:
    """Two services that share an entry, and would hold other values in one field of it."""
    seen: dict[tuple[Keys, Field], Owned] = {}
    for each in made:
        holder: Keys = () if each.entry is None else each.entry.keys
        for owned in each.owned if holder else ():
            first = seen.setdefault((holder, owned.field), owned)
            if not same(first.rule["value"], owned.rule["value"]):
                yield Fault(
                    owned.keys,
                    f"{shown_pointer(owned.field)} of {dotted(holder)} has another fallback in "
                    f"{dotted(first.keys)} ({documents.origin(first.keys)})",
                )


def fallback_rules(keys: Keys, held: Mapping[str, Any]) -> list[dict[str, Json]]:
    """The rules of a fallback without a fault, in the plain form of `Policy.from_plain`."""
    return [owned.plain() for owned in owned_by(keys, {"set": held}, [])]


def _entry_faults(
    keys: Keys, name: str, entry: Entry | None, entries: Sequence[Entry]
) -> Iterator[Fault]:
    unit = str(keys[1])
    fitting = [str(each.keys[1]) for each in entries if each.serves(unit)]
    by_unit = f"; did you mean {quoted(fitting[0])}?" if len(fitting) == 1 else ""
    at = (*keys, "settings")
    if entry is None:
        known = [str(each.keys[1]) for each in entries]
        near_by = suggestion(name, fitting) or by_unit or suggestion(name, known)
        yield Fault(at, f"names no [settings.NAME] of this policy{near_by}")
    elif not entry.serves(unit):
        near_by = by_unit or "; add it there, or the service never takes a fallback up"
        yield Fault(at, f"names an entry whose `services` lack this unit{near_by}")


def _field_faults(owned: Owned, entry: Entry) -> Iterator[Fault]:
    field, holder = owned.field, dotted(entry.keys)
    rules = {each.field: each for each in entry.owned}
    above = next((field[:n] for n in range(1, len(field)) if field[:n] in rules), None)
    below = next((each for each in rules if each[: len(field)] == field), None)
    if field in rules:
        if rules[field].rule["rule"] not in _FALLING:
            by = rules[field].keys[2]
            what = f"{holder} holds this by `{by}`; only `set` and `one_of` can fall back"
            yield Fault(owned.keys, what)
    elif above is not None:
        what = f"lies inside {shown_pointer(above)}, which {holder} holds as a whole"
        yield Fault(owned.keys, what)
    elif below is not None:
        what = f"lies around {shown_pointer(below)}, which {holder} holds; name that field itself"
        yield Fault(owned.keys, what)
    else:
        falling = [each.field for each in entry.owned if each.rule["rule"] in _FALLING]
        near_by = suggestion(dotted(field), map(dotted, falling))
        what = f"{holder} does not hold this, and what is not held cannot fall back{near_by}"
        yield Fault(owned.keys, what)

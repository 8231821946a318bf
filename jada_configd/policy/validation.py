"""Policy texts in, the plain policy out, or every fault at once; touches no file and no host."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from jada_configd.core.resources import is_pattern
from jada_configd.core.wording import escaped
from jada_configd.errors import PolicyError
from jada_configd.policy import advice, faults, models, values
from jada_configd.policy.documents import Documents
from jada_configd.policy.fallbacks import (
    Fallback,
    clashing_fallbacks,
    fallbacks,
)
from jada_configd.policy.faults import MOST_MESSAGES
from jada_configd.policy.health import health_faults
from jada_configd.policy.logins import login_faults, login_warnings
from jada_configd.policy.overlaps import meetings
from jada_configd.policy.ownership import (
    Entry,
    clashes,
    clashes_between,
    owned_by,
    shown_pointer,
)
from jada_configd.policy.phrasing import Fault, dotted
from jada_configd.policy.places import Keys
from jada_configd.policy.plain import plain
from jada_configd.policy.sysctls import sysctl_faults

_SHOWN_PATH: Final = 200  # characters
_AGREE: Final = ("create", "mode", "on_missing")  # two entries of one file must say the same


def validate(texts: Sequence[tuple[str, str]], home: str | None) -> dict[str, Any]:
    """What the texts declare, in the plain form of `Policy.from_plain`, without its sources.

    `texts` are (name, text) in the order in which they override; `home` is what a leading `~/`
    stands for, None where it may not be used. Raises `PolicyError` with every fault.
    """
    documents = Documents(texts)
    found: list[Fault] = []
    try:
        policy = models.Policy.model_validate(documents.tree, context={"home": home})
    except ValidationError as error:
        policy = None
        found += faults.translated(error, documents)
    entries = list(_entries(documents.tree, home, found))
    by_path = _by_path(entries)
    for same_path in by_path:
        found += _shared_faults(same_path, documents)
    found += sysctl_faults(documents.tree, documents)
    found += login_faults(documents.tree, home)
    found += health_faults(documents.tree)
    made = fallbacks(documents.tree, entries, found)
    found += clashing_fallbacks(made, documents)
    found += _textfile_faults(documents, by_path, home)
    found += _overlap_faults({each[0].path: each for each in by_path if each[0].path}, documents)
    if found or policy is None:
        raise PolicyError(_messages(found, documents))
    return {
        **plain(policy, entries, documents),
        "warnings": list(_warnings(entries, made, documents)),
        "bypasses": list(_bypasses(policy, entries, documents)),
    }


def _entries(tree: Mapping[str, Any], home: str | None, found: list[Fault]) -> Iterator[Entry]:
    settings = tree.get("settings")
    for name, table in settings.items() if isinstance(settings, dict) else ():
        if not isinstance(table, dict):
            continue
        keys: Keys = ("settings", name)
        path = _path(table.get("path"), home)
        if path and is_pattern(path) and table.get("create") is True:
            what = "a wildcard names no one file that could be created; leave it out, or false"
            found.append(Fault((*keys, "create"), what))
        found += _repeated_services(keys, table.get("services"))
        yield Entry(keys, table, path, owned_by(keys, table, found))


def _path(text: object, home: str | None) -> str:
    try:
        return values.settings_path(text, home) if isinstance(text, str) else ""
    except ValueError:
        return ""  # the models say what is wrong with it


def _repeated_services(keys: Keys, services: object) -> Iterator[Fault]:
    seen = set()
    for index, unit in enumerate(services if isinstance(services, list) else ()):
        if isinstance(unit, str):
            if unit in seen:
                yield Fault((*keys, "services", index), "stands twice in this array")
            seen.add(unit)


def _by_path(entries: Sequence[Entry]) -> list[list[Entry]]:
    """The entries that name one file, or one pattern, together; an unknown path is nobody's."""
    grouped: dict[object, list[Entry]] = {}
    for entry in entries:
        grouped.setdefault(entry.path or entry.keys, []).append(entry)
    return list(grouped.values())


def _shared_faults(entries: Sequence[Entry], documents: Documents) -> Iterator[Fault]:
    for clash in clashes([owned for entry in entries for owned in entry.owned]):
        first, second = sorted((clash.first, clash.second), key=documents.place)
        place = documents.place(first)
        yield Fault(
            second,
            f"{shown_pointer(clash.field)} of this file is owned twice; "
            f"{dotted(first)} ({place.name}:{place.line}) owns it too",
        )
    first_entry = entries[0]
    for entry in entries[1:]:
        for name in _AGREE:
            have, other = entry.tree.get(name), first_entry.tree.get(name)
            if have is not None and other is not None and have != other:
                keys = (*first_entry.keys, name)
                what = f"differs from {dotted(keys)} ({documents.origin(keys)}), for the same file"
                yield Fault((*entry.keys, name), what)


def _textfile_faults(
    documents: Documents, by_path: Sequence[Sequence[Entry]], home: str | None
) -> Iterator[Fault]:
    """A file cannot be both a settings file and the metrics'."""
    path = _path(documents.value(("metrics", "textfile")), home)
    for same_path in by_path:
        if path and same_path[0].path == path:
            what = f"is held as a settings file too, by {dotted(same_path[0].keys)}"
            yield Fault(("metrics", "textfile"), what)


def _overlap_faults(
    by_path: Mapping[str, Sequence[Entry]], documents: Documents
) -> Iterator[Fault]:
    """Two patterns that match one file and own one field; an exact path takes its file away."""
    for meeting in meetings(path for path in by_path if is_pattern(path)):
        if meeting.only and meeting.path in by_path:
            continue
        sides = (by_path[meeting.one], by_path[meeting.other])
        one, other = ([owned for entry in side for owned in entry.owned] for side in sides)
        clash = next(clashes_between(one, other), None)
        if clash is not None:
            first, second = sorted((clash.first, clash.second), key=documents.place)
            place = documents.place(first)
            yield Fault(
                second,
                f"{shown_pointer(clash.field)} of {_shown_path(meeting.path)}, which two patterns "
                f"match, is owned twice; {dotted(first)} ({place.name}:{place.line}) owns it too",
            )


def _shown_path(path: str) -> str:
    text = escaped(path)
    return text if len(text) <= _SHOWN_PATH else f"{text[:_SHOWN_PATH]}..."


def _messages(found: Sequence[Fault], documents: Documents) -> list[str]:
    placed = sorted({(documents.place(each.keys), dotted(each.keys), each.what) for each in found})
    messages = [f"{place}: {where}: {what}" for place, where, what in placed[:MOST_MESSAGES]]
    if len(placed) > MOST_MESSAGES:
        more = len(placed) - MOST_MESSAGES
        messages.append(f"{placed[MOST_MESSAGES][0]}: and so on: {more} more errors from here")
    return messages


def _warnings(
    entries: Sequence[Entry], made: Sequence[Fallback], documents: Documents
) -> list[str]:
    found: list[Fault] = list(login_warnings(documents.tree))
    found += advice.apply_warnings(documents.tree, entries)
    found += advice.fallback_warnings(documents.tree, made)
    for same_path in _by_path(entries):
        owned = [each for entry in same_path for each in entry.owned]
        found += advice.warnings(same_path[0].path, owned)
        found += [
            Fault(entry.keys, "holds no key of the file") for entry in same_path if not entry.owned
        ]
    placed = sorted({(documents.place(each.keys), dotted(each.keys), each.what) for each in found})
    return [f"{place}: {where}: warning: {what}" for place, where, what in placed]


def _bypasses(
    policy: models.Policy, entries: Sequence[Entry], documents: Documents
) -> Iterator[list[str]]:
    """Unit and place, for each unit that a held `disableBypassPermissionsMode` may stop."""
    for entry in entries:
        for owned in entry.owned:
            if advice.bypass_is_held(owned):
                place = f"{documents.place(owned.keys)}: {dotted(owned.keys)}"
                for unit in policy.settings[str(entry.keys[1])].services:
                    yield [unit, place]

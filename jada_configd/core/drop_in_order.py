"""Which drop-ins count for a unit, and in which order (systemd.unit(5)).

What systemd has read it tells itself (DropInPaths=); this is for what it has yet to read.
"""

from collections.abc import Iterable, Sequence


def drop_in_directories(unit: str, search_path: Sequence[str]) -> tuple[str, ...]:
    """The directories in which a unit's drop-ins may stand; the first counts before the next.

    `search_path` are the manager's directories of units (UnitPath=), in its order. Those of all
    units of the type come last of all.
    """
    name, dot, suffix = unit.rpartition(".")
    levels = [unit]
    stem, _, instance = name.partition("@")
    if instance:
        levels.append(f"{stem}@{dot}{suffix}")
    levels += [f"{prefix}{dot}{suffix}" for prefix in _dash_prefixes(stem)]
    places = _unlinked(search_path)
    own = [f"{directory}/{level}.d" for directory in places for level in levels]
    return (*own, *(f"{directory}/{suffix}.d" for directory in places))


def _unlinked(search_path: Sequence[str]) -> list[str]:
    """The search path with `/usr/lib` ahead of `/lib`, which is most often a link to it.

    systemd lists what it finds there under `/usr/lib`, too.
    """
    twins = {f"/usr{each}" for each in search_path if each.startswith("/lib/")} & {*search_path}
    places: dict[str, None] = {}
    for each in search_path:
        if f"/usr{each}" in twins:
            places[f"/usr{each}"] = None
        places[each] = None
    return list(places)


def _dash_prefixes(stem: str) -> list[str]:
    """`a-b-` and `a-` for `a-b-c`: the longest first."""
    ends = [at + 1 for at, character in enumerate(stem) if character == "-" and at]
    return [stem[:end] for end in reversed(ends) if end < len(stem)]


def in_force(paths: Iterable[str]) -> tuple[str, ...]:
    """The files that count, in the order in which they are read: by name, later ones over earlier.

    Of one name only the first counts; the others are masked by it, wherever they are.
    """
    first: dict[str, str] = {}
    for path in paths:
        first.setdefault(path.rpartition("/")[2], path)
    return tuple(first[name] for name in sorted(first))

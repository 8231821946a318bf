"""Which line of which sysctl.d file a key has its value from after a boot, by systemd-sysctl(8).

/etc/sysctl.conf is among them only where a link in a directory leads there, as on Debian.
"""

import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from jada_configd.formats.sysctl_lines import Line, is_glob

# The first has the say over files of one name. /lib is /usr/lib on most hosts, and counts once.
DIRECTORIES: Final = (
    "/etc/sysctl.d",
    "/run/sysctl.d",
    "/usr/local/lib/sysctl.d",
    "/usr/lib/sysctl.d",
    "/lib/sysctl.d",
)
SUFFIX: Final = ".conf"


@dataclass(frozen=True, slots=True)
class Setting:
    """What a line says of a key; `value` None: that no pattern sets it."""

    value: str | None
    path: str
    line: int


def files_in_order(paths: Iterable[str]) -> list[str]:
    """Those of the files that are read, in the order in which they are: a later one wins.

    A file masks those of its name in the directories behind its own, whatever is in it.
    """
    by_name: dict[str, str] = {}
    for path in sorted(paths, key=lambda path: DIRECTORIES.index(path.rpartition("/")[0])):
        name = path.rpartition("/")[2]
        if name.endswith(SUFFIX) and not name.startswith("."):
            by_name.setdefault(name, path)
    order = sorted(by_name, key=lambda name: name.encode(errors="surrogateescape"))
    return [by_name[name] for name in order]


def setting_of(key: str, files: Iterable[tuple[str, Sequence[Line]]]) -> Setting | None:
    """What sets a key (in the form of `normal`) in the end, or takes it out; None: nothing does.

    A line for the very key beats every pattern; of two lines, and of two patterns, the later
    counts. A line that repeats what is known stays in its earlier place.
    """
    known: dict[str, Setting] = {}
    for path, lines in files:
        for line in lines:
            if not line.key or (line.key != key and not is_glob(line.key)):
                continue
            before = known.get(line.key)
            if before is not None and before.value == line.value:
                continue
            known.pop(line.key, None)
            known[line.key] = Setting(line.value, path, line.line)
    if key in known:
        return known[key]
    fitting = [
        each
        for pattern, each in known.items()
        if each.value is not None and is_glob(pattern) and _matches(key, pattern)
    ]
    return fitting[-1] if fitting else None


def _matches(key: str, pattern: str) -> bool:
    """glob(7): a wildcard matches no slash, and `[^` is `[!`."""
    names, wanted = key.split("/"), pattern.replace("[^", "[!").split("/")
    return len(names) == len(wanted) and all(map(fnmatch.fnmatchcase, names, wanted))

"""What `[login.DOMAIN]` may say: domains of limits.conf(5), and values with which one can log in.

What checks one value raises `ValueError` with one sentence that does not repeat it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from jada_configd.core.limits import NICE_MOST
from jada_configd.core.login_items import FACTORS
from jada_configd.core.resources.logins import LOGIN_DIRECTORY
from jada_configd.core.specs import LimitWord
from jada_configd.policy.phrasing import Fault
from jada_configd.policy.places import Keys

LONGEST_DOMAIN: Final = 255  # LOGIN_NAME_MAX, and a character before it
ID_MOST: Final = (1 << 32) - 2  # (uid_t)-1 is nobody
PRIORITY_MOST: Final = 19  # setpriority(2)
# Below these a shell does not start, or not with what a login brings along. login(1) writes
# /var/log/wtmp under the user's own `fsize` (measured: it is killed where the file is larger), and
# with 256 KiB of `stack` no shell of it starts.
LEAST: Final[Mapping[str, int]] = {
    "as": 64 << 20,
    "cpu": 60,
    "data": 4 << 20,
    "fsize": 64 << 20,
    "nofile": 32,
    "nproc": 16,
    "stack": 1 << 20,
}
_NAME: Final = re.compile(r"[^\s#:*@%,\x00-\x20\x7f][^\s#:\x00-\x20\x7f]*")
_RANGE: Final = re.compile(r"([0-9]{0,10}):([0-9]{0,10})")


def domain(text: str) -> str:
    """A domain of limits.conf(5): a user, `@group`, `*`, `%`, `%group` or a range of ids."""
    name = text[1:] if text[:1] in ("@", "%") else text
    if text in ("*", "%"):
        return text
    if len(text.encode(errors="surrogateescape")) > LONGEST_DOMAIN:
        raise ValueError(f"is longer than {LONGEST_DOMAIN} bytes, as no name of a user or group is")
    if ":" in name:
        _check_range(name, text[:1])
    elif not _NAME.fullmatch(name) or not text.isprintable():
        raise ValueError(
            'must be a domain of limits.conf(5): a user, "@group", "*", "%", "%group", or a range '
            'of ids such as "1000:1999" or "@1000:"'
        )
    return text


def _check_range(name: str, sign: str) -> None:
    found = _RANGE.fullmatch(name)
    if found is None or name == ":":
        raise ValueError('has a colon and is no range of ids, such as "1000:1999" or "1000:"')
    least, most = (int(each or 0) for each in found.groups())
    if max(least, most) > ID_MOST:
        raise ValueError(f"has an id above {ID_MOST}, the highest there is")
    if found[1] and sign == "%":
        raise ValueError('must name one group behind "%", by its name or as "%:1000"')
    if found[1] and found[2] and least > most:
        raise ValueError("has an empty range of ids: the first is above the last")


def check_limit(limit: str, word: LimitWord) -> None:
    """Refuse what limits.conf cannot say, and what nobody could log in with."""
    if limit == "nice" and word != "max" and (word == "infinity" or not 1 <= word <= NICE_MOST):
        raise ValueError("must be 1 to 40 for a login: 20 less the lowest nice value allowed")
    if isinstance(word, str):
        return
    factor = FACTORS.get(limit, 1)
    if word % factor:
        counted = "minutes" if limit == "cpu" else "KiB"
        raise ValueError(f"must be a multiple of {factor} for a login: pam_limits counts {counted}")
    if word < LEAST.get(limit, 0):
        raise ValueError(f"must be at least {LEAST[limit]}; with less, nobody could log in")


def check_logins(number: int) -> int:
    """Refuse a number of logins with which there would be none."""
    if number < 1:
        raise ValueError("must be at least 1; with less, nobody could log in")
    if number >= 1 << 31:
        raise ValueError("must fit into 32 bits")
    return number


def check_priority(number: int) -> int:
    """Refuse what may need a capability: a login without it would fail."""
    if not 0 <= number <= PRIORITY_MOST:
        raise ValueError(
            f"must be 0 to {PRIORITY_MOST}; below 0, a login without CAP_SYS_NICE would be refused"
        )
    return number


def login_faults(tree: Mapping[str, Any], home: str | None) -> Iterator[Fault]:
    """What does not go together, in the tree as TOML gave it; `home` where it is a user's own."""
    entries = tree.get("login")
    if not isinstance(entries, dict):
        return
    if home is not None:
        yield Fault(("login",), f"is root's alone: no user can write {LOGIN_DIRECTORY}")
        return
    for name, table in entries.items():
        limits = table.get("limits") if isinstance(table, dict) else None
        if not isinstance(limits, dict):
            continue
        keys: Keys = ("login", name, "limits")
        if {"maxlogins", "maxsyslogins"} <= limits.keys():
            what = "maxlogins and maxsyslogins are one limit to pam_limits; keep one of them"
            yield Fault(keys, what)
        if name.startswith("%") and limits.keys() - {"maxlogins"}:
            yield Fault(keys, 'a domain with "%" limits maxlogins alone')


def login_warnings(tree: Mapping[str, Any]) -> Iterator[Fault]:
    """Entries that say nothing."""
    for name, table in tree.get("login", {}).items():
        if not table.get("limits"):
            yield Fault(("login", name), "holds no limit")

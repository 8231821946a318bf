"""`[sysctl]`: kernel parameters by key, each once, with a value that a sysctl.d file can hold."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from jada_configd.formats.sysctl_lines import dotted, is_glob, names_of, normal, plain
from jada_configd.policy.documents import Documents
from jada_configd.policy.phrasing import Fault, quoted
from jada_configd.policy.places import Keys
from jada_configd.policy.values import NOFILE_MOST

LONGEST_VALUE: Final = 4094  # bytes; with its line end and NUL a page, more than the kernel reads
_LEAST_NAMES: Final = 2
_KEY = re.compile(r"[A-Za-z0-9_.,:@+%~/-]+")
_SECRET: Final = ("_key", "_secret")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
# Of each pair the kernel has one at a time: to set it puts the other at 0 (vm(5), sysctl/vm.rst).
_RIVALS: Final = (
    ("vm.dirty_bytes", "vm.dirty_ratio"),
    ("vm.dirty_background_bytes", "vm.dirty_background_ratio"),
    ("vm.overcommit_kbytes", "vm.overcommit_ratio"),
)
# Two names of one value: to set one sets the other (ip-sysctl.rst, sysctl/vm.rst).
_ALIASES: Final = (
    ("net.ipv4.conf.all.forwarding", "net.ipv4.ip_forward"),
    ("net.netfilter.nf_conntrack_max", "net.nf_conntrack_max"),
    ("vm.nr_hugepages", "vm.nr_hugepages_mempolicy"),
)
_MOST: Final = {"fs.nr_open": NOFILE_MOST}

SCHEMA: Final[dict[str, Any]] = {
    "propertyNames": {
        "pattern": r"^[A-Za-z0-9_,:@+%~-][A-Za-z0-9_.,:@+%~/-]*$",
    },
    "additionalProperties": {"type": ["integer", "string"]},
}


def sysctl_faults(tree: Mapping[str, Any], documents: Documents) -> Iterator[Fault]:
    """What is wrong with keys and values; a `[sysctl]` that is no table is for the models."""
    first: dict[str, Keys] = {}
    table = _table(tree)
    for key, value in table.items():
        keys: Keys = ("sysctl", key)
        if isinstance(value, dict):
            yield Fault(keys, _unquoted(key, value))
            continue
        problem = _key_problem(key) or _value_problem(dotted(key), value)
        if problem is not None:
            yield Fault(keys, problem)
            continue
        other = first.setdefault(normal(key), keys)
        if other is not keys:
            earlier, later = sorted((other, keys), key=documents.place)
            place = documents.place(earlier)
            what = (
                f"stands twice: {quoted(str(earlier[1]))} ({place.name}:{place.line}) is this key"
            )
            yield Fault(later, what)
    given = {dotted(key): key for key, value in table.items() if str(value).strip() != "0"}
    for one, other_name in _RIVALS:
        if one in given and other_name in given:
            what = f"the kernel has one of the two: to set {one} puts {other_name} at 0"
            yield Fault(("sysctl", given[one]), what)
    yield from _of_two_minds(table)


def _of_two_minds(table: Mapping[str, Any]) -> Iterator[Fault]:
    """Two names of one value that want different ones: each would undo the other for ever."""
    known = {dotted(key): key for key in table}
    for one, other in _ALIASES:
        if one in known and other in known:
            values = [plain(str(table[known[name]])) for name in (one, other)]
            if values[0] != values[1]:
                yield Fault(
                    ("sysctl", known[one]), f"is {other} by another name; give both one value"
                )


def plain_sysctls(tree: Mapping[str, Any], mode: str, documents: Documents) -> list[dict[str, Any]]:
    """The entries in the order of the policy, in the plain form of `SysctlSpec`."""
    return [
        {
            "key": dotted(key),
            "value": str(value).strip(),
            "mode": mode,
            "origin": documents.origin(("sysctl", key)),
        }
        for key, value in _table(tree).items()
    ]


def _table(tree: Mapping[str, Any]) -> Mapping[str, Any]:
    table = tree.get("sysctl")
    return table if isinstance(table, dict) else {}


def _unquoted(key: str, value: Mapping[str, Any]) -> str:
    """`fs.nr_open = 1` is a table in a table to TOML."""
    names = [key]
    inside: object = value
    while isinstance(inside, dict) and inside:
        name, inside = next(iter(inside.items()))
        names.append(name)
    if not _KEY.fullmatch(".".join(names)):
        return "must be an integer or a string, not a table"
    return f"a key stands in quotes: {quoted('.'.join(names))}"


def _key_problem(key: str) -> str | None:
    if is_glob(key):
        return "a pattern stands for many keys; name each"
    names = names_of(key)
    if (
        not _KEY.fullmatch(key)
        or key.startswith("-")
        or len(names) < _LEAST_NAMES
        or not {"", ".", ".."}.isdisjoint(names)
        or "." in names[0]  # with dots between its names the key would be another
    ):
        return 'must be a key of sysctl(8), such as "fs.nr_open" or "net/core/somaxconn"'
    if names[-1].endswith(_SECRET):
        return "is a secret, and everybody can read sysctl.d; leave it to whoever makes it"
    return None


def _value_problem(key: str, value: object) -> str | None:
    if isinstance(value, bool):
        return "must be an integer or a string; a switch of the kernel is 1 or 0"
    if isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 64:
            return "an integer must fit into 64 bits"
    elif not isinstance(value, str):
        return "must be an integer or a string"
    text = str(value).strip()
    if _CONTROL.search(text):
        return "must be one line without control characters"
    if len(text.encode()) > LONGEST_VALUE:
        return f"is longer than the kernel reads ({LONGEST_VALUE} bytes)"
    most = _MOST.get(key)
    if most is not None and text.isascii() and text.isdecimal() and int(text[:20]) > most:
        return f"no Linux accepts more than {most}"
    return None

"""Text of sysctl.d files: keys in one form, values in one form, lines in and out (sysctl.d(5)).

Which of several files wins is `sysctl_precedence.py`'s; what the kernel has is for others.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_BLANK = " \t\n\r"
# systemd ends a line at each of these and takes one of each sort together for one line end.
_LINE_END = re.compile(r"(?:\r\n?|\n\r?)\0?|\0")
_SEPARATOR = re.compile(r"[./]")
_SWAPPED = str.maketrans("./", "/.")
_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,19}")  # as the kernel writes one; 64 bits have 20 digits
_UNSAFE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Line:
    """One line that says something; `key` is in the form of `normal`, and may be a glob(7) pattern.

    `value` None: the key is not to be set by any pattern (`-key` without a `=`). `lenient`: a
    failure to set it counts for nothing (`-key = value`). Where systemd would not read the line,
    `problem` is one sentence and `key` is empty.
    """

    key: str
    value: str | None
    line: int  # counts from 1
    lenient: bool = False
    problem: str | None = None


def normal(key: str) -> str:
    """The key as a path below /proc/sys: `net/ipv4/conf/enp3s0.200/forwarding`.

    Where the first separator is a dot, dots and slashes change places (sysctl.d(5)).
    """
    return "/".join(name for name in names_of(key) if name not in {"", "."})


def names_of(key: str) -> list[str]:
    """The names on the way to a key, as they are written: some may be empty, or `..`."""
    first = _SEPARATOR.search(key)
    if first is not None and first[0] == ".":
        key = key.translate(_SWAPPED)
    return key.split("/")


def dotted(key: str) -> str:
    """The key as sysctl(8) shows it, whatever form it comes in: `fs.nr_open`."""
    return normal(key).translate(_SWAPPED)


def is_glob(key: str) -> bool:
    """Whether a key is a pattern (glob(7)) for many."""
    return any(wildcard in key for wildcard in "*?[")


def plain(text: str) -> int | str:
    """A value in the one form in which values are compared and shown.

    The kernel ends a value with a line end and puts tabs between numbers; a single number is one.
    """
    words = " ".join(text.split())
    return int(words) if _NUMBER.fullmatch(words) else words


def parse_sysctls(text: str) -> list[Line]:
    """The lines of a sysctl.d file in their order, without comments; raises nothing."""
    lines = []
    for number, raw in enumerate(_LINE_END.split(text), 1):
        content = raw.strip(_BLANK)
        if not content or content[0] in "#;":
            continue
        key, equals, value = content.partition("=")
        is_marked = key.startswith("-")
        if not equals and not is_marked:
            lines.append(Line("", None, number, problem='it has no "="'))
            continue
        name = normal(key.removeprefix("-").strip(_BLANK))
        if not name:
            lines.append(Line("", None, number, problem="it has no key"))
            continue
        lenient = is_marked and bool(equals)
        lines.append(Line(name, value.strip(_BLANK) if equals else None, number, lenient))
    return lines


def render_sysctls(header: str, entries: Iterable[tuple[str, str]]) -> str:
    """The text of a sysctl.d file: the header as a comment, then a line for each key and value.

    Raises `ValueError` for what would not be read back as it was given.
    """
    comment = "".join(f"# {line}\n" for line in _LINE_END.split(header))
    lines = []
    for key, value in entries:
        if not key or normal(key) != normal(key.strip(_BLANK)) or key[0] in "#;-" or "=" in key:
            raise ValueError(f"no sysctl can have the name {key!r}")
        if _UNSAFE.search(key + value):
            raise ValueError(f"{key} cannot hold control characters")
        if value != value.strip(_BLANK):
            raise ValueError(f"{key} cannot hold blanks at its ends")
        lines.append(f"{key} = {value}".rstrip() + "\n")
    return f"{comment}\n{''.join(lines)}"

"""What single values of a policy must look like: paths, unit names, durations, limits, pointers.

Each function gives the value in the form that the program uses, or raises `ValueError` with one
sentence; none of the sentences repeats the value, which may be a secret in the wrong place.
"""

import re
from collections.abc import Iterator
from typing import Final

from jada_configd.core.limits import NICE_MOST
from jada_configd.core.model import Field
from jada_configd.core.resources import is_pattern
from jada_configd.core.specs import LimitWord
from jada_configd.policy.places import Keys

NOFILE_MOST: Final = 2147483584  # sysctl_nr_open_max, fs/file.c: INT_MAX rounded down to 64
LONGEST_PATH: Final = 4095  # PATH_MAX less its final NUL
LONGEST_NAME: Final = 255  # NAME_MAX; a unit name's too (systemd.unit(5))
TEXTFILE: Final = "/var/lib/prometheus/node-exporter/jada_configd.prom"  # Debian's directory
SUFFIX_MISSING: Final = "must end in .service"
DEFAULT: Final = "default"  # of `apply`, where that is a table
POINTER_MISSING: Final = 'must be "default" or a JSON Pointer, such as "/model"'

BUSY: Final = "/run/jada-agent/busy"

_SETTINGS: Final = "/home/ubuntu/.claude/settings.json"
_DURATION = re.compile(r"([0-9]{1,9})(ms|s|m|h)")
_PERCENT = re.compile(r"([1-9][0-9]?|100)%")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_UNIT = re.compile(r"[A-Za-z0-9:_.\\-]+(?:@[A-Za-z0-9:_.\\@-]*)?")
_UNIT_TYPES: Final = ".socket .device .mount .automount .swap .target .path .timer .slice .scope"
_ESCAPE = re.compile(r"~[01]?")


def seconds(text: str) -> float:
    """A duration in seconds."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError('must be a duration such as "250ms", "30s", "5m" or "2h"')
    return int(match[1]) * _SECONDS[match[2]]


def duration(text: str, least: str, most: str) -> float:
    """A duration within bounds, in seconds."""
    value = seconds(text)
    if not seconds(least) <= value <= seconds(most):
        raise ValueError(f'must be from "{least}" to "{most}"')
    return value


def number(value: int, least: int, most: int) -> int:
    """A number within bounds."""
    if not least <= value <= most:
        raise ValueError(f"must be from {least} to {most}")
    return value


def share(text: str) -> float:
    """A percentage, as a share of which 1 is all."""
    match = _PERCENT.fullmatch(text)
    if match is None:
        raise ValueError('must be a percentage from "1%" to "100%", without a fraction')
    return int(match[1]) / 100


def settings_path(text: str, home: str | None, example: str = _SETTINGS) -> str:
    """An absolute, normal path or glob(7) pattern; `~/` is `home`, where that is given."""
    if text.startswith("~"):
        text = _at_home(text, home)
    if not text.startswith("/"):
        raise ValueError(f'must be an absolute path, such as "{example}"')
    if "\0" in text:
        raise ValueError("must not hold a NUL character")
    if len(text.encode(errors="surrogateescape")) > LONGEST_PATH:
        raise ValueError(f"is longer than Linux allows ({LONGEST_PATH} bytes)")
    if text.endswith("/"):
        raise ValueError("must name a file; it ends with a slash")
    for component in text[1:].split("/"):
        _check_component(component)
    return text


def textfile_path(text: str, home: str | None) -> str:
    """Where the metrics are written: one file, of a name that node_exporter looks for."""
    text = settings_path(text, home, TEXTFILE)
    if is_pattern(text):
        raise ValueError("must be one file, without wildcards")
    if not text.endswith(".prom"):
        raise ValueError("must end in .prom: node_exporter reads no other file")
    return text


def busy_path(text: str, home: str | None) -> str:
    """A file that says by being there that work is in flight."""
    text = settings_path(text, home, BUSY)
    if is_pattern(text):
        raise ValueError("must be one file, without wildcards")
    return text


def _at_home(text: str, home: str | None) -> str:
    if not text.startswith("~/"):
        raise ValueError('must be an absolute path; "~" is for the own home alone')
    if home is None:
        raise ValueError('must be an absolute path; "~/" is for policies loaded with --user')
    if is_pattern(home):
        raise ValueError('must be an absolute path; the home behind "~/" holds a wildcard')
    return home.rstrip("/") + text[1:]


def _check_component(component: str) -> None:
    if component == "":
        raise ValueError("must not hold a double slash")
    if component in (".", ".."):
        raise ValueError(f'must not hold a "{component}" component')
    if "**" in component:
        raise ValueError('must not hold "**"; a wildcard is one component at most, as in /home/*/')
    if len(component.encode(errors="surrogateescape")) > LONGEST_NAME:
        raise ValueError(f"has a component longer than Linux allows ({LONGEST_NAME} bytes)")
    rest = component
    while "[" in rest:  # glob(7): the first character inside may be `]`, after a `!` too
        inside = rest[rest.index("[") + 1 :].removeprefix("!")
        if "]" not in inside[1:]:
            raise ValueError('has a "[" without its "]"; a "[" itself is written "[[]"')
        rest = inside[inside.index("]", 1) + 1 :]


def unit_name(text: str) -> str:
    """The name of one service unit (systemd.unit(5))."""
    if text.endswith(tuple(_UNIT_TYPES.split())):
        raise ValueError("must be a service; no other sort of unit has a process to hold")
    stem = text.removesuffix(".service")
    if not _UNIT.fullmatch(stem):
        raise ValueError(
            "must be a unit name: ASCII letters, digits and any of : - _ . \\ @ "
            "before .service (systemd.unit(5))"
        )
    if len(text) > LONGEST_NAME:
        raise ValueError(f"must be a unit name of at most {LONGEST_NAME} characters")
    if stem == text:
        raise ValueError(SUFFIX_MISSING)
    if stem.endswith("@"):
        raise ValueError("must be one unit; name an instance of this template")
    return text


def field(pointer: str) -> Field:
    """The field that a JSON Pointer names (RFC 6901); the whole document is no field."""
    if not pointer.startswith("/"):
        raise ValueError('must be a JSON Pointer, such as "/env/ANTHROPIC_MODEL"')
    if any(escape[0] == "~" for escape in _ESCAPE.finditer(pointer)):
        raise ValueError('must be a JSON Pointer: "~" itself is written "~0", and "/" "~1"')
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in pointer[1:].split("/"))


def applied_field(key: str) -> Field:
    """The field that a key of `apply` names, and all below it."""
    if not key.startswith("/"):
        raise ValueError(POINTER_MISSING)
    return field(key)


def limit_word(value: object) -> LimitWord:
    """One side of a limit, in the unit of setrlimit(2)."""
    if value == "infinity":
        return "infinity"
    if value == "max":
        return "max"
    if isinstance(value, str) and value.isdecimal():
        raise ValueError("must be an integer without quotes")
    if isinstance(value, bool) or not isinstance(value, int):
        # pydantic takes a ValueError for a fault and a TypeError for a bug
        raise ValueError('must be an integer, "infinity" or "max"')  # noqa: TRY004
    if value < 0:
        raise ValueError('must not be negative; no limit at all is "infinity"')
    if value >= 1 << 63:
        raise ValueError("must fit into 64 bits")
    return value


def check_pair(soft: LimitWord, hard: LimitWord) -> None:
    """Refuse a soft limit above its hard limit (setrlimit(2): EINVAL)."""
    if hard == "infinity" or soft == hard:  # noqa: PLR1714 - so that mypy follows
        return
    if soft == "infinity":
        raise ValueError("soft is infinity and above hard")
    if soft == "max":
        raise ValueError('soft is the most that the host gives; hard must then be "max" too')
    if hard != "max" and soft > hard:
        raise ValueError(f"soft ({soft}) is above hard ({hard})")


def check_reach(limit: str, word: LimitWord) -> None:
    """Refuse what no Linux accepts for this limit."""
    if limit == "nofile" and word != "max" and (word == "infinity" or word > NOFILE_MOST):
        raise ValueError(
            f"no Linux accepts more than {NOFILE_MOST} files, the highest fs.nr_open there is; "
            'the most that a host gives is "max"'
        )
    if limit == "nice" and word != "max" and (word == "infinity" or word > NICE_MOST):
        raise ValueError(f"systemd takes at most {NICE_MOST}, which stands for nice -20")


def leaf_faults(value: object) -> Iterator[tuple[Keys, str]]:
    """What keeps a leaf from being JSON: the keys inside it, and a sentence."""
    if isinstance(value, list | dict):
        inside = enumerate(value) if isinstance(value, list) else value.items()
        for key, each in inside:
            for keys, what in leaf_faults(each):
                yield (key, *keys), what
    elif problem := _scalar_problem(value):
        yield (), problem


def _scalar_problem(value: object) -> str | None:
    if isinstance(value, str | bool):
        return None
    if isinstance(value, int):
        return None if -(1 << 63) <= value < 1 << 63 else "an integer must fit into 64 bits"
    if isinstance(value, float):
        finite = value - value == 0
        return None if finite else "JSON has no infinity and no nan; write a finite number"
    return "JSON has no dates and times; write it as a string, in quotes"

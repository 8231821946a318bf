"""Text of limits.conf(5), line by line, as pam_limits reads it: domain, type, item, value.

Which line counts in the end is `limits_precedence.py`'s. Values are in the units of setrlimit(2)
here (bytes, seconds, 20 less the nice value), whatever the file counts in.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from jada_configd.core.facts import LimitValue
from jada_configd.core.login_items import FACTORS, SINGLE

_OTHERS: Final = {"locks", "msgqueue", "nice", "nofile", "nproc", "rtprio", "sigpending"}
ITEMS: Final = SINGLE | FACTORS.keys() | _OTHERS
_TYPES: Final = {"soft": ("soft",), "hard": ("hard",), "-": ("soft", "hard")}
_UNLIMITED: Final = {"-", "-1", "infinity", "unlimited"}
_ANY_TYPE: Final = SINGLE - {"priority"}  # for these it looks at no type
_LOGINS: Final = {"maxlogins"}  # all that a domain with a % can limit
_NICEST: Final = 20
_INFINITY: Final = (1 << 64) - 1  # RLIM_INFINITY
_MOST_DIGITS: Final = 40  # past 64 bits in any case
_BLANKS: Final = re.compile(r"[ \t\v\f\r]+")
_NUMBER: Final = re.compile(r"([+-]?)0*([0-9]+)")
_RANGE: Final = re.compile(r"([0-9]*):([0-9]*)")
_WORDS: Final = 4


@dataclass(frozen=True, slots=True)
class Line:
    """One line that says something; `line` counts from 1.

    Without `sides` it takes all limits off its domain (`DOMAIN -`). What pam_limits passes over has
    a `problem`, one sentence, and nothing else of it counts.
    """

    domain: str
    sides: tuple[str, ...]  # of soft and hard; of an item that has no sides: ("",)
    item: str
    value: LimitValue
    line: int
    problem: str | None = None


def parse(text: str) -> list[Line]:
    """The lines of a file in their order; raises nothing."""
    lines = []
    for number, raw in enumerate(text.split("\n"), 1):
        words = _BLANKS.split(raw.partition("\0")[0].partition("#")[0].strip(" \t\v\f\r"))
        if words == [""]:
            continue
        lines.append(_line(words, number))
    return lines


def _line(words: list[str], number: int) -> Line:
    try:
        sides, item, value = _said(words)
    except ValueError as error:
        return Line(words[0], (), "", None, number, str(error))
    return Line(words[0], sides, item, value, number)


def _said(words: list[str]) -> tuple[tuple[str, ...], str, LimitValue]:
    """Sides, item and value; raises `ValueError` for what pam_limits passes over."""
    domain = words[0]
    ids(domain)
    if len(words) == 2 and words[1].startswith("-"):  # noqa: PLR2004 - domain and type
        if domain[0] in "*%":
            raise ValueError("all limits can be taken off users and groups alone")
        return (), "", None
    if len(words) < _WORDS:
        raise ValueError("it lacks a type, an item or a value")
    item = words[2].lower()
    if domain.startswith("%") and item not in _LOGINS:
        raise ValueError("a domain with a % limits maxlogins alone")
    return _sides(item, words[1].lower()), item, value_of(item, words[3].lower())


def _sides(item: str, word: str) -> tuple[str, ...]:
    if item not in ITEMS:
        raise ValueError("pam_limits has no such item")
    if item not in _ANY_TYPE and word not in _TYPES:
        raise ValueError("its type is none of soft, hard and -")
    return ("",) if item in SINGLE else _TYPES[word]


def value_of(item: str, word: str) -> LimitValue:
    """What pam_limits makes of a value, by strtoull(3); raises `ValueError`."""
    if item == "nonewprivs":
        if word not in ("0", "1"):
            raise ValueError("its value is neither 0 nor 1")
        return int(word)
    if item not in ("priority", "nice") and word in _UNLIMITED:
        return None
    found = _NUMBER.match(word)
    if found is None:
        raise ValueError("its value is no number")
    number = int(found[2][:_MOST_DIGITS])
    if found[1] == "-":
        number = -number
    if item in SINGLE:
        return number
    if item == "nice":
        return _NICEST - min(max(number, -_NICEST), _NICEST - 1)
    number = number % (_INFINITY + 1) if -_INFINITY <= number < 0 else min(abs(number), _INFINITY)
    factor = FACTORS.get(item, 1)
    return None if number >= _INFINITY // factor else number * factor


def ids(domain: str) -> tuple[int, int | None] | None:
    """The user or group ids that a domain names by number, None above: no end; None: by name.

    Raises `ValueError` for what has a colon and is no range.
    """
    if ":" not in domain:
        return None
    found = _RANGE.fullmatch(domain.lstrip("@%") if domain[0] in "@%" else domain)
    if found is None or not (found[1] or found[2]):
        raise ValueError("it has a colon in its domain, and is no range of ids")
    if not found[1]:
        return int(found[2][:_MOST_DIGITS]), int(found[2][:_MOST_DIGITS])
    if domain.startswith("%"):
        raise ValueError("a range of ids cannot stand behind a %")
    return int(found[1][:_MOST_DIGITS]), int(found[2][:_MOST_DIGITS]) if found[2] else None


def render(header: str, lines: Iterable[tuple[str, str, tuple[LimitValue, LimitValue]]]) -> str:
    """A whole file: the header as a comment, then soft and hard of each domain, item and pair.

    Raises `ValueError` for what pam_limits would not read back as it was given.
    """
    text = [f"# {each}" for each in header.splitlines()] + [""]
    for domain, item, pair in lines:
        sides = (("-", pair[1]),) if item in SINGLE else (("soft", pair[0]), ("hard", pair[1]))
        for side, value in sides:
            line = f"{domain} {side} {item} {_word(item, value)}"
            read = parse(line)
            said = [(each.domain, each.item, each.value) for each in read if not each.problem]
            if said != [(domain, item, value)]:
                raise ValueError(f"limits.conf cannot say {item} of {domain!r} so")
            text.append(line)
    return "\n".join(text) + "\n"


def _word(item: str, value: LimitValue) -> str:
    if value is None:
        return "unlimited"
    if item == "nice":
        return str(_NICEST - value)
    return str(value // FACTORS.get(item, 1))

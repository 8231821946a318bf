"""What systemd makes of the value of `LimitNOFILE=` and its kin (systemd.exec(5), setrlimit(2)).

The syntax is that of its rlimit_parse(), corners included: what it takes is taken here, and what it
passes over is passed over.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from jada_configd.core.facts import LimitPair, LimitValue

_INFINITY: Final = (1 << 64) - 1  # RLIM_INFINITY, and systemd's USEC_INFINITY
_MOST_DIGITS: Final = (1 << 63) - 1  # strtoll(3)
_BLANK: Final = " \t\n\r"
_NUMBER: Final = re.compile(
    r"[ \t\n\v\f\r]*([+-]?)(0[xX][0-9a-fA-F]+|[0-9]+|0[bB][01]+|0[oO][0-7]+)"
)
_DECIMAL: Final = re.compile(r"[ \t\n\v\f\r]*([+-]?)([0-9]+)")
_FRACTION: Final = re.compile(r"\.([0-9]*)")
_TIME: Final = re.compile(r"\+?([0-9]+)(?![0-9.])|(?:\+?([0-9]+))?\.([0-9]+)")
_BYTES: Final = {suffix: 1024**power for power, suffix in enumerate(("B", *"KMGTPE"))}
_UNITS: Final = (*reversed(_BYTES.items()), ("", 1))  # each at most once, the largest first
_SECOND: Final = 1_000_000
# The first that the text begins with counts, so the order matters (systemd.time(7)).
_SPANS: Final = (
    *((name, _SECOND) for name in ("seconds", "second", "sec", "s")),
    *((name, 60 * _SECOND) for name in ("minutes", "minute", "min")),
    *((name, 2_629_800 * _SECOND) for name in ("months", "month", "M")),
    *((name, 1000) for name in ("msec", "ms")),
    ("m", 60 * _SECOND),
    *((name, 3600 * _SECOND) for name in ("hours", "hour", "hr", "h")),
    *((name, 86_400 * _SECOND) for name in ("days", "day", "d")),
    *((name, 604_800 * _SECOND) for name in ("weeks", "week", "w")),
    *((name, 31_557_600 * _SECOND) for name in ("years", "year", "y")),
    *((name, 1) for name in ("usec", "us", "\u03bcs", "\u00b5s")),
)
_NICEST: Final = 20  # RLIMIT_NICE counts from 40 (nice -20) down to 1 (nice 19); getrlimit(2)
_LONGEST: Final = 4096  # digits; Python would take long over more, and systemd takes none of them


def parse_limit(limit: str, text: str) -> LimitPair:
    """Soft and hard that systemd reads from a value; `limit` is the name of limits.conf(5).

    Seconds for `cpu`, microseconds for `rttime`. Raises `ValueError` with the reason where systemd
    passes over the line, with a warning in the journal and the earlier value still in force.
    """
    words = [re.sub(r"\\(.)", r"\1", word) for word in _words(text)]
    if not text or len(words) > 2:  # noqa: PLR2004 - soft and hard
        raise ValueError("it is empty" if not text else "it is no limit")
    parse = _PARSERS.get(limit, _number)
    soft = parse(words[0])
    hard = parse(words[-1])
    if hard is not None and (soft is None or soft > hard):
        raise ValueError("its soft limit is above its hard limit")
    return soft, hard


def _words(text: str) -> list[str]:
    """Cut at colons that no backslash escapes."""
    return [match[0] for match in re.finditer(r"(?:^|(?<=:))(?:[^:\\]|\\.)*", text)]


def _whole(text: str) -> int:
    """safe_atou64(): blanks may stand before it, a sign too, and 0x, 0b, 0o or 0 for its base."""
    found = _NUMBER.fullmatch(text)
    if found is None or len(text) > _LONGEST:
        raise ValueError("it is no limit")
    sign, digits = found.groups()
    is_octal = len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()
    value = int(f"0o{digits[1:]}" if is_octal else digits, 0)
    if value > _INFINITY or (sign == "-" and value):
        raise ValueError("it is no limit")
    return value


def _number(text: str) -> LimitValue:
    return None if text == "infinity" else _below_infinity(_whole(text))


def _below_infinity(value: int) -> int:
    if value >= _INFINITY:
        raise ValueError("it is beyond all limits")
    return value


def _size(text: str) -> LimitValue:
    """parse_size(): `1G 512M`, `1.5K`."""
    if text == "infinity":
        return None
    total = at = first = 0
    while True:
        whole, fraction, at = _digits(text, at)
        units = list(enumerate(_UNITS))[first:]
        at = _past_blanks(text, at)
        place, (suffix, factor) = next(
            (unit for unit in units if text.startswith(unit[1][0], at)), (0, ("", 0))
        )
        if not factor:
            raise ValueError("it is no limit")
        total += whole * factor + int(fraction * factor)
        first, at = place + 1, at + len(suffix)
        if at == len(text):
            return _below_infinity(total)


def _digits(text: str, at: int) -> tuple[int, float, int]:
    """A number, its fraction, and where it ends."""
    found = _DECIMAL.match(text, at)
    if found is None or found[1] == "-" or len(found[2]) > _LONGEST:
        raise ValueError("it is no limit")
    point = _FRACTION.match(text, found.end())
    if point is None:
        return int(found[2]), 0.0, found.end()
    return int(found[2]), float(f"0.{point[1] or 0}"), point.end()


def _past_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at] in _BLANK:
        at += 1
    return at


def _span(text: str, unit: int) -> LimitValue:
    """parse_time(): microseconds in `1min 30s`; `unit` is that of a bare number."""
    if text.strip(_BLANK) == "infinity":
        return None
    total = 0
    at = _past_blanks(text, 0)
    if at == len(text):
        raise ValueError("it is no limit")
    while at < len(text):
        found = _TIME.match(text, at)
        if found is None or len(found[0]) > _LONGEST:
            raise ValueError("it is no limit")
        whole, fraction = int(found[1] or found[2] or 0), found[3] or ""
        end = found.end()
        name_at = _past_blanks(text, end)
        name, factor = next(
            (each for each in _SPANS if text.startswith(each[0], name_at)), ("", unit)
        )
        if not name and name_at == end and end < len(text):
            raise ValueError("it is no limit")
        if whole > _MOST_DIGITS or whole >= _INFINITY // factor:
            raise ValueError("it is beyond all limits")
        total += whole * factor
        total += sum(int(each) * (factor // 10**place) for place, each in enumerate(fraction, 1))
        at = _past_blanks(text, name_at + len(name))
    return _below_infinity(total)


def _seconds(text: str) -> LimitValue:
    microseconds = _span(text, _SECOND)
    return None if microseconds is None else -(-microseconds // _SECOND)


def _microseconds(text: str) -> LimitValue:
    return _span(text, 1)


def _nice(text: str) -> LimitValue:
    """A nice level with its sign, or the raw number of getrlimit(2)."""
    if text.startswith("+"):
        value = _NICEST - _whole(text[1:])
        least = 1
    elif text.startswith("-"):
        value = _NICEST + _whole(text[1:])
        least = _NICEST
    else:
        value, least = _whole(text), 0
    if not least <= value <= 2 * _NICEST:
        raise ValueError("it is no nice level")
    return value


_PARSERS: Final[Mapping[str, Callable[[str], LimitValue]]] = {
    **dict.fromkeys(("fsize", "data", "stack", "core", "rss", "as", "memlock", "msgqueue"), _size),
    "cpu": _seconds,
    "rttime": _microseconds,
    "nice": _nice,
}

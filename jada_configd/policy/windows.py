"""What a window must look like, `Mon-Fri 02:00-05:00 UTC`, in the manner of systemd.time(7).

As in `values.py`, no sentence repeats the value; what is suggested is made of known words alone.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from jada_configd.core.windows import MINUTES, Window
from jada_configd.policy.phrasing import quoted, suggestion

DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DAILY: Final = "daily"
EXAMPLE: Final = "Mon-Fri 02:00-05:00 UTC"
_DAY: Final = f"(?:{'|'.join(DAYS)})"
_SPAN: Final = f"{_DAY}(?:-{_DAY})?"
_HOUR: Final = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_ZONE: Final = r"[A-Za-z][A-Za-z0-9_+\-/]*"
PATTERN: Final = rf"^(?:(?:{DAILY}|{_SPAN}(?:,{_SPAN})*) )?{_HOUR}-(?:{_HOUR}|24:00)(?: {_ZONE})?$"
LONGEST: Final = 200  # characters

_FORM = re.compile(
    rf"(?:(?P<days>[A-Za-z][A-Za-z,\-]*) )?"
    rf"(?P<begins>[0-9]{{2}}:[0-9]{{2}})-(?P<ends>[0-9]{{2}}:[0-9]{{2}})(?: (?P<zone>{_ZONE}))?"
)
_DASHES = re.compile(r" ?(?:-|\.\.|\N{EN DASH}|\N{EM DASH}) ?")
_COMMAS = re.compile(r" ?, ?")
_SHORT_HOURS = re.compile(r"(?<![0-9:])([0-9]:[0-9]{2})")
_DAY_NAMES = re.compile(r"\b(mon|tue|wed|thu|fri|sat|sun)[a-z]*\b", re.IGNORECASE)


def window(text: str) -> Window:
    """One window; raises `ValueError`."""
    match = _FORM.fullmatch(text[:LONGEST])
    if match is None:
        raise ValueError(
            f"must be days, times and a time zone, as in {quoted(EXAMPLE)}{_near(text)}"
        )
    days = _days(match["days"] or DAILY)
    begins, ends = _minutes(match["begins"]), _minutes(match["ends"])
    if begins == MINUTES:
        raise ValueError("begins at 24:00, which is 00:00 of the next day")
    if begins == ends:
        raise ValueError('never opens, for it ends when it begins; a whole day is "00:00-24:00"')
    zone = match["zone"] or ""
    _check_zone(zone)
    return Window(text, days, begins, ends if ends > begins else ends + MINUTES, zone)


def plain_windows(texts: Mapping[str, Sequence[str]]) -> dict[str, list[dict[str, Any]]]:
    """The windows by what they are for, in the plain form of `Policy.from_plain`."""
    return {purpose: [_plain(window(text)) for text in each] for purpose, each in texts.items()}


def _plain(made: Window) -> dict[str, Any]:
    return {
        "text": made.text,
        "days": sorted(made.days),
        "begins": made.begins,
        "ends": made.ends,
        "zone": made.zone,
    }


def _days(words: str) -> frozenset[int]:
    """The days; a span that ends before it begins goes round the end of the week."""
    if words == DAILY:
        return frozenset(range(7))
    return frozenset(day for word in words.split(",") for day in _span(word))


def _span(word: str) -> Iterator[int]:
    first, dash, last = word.partition("-")
    for name in (first, last) if dash else (first,):
        if name not in DAYS:
            known = [*DAYS, DAILY]
            near_by = suggestion(name[:3] if len(name) > len(DAILY) else name, known)
            raise ValueError(f"has a day that is none of {', '.join(DAYS)}{near_by}")
    begin = DAYS.index(first)
    length = (DAYS.index(last or first) - begin) % 7
    yield from ((begin + step) % 7 for step in range(length + 1))


def _minutes(text: str) -> int:
    hours, minutes = int(text[:2]), int(text[3:])
    total = hours * 60 + minutes
    if minutes >= 60 or total > MINUTES:  # noqa: PLR2004 - of an hour
        raise ValueError("has a time that no clock shows; times are 00:00 to 24:00")
    return total


def _check_zone(name: str) -> None:
    if name in ("", "UTC"):
        return
    from zoneinfo import ZoneInfo, available_timezones

    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # as in host/time_zones.py
        known = available_timezones()
        if not known - {"UTC"}:
            raise ValueError(
                "names a time zone, and this host has no database of them: install tzdata, or "
                "write the window in UTC"
            ) from None
        near_by = suggestion(name, known)
        raise ValueError(f"names a time zone that this host does not know{near_by}") from None


def _near(text: str) -> str:
    """The window as it may have been meant, where only its spelling is at fault."""
    tried = " ".join(text[:LONGEST].split())
    tried = _DASHES.sub("-", _COMMAS.sub(",", tried))
    tried = _SHORT_HOURS.sub(r"0\1", tried)
    tried = _DAY_NAMES.sub(lambda match: match[1].capitalize(), tried)
    if tried == text or _FORM.fullmatch(tried) is None:
        return ""
    try:
        window(tried)
    except ValueError:
        return ""
    return f"; did you mean {quoted(tried)}?"

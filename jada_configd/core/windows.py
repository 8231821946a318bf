"""Windows of the week in which something may be done: whether one is open, and when the next opens.

A window is a matter of the wall clock in its time zone, and of nothing else: what that clock never
shows on the day it goes forward is not open, and what it shows twice on the day it goes back is
open twice. The clock itself, and what zones there are, is known behind the `Calendar`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from jada_configd.core.actions import Action, StartJob
from jada_configd.core.seams import Calendar, Offset
from jada_configd.errors import HostError

Purpose: TypeAlias = Literal["restart", "correct"]

_PURPOSES: Final[tuple[Purpose, ...]] = ("restart", "correct")
MINUTES: Final = 1440  # of a day
_MINUTE: Final = 60  # seconds, as all that follow
_HOUR: Final = 3600
_DAY: Final = 86400
_EPOCH_WEEKDAY: Final = 3  # 1970-01-01 was a Thursday
# A window that one day of the year has not, or that falls on a day that a zone leaves out as it
# crosses the date line, is there again a week later.
_HORIZON: Final = 22 * _DAY


@dataclass(frozen=True, slots=True)
class Window:
    """One window, as the policy has it in `text`.

    `days` are those on which it begins, Monday being 0. `begins` and `ends` are minutes of that
    day; past 1440 it ends on the next one. `zone` is an IANA name, "UTC", or "": the host's own.
    """

    text: str
    days: frozenset[int]
    begins: int
    ends: int
    zone: str = ""

    def is_open(self, wall: int) -> bool:
        """Whether it is open when the clock shows this (seconds since 1970-01-01 00:00)."""
        day, second = divmod(wall, _DAY)
        minute = second // _MINUTE
        if _weekday(day) in self.days and self.begins <= minute < self.ends:
            return True
        return _weekday(day - 1) in self.days and minute < self.ends - MINUTES

    def opens(self, wall: int) -> int:
        """What a clock that goes on evenly from there shows when the window is open next."""
        if self.is_open(wall):
            return wall
        today = wall // _DAY
        begins = (
            day * _DAY + self.begins * _MINUTE
            for day in range(today, today + 8)
            if _weekday(day) in self.days
        )
        return next(each for each in begins if each > wall)


def opening(window: Window, at: int, offset: Offset) -> int | None:
    """The first moment from `at` on at which the window is open (seconds since the epoch).

    None where it does not open within three weeks.
    """
    end = at + _HORIZON
    while at < end:
        shift = offset(at)
        opens = window.opens(at + shift) - shift
        moved = _moves(at, opens, offset)
        if moved is None:
            return opens
        at = moved
    return None


def _moves(start: int, end: int, offset: Offset) -> int | None:
    """The first moment after `start`, `end` included, with another offset; None: all have one.

    No zone moves its clock twice within an hour.
    """
    shift = offset(start)
    low = start
    while low < end:
        high = min(low + _HOUR, end)
        if offset(high) != shift:
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset(middle) == shift else (low, middle)
            return high
        low = high
    return None


def _weekday(day: int) -> int:
    return (day + _EPOCH_WEEKDAY) % 7


@dataclass(frozen=True, slots=True)
class Shut:
    """No window is open. `opens_at` is when one will be (CLOCK_REALTIME, seconds); None: unknown.

    `sentence` says which, and when.
    """

    sentence: str
    opens_at: int | None


class Windows:
    """The windows of the policy in force, by what they are for; what has none is free at any time.

    `trouble` is why one cannot be told to be open: it counts as closed then.
    """

    def __init__(self, windows: Mapping[Purpose, tuple[Window, ...]], calendar: Calendar) -> None:
        self._windows = windows
        self._calendar = calendar
        self._offsets: dict[str, Offset] = {}
        self._known: dict[Purpose, tuple[int, Shut | None]] = {}
        self.trouble: str | None = None
        self.read_zones()

    def shut_to(self, actions: Iterable[Action]) -> Shut | None:
        """Why these may not be carried out now, or None.

        A reload of a service is free: it ends no process. All else that is no job is a correction.
        """
        purposes = {_purpose(action) for action in actions}
        shuts = [self.shut(purpose) for purpose in _PURPOSES if purpose in purposes]
        return max(filter(None, shuts), key=_last, default=None)

    def shut(self, purpose: Purpose) -> Shut | None:
        """Why this may not be done now, or None where it may."""
        windows = self._windows.get(purpose)
        if not windows:
            return None
        now = self._calendar.now()
        known = self._known.get(purpose)
        if known is None or known[0] != now:  # the windows of a pass over many files are one look
            known = self._known[purpose] = now, self._look(windows, now)
        return known[1]

    def _look(self, windows: tuple[Window, ...], now: int) -> Shut | None:
        self.read_zones()
        first: tuple[int, Window] | None = None
        for window in windows:
            offset = self._offsets.get(window.zone)
            opens = None if offset is None else opening(window, now, offset)
            if opens is not None and (first is None or opens < first[0]):
                first = opens, window
        if first is None:
            why = self.trouble or "which does not open within three weeks"
            return Shut(f"waits for the window {windows[0].text}: {why}", None)
        opens, window = first
        if opens <= now:
            return None
        clock = _clock(opens + self._offsets[window.zone](opens))
        zone = window.zone or "local time"
        return Shut(f"waits for the window {window.text}, which opens {clock} {zone}", opens)

    def read_zones(self) -> None:
        """Read the zones that could not be read so far."""
        self.trouble = None
        zones = {window.zone for windows in self._windows.values() for window in windows}
        for zone in sorted(zones - self._offsets.keys()):
            try:
                self._offsets[zone] = self._calendar.zone(zone)
            except HostError as error:
                self.trouble = str(error)


def _purpose(action: Action) -> Purpose | None:
    if not isinstance(action, StartJob):
        return "correct"
    return None if action.how == "reload" else "restart"


def _last(shut: Shut) -> tuple[bool, int]:
    """What orders them by when they open; what is not known is last."""
    return shut.opens_at is None, shut.opens_at or 0


def _clock(wall: int) -> str:
    from datetime import UTC, datetime  # for those alone who have to wait

    return f"{datetime.fromtimestamp(wall, UTC):%Y-%m-%d %H:%M}"

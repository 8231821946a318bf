"""Windows: open by the wall clock of their zone, whatever that clock does in spring and autumn."""

from datetime import datetime
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jada_configd.core.actions import (
    Action,
    How,
    KeepEvidence,
    ReloadUnits,
    RemoveFile,
    SetProcessLimit,
    SetSysctl,
    StartJob,
)
from jada_configd.core.windows import MINUTES, Purpose, Window, Windows, opening
from jada_configd.policy.windows import window
from tests.fake_calendar import UNKNOWN, FakeCalendar, offset_of
from tests.fake_host import SECOND_NS, FakeHost

# Half an hour of summer time; none; a month without it; a day that never was (2011-12-30).
ZONES: Final = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Africa/Casablanca",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "UTC",
)
YEARS: Final = (2011, 2024, 2026)
DAY: Final = 86400


def moment(clock: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(clock).replace(tzinfo=ZoneInfo(zone)).timestamp())


def shown(at: int | None, zone: str = "UTC") -> str | None:
    return (
        None if at is None else f"{datetime.fromtimestamp(at, ZoneInfo(zone)):%a %Y-%m-%d %H:%M %z}"
    )


@cache
def moves(zone: str) -> list[int]:
    """When the clock of a zone is set forward or back in those years, to the hour."""
    offset = offset_of(zone)
    found = []
    for year in YEARS:
        start = moment(f"{year}-01-01")
        hours = range(start, start + 366 * DAY, 3600)
        found += [at for at in hours if offset(at) != offset(at + 3600)]
    return found or [moment("2026-03-29")]


@st.composite
def windows(draw: st.DrawFn, zone: str) -> Window:
    days = draw(st.sets(st.integers(0, 6), min_size=1))
    begins = draw(st.integers(0, MINUTES - 1) | st.integers(0, 23).map(lambda hour: hour * 60))
    length = draw(st.integers(1, 90) | st.integers(1, MINUTES))
    return Window("x", frozenset(days), begins, begins + length, zone)


@st.composite
def moments(draw: st.DrawFn, zone: str) -> int:
    """Mostly near a move of the clock."""
    near = draw(st.sampled_from(moves(zone)))
    return near + draw(st.integers(-2 * DAY, 2 * DAY) | st.integers(-200 * DAY, 200 * DAY))


class Oracle:
    """Minute by minute, by the standard library's clock."""

    def __init__(self, window: Window) -> None:
        self.zone = ZoneInfo(window.zone)
        self.minutes = {
            ((day + minute // MINUTES) % 7, minute % MINUTES)
            for day in window.days
            for minute in range(window.begins, window.ends)
        }

    def is_open(self, at: int) -> bool:
        clock = datetime.fromtimestamp(at, self.zone)
        return (clock.weekday(), clock.hour * 60 + clock.minute) in self.minutes

    def opening(self, at: int) -> int:
        while not self.is_open(at):
            at += 60 - at % 60
        return at


@given(st.data())
def test_a_window_opens_when_the_clock_of_its_zone_says_so(data: st.DataObject) -> None:
    zone = data.draw(st.sampled_from(ZONES))
    made = data.draw(windows(zone))
    at = data.draw(moments(zone))
    found = opening(made, at, offset_of(zone))
    assert shown(found, zone) == shown(Oracle(made).opening(at), zone)


@pytest.mark.parametrize("zone", ZONES[:3])
@pytest.mark.parametrize(
    "text", ["02:00-03:00", "Sat,Sun 23:30-02:15", "01:45-02:10", "Sun 03:00-04:00"]
)
def test_through_every_minute_around_a_move_of_the_clock(zone: str, text: str) -> None:
    made = window(f"{text} {zone}")
    oracle, offset = Oracle(made), offset_of(zone)
    for near in moves(zone)[-2:]:
        for at in range(near - 5 * 3600, near + 5 * 3600, 60):
            assert made.is_open(at + offset(at)) == oracle.is_open(at), shown(at, zone)
            assert (opening(made, at, offset) == at) == oracle.is_open(at), shown(at, zone)


@pytest.mark.parametrize(
    ("text", "at", "opens"),
    [
        # Fridays at eight in the evening
        ("Mon-Fri 02:00-05:00 UTC", "2026-11-20 20:00", "Mon 2026-11-23 02:00 +0000"),
        ("daily 02:00-05:00 UTC", "2026-11-20 20:00", "Sat 2026-11-21 02:00 +0000"),
        ("02:00-05:00 UTC", "2026-11-20 04:59", "Fri 2026-11-20 04:59 +0000"),
        ("02:00-05:00 UTC", "2026-11-20 05:00", "Sat 2026-11-21 02:00 +0000"),
        ("Fri-Mon 02:00-05:00 UTC", "2026-11-23 05:00", "Fri 2026-11-27 02:00 +0000"),
        # across midnight it belongs to the day on which it begins
        ("Sun 22:00-04:00 UTC", "2026-11-23 03:59", "Mon 2026-11-23 03:59 +0000"),
        ("Sun 22:00-04:00 UTC", "2026-11-23 04:00", "Sun 2026-11-29 22:00 +0000"),
        ("Mon 22:00-04:00 UTC", "2026-11-23 03:59", "Mon 2026-11-23 22:00 +0000"),
        ("Mon 22:00-00:00 UTC", "2026-11-24 00:00", "Mon 2026-11-30 22:00 +0000"),
        ("Mon 00:00-24:00 UTC", "2026-11-24 00:00", "Mon 2026-11-30 00:00 +0000"),
        # in spring it is not there, and a week later it is
        ("Sun 02:00-03:00 Europe/Berlin", "2026-03-28 12:00", "Sun 2026-04-05 02:00 +0200"),
        ("Sun 02:00-03:30 Europe/Berlin", "2026-03-28 12:00", "Sun 2026-03-29 03:00 +0200"),
        # in autumn it is there twice
        ("Sun 02:00-03:00 Europe/Berlin", "2026-10-24 12:00", "Sun 2026-10-25 02:00 +0200"),
        ("Sun 02:15-02:30 Europe/Berlin", "2026-10-25 00:30", "Sun 2026-10-25 02:15 +0100"),
        # half an hour
        ("Sun 02:10-02:20 Australia/Lord_Howe", "2026-10-03 12:00", "Sun 2026-10-11 02:10 +1100"),
        # a Friday that Samoa never had
        ("Fri 12:00-13:00 Pacific/Apia", "2011-12-29 12:00", "Fri 2012-01-06 12:00 +1400"),
    ],
)  # fmt: skip
def test_when_it_opens_next(text: str, at: str, opens: str) -> None:
    made = window(text)
    assert shown(opening(made, moment(at), offset_of(made.zone)), made.zone) == opens


@given(st.integers(0, 1 << 33))
def test_the_whole_week_is_always_open(at: int) -> None:
    assert opening(window("Mon-Sun 00:00-24:00 UTC"), at, offset_of("UTC")) == at


# ------------------------------------------------------------------------------ of a policy


def held(host: FakeHost, **texts: list[str]) -> Windows:
    names: tuple[Purpose, ...] = ("restart", "correct")
    made = {name: tuple(map(window, texts[name])) for name in names if name in texts}
    return Windows(made, FakeCalendar(host))


RESTART = StartJob("a.service", "restart")
OTHERS: tuple[Action, ...] = (
    KeepEvidence("x", b""),
    RemoveFile("/a", "0"),
    ReloadUnits(),
    SetProcessLimit(1, 1, "nofile", 1, 1),
    SetSysctl("a", "1", "0"),
)
NEVER_NOW = ["Mon 02:00-05:00 UTC"]


def test_restarts_wait_for_their_window_and_nothing_else_does() -> None:
    windows = held(FakeHost(), restart=NEVER_NOW)
    shut = windows.shut_to([RESTART])
    assert shut is not None
    assert shut.sentence == (
        "waits for the window Mon 02:00-05:00 UTC, which opens 2026-11-23 02:00 UTC"
    )
    assert shown(shut.opens_at) == "Mon 2026-11-23 02:00 +0000"
    assert windows.shut_to([StartJob("a.service", "reload-or-restart")]) == shut
    assert windows.shut_to([*OTHERS, StartJob("a.service", "reload")]) is None


@pytest.mark.parametrize("action", OTHERS)
def test_all_that_changes_something_is_a_correction(action: Action) -> None:
    windows = held(FakeHost(), correct=NEVER_NOW)
    assert windows.shut_to([action]) is not None
    jobs: list[How] = ["reload", "restart", "reload-or-restart"]
    assert windows.shut_to([StartJob("a.service", how) for how in jobs]) is None


def test_what_needs_both_waits_for_the_later() -> None:
    windows = held(FakeHost(), restart=NEVER_NOW, correct=["Tue 02:00-05:00 UTC"])
    shut = windows.shut_to([*OTHERS, RESTART])
    assert shut is not None
    assert shown(shut.opens_at) == "Tue 2026-11-24 02:00 +0000"


def test_of_several_windows_one_is_enough_and_the_next_is_named() -> None:
    host = FakeHost()
    windows = held(host, restart=[*NEVER_NOW, "Sat 06:00-07:00 UTC", "Sat 05:00-05:30 UTC"])
    shut = windows.shut("restart")
    assert shut is not None
    assert "the window Sat 05:00-05:30 UTC, which opens 2026-11-21 05:00 UTC" in shut.sentence
    host.advance(9 * 3600 * SECOND_NS)
    assert windows.shut("restart") is None
    host.advance(1800 * SECOND_NS)
    assert windows.shut("restart") is not None
    host.advance(1800 * SECOND_NS)
    assert windows.shut("restart") is None


def test_without_a_zone_the_clock_is_the_hosts_own() -> None:
    calendar = FakeCalendar(FakeHost(), local="Asia/Tokyo")
    windows = Windows({"restart": (window("Sat 04:00-06:00"),)}, calendar)
    assert windows.shut("restart") is None  # it is five in the morning there
    calendar.local = "UTC"
    windows = Windows({"restart": (window("Sat 04:00-06:00"),)}, calendar)
    shut = windows.shut("restart")
    assert shut is not None
    assert shut.sentence.endswith("which opens 2026-11-21 04:00 local time")


def test_a_zone_that_cannot_be_read_keeps_its_window_closed_and_is_told() -> None:
    unknown = Window("00:00-24:00 Mars/Olympus_Mons", frozenset(range(7)), 0, MINUTES, UNKNOWN)
    host = FakeHost()
    windows = Windows({"restart": (unknown,)}, FakeCalendar(host))
    why = "the time zone Mars/Olympus_Mons cannot be read; is tzdata installed?"
    assert windows.trouble == why
    shut = windows.shut("restart")
    assert shut is not None
    assert shut.sentence == f"waits for the window 00:00-24:00 Mars/Olympus_Mons: {why}"
    assert shut.opens_at is None
    assert windows.shut_to([*OTHERS]) is None
    windows = Windows({"restart": (unknown, window("00:00-24:00 UTC"))}, FakeCalendar(host))
    assert windows.shut("restart") is None
    assert windows.trouble == why


def test_a_zone_that_can_be_read_again_counts_at_the_next_look() -> None:
    host = FakeHost()
    calendar = FakeCalendar(host)
    calendar.known = False
    windows = Windows({"restart": (window("00:00-24:00 Europe/Berlin"),)}, calendar)
    assert windows.shut("restart") is not None
    calendar.known = True
    host.advance(SECOND_NS)
    assert windows.shut("restart") is None
    assert windows.trouble is None

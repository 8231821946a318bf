"""The real calendar: the zones of the machine, and the host's own, which may be set anew."""

import os
import time
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from jada_configd.core.seams import Calendar
from jada_configd.errors import Unable
from jada_configd.host.time_zones import TimeZones
from tests.fake_calendar import UNKNOWN, FakeCalendar, offset_of
from tests.fake_host import FakeHost

SUMMER = int(datetime(2026, 7, 1, tzinfo=UTC).timestamp())
WINTER = int(datetime(2026, 12, 1, tzinfo=UTC).timestamp())


@pytest.fixture(autouse=True)
def own_zone() -> Iterator[None]:
    """Whatever a test makes of it, the zone of this process is as it was."""
    before = os.environ.get("TZ")
    yield
    os.environ.pop("TZ", None)
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.parametrize("calendar", [TimeZones(), FakeCalendar(FakeHost())], ids=["real", "fake"])
@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "Australia/Lord_Howe"])
def test_a_zone_has_the_offset_that_it_has_at_that_moment(calendar: Calendar, name: str) -> None:
    offset = calendar.zone(name)
    for at in (SUMMER, WINTER):
        assert offset(at) == offset_of(name)(at)


@pytest.mark.parametrize("calendar", [TimeZones(), FakeCalendar(FakeHost())], ids=["real", "fake"])
def test_what_is_no_zone_is_said_to_be_unreadable(calendar: Calendar) -> None:
    with pytest.raises(Unable) as caught:
        calendar.zone(UNKNOWN)
    assert str(caught.value) == f"the time zone {UNKNOWN} cannot be read; is tzdata installed?"


@pytest.mark.parametrize("name", ["Europe", "../../../etc/passwd", "zone.tab", "a\0b"])
def test_a_name_that_leads_elsewhere_is_no_zone(name: str) -> None:
    with pytest.raises(Unable):
        TimeZones().zone(name)


def test_utc_needs_no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoneinfo, "ZoneInfo", None)
    assert TimeZones().zone("UTC")(SUMMER) == 0


def test_now_is_the_wall_clock_in_whole_seconds() -> None:
    before = int(time.time())
    now = TimeZones().now()
    assert before <= now <= int(time.time())


def test_the_hosts_own_zone_is_looked_at_anew_with_the_clock() -> None:
    calendar = TimeZones()
    own = calendar.zone("")
    os.environ["TZ"] = "EAT-3"
    calendar.now()
    assert own(WINTER) == 3 * 3600
    os.environ["TZ"] = "NDT+2:30"
    calendar.now()
    assert own(WINTER) == -9000

"""Windows: what loads, what does not and why, and that the schema says the same."""

import re
import tomllib
import zoneinfo
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from jada_configd.core.windows import MINUTES, Window
from jada_configd.policy import schema
from jada_configd.policy.windows import DAYS, LONGEST, PATTERN, window
from tests.policy.declared import messages, policy

TABLE = "version = 1\n[windows]\n"
FORM = 'must be days, times and a time zone, as in "Mon-Fri 02:00-05:00 UTC"'
DAY = "has a day that is none of Mon, Tue, Wed, Thu, Fri, Sat, Sun"
ZONE = "names a time zone that this host does not know"
EMPTY = "is an empty array, which would never open; name a window or leave it out"
SUCH_AS = 'such as restart = ["Mon-Fri 02:00-05:00 UTC"]'


def fits(text: str) -> bool:
    validator: Any = Draft202012Validator(schema())
    return bool(validator.is_valid(tomllib.loads(text)))


def test_windows_come_through_by_what_they_are_for() -> None:
    text = f'{TABLE}restart = ["Mon-Fri 02:00-05:00 UTC", "Sat 22:00-04:00"]\n'
    assert policy(text).windows == {
        "restart": (
            Window("Mon-Fri 02:00-05:00 UTC", frozenset(range(5)), 120, 300, "UTC"),
            Window("Sat 22:00-04:00", frozenset([5]), 22 * 60, 28 * 60, ""),
        )
    }
    assert fits(text)
    both = policy(f'{text}correct = ["daily 00:00-24:00"]')
    assert both.windows["correct"] == (
        Window("daily 00:00-24:00", frozenset(range(7)), 0, MINUTES, ""),
    )
    assert policy("version = 1\n[windows]").windows == policy("version = 1").windows == {}


def test_a_fragment_replaces_the_windows_of_one_purpose() -> None:
    text = f'{TABLE}restart = ["01:00-02:00"]\ncorrect = ["01:00-02:00"]'
    merged = policy(text, '[windows]\nrestart = ["03:00-04:00"]').windows
    assert [each.text for each in merged["restart"]] == ["03:00-04:00"]
    assert [each.text for each in merged["correct"]] == ["01:00-02:00"]


@pytest.mark.parametrize(
    ("words", "days"),
    [
        ("", "Mon Tue Wed Thu Fri Sat Sun"),
        ("daily ", "Mon Tue Wed Thu Fri Sat Sun"),
        ("Mon,Wed ", "Mon Wed"),
        ("Sat-Mon ", "Mon Sat Sun"),
        ("Mon-Mon ", "Mon"),
        ("Mon-Tue,Thu,Tue-Wed ", "Mon Tue Wed Thu"),
        ("Tue-Mon ", "Mon Tue Wed Thu Fri Sat Sun"),
    ],
)
def test_days(words: str, days: str) -> None:
    made = window(f"{words}02:00-05:00 Europe/Berlin")
    assert [DAYS[day] for day in sorted(made.days)] == days.split()
    assert made.zone == "Europe/Berlin"


@pytest.mark.parametrize(
    ("times", "begins", "ends"),
    [
        ("00:00-00:01", 0, 1),
        ("22:00-04:00", 1320, 1680),
        ("22:00-00:00", 1320, 1440),
        ("22:00-24:00", 1320, 1440),
        ("23:59-23:58", 1439, 2878),
    ],
)
def test_times(times: str, begins: int, ends: int) -> None:
    made = window(times)
    assert (made.begins, made.ends) == (begins, ends)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", FORM),
        ("UTC", FORM),
        ("Mon-Fri", FORM),
        ("02:00", FORM),
        ("*-*-* 02:00", FORM),
        ("02:00-05:00 UTC Mon", FORM),
        ("02:00:00-05:00:00", FORM),
        ("x" * 100_000, FORM),
        ("2:00-5:00", f'{FORM}; did you mean "02:00-05:00"?'),
        ("Mon..Fri 02:00-05:00 UTC", f'{FORM}; did you mean "Mon-Fri 02:00-05:00 UTC"?'),
        ("mon - fri  2:00 - 5:00 UTC", f'{FORM}; did you mean "Mon-Fri 02:00-05:00 UTC"?'),
        ("Monday, Friday 02:00\u201305:00", f'{FORM}; did you mean "Mon,Fri 02:00-05:00"?'),
        (" 02:00-05:00", f'{FORM}; did you mean "02:00-05:00"?'),
        ("mon 02:00-05:00", f'{DAY}; did you mean "Mon"?'),
        ("Monday 02:00-05:00", f'{DAY}; did you mean "Mon"?'),
        ("Mon,Fir 02:00-05:00", f'{DAY}; did you mean "Fri"?'),
        ("Mon- 02:00-05:00", DAY),
        ("dayly 02:00-05:00", f'{DAY}; did you mean "daily"?'),
        ("25:00-26:00", "has a time that no clock shows; times are 00:00 to 24:00"),
        ("01:60-02:00", "has a time that no clock shows; times are 00:00 to 24:00"),
        ("23:00-24:01", "has a time that no clock shows; times are 00:00 to 24:00"),
        ("24:00-02:00", "begins at 24:00, which is 00:00 of the next day"),
        ("02:00-02:00", 'never opens, for it ends when it begins; a whole day is "00:00-24:00"'),
        ("00:00-00:00", 'never opens, for it ends when it begins; a whole day is "00:00-24:00"'),
        ("02:00-05:00 Europe/Berln", f'{ZONE}; did you mean "Europe/Berlin"?'),
        ("02:00-05:00 utc", f'{ZONE}; did you mean "UTC"?'),
        ("02:00-05:00 Europe", ZONE),
        ("02:00-05:00 zone.tab", FORM),
        ("02:00-05:00 ../../etc/passwd", FORM),
        ("02:00-05:00 a/../../../../etc/passwd", FORM),
    ],
)
def test_what_is_no_window_does_not_load_and_says_why(text: str, what: str) -> None:
    quoted = text.replace("\\", "\\\\")
    (said,) = messages(f'{TABLE}correct = ["00:00-24:00", "{quoted}"]')
    assert said.startswith("policy.toml:3:27: windows.correct[1]: ")
    said = said.removeprefix("policy.toml:3:27: windows.correct[1]: ")
    assert said == what or (what == ZONE and said.startswith(ZONE))


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("restart = []", f"restart: {EMPTY}"),
        ('restart = "02:00-05:00"', f"restart: must be an array, not a string; {SUCH_AS}"),
        ("restart = [1]", "restart[0]: must be a string, not an integer"),
        ('restrat = ["02:00-05:00"]', 'restrat: unknown key; did you mean "restart"?'),
    ],
)
def test_what_is_no_list_of_windows_does_not_load(line: str, what: str) -> None:
    (said,) = messages(TABLE + line)
    assert said.partition(": windows.")[2] == what
    assert not fits(TABLE + line)


def test_what_is_no_table_is_said_to_be_none() -> None:
    assert messages("version = 1\nwindows = 1") == [
        f"policy.toml:2:1: windows: must be a table, not an integer; {SUCH_AS}"
    ]


def test_a_host_without_a_database_of_zones_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(key: str) -> None:
        raise zoneinfo.ZoneInfoNotFoundError(key)

    monkeypatch.setattr(zoneinfo, "ZoneInfo", missing)
    monkeypatch.setattr(zoneinfo, "available_timezones", set)
    assert messages(f'{TABLE}restart = ["02:00-05:00 Europe/Berlin", "02:00-05:00 UTC"]') == [
        (
            "policy.toml:3:12: windows.restart[0]: names a time zone, and this host has no "
            "database of them: install tzdata, or write the window in UTC"
        )
    ]


def fault(text: str) -> str | None:
    try:
        made = window(text)
    except ValueError as error:
        return str(error)
    assert made.text == text
    assert 0 <= made.begins < made.ends <= made.begins + MINUTES
    return None


@given(st.from_regex(re.compile(PATTERN), fullmatch=True))
def test_what_fits_the_schema_fails_for_its_zone_or_its_length_alone(text: str) -> None:
    why = fault(text.rstrip("\n"))
    assert why is None or why.startswith(
        (ZONE, "never opens", FORM if len(text) > LONGEST else ZONE)
    )


@given(st.text() | st.text("MonFri daily0123456789:-,. UTC", max_size=30))
def test_no_text_is_too_strange_to_be_refused_with_a_sentence(text: str) -> None:
    why = fault(text)
    assert re.match(PATTERN, text) if why is None else why.isprintable()

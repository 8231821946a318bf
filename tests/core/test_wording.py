"""What is shown: escaped, shortened, without secrets."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jada_configd.core.model import ABSENT, Change, Field, Json, Value
from jada_configd.core.wording import (
    REDACTED,
    SHORT,
    both_shown,
    change_line,
    change_plain,
    count,
    escaped,
    public,
    seconds,
    shown,
)

HUGE = 10**5000  # more digits than Python prints

# ------------------------------------------------------------------------------ escaping


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("", ""),
        ("/home/ubuntu/.claude/settings.json", "/home/ubuntu/.claude/settings.json"),
        ("é → 你好", "é → 你好"),
        ("a\nb", r"a\nb"),
        ("a\tb\rc", r"a\tb\rc"),
        ("\x1b[2J\x07", r"\x1b[2J\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\u2028", r"\u2028"),
        ("a\u00a0b", r"a\xa0b"),
        ("\udc80\ud800", r"\udc80\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("\0", r"\x00"),
    ],
)
def test_characters_that_a_terminal_or_log_acts_on_are_escaped(text: str, safe: str) -> None:
    assert escaped(text) == safe


@given(text=st.text(st.characters(codec=None)))
def test_whatever_is_escaped_can_be_printed_and_encoded(text: str) -> None:
    assert escaped(text).isprintable()
    escaped(text).encode()


# ------------------------------------------------------------------------------ secrets


@pytest.mark.parametrize(
    "field",
    [
        ("token",),
        ("env", "ANTHROPIC_API_KEY"),
        ("env", "ANTHROPIC_AUTH_TOKEN"),
        ("apiKeyHelper",),
        ("awsSecretAccess",),
        ("Password",),
        ("headers", "Authorization"),
        ("cookies", "0"),
        ("CREDENTIALS", "a", "b"),
    ],
)
@pytest.mark.parametrize("value", ["s3cret", None, ["s3cret"], {"a": "s3cret"}, 5])
def test_what_stands_under_a_key_that_looks_like_a_secret_is_never_shown(
    field: Field, value: Json
) -> None:
    assert public(field, value) == REDACTED
    change = Change(field, value, ABSENT)
    assert "s3cret" not in change_line(change)
    assert change_plain(change)["have"] == REDACTED
    assert "want" not in change_plain(change)


def test_secrets_within_a_value_are_left_out_at_any_depth() -> None:
    value: Json = {"env": [{"API_KEY": "s3cret", "MODEL": "haiku"}], "tokens": {"a": ["s3cret"]}}
    assert public((), value) == {
        "env": [{"API_KEY": REDACTED, "MODEL": "haiku"}],
        "tokens": REDACTED,
    }
    assert "s3cret" not in shown(("env",), value)


@pytest.mark.parametrize("field", [("model",), ("permissions", "deny"), ("env", "MODEL"), ()])
def test_what_is_no_secret_is_shown_as_it_is(field: Field) -> None:
    assert public(field, ["a", {"b": 1.5}]) == ["a", {"b": 1.5}]


# ------------------------------------------------------------------------------ values in a line


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (ABSENT, "(absent)"),
        (None, "null"),
        (True, "true"),
        (1, "1"),
        (1.0, "1.0"),
        ("haiku", '"haiku"'),
        ('say "hi"', r'"say \"hi\""'),
        ("a\nb", r'"a\nb"'),
        ("\x1b[0m", r'"\u001b[0m"'),
        ("\u202e", r'"\u202e"'),
        (["a", 1], '["a", 1]'),
        ({"a": None}, '{"a": null}'),
        ("é", '"é"'),
    ],
)
def test_values_are_shown_as_json(value: Value, text: str) -> None:
    assert shown(("model",), value) == text


def test_a_long_value_keeps_its_ends() -> None:
    text = shown((), "a" * 40 + "b" * 40)
    assert len(text) <= SHORT
    assert text.startswith('"aaaa')
    assert text.endswith('bbbb"')
    assert " ... " in text


@pytest.mark.parametrize("length", [30, 31, 60, 400])
def test_two_long_values_are_shown_where_they_differ(length: int) -> None:
    """As the header of a file does, which names the policy in its middle."""
    sides = both_shown((), "a" * length + "1" + "b" * 60, "a" * length + "2" + "b" * 60)
    assert max(map(len, sides)) <= SHORT
    assert ("1" in sides[0], "2" in sides[1]) == (True, True)
    assert sides[0].replace("1", "2") == sides[1]


def test_two_long_secrets_are_shown_alike() -> None:
    assert both_shown(("token",), "a" * 90, "b" * 90) == ('"<redacted>"', '"<redacted>"')


@pytest.mark.parametrize(
    "value", [HUGE, -HUGE, math.inf, -math.inf, math.nan, [HUGE], 10**400], ids=lambda _: "number"
)
def test_a_number_that_json_or_python_cannot_print_is_described(value: Json) -> None:
    assert shown((), value)
    assert shown((), value).isprintable()
    plain = change_plain(Change(("model",), value, "sonnet"))
    json.dumps(plain, allow_nan=False)


NAMES = st.text(st.characters(codec=None), max_size=4)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), NAMES),
    lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(NAMES, below, max_size=3)),
)


@given(field=st.lists(NAMES, max_size=3).map(tuple), have=VALUES, want=VALUES)
def test_whatever_has_changed_can_be_shown_on_a_terminal_and_as_json(
    field: Field, have: Json, want: Json
) -> None:
    change = Change(field, have, want)
    assert change_line(change).isprintable()
    for side in (have, want):
        assert len(shown(field, side)) <= SHORT
    json.dumps(change_plain(change), allow_nan=False)


def test_a_change_is_one_line() -> None:
    change = Change(("env", "a/b"), ABSENT, "claude-sonnet-4-6")
    assert change_line(change) == '/env/a~1b (absent) -> "claude-sonnet-4-6"'


@pytest.mark.parametrize(
    ("change", "plain"),
    [
        (Change(("model",), ABSENT, None), {"field": "/model", "want": None}),
        (Change(("model",), None, ABSENT), {"field": "/model", "have": None}),
        (Change(("a",), have=1, want=True), {"field": "/a", "have": 1, "want": True}),
    ],
)
def test_a_side_that_is_absent_is_left_out_and_null_is_not(
    change: Change, plain: dict[str, Json]
) -> None:
    assert change_plain(change) == plain


# ------------------------------------------------------------------------------ counts and spans


def test_things_are_counted() -> None:
    assert [count(number, "file") for number in (0, 1, 2)] == ["0 files", "1 file", "2 files"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0 ms"),
        (0.0009, "0.9 ms"),
        (0.25, "250.0 ms"),
        (0.9999, "999.9 ms"),
        (0.99996, "1.0 s"),
        (1.0, "1.0 s"),
        (5.23, "5.2 s"),
        (90.0, "90.0 s"),
    ],
)
def test_spans_are_shown_in_what_a_person_reads(value: float, text: str) -> None:
    assert seconds(value) == text

"""Health: what loads, what does not and why, and that the schema says the same."""

# ruff: noqa: E501 - the tables are read across

import json
import re
import tomllib
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from jada_configd.core.specs import HealthSpec
from jada_configd.policy.health import LONGEST_PATTERN, LONGEST_URL, URL, journal_pattern, url
from jada_configd.policy.models import schema
from tests.policy.declared import messages, policy

TABLE = 'version = 1\n[service."a.service".health]\n'
KEY = 'service."a.service".health'
HOST = "must be on this very host: 127.0.0.1, [::1] or localhost"
PORT = "has a port that is none; ports are 1 to 65535"
HTTP = 'must begin with "http://", such as "http://127.0.0.1:8080/healthz"'
CHARACTERS = "holds what no address may (RFC 3986); write it as %20 and so on"
SECRET_URL = "must carry no user and no password; they would show in logs"
FRAGMENT = 'must not hold a "#": no server is told what stands behind it'


def fits(text: str) -> bool:
    validator: Any = Draft202012Validator(schema())
    return bool(validator.is_valid(tomllib.loads(text)))


def said(text: str) -> list[str]:
    return [line.removeprefix("policy.toml:") for line in messages(text)]


def spec(text: str) -> HealthSpec:
    (service,) = policy(text).services
    return service.health


def fault(judge: Callable[[str], str], text: str) -> str | None:
    try:
        assert judge(text) == text
    except ValueError as error:
        return str(error)
    return None


def test_all_of_health_comes_through() -> None:
    text = f"""{TABLE}
        stable = "1s"
        within = "2m"
        every = "1h"
        timeout = "500ms"
        command = ["/usr/local/bin/check", "--fast", ""]
        url = "http://127.0.0.1:8080/healthz?full=1"
        journal = {{ must = "ready", must_not = "panic|fatal" }}
    """
    assert spec(text) == HealthSpec(
        stable=1.0,
        within=120.0,
        every=3600.0,
        timeout=0.5,
        command=("/usr/local/bin/check", "--fast", ""),
        url="http://127.0.0.1:8080/healthz?full=1",
        journal_must="ready",
        journal_must_not="panic|fatal",
    )
    assert fits(text)


@pytest.mark.parametrize("text", [TABLE, 'version = 1\n[service."a.service"]\n'])
def test_a_service_that_says_nothing_is_asked_nothing(text: str) -> None:
    assert spec(text) == HealthSpec()
    assert not spec(text).probes
    assert fits(text)


def test_a_fragment_overrides_one_key_of_it() -> None:
    (service,) = policy(f"{TABLE}stable = '1s'\nwithin = '9s'", f"[{KEY}]\nwithin = '5s'").services
    assert (service.health.stable, service.health.within) == (1.0, 5.0)


@pytest.mark.parametrize("word", ["must", "must_not"])
def test_one_pattern_of_the_journal_is_enough(word: str) -> None:
    text = f"{TABLE}journal.{word} = 'x'\n"
    made = spec(text)
    assert {made.journal_must, made.journal_must_not} == {"x", None}
    assert fits(text)


BOUNDS = [
    ("stable", "0s", "1h", "3601s", "within = '2h'\n"),
    ("within", "1s", "24h", "25h", "stable = '0s'\n"),
    ("every", "1s", "24h", "999ms", ""),
    ("timeout", "100ms", "1h", "99ms", ""),
]


@pytest.mark.parametrize(("key", "least", "most", "beyond", "before"), BOUNDS)
def test_a_duration_has_bounds(key: str, least: str, most: str, beyond: str, before: str) -> None:
    for word in (least, most):
        assert messages(f"{TABLE}{before}{key} = '{word}'") == []
    line = 4 if before else 3
    assert said(f"{TABLE}{before}{key} = '{beyond}'") == [
        f'{line}:1: {KEY}.{key}: must be from "{least}" to "{most}"'
    ]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("within = '5s'", '3:1: {}.within: must be longer than `stable` ("5s" by default)'),
        ("stable = '60s'", '3:1: {}.stable: must be shorter than `within` ("60s" by default)'),
        ("stable = '9s'\nwithin = '9000ms'", "4:1: {}.within: must be longer than `stable`"),
    ],
)
def test_nothing_can_be_stable_for_longer_than_it_has(lines: str, message: str) -> None:
    assert said(TABLE + lines) == [message.format(KEY)]


def test_an_order_of_what_is_no_duration_is_not_looked_for() -> None:
    assert len(messages(f"{TABLE}stable = 5\nwithin = '2 s'")) == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("stable = 5", 'stable: must be a duration in quotes, such as "5s", not an integer'),
        ("every = '10'", 'every: must be a duration such as "250ms", "30s", "5m" or "2h"'),
        ("witin = '5s'", 'witin: unknown key; did you mean "within"?'),
        # command
        ("command = '/bin/true'", 'command: must be an array, not a string; such as command = ["/usr/local/bin/jada-agent-check"]'),
        ("command = []", "command: is an empty array, which runs nothing; name a program"),
        ("command = ['']", "command: must begin with the absolute path of a program; no shell looks for it"),
        ("command = ['true']", "command: must begin with the absolute path of a program; no shell looks for it"),
        ("command = ['~/check']", "command: must begin with the absolute path of a program; no shell looks for it"),
        ("command = ['/']", 'command: must begin with the path of a program, without "//", "." and ".."'),
        ("command = ['/bin/../true']", 'command: must begin with the path of a program, without "//", "." and ".."'),
        ("command = ['/bin//true']", 'command: must begin with the path of a program, without "//", "." and ".."'),
        (f"command = ['{'/a' * 2048}']", "command: has a path longer than Linux allows (4095 bytes)"),
        # journal
        ("journal = 'ready'", 'journal: must be a table, not a string; such as journal = { must = "ready" }'),
        ("journal = {}", "journal: says nothing; name a pattern under `must` or `must_not`"),
        # url
        ("url = 8080", "url: must be a string, not an integer"),
        ("url = ''", f"url: {HTTP}"),
        ("url = 'localhost:8080'", f"url: {HTTP}"),
        ("url = 'https://localhost/'", f"url: {HTTP}"),
        ("url = 'HTTP://localhost/'", f"url: {HTTP}"),
        ("url = 'http:///healthz'", f"url: {HOST}"),
        ("url = 'http://example.org/'", f"url: {HOST}"),
        ("url = 'http://localhost.example.org/'", f"url: {HOST}"),
        ("url = 'http://127.0.0.1.example.org/'", f"url: {HOST}"),
        ("url = 'http://127.1/'", f"url: {HOST}"),
        ("url = 'http://127.0.0.256/'", f"url: {HOST}"),
        ("url = 'http://127.0.0.01/'", f"url: {HOST}"),
        ("url = 'http://10.0.0.1/'", f"url: {HOST}"),
        ("url = 'http://0.0.0.0/'", f"url: {HOST}"),
        ("url = 'http://[::2]/'", f"url: {HOST}"),
        ("url = 'http://::1/'", f"url: {HOST}"),
        ("url = 'http://[::ffff:127.0.0.1]/'", f"url: {HOST}"),
        (r"url = 'http://localhost\@example.org/'", f"url: {SECRET_URL}"),
        ("url = 'http://me:hunter2@localhost/'", f"url: {SECRET_URL}"),
        ("url = 'http://localhost@example.org/'", f"url: {SECRET_URL}"),
        ("url = 'http://localhost:/'", f"url: {PORT}"),
        ("url = 'http://localhost:0/'", f"url: {PORT}"),
        ("url = 'http://localhost:080/'", f"url: {PORT}"),
        ("url = 'http://localhost:65536/'", f"url: {PORT}"),
        ("url = 'http://127.0.0.1:http/'", f"url: {PORT}"),
        ("url = 'http://localhost/#top'", f"url: {FRAGMENT}"),
        ("url = 'http://localhost/a b'", f"url: {CHARACTERS}"),
        ("url = 'http://localhost/é'", f"url: {CHARACTERS}"),
        ("url = 'http://localhost/%2'", f"url: {CHARACTERS}"),
        (r'url = "http://localhost/\r\nX-A: b"', f"url: {CHARACTERS}"),
        (f"url = 'http://localhost/{'a' * LONGEST_URL}'", f"url: must be at most {LONGEST_URL} characters long"),
    ],
)  # fmt: skip
def test_what_does_not_load_says_why(line: str, message: str) -> None:
    assert said(TABLE + line) == [f"3:1: {KEY}.{message}"]
    assert not fits(TABLE + line)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("command = ['/a', 1]", "3:18: {}.command[1]: must be a string, not an integer"),
        (r'command = ["/a", "\u0000"]', "3:18: {}.command[1]: must not hold a NUL character"),
        (r'command = ["/\u0000"]', "3:12: {}.command[0]: must not hold a NUL character"),
        ("journal = {must = 1}", "3:12: {}.journal.must: must be a string, not an integer"),
        ("journal = {mustnt = 'a'}", '3:12: {}.journal.mustnt: unknown key; did you mean "must_not"?'),
    ],
)  # fmt: skip
def test_what_is_wrong_inside_says_where(line: str, message: str) -> None:
    assert said(TABLE + line) == [message.format(KEY)]
    assert not fits(TABLE + line)


@pytest.mark.parametrize(
    "address",
    [
        "http://localhost",
        "http://localhost/",
        "http://localhost?a=b",
        "http://localhost:1",
        "http://127.0.0.1:65535/health/../z;v=1?a=(b)",
        "http://127.255.0.9:9090/-/healthy",
        "http://[::1]:8080/%7Eme/@a:b",
    ],
)
def test_an_address_on_this_host_loads(address: str) -> None:
    assert spec(f"{TABLE}url = '{address}'").url == address
    assert fits(f"{TABLE}url = '{address}'")


@given(st.from_regex(re.compile(URL), fullmatch=True))
def test_what_fits_the_schema_is_an_address(text: str) -> None:
    text = text.rstrip("\n")[:LONGEST_URL].rstrip("%")
    if re.fullmatch(URL, text):
        assert url(text) == text


@given(st.text() | st.text("htp:/locals127.0[]@#%? ", max_size=40).map("http://".__add__))
def test_no_address_is_too_strange_to_be_refused_with_a_sentence(text: str) -> None:
    why = fault(url, text)
    assert re.fullmatch(URL, text) if why is None else why.isprintable()


OPEN = 'is no regular expression: a "(" lacks its ")"'
CLOSED = 'is no regular expression: a ")" lacks its "("'
SET = 'is no regular expression: a "[" lacks its "]"'


# Each of these is refused by PCRE2 10.42 too.
@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        ("", "is empty, and would show up in every line"),
        ("a\nb", "must be one line: each line of the journal is searched by itself"),
        ("a\0b", "must be one line: each line of the journal is searched by itself"),
        ("a" * (LONGEST_PATTERN + 1), f"must be at most {LONGEST_PATTERN} characters long"),
        ("(", OPEN),
        ("a(b(c)", OPEN),
        ("(?:a", OPEN),
        ("(?#note", OPEN),
        (r"(a\)", OPEN),
        ("([)]", OPEN),
        (")", CLOSED),
        ("(a))", CLOSED),
        (r"\(a)", CLOSED),
        ("[a", SET),
        ("[]a", SET),
        ("[^]", SET),
        (r"[a\]", SET),
        ("a\\", "is no regular expression: it ends in a backslash"),
        ("*a", 'is no regular expression: nothing stands before a "*"'),
        ("a|+", 'is no regular expression: nothing stands before a "+"'),
        ("(+a)", 'is no regular expression: nothing stands before a "+"'),
        ("?", 'is no regular expression: nothing stands before a "?"'),
    ],
)
def test_a_pattern_that_is_surely_broken_does_not_load(pattern: str, what: str) -> None:
    text = f"{TABLE}journal.must_not = {json.dumps(pattern)}"
    assert said(text) == [f"3:9: {KEY}.journal.must_not: {what}"]
    assert not fits(text) or what.startswith("is no regular expression")


# Python's own expressions refuse many of these.
@pytest.mark.parametrize(
    "pattern",
    [
        "ready",
        r"(?i)listening on :\d{2,5}$",
        r"[[:alpha:](]+\h*\R",
        "[]a]|[^]a]",
        r"\(|\[|\\",
        "(a|b)*+(?>c)(?<name>d)(?'n'e)(?|f|g)",
        r"\p{Lu}\X\N{U+41}\K\x{1F600}",
        r"(*UTF)(*MARK:a(b)c",
        r"\Q((([[[\E",
        "(?x) a # ) no bracket",
        "a(?#:( )*",
        "(?=a)*()*a{,3}",
        "(?<!a|bc)(?(?=a)b|c)(?R)?(?1)(?-1)(?+1)()",
        r"\c(\c[[\c]]",
        r"(?C'(')a",
    ],
)
def test_a_pattern_that_only_pcre2_knows_loads(pattern: str) -> None:
    text = f"{TABLE}journal.must = {json.dumps(pattern)}"
    assert spec(text).journal_must == pattern
    assert fits(text)


@given(st.text("ab()[]|*+?.^\\", min_size=1, max_size=12))
def test_what_python_reads_is_never_refused(pattern: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # that a set may mean more one day
        try:
            re.compile(pattern)
        except re.error:
            return
    assert journal_pattern(pattern) == pattern


@given(st.text(min_size=1, max_size=50) | st.text("()[:]\\^a*", min_size=1, max_size=200))
def test_no_pattern_is_too_strange_to_be_judged(pattern: str) -> None:
    why = fault(journal_pattern, pattern)
    assert why is None or why.isprintable()

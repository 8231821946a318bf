"""Pace, busy services and contests: what loads, what does not and why; the schema says the same."""

# ruff: noqa: E501 - the tables are read across

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from jada_configd.core.model import Field, pointer
from jada_configd.policy.models import schema
from tests.policy.declared import HOME, messages, policy
from tests.policy.test_ownership import toml

SERVICE = 'version = 1\n[service."a.service"]\n'
DURATION = 'must be a duration such as "250ms", "30s", "5m" or "2h"'
WORDS = 'must be "reload", "restart", "reload-or-restart" or "none"'
POINTER = 'must be "default" or a JSON Pointer, such as "/model"'
APPLIES = ("reload", "restart", "reload-or-restart", "none")


def fits(text: str) -> bool:
    validator: Any = Draft202012Validator(schema())
    return bool(validator.is_valid(tomllib.loads(text)))


def said(text: str) -> list[str]:
    return [line.removeprefix("policy.toml:") for line in messages(text)]


def test_a_pace_comes_through_in_seconds() -> None:
    text = (
        f'{SERVICE}gather = "50ms"\nmin_interval = "1m"\nbusy = "/run/a/busy"\ndrain = "2h"\n'
        'drain_policy = "skip"\non_unhealthy = "keep"\n'
    )
    (made,) = policy(text).services
    assert (made.gather, made.min_interval, made.drain) == (0.05, 60.0, 7200.0)
    assert (made.busy, made.drain_policy, made.on_unhealthy) == ("/run/a/busy", "skip", "keep")
    assert fits(text)


def test_a_service_that_says_nothing_has_the_defaults() -> None:
    (made,) = policy(SERVICE).services
    assert (made.gather, made.min_interval, made.drain) == (0.2, 10.0, 300.0)
    assert (made.busy, made.drain_policy, made.on_unhealthy) == (None, "restart", "roll-back")
    assert (made.apply, made.applies) == ("reload-or-restart", {})


def test_a_busy_command_comes_through_as_its_arguments() -> None:
    text = f"{SERVICE}busy = ['/usr/bin/[', '-e', '', '$HOME x', ']']\n"
    (made,) = policy(text).services
    assert made.busy == ("/usr/bin/[", "-e", "", "$HOME x", "]")
    assert fits(text)


def test_a_busy_file_may_stand_in_the_home_of_a_user() -> None:
    text = f"{SERVICE}busy = '~/busy'"
    assert policy(text).services[0].busy == f"{HOME}/busy"
    assert fits(text)
    (line,) = messages(text, home=None)
    assert line.endswith('"~/" is for policies loaded with --user')


def test_contests_are_the_daemons() -> None:
    made = policy("version = 1\n[daemon]\ncontested_after = 3\ncontested_within = '10s'\n")
    assert (made.contested_after, made.contested_within) == (3, 10.0)
    assert (policy("version = 1").contested_after, policy("version = 1").contested_within) == (
        10,
        60.0,
    )


@pytest.mark.parametrize("word", APPLIES)
def test_one_word_is_what_is_done_after_any_correction(word: str) -> None:
    (made,) = policy(f"{SERVICE}apply = '{word}'").services
    assert (made.apply, made.applies) == (word, {})
    assert fits(f"{SERVICE}apply = '{word}'")


@given(
    st.dictionaries(
        st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=3), min_size=1).map(
            tuple
        ),
        st.sampled_from(APPLIES),
        min_size=1,
        max_size=3,
    ),
    st.none() | st.sampled_from(APPLIES),
)
def test_what_is_done_by_field_comes_through(
    applies: dict[Field, str], default: str | None
) -> None:
    words = {pointer(field): word for field, word in applies.items()}
    rest = {} if default is None else {"default": default}
    text = f"{SERVICE}apply = {toml({**words, **rest})}\n"
    (made,) = policy(text).services
    assert (made.apply, made.applies) == (default or "reload-or-restart", applies)
    assert fits(text)


BOUNDS = [
    ("gather", "0ms", "1m", "60001ms"),
    ("min_interval", "0s", "24h", "86401s"),
    ("drain", "0s", "24h", "25h"),
]


@pytest.mark.parametrize(("key", "least", "most", "beyond"), BOUNDS)
def test_a_duration_has_bounds(key: str, least: str, most: str, beyond: str) -> None:
    assert messages(f"{SERVICE}{key} = '{least}'") == messages(f"{SERVICE}{key} = '{most}'") == []
    assert said(f"{SERVICE}{key} = '{beyond}'") == [
        f'3:1: service."a.service".{key}: must be from "{least}" to "{most}"'
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("gather = 200", '3:1: service."a.service".gather: must be a duration in quotes, such as "200ms", not an integer'),
        ("min_interval = 1.5", '3:1: service."a.service".min_interval: must be a duration in quotes, such as "10s", not a float'),
        ("drain = true", '3:1: service."a.service".drain: must be a duration in quotes, such as "5m", not a boolean'),
        ("drain = '7d'", f'3:1: service."a.service".drain: {DURATION}'),
        ("drain_policy = 'wait'", '3:1: service."a.service".drain_policy: must be "restart" or "skip"'),
        ("drain_policy = 'skp'", '3:1: service."a.service".drain_policy: must be "restart" or "skip"; did you mean "skip"?'),
        ("on_unhealthy = 'rollback'", '3:1: service."a.service".on_unhealthy: must be "roll-back" or "keep"; did you mean "roll-back"?'),
        ("min-interval = '1s'", '3:1: service."a.service".min-interval: unknown key; did you mean "min_interval"?'),
        # apply
        ("apply = ['restart']", f'3:1: service."a.service".apply: {WORDS}'),
        ("apply = {}", '3:1: service."a.service".apply: is an empty table; such as { default = "reload-or-restart" }'),
        ("apply = {default = 'relod'}", f'3:10: service."a.service".apply.default: {WORDS}; did you mean "reload"?'),
        ("apply = {'/m' = 5}", f'3:10: service."a.service".apply."/m": {WORDS}'),
        ("apply = {model = 'restart'}", f'3:10: service."a.service".apply.model: {POINTER}; did you mean "/model"?'),
        ("apply = {defualt = 'restart'}", f'3:10: service."a.service".apply.defualt: {POINTER}; did you mean "default"?'),
        ("apply = {'' = 'restart'}", f'3:10: service."a.service".apply."": {POINTER}; did you mean "/"?'),
        ("apply = {'/a~2' = 'restart'}", '3:10: service."a.service".apply."/a~2": must be a JSON Pointer: "~" itself is written "~0", and "/" "~1"'),
        # busy
        ("busy = 5", '3:1: service."a.service".busy: must be a path, such as "/run/jada-agent/busy", or a command as an array of strings'),
        ("busy = 'run/busy'", '3:1: service."a.service".busy: must be an absolute path, such as "/run/jada-agent/busy"'),
        ("busy = '/run/*/busy'", '3:1: service."a.service".busy: must be one file, without wildcards'),
        ("busy = '/run/../busy'", '3:1: service."a.service".busy: must not hold a ".." component'),
        ("busy = '/run/busy/'", '3:1: service."a.service".busy: must name a file; it ends with a slash'),
        ("busy = []", '3:1: service."a.service".busy: is an empty array, which runs nothing; name a program'),
        ("busy = ['busy']", '3:1: service."a.service".busy: must begin with the absolute path of a program; no shell looks for it'),
        ("busy = ['/a', 1]", '3:15: service."a.service".busy[1]: must be a string, not an integer'),
    ],
)  # fmt: skip
def test_what_does_not_load_says_why(line: str, message: str) -> None:
    assert said(SERVICE + line) == [message]
    assert not fits(SERVICE + line) or "/../" in line


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("contested_after = 0", "must be from 1 to 1000"),
        ("contested_after = 1001", "must be from 1 to 1000"),
        ("contested_after = true", "must be an integer, not a boolean"),
        ("contested_after = '10'", "must be an integer, not a string"),
        ("contested_within = 60", 'must be a duration in quotes, such as "1m", not an integer'),
        ("contested_within = '999ms'", 'must be from "1s" to "1h"'),
        ("contested_within = '61m'", 'must be from "1s" to "1h"'),
        ("contested_in = '1m'", 'unknown key; did you mean "contested_within"?'),
    ],
)
def test_what_no_contest_can_be_says_why(line: str, message: str) -> None:
    text = f"version = 1\n[daemon]\n{line}\n"
    assert said(text) == [f"3:1: daemon.{line.partition(' ')[0]}: {message}"]
    assert not fits(text) or 'from "' in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{SERVICE}within = '5s'", '3:1: service."a.service".within: unknown key; it stands in [service."a.service".health]'),
        (f"{SERVICE}command = ['/a']", '3:1: service."a.service".command: unknown key; it stands in [service."a.service".health]'),
        (f"{SERVICE}must_not = 'x'", '3:1: service."a.service".must_not: unknown key; it stands in [service."a.service".health.journal]'),
        (f"{SERVICE}health.must = 'x'", '3:8: service."a.service".health.must: unknown key; it stands in [service."a.service".health.journal]'),
        (f"{SERVICE}retry = '1m'", '3:1: service."a.service".retry: unknown key; it stands in [service."a.service".fallback]'),
        (f"{SERVICE}health.on_unhealthy = 'keep'", '3:8: service."a.service".health.on_unhealthy: unknown key; it stands in [service."a.service"]'),
        (f"{SERVICE}health.usage.nofile = '80%'", '3:8: service."a.service".health.usage: unknown key; it stands in [service."a.service".usage]'),
        (f"{SERVICE}contested_after = 3", '3:1: service."a.service".contested_after: unknown key; it stands in [daemon]'),
        ("version = 1\ndaemon.drain = '5m'", '2:8: daemon.drain: unknown key; it stands in [service."NAME.service"]'),
        ("version = 1\nsweep = '5m'", "2:1: sweep: unknown key; it stands in [daemon]"),
        ("version = 1\n[health]\nstable = '5s'", '2:2: health: unknown key; it stands in [service."NAME.service".health]'),
        ("version = 1\n[service.health]\nstable = 5", '2:10: service.health: is no unit; it stands in [service."NAME.service".health]'),
        ("version = 1\n[service]\napply = 'restart'", '3:1: service.apply: is no unit; it stands in [service."NAME.service"]'),
        ("version = 1\n[settings.a]\npath = '/a'\nbusy = '/b'", '4:1: settings.a.busy: unknown key; it stands in [service."NAME.service"]'),
    ],
)  # fmt: skip
def test_a_key_in_the_wrong_table_is_told_where_it_stands(text: str, message: str) -> None:
    assert said(text) == [message]


FILE = "[settings.o]\npath = '/a.json'\nservices = ['a.service']\nset.m.n = 1\nset.o = 1\n"
UNHELD = "warning: no settings entry with this service holds this, or a key in it"


@pytest.mark.parametrize("key", ["/m", "/m/n", "/o"])
def test_a_field_of_apply_that_some_entry_holds_earns_no_warning(key: str) -> None:
    assert policy(f"{SERVICE}apply = {{'{key}' = 'restart'}}\n{FILE}").warnings == ()


@pytest.mark.parametrize(("key", "near_by"), [("/m/nn", '; did you mean "/m/n"?'), ("/x", "")])
def test_a_field_of_apply_that_no_entry_holds_is_warned_of(key: str, near_by: str) -> None:
    assert policy(f"{SERVICE}apply = {{'{key}' = 'restart'}}\n{FILE}").warnings == (
        f'policy.toml:3:10: service."a.service".apply."{key}": {UNHELD}{near_by}',
    )


def test_what_another_services_entry_holds_is_not_held_for_this_one() -> None:
    text = f"{SERVICE}apply = {{'/o' = 'restart'}}\n{FILE.replace('a.service', 'b.service')}"
    assert policy(text).warnings == (f'policy.toml:3:10: service."a.service".apply."/o": {UNHELD}',)

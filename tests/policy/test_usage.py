"""Thresholds of use: what loads, what does not and why, and that the schema says the same."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from jada_configd.policy.limit_models import Limits
from jada_configd.policy.models import schema
from tests.policy.declared import MEASURED, messages, policy

TABLE = "version = 1\n[service.'a.service'.usage]\n"
KEY = 'service."a.service".usage'
PERCENTAGE = 'must be a percentage from "1%" to "100%", without a fraction'
QUOTED = 'must be a percentage in quotes, such as "80%"'
NOT_TOLD = "unknown key; how much of this limit is used cannot be told"


@given(st.dictionaries(st.sampled_from(MEASURED), st.integers(1, 100)))
def test_thresholds_come_through_as_shares(shares: dict[str, int]) -> None:
    lines = "".join(f'{limit} = "{share}%"\n' for limit, share in shares.items())
    (service,) = policy(TABLE + lines).services
    assert service.usage == {limit: share / 100 for limit, share in shares.items()}
    assert fits(TABLE + lines)


def test_a_service_without_thresholds_has_none() -> None:
    (service,) = policy("version = 1\n[service.'a.service']\n").services
    assert service.usage == {}


def test_a_threshold_needs_no_limit_in_the_policy() -> None:
    (service,) = policy(f"{TABLE}nofile = '80%'\n").services
    assert service.limits == {}


WORDS = ("0%", "101%", "80", "80 %", "8.5%", "-1%", "080%", "", "%", "\\uff180%")


@pytest.mark.parametrize("word", WORDS)
def test_what_is_no_percentage_does_not_load(word: str) -> None:
    line = f'nofile = "{word}"'
    assert messages(TABLE + line) == [f"policy.toml:3:1: {KEY}.nofile: {PERCENTAGE}"]
    assert not fits(TABLE + line)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("nofile = 80", f"nofile: {QUOTED}, not an integer"),
        ("nofile = 0.8", f"nofile: {QUOTED}, not a float"),
        ("nofile = {a = 1}", f"nofile: {QUOTED}, not a table"),
        ("nofle = '80%'", 'nofle: unknown key; did you mean "nofile"?'),
        ("LimitNOFILE = '80%'", 'LimitNOFILE: unknown key; did you mean "nofile"?'),
        ("Tasks = '80%'", 'Tasks: unknown key; did you mean "tasks"?'),
    ],
)
def test_what_does_not_load_says_why(line: str, what: str) -> None:
    assert messages(TABLE + line) == [f"policy.toml:3:1: {KEY}.{what}"]
    assert not fits(TABLE + line)


def test_what_is_no_table_is_said_to_be_none() -> None:
    text = "version = 1\n[service.'a.service']\nusage = '80%'\n"
    assert messages(text) == [f"policy.toml:3:1: {KEY}: must be a table, not a string"]


def test_of_every_limit_it_is_known_whether_its_use_can_be_told() -> None:
    limits = {field.alias or name for name, field in Limits.model_fields.items()}
    assert set(MEASURED) - limits == {"tasks"}
    for limit in limits - set(MEASURED):
        assert messages(f"{TABLE}{limit} = '80%'") == [
            f"policy.toml:3:1: {KEY}.{limit}: {NOT_TOLD}"
        ]


def fits(text: str) -> bool:
    """Whether the schema takes it."""
    validator: Any = Draft202012Validator(schema())
    return bool(validator.is_valid(tomllib.loads(text)))

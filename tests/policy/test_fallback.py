"""Fallbacks: what loads, what does not and why, and that the schema says the same of its shape."""

# ruff: noqa: E501 - the tables are read across

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from jada_configd.core.model import Exactly, Json
from jada_configd.core.specs import FallbackSpec, Policy
from jada_configd.policy.models import schema
from tests.policy.declared import FRAME, messages, plain, policy
from tests.policy.test_ownership import KEYS, TREES, leaves, toml

ENTRY = """\
version = 1
[settings.orchestrator]
path = "/a.json"
services = ["a.service"]
absent = ["/gone"]
[settings.orchestrator.set]
model = "claude-sonnet-4-6"
permissions = { mode = "plan", allow = ["x"] }
[settings.orchestrator.one_of]
effort = ["medium", "high"]
[settings.orchestrator.include]
hooks = ["x"]
[service."a.service".fallback]
"""
KEY = 'service."a.service".fallback'
TO = 'settings = "orchestrator"\n'
HAIKU = 'set.model = "claude-haiku-4-5"\n'
HOLDS = "settings.orchestrator"
FREE = (
    "policy.toml:7:1: settings.orchestrator.set.model: warning: env.ANTHROPIC_MODEL of the same "
    'file would win over this and is left free; hold it too: absent = ["/env/ANTHROPIC_MODEL"]'
)


def fits(text: str) -> bool:
    validator: Any = Draft202012Validator(schema())
    return bool(validator.is_valid(tomllib.loads(text)))


def said(text: str) -> list[str]:
    return [line.removeprefix("policy.toml:") for line in messages(text)]


def warned(text: str) -> list[str]:
    return [line for line in policy(text).warnings if line != FREE]


def test_a_fallback_comes_through() -> None:
    text = f"""{ENTRY}{TO}
        after = 5
        retry = "168h"
        [service."a.service".fallback.set]
        model = "claude-haiku-4-5"
        effort = "low"
        permissions.mode = 1
    """
    (service,) = policy(text).services
    assert service.fallback == FallbackSpec(
        "orchestrator",
        {
            ("model",): Exactly("claude-haiku-4-5"),
            ("effort",): Exactly("low"),
            ("permissions", "mode"): Exactly(1),
        },
        5,
        604800.0,
    )
    assert fits(text)
    assert warned(text) == []


def test_what_is_left_out_has_its_default() -> None:
    (service,) = policy(ENTRY + TO + HAIKU).services
    assert service.fallback == FallbackSpec(
        "orchestrator", {("model",): Exactly("claude-haiku-4-5")}, 3, 1800.0
    )


def test_a_service_without_one_has_none() -> None:
    (service,) = policy('version = 1\n[service."a.service"]').services
    assert service.fallback is None


@given(st.dictionaries(KEYS, TREES, min_size=1, max_size=3))
def test_any_field_that_is_held_can_fall_back(tree: dict[str, Json]) -> None:
    made = policy(
        f"version = 1\n[settings.a]\npath = '/a'\nservices = ['x.service']\nset = {toml(tree)}\n"
        f"[service.'x.service'.fallback]\nsettings = 'a'\nset = {toml(tree)}\n"
    )
    (service,) = made.services
    assert service.fallback is not None
    rules = service.fallback.rules.items()
    owned = {field: rule.value for field, rule in rules if isinstance(rule, Exactly)}
    assert repr(owned) == repr(leaves(tree))


def test_the_plain_form_is_json_and_says_the_same_after_it() -> None:
    made = plain(ENTRY + TO + HAIKU, "[service.'a.service']\napply = {'/model' = 'restart'}\n")
    again = json.loads(json.dumps(made, allow_nan=False))
    assert again == made
    assert Policy.from_plain({**FRAME, **again}) == Policy.from_plain({**FRAME, **made})


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (HAIKU, "13:22: {}.settings: is missing"),
        (TO, "13:22: {}.set: is missing"),
        ("settings = 5\n" + HAIKU, "14:1: {}.settings: must be a string, not an integer"),
        (TO + "set = 'm'", "15:1: {}.set: must be a table, not a string"),
        (TO + "set = {}", "15:1: {}.set: is an empty table, which holds nothing; name a key in it"),
        (TO + HAIKU + "after = 0", "16:1: {}.after: must be from 1 to 1000"),
        (TO + HAIKU + "after = 1001", "16:1: {}.after: must be from 1 to 1000"),
        (TO + HAIKU + "after = '3'", "16:1: {}.after: must be an integer, not a string"),
        (TO + HAIKU + "retry = 30", '16:1: {}.retry: must be a duration in quotes, such as "30m", not an integer'),
        (TO + HAIKU + "untill = '30m'", "16:1: {}.untill: unknown key"),
        (TO + HAIKU + "retries = '30m'", '16:1: {}.retries: unknown key; did you mean "retry"?'),
    ],
)  # fmt: skip
def test_what_does_not_load_for_its_shape_says_why(lines: str, message: str) -> None:
    assert said(ENTRY + lines) == [message.format(KEY)]
    assert not fits(ENTRY + lines)


@pytest.mark.parametrize("word", ["999ms", "169h"])
def test_a_retry_has_bounds(word: str) -> None:
    assert said(f"{ENTRY}{TO}{HAIKU}retry = '{word}'") == [
        f'16:1: {KEY}.retry: must be from "1s" to "168h"'
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("set.modle = 'x'", f'15:5: {{}}.modle: {HOLDS} does not hold this, and what is not held cannot fall back; did you mean "model"?'),
        ("set.a.b = 1", f"15:7: {{}}.a.b: {HOLDS} does not hold this, and what is not held cannot fall back"),
        ("set.hooks = ['y']", f"15:5: {{}}.hooks: {HOLDS} holds this by `include`; only `set` and `one_of` can fall back"),
        ("set.gone = 1", f"15:5: {{}}.gone: {HOLDS} holds this by `absent`; only `set` and `one_of` can fall back"),
        ("set.permissions = 1", f"15:5: {{}}.permissions: lies around /permissions/mode, which {HOLDS} holds; name that field itself"),
        ("set.model.name = 'x'", f"15:11: {{}}.model.name: lies inside /model, which {HOLDS} holds as a whole"),
        ("set.permissions.allow.x = 1", f"15:23: {{}}.permissions.allow.x: lies inside /permissions/allow, which {HOLDS} holds as a whole"),
        ("set.model = {}", "15:5: {}.model: is an empty table, which owns nothing; name a key in it"),
        ("set.model = nan", "15:5: {}.model: JSON has no infinity and no nan; write a finite number"),
    ],
)  # fmt: skip
def test_only_what_the_entry_holds_can_fall_back(line: str, message: str) -> None:
    assert said(ENTRY + TO + line) == [message.format(f"{KEY}.set")]


OTHER = "[settings.other]\npath = '/b.json'\nservices = [{}]\nset.model = 'x'\n"
NONE = "names no [settings.NAME] of this policy"
LACKS = "names an entry whose `services` lack this unit"


@pytest.mark.parametrize(
    ("name", "services", "what"),
    [
        ("orchestratr", "", f'{NONE}; did you mean "orchestrator"?'),
        ("x", "", f'{NONE}; did you mean "orchestrator"?'),  # the only one that has the unit
        ("x", "'a.service'", NONE),
        ("othr", "'a.service'", f'{NONE}; did you mean "other"?'),
        ("other", "", f'{LACKS}; did you mean "orchestrator"?'),
    ],
)
def test_the_entry_is_one_that_the_service_takes_up(name: str, services: str, what: str) -> None:
    text = f"{ENTRY}settings = '{name}'\n{HAIKU}{OTHER.format(services)}"
    assert said(text) == [f"14:1: {KEY}.settings: {what}"]


def test_an_entry_that_no_service_takes_up_is_to_name_it() -> None:
    text = ENTRY.replace('["a.service"]', '["b.service"]')
    assert said(text + TO + HAIKU) == [
        f"14:1: {KEY}.settings: {LACKS}; add it there, or the service never takes a fallback up"
    ]


SECOND = "[service.'b.service'.fallback]\nsettings = 'orchestrator'\nset.model = '{}'\n"


def test_two_services_may_not_fall_back_to_other_values_of_one_field() -> None:
    text = ENTRY.replace('["a.service"]', '["a.service", "b.service"]') + TO + HAIKU
    assert messages(text + SECOND.format("claude-haiku-4-5")) == []
    assert said(text + SECOND.format("claude-opus-4-1")) == [
        (
            '18:5: service."b.service".fallback.set.model: /model of settings.orchestrator has '
            f"another fallback in {KEY}.set.model (policy.toml:15)"
        )
    ]


def test_a_fallback_that_is_what_is_held_anyway_is_warned_of() -> None:
    text = f"{ENTRY}{TO}set = {{ model = 'claude-sonnet-4-6', effort = 'medium' }}"
    assert warned(text) == [
        (
            f"policy.toml:15:9: {KEY}.set.model: warning: is what the policy holds anyway; "
            "nothing falls back"
        )
    ]


def test_a_model_id_with_a_dot_is_suspected_in_a_fallback_too() -> None:
    assert warned(f"{ENTRY}{TO}set.model = 'claude-haiku-4.5'") == [
        (
            f"policy.toml:15:5: {KEY}.set.model: warning: a dot in a model id; Anthropic's ids "
            'have hyphens; did you mean "claude-haiku-4-5"?'
        )
    ]


@pytest.mark.parametrize(
    ("apply", "suspected"),
    [
        ("'none'", True),
        ("'reload'", False),
        ("{'/model' = 'none'}", True),
        ("{default = 'none'}", True),
        ("{default = 'none', '/model' = 'restart'}", False),
        ("{default = 'none', '/effort' = 'restart'}", True),
    ],
)
def test_a_fallback_that_no_service_would_take_up_is_warned_of(
    apply: str, *, suspected: bool
) -> None:
    text = f"{ENTRY}{TO}{HAIKU}[service.'a.service']\napply = {apply}"
    warning = (
        f"policy.toml:15:5: {KEY}.set.model: warning: changes nothing in the service, whose "
        '`apply` is "none" for this'
    )
    assert warned(text) == ([warning] if suspected else [])


def test_the_longest_field_of_apply_that_covers_a_fallback_counts() -> None:
    apply = "{'/permissions' = 'none', '/permissions/mode' = 'restart'}"
    text = f"{ENTRY}{TO}set.permissions.mode = 1\n[service.'a.service']\napply = {apply}"
    assert warned(text) == []
    assert len(warned(text.replace("set.permissions.mode = 1", "set.permissions.allow = []"))) == 1

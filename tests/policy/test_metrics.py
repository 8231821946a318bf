"""`[metrics]`: where a textfile may stand, what is wrong with another place, and the schema."""

import tomllib
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from jada_configd.policy.models import schema
from tests.policy.declared import HOME, messages, plain, policy

HEAD = "version = 1\n[metrics]\n"
ABSOLUTE = 'must be an absolute path, such as "/var/lib/prometheus/node-exporter/jada_configd.prom"'

SUFFIX = "must end in .prom: node_exporter reads no other file"


@pytest.mark.parametrize("path", ["/srv/a.prom", "/a.prom", "/srv/a b/é.prom"])
def test_a_textfile_comes_through(path: str) -> None:
    assert policy(f'{HEAD}textfile = "{path}"').textfile == path
    assert fits(f'{HEAD}textfile = "{path}"')


def test_a_policy_without_metrics_has_none() -> None:
    assert policy("version = 1").textfile is None
    assert plain("version = 1")["textfile"] is None


def test_the_home_of_a_user_stands_behind_its_sign() -> None:
    assert policy(f'{HEAD}textfile = "~/m/a.prom"').textfile == f"{HOME}/m/a.prom"
    (message,) = messages(f'{HEAD}textfile = "~/m/a.prom"', home=None)
    assert message.endswith('"~/" is for policies loaded with --user')


def test_a_fragment_moves_it() -> None:
    moved = policy(f'{HEAD}textfile = "/a.prom"', '[metrics]\ntextfile = "/b.prom"')
    assert moved.textfile == "/b.prom"


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('textfile = "a.prom"', f"metrics.textfile: {ABSOLUTE}"),
        ('textfile = ""', f"metrics.textfile: {ABSOLUTE}"),
        ('textfile = "/a.txt"', f"metrics.textfile: {SUFFIX}"),
        ('textfile = "/*/a.prom"', "metrics.textfile: must be one file, without wildcards"),
        ('textfile = "/a/../b.prom"', 'metrics.textfile: must not hold a ".." component'),
        ('textfile = "/a.prom/"', "metrics.textfile: must name a file; it ends with a slash"),
        ("textfile = 5", "metrics.textfile: must be a string, not an integer"),
        (
            'textfle = "/a.prom"\ntextfile = "/a.prom"',
            'metrics.textfle: unknown key; did you mean "textfile"?',
        ),
    ],
)
def test_what_does_not_load_says_why(line: str, what: str) -> None:
    assert messages(HEAD + line) == [f"policy.toml:3:1: {what}"]


def test_a_table_without_a_textfile_lacks_it() -> None:
    assert messages(HEAD) == ["policy.toml:2:2: metrics.textfile: is missing"]
    assert not fits(HEAD)


def test_what_is_no_table_is_said_to_be_none() -> None:
    assert messages("version = 1\nmetrics = true") == [
        "policy.toml:2:1: metrics: must be a table, not a boolean"
    ]


def test_a_settings_file_is_none_for_metrics() -> None:
    text = f'{HEAD}textfile = "/a.prom"\n[settings.x]\npath = "/a.prom"\nset.model = "m"\n'
    assert messages(text) == [
        "policy.toml:3:1: metrics.textfile: is held as a settings file too, by settings.x"
    ]


@pytest.mark.parametrize("path", ["a.prom", "/a.txt", "/*/a.prom", "/a//b.prom", "/a/.prom/"])
def test_the_schema_takes_no_other_place(path: str) -> None:
    assert not fits(f'{HEAD}textfile = "{path}"')


def fits(text: str) -> bool:
    """Whether the schema takes it."""
    validator: Any = Draft202012Validator(schema())
    return bool(validator.is_valid(tomllib.loads(text)))

"""The policies that are shipped, and the schema that editors and fleets check policies with."""

import re
import tomllib
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator as Validator

from jada_configd.policy import load, schema
from tests.policy.declared import HOME, messages
from tests.policy.test_errors import SECRETS, TEN_FAULTS
from tests.policy.test_policy import EXAMPLE

COMMENTED = re.compile(r"#\s+(\[[\w.\"-]+\]$|[\w\".]+ = )")
SHIPPED = sorted((Path(__file__).parents[2] / "policies").glob("*.toml"))


@pytest.fixture(scope="module", name="validator")
def _validator() -> Validator:
    made = schema()
    Validator.check_schema(made)
    return Validator(made)


def test_three_policies_are_shipped() -> None:
    assert [path.stem for path in SHIPPED] == ["jada-agent", "observe", "workstation"]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_policy_loads_without_a_warning(path: Path, validator: Validator) -> None:
    made = load(str(path), home="/home/me")
    assert made.warnings == ()
    assert made.settings
    assert validator.is_valid(tomllib.loads(path.read_text()))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_nothing_that_could_stop_a_service_is_held_by_a_shipped_policy(path: Path) -> None:
    made = load(str(path), home="/home/me")
    assert made.bypasses == ()
    raised = [limit for service in made.services for limit in service.limits if limit != "core"]
    assert raised == []


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_what_is_commented_out_loads_too(path: Path) -> None:
    lines = path.read_text().splitlines()
    commented = [line for line in lines if COMMENTED.match(line)]
    assert any(" = " in line for line in commented)
    for line in commented:
        before = lines[lines.index(line) - 1]  # a key goes with the table that stands above it
        wanted = {line, before} if before.startswith("# [") else {line}
        text = "\n".join(each.lstrip("# ") if each in wanted else each for each in lines)
        assert messages(text, home=None if path.stem == "jada-agent" else HOME) == [], line


@pytest.mark.parametrize("name", ["jada-agent", "observe"])
def test_what_is_for_root_needs_no_home(name: str) -> None:
    (path,) = (path for path in SHIPPED if path.stem == name)
    assert load(str(path)).settings


def test_the_example_fits_the_schema(validator: Validator) -> None:
    assert validator.is_valid(tomllib.loads(EXAMPLE))


ENTRY = "version = 1\n[settings.a]\npath = '/a'\n"
SERVICE = "version = 1\n[service.'a.service']\n"


@pytest.mark.parametrize(
    "text",
    [
        TEN_FAULTS,
        SECRETS,
        "",
        "version = 2",
        "version = 1\nunknown = 1",
        "version = 1\ndaemon.sweep = '5 m'",
        f"{ENTRY}pth = 1",
        f"{ENTRY}services = ['a']",
        f"{ENTRY}absent = ['a']",
        f"{ENTRY}set.a = {{}}",
        f"{ENTRY}one_of.a = []",
        f"{ENTRY}include.a = 1",
        "version = 1\n[settings.a]\npath = 'a'",
        "version = 1\n[settings.a]\npath = '/**/a'",
        "version = 1\n[service.a]",
        f"{SERVICE}limits.nofile = 2147483585",
        f"{SERVICE}limits.nofile = 'infinity'",
        f"{SERVICE}limits.nproc = -1",
        f"{SERVICE}limits.nproc = {{soft = 1}}",
    ],
)
def test_what_does_not_load_for_its_shape_does_not_fit_the_schema(
    text: str, validator: Validator
) -> None:
    assert messages(text)
    assert not validator.is_valid(_jsonable(tomllib.loads(text)))


def _jsonable(value: object) -> object:
    if isinstance(value, dict):
        return {key: _jsonable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_jsonable(each) for each in value]
    return value if isinstance(value, str | int | float | bool) else str(value)


def test_every_key_is_described() -> None:
    made = schema()
    assert made["$id"] == "urn:jada-configd:policy:1"
    assert made["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    tables = [made, *(table for table in made["$defs"].values() if "properties" in table)]
    assert len(tables) == 14
    for table in tables:
        assert table["title"]
        assert table["description"]
        for name, key in table["properties"].items():
            assert key.get("description"), name

"""The manual pages name all that there is, and what they show is right."""

import argparse
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from jada_configd.cli import parser
from jada_configd.installation.shipped import shipped
from jada_configd.policy import load, schema
from jada_configd.sinks.journal import MESSAGE_IDS

CHECKOUT = Path(__file__).resolve().parents[2]
COMMAND, POLICY = "docs/jada-configd.1", "docs/jada-configd-policy.5"


def verbs() -> dict[str, argparse.ArgumentParser]:
    (found,) = (each for each in parser()._actions if isinstance(each, argparse._SubParsersAction))
    return dict(found.choices)


def options() -> Iterator[str]:
    for each in (parser(), *verbs().values()):
        for action in each._actions:
            yield from action.option_strings


@pytest.mark.parametrize("option", sorted(set(options())))
def test_every_option_is_described(option: str) -> None:
    name = option.removeprefix("-")  # mdoc(7) writes the first hyphen itself
    assert re.search(rf"^\.It .*Fl {name}\b", shipped(COMMAND), re.MULTILINE) or re.search(
        rf"^\.It Fl . , (Fl )?{name}\b", shipped(COMMAND), re.MULTILINE
    )


@pytest.mark.parametrize("verb", sorted(verbs()))
def test_every_command_is_described_and_has_its_exit_status(verb: str) -> None:
    page = shipped(COMMAND)
    assert re.search(rf"^\.It Cm {verb}$", page, re.MULTILINE)
    statuses = page.partition(".Sh EXIT STATUS")[2]
    assert re.search(rf"^\.It Cm .*\b{verb}\b", statuses, re.MULTILINE)


@pytest.mark.parametrize("event", sorted(MESSAGE_IDS))
def test_every_event_of_the_journal_is_named(event: str) -> None:
    assert event in shipped(COMMAND).partition("JADA_EVENT")[2].partition("JADA_RESOURCE")[0]


TABLES = {"settings", "service", "daemon", "login", "sysctl", "metrics", "windows"}


def keys() -> Iterator[str]:
    made = schema()
    for table in (made, *(made["$defs"][name] for name in made["$defs"])):
        yield from table.get("properties", {})


@pytest.mark.parametrize(
    "key",
    sorted(set(keys()) - {"soft", "hard", *TABLES}),
)
def test_every_key_of_the_policy_is_described(key: str) -> None:
    if key in {"limits", "usage", "health", "fallback"}:
        assert f".{key}]\n" in shipped(POLICY)
        return
    assert re.search(rf"^\.It Cm {key}$", shipped(POLICY), re.MULTILINE)


def test_the_example_loads_without_a_warning(tmp_path: Path) -> None:
    example = shipped(POLICY).partition(".Bd -literal -offset indent\n")[2].partition(".Ed")[0]
    path = tmp_path / "policy.toml"
    path.write_text(example)
    assert load(str(path)).warnings == ()


@pytest.mark.parametrize("page", [COMMAND, POLICY])
def test_pages_are_formatted_without_a_complaint(page: str) -> None:
    if not shutil.which("groff"):
        pytest.skip("needs groff: apt-get install -y groff-base")
    command = ["groff", "-mandoc", "-Tutf8", "-ww", "-z", str(CHECKOUT / page)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")

"""How probes are called, and what their answers mean in words."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jada_configd.core.probes import (
    Answer,
    Engagement,
    Purpose,
    Question,
    answer,
    engagement,
    probe_name,
    purpose,
    questions,
)
from jada_configd.core.specs import HealthSpec

URL = "http://127.0.0.1:8080/healthz"
HEALTH = HealthSpec(
    timeout=2.5,
    command=("/usr/local/bin/check",),
    url=f"{URL}?token=sesame",
    journal_must="ready",
    journal_must_not="panic|\x1b[31m",
)
PURPOSES: tuple[Purpose, ...] = ("command", "url", "journal_must", "journal_must_not", "busy")
LETTERS = "abcXYZ019:_.-\\@"
SUFFIXES = ("service", "socket", "target")
UNITS = st.builds(
    "{}.{}".format,
    st.one_of(st.text(LETTERS, min_size=1, max_size=247), st.text(LETTERS, min_size=1, max_size=6)),
    st.sampled_from(SUFFIXES),
)


@pytest.mark.parametrize(
    ("about", "unit", "name"),
    [
        ("command", "jada-agent.service", "jada-configd-health-command-jada-agent.service"),
        ("url", "jada-agent.service", "jada-configd-health-url-jada-agent.service"),
        ("journal_must", "a.service", "jada-configd-health-journal-shows-a.service"),
        ("journal_must_not", "a.service", "jada-configd-health-journal-lacks-a.service"),
        ("busy", "a@b.service", r"jada-configd-busy-a\x40b.service"),
        ("busy", r"a\x2db.service", r"jada-configd-busy-a\x5cx2db.service"),
        ("busy", "a.socket", r"jada-configd-busy-a\x2esocket.service"),
        ("busy", "a.socket.service", "jada-configd-busy-a.socket.service"),
    ],
)
def test_a_probe_is_called_after_what_it_asks_and_whom(
    about: Purpose, unit: str, name: str
) -> None:
    assert probe_name(about, unit) == name


def valid(name: str) -> bool:
    """Whether systemd takes it for a plain service's name (systemd.unit(5))."""
    return len(name) <= 255 and re.fullmatch(r"[A-Za-z0-9:_.\\-]+\.service", name) is not None


@given(unit=st.one_of(UNITS, st.text()))
def test_every_unit_has_a_probe_whose_name_is_valid_and_says_what_it_asks(unit: str) -> None:
    for each in PURPOSES:
        assert valid(probe_name(each, unit))
        assert purpose(probe_name(each, unit)) == each


@given(
    one=st.tuples(st.sampled_from(PURPOSES), UNITS),
    other=st.tuples(st.sampled_from(PURPOSES), UNITS),
)
def test_no_two_questions_share_a_name(
    one: tuple[Purpose, str], other: tuple[Purpose, str]
) -> None:
    assert (probe_name(*one) == probe_name(*other)) == (one == other)


@given(unit=UNITS, changed=UNITS, at=st.integers(0, 246))
def test_two_long_names_that_differ_somewhere_do_not_clash(
    unit: str, changed: str, at: int
) -> None:
    long = (unit * 250)[:247]
    other = long[:at] + changed[0] + long[at + 1 :]
    for each in PURPOSES:
        names = probe_name(each, f"{long}.service"), probe_name(each, f"{other}.service")
        assert (names[0] == names[1]) == (long == other)


@pytest.mark.parametrize(
    "name", ["jada-configd.service", "run-r1.service", "jada-agent.service", ""]
)
def test_other_units_are_no_probes(name: str) -> None:
    assert purpose(name) is None


def test_only_what_a_policy_names_is_asked() -> None:
    assert questions(HealthSpec()) == ()
    assert questions(HealthSpec(url=URL)) == ("url",)
    assert questions(HEALTH) == ("command", "url", "journal_must", "journal_must_not")


@pytest.mark.parametrize("question", questions(HEALTH))
def test_what_passed_is_healthy_without_a_word(question: Question) -> None:
    assert answer(question, HEALTH, passed=True, why="") == Answer(healthy=True)


@pytest.mark.parametrize(
    ("question", "why", "text"),
    [
        ("command", "exit status 3", "its health command ended with exit status 3"),
        ("command", "exit status 10", "its health command ended with exit status 10"),
        ("command", "exit status 69", "its health command ended with exit status 69"),
        ("command", "signal SEGV", "its health command was ended by signal SEGV"),
        ("command", "took longer than 2.5 s", "its health command took longer than 2.5 s"),
        (
            "command",
            "exit status 203 (EXEC)",
            "its health command could not be run: it ended with exit status 203 (EXEC)",
        ),
        (
            "command",
            "exit status 127",
            "its health command could not be run: it ended with exit status 127",
        ),
        ("command", "resources", "its health command did not end well: resources"),
        ("command", "", "its health command did not end well"),
        ("url", "exit status 10", f"{URL} did not answer 200"),
        ("journal_must", "exit status 10", "its journal does not show ready"),
        ("journal_must_not", "exit status 10", r"its journal shows panic|\x1b[31m"),
    ],
)
def test_a_no_is_told_in_words(question: Question, why: str, text: str) -> None:
    assert answer(question, HEALTH, passed=False, why=why) == Answer(healthy=False, text=text)


@pytest.mark.parametrize(
    ("why", "text"),
    [
        ("exit status 69", "its probe says why in the journal"),
        ("exit status 1", "its probe ended with exit status 1"),
        (
            "exit status 203 (EXEC)",
            "its probe could not be run: it ended with exit status 203 (EXEC)",
        ),
        ("exit status 101", "its probe ended with exit status 101"),
        ("signal KILL", "its probe was ended by signal KILL"),
        ("took longer than 15 s", "its probe took longer than 15 s"),
        ("", "its probe did not end well"),
    ],
)
@pytest.mark.parametrize(
    ("question", "asked"),
    [("url", URL), ("journal_must", "its journal"), ("journal_must_not", "its journal")],
)
def test_a_question_that_could_not_be_asked_makes_nobody_unhealthy(
    question: Question, asked: str, why: str, text: str
) -> None:
    found = answer(question, HEALTH, passed=False, why=why)
    assert found == Answer(healthy=None, text=f"{asked} cannot be asked: {text}")


def test_a_long_pattern_is_told_in_short() -> None:
    found = answer(
        "journal_must", HealthSpec(journal_must="x" * 900), passed=False, why="exit status 10"
    )
    assert len(found.text) < 250
    assert found.text.endswith("x ...")


# ------------------------------------------------------------------------------ busy


@pytest.mark.parametrize("status", [1, 2, 3, 125, 128, 199, 245, 255])
def test_a_command_that_says_no_is_idle(status: int) -> None:
    found = engagement(passed=False, why=f"exit status {status}")
    assert found == Engagement(busy=False)


def test_a_command_that_says_yes_is_busy() -> None:
    assert engagement(passed=True, why="") == Engagement(busy=True)


@pytest.mark.parametrize(
    ("why", "how"),
    [
        ("took longer than 10 s", "took longer than 10 s"),
        ("exit status 127", "could not be run: it ended with exit status 127"),
        ("exit status 126", "could not be run: it ended with exit status 126"),
        (
            "exit status 203 (EXEC)",
            "could not be run: it ended with exit status 203 (EXEC)",
        ),
        ("signal SEGV", "was ended by signal SEGV"),
        ("", "did not end well"),
    ],
)
def test_who_does_not_say_counts_as_busy_and_is_told(why: str, how: str) -> None:
    found = engagement(passed=False, why=why)
    assert found == Engagement(busy=True, problem=f"its busy command {how}, and counts as busy")

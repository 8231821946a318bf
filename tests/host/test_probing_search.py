"""What searching the journal makes of what journalctl says, with a stand-in for it."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jada_configd.core.probes import NO, UNASKED
from jada_configd.host.probing import search

YES = 0
RECORD = json.dumps({"__CURSOR": "s=1", "MESSAGE": "panic: it is over"}).encode() + b"\n"


def asked(
    wanted: str, code: int, out: bytes = b"", complaint: bytes = b"", seconds: str = "5"
) -> tuple[int, str]:
    """The exit status and the words for a journalctl that says this."""
    script = f"import sys; sys.stdout.buffer.write({out!r}); sys.stderr.buffer.write({complaint!r})"
    command = [sys.executable, "-Sc", f"{script}; sys.exit({code})"]
    return searched(wanted, seconds, *command)


def searched(wanted: str, seconds: str, *command: str) -> tuple[int, str]:
    program = Path(search.__file__).read_text()
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, wanted, seconds, *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1
    level = {YES: "<6>", NO: "<5>", UNASKED: "<4>"}[done.returncode]
    assert done.stdout.startswith(level)
    return done.returncode, done.stdout.removeprefix(level).rstrip("\n")


@pytest.mark.parametrize(("wanted", "status"), [("shows", YES), ("lacks", NO)])
def test_what_is_found_is_told(wanted: str, status: int) -> None:
    assert asked(wanted, 0, RECORD) == (status, "found: panic: it is over")
    assert asked(wanted, 0, RECORD, b"a journal file is truncated\n")[0] == status


@pytest.mark.parametrize(("wanted", "status"), [("shows", NO), ("lacks", YES)])
@pytest.mark.parametrize("code", [0, 1])
def test_nothing_and_no_complaint_is_no_match(wanted: str, status: int, code: int) -> None:
    assert asked(wanted, code) == (status, "found nothing")


@pytest.mark.parametrize("wanted", ["shows", "lacks"])
@pytest.mark.parametrize(
    ("code", "complaint", "said"),
    [
        (1, b'Bad pattern "(": missing closing parenthesis\n', 'Bad pattern "(": missing closing'),
        (1, b"Compiled without pattern matching support\n", "Compiled without pattern matching"),
        (1, b"PCRE2 support is not installed.\n", "PCRE2 support is not installed."),
        (1, b"No journal files were opened due to insufficient permissions.\n", "No journal files"),
        (0, b"first\n\x1b[31mlast\xff\n", "?[31mlast?"),
        (127, b"", "journalctl ended with exit status 127"),
        (-9, b"", "journalctl ended with exit status -9"),
    ],
)
def test_where_nobody_could_look_there_is_no_answer(
    wanted: str, code: int, complaint: bytes, said: str
) -> None:
    if code < 0:
        found = searched(wanted, "5", "/bin/sh", "-c", f"kill -{-code} $$")
    else:
        found = asked(wanted, code, b"", complaint)
    assert found[0] == UNASKED
    assert found[1].startswith(said)


@pytest.mark.parametrize("wanted", ["shows", "lacks"])
def test_without_a_journalctl_there_is_no_answer(wanted: str) -> None:
    code, said = searched(wanted, "5", "/nowhere/journalctl")
    assert code == UNASKED
    assert "No such file or directory: '/nowhere/journalctl'" in said


@pytest.mark.parametrize("wanted", ["shows", "lacks"])
def test_what_takes_too_long_is_no_answer(wanted: str) -> None:
    began = time.monotonic()
    found = searched(wanted, "0.3", "/bin/sleep", "20")
    assert found == (UNASKED, "journalctl was not through within 0.3 s")
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("one\ntwo", "found: one?two"),
        ([0x1B, 0x70, 0xFF], "found: ?p?"),
        (None, "found: a long record"),
        ("x" * 5000, f"found: {'x' * 193} ..."),
        ([1, "2"], "found: a long record"),
    ],
)
def test_whatever_a_record_holds_is_told_in_one_short_line(message: object, said: str) -> None:
    assert asked("shows", 0, json.dumps({"MESSAGE": message}).encode()) == (YES, said)


def test_an_answer_that_is_no_json_is_none() -> None:
    assert asked("lacks", 0, b"-- No entries --\n")[0] == UNASKED


def test_the_programs_know_the_exit_statuses_by_which_they_are_judged() -> None:
    assert (search.YES, search.NO, search.UNASKED) == (0, NO, UNASKED)

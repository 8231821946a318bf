"""Unit files as systemd reads them; what it passes over is said, and nothing raises."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jada_configd.formats.key_value import Line, parse_unit, render_drop_in

UNIT = """\
# written by hand
[Unit]
Description = An agent; it has a \\"name\\"

[Service]
  ExecStart=/usr/bin/agent \\
; a comment in the midst
   --model sonnet \\
# and another
   --flag=value
Environment=
Environment=A=1 "B=2"
LimitNOFILE=1024:4096
"""


def test_a_unit_is_read_section_by_section() -> None:
    assert parse_unit(UNIT) == [
        Line("Unit", "Description", 'An agent; it has a \\"name\\"', 3),
        Line("Service", "ExecStart", "/usr/bin/agent     --model sonnet     --flag=value", 6),
        Line("Service", "Environment", "", 11),
        Line("Service", "Environment", 'A=1 "B=2"', 12),
        Line("Service", "LimitNOFILE", "1024:4096", 13),
    ]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("\n \n\t\n", []),
        ("#[A]\n;b=1\n  # c=2\n", []),
        ("[A]\nb=1", [Line("A", "b", "1", 2)]),
        ("[A]\r\nb=1\r\n\r\nc=2\r\n", [Line("A", "b", "1", 2), Line("A", "c", "2", 4)]),
        (
            "[A]\rb=1\0c=2\n\rd=3",
            [Line("A", k, f"{n - 1}", n) for k, n in zip("bcd", (2, 3, 4), strict=True)],
        ),
        ("\ufeff[A]\nb=1\n", [Line("A", "b", "1", 2)]),
        ("[A]\n  b \t=\t 1 = 2  \n", [Line("A", "b", "1 = 2", 2)]),
        ("[A]\nb=\u00a01\u2028\n", [Line("A", "b", "\u00a01\u2028", 2)]),
        ("[A]\nb=1 # no comment\n", [Line("A", "b", "1 # no comment", 2)]),
        ("[A]\nb=1\n[B]\n[A]\nc=2\n", [Line("A", "b", "1", 2), Line("A", "c", "2", 5)]),
        ("[A]\nb=1\\\n2\n", [Line("A", "b", "1 2", 2)]),
        ("[A]\nb=1\\\\\nc=2\n", [Line("A", "b", "1\\\\", 2), Line("A", "c", "2", 3)]),
        ("[A]\nb=1\\\\\\\nc=2\n", [Line("A", "b", "1\\\\ c=2", 2)]),
        ("[A]\nb=1\\ \nc=2\n", [Line("A", "b", "1\\", 2), Line("A", "c", "2", 3)]),
        ("[A]\nb=1\\\n\nc=2\n", [Line("A", "b", "1", 2), Line("A", "c", "2", 4)]),
        ("[A]\nb=1\\", [Line("A", "b", "1", 2)]),
        ("[A]\nb=1\\\n# the end", [Line("A", "b", "1", 2)]),
        ("[A]\n\\\nb=1\n", [Line("A", "b", "1", 2)]),
        ("[A]\\\n\nb=1\n", [Line("A", "b", "1", 3)]),
    ],
)
def test_lines_are_told_apart_as_systemd_does(text: str, lines: list[Line]) -> None:
    assert parse_unit(text) == lines


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("LimitNOFILE", 'it has no "="'),
        ("LimitNOFILE: 5", 'it has no "="'),
        ("=5", 'there is no key before its "="'),
        (" = 5", 'there is no key before its "="'),
    ],
)
def test_a_line_that_is_no_assignment_is_passed_over_and_said(line: str, problem: str) -> None:
    assert parse_unit(f"[Service]\n{line}\nLimitCORE=1\n") == [
        Line("Service", "", line.strip(), 2, problem),
        Line("Service", "LimitCORE", "1", 3),
    ]


@pytest.mark.parametrize("header", ["", "[]\n"])
def test_an_assignment_outside_any_section_is_not_read(header: str) -> None:
    (line,) = parse_unit(f"{header}LimitNOFILE=5\n")
    assert (line.key, line.value) == ("", "LimitNOFILE=5")
    assert line.problem == "it stands outside any section"


@pytest.mark.parametrize("header", ["[Service", "[", '[Ser"vice]', "[Ser\\vice]", "[A\x01]"])
def test_behind_a_broken_section_header_nothing_is_read(header: str) -> None:
    first, *rest = parse_unit(f"[Unit]\nA=1\n{header}\nLimitNOFILE=5\n[Service]\nLimitNOFILE=6\n")
    assert first == Line("Unit", "A", "1", 2)
    assert [(line.key, line.value) for line in rest] == [
        ("", header),
        ("", "LimitNOFILE=5"),
        ("", "[Service]"),
        ("", "LimitNOFILE=6"),
    ]
    problem = "systemd reads no further than the broken section header in line 3"
    assert {line.problem for line in rest} == {problem}


def test_many_continued_lines_are_joined_in_one_go() -> None:
    (line,) = parse_unit("[A]\nb=" + "x\\\n" * 300_000)
    assert line == Line("A", "b", "x " * 299_999 + "x", 2)


def test_a_drop_in_says_first_who_writes_it() -> None:
    text = render_drop_in(
        ["Written by jada-configd from policy.toml:7.", "", "Do not edit.\n[Service]"],
        {"Unit": [], "Service": [("LimitNOFILE", "1024:4096"), ("Environment", "")]},
    )
    assert text == (
        "# Written by jada-configd from policy.toml:7.\n"
        "#\n"
        "# Do not edit.\n"
        "# [Service]\n"
        "\n"
        "[Unit]\n"
        "\n"
        "[Service]\n"
        "LimitNOFILE=1024:4096\n"
        "Environment=\n"
    )
    assert render_drop_in([], {"Service": [("A", "1")]}) == "[Service]\nA=1\n"


@pytest.mark.parametrize(
    ("section", "key", "value", "reason"),
    [
        ("", "A", "1", "no section can have the name ''"),
        ("A\n[B", "A", "1", "no section can have the name"),
        ('A"', "A", "1", "no section can have the name"),
        ("A", "", "1", "no setting can have the name ''"),
        ("A", "#B", "1", "no setting can have the name"),
        ("A", ";B", "1", "no setting can have the name"),
        ("A", "[B", "1", "no setting can have the name"),
        ("A", " B", "1", "no setting can have the name"),
        ("A", "B=", "1", "no setting can have the name"),
        ("A", "B", "1\nExecStart=/bin/sh", "B= cannot hold a line end or NUL"),
        ("A", "B\rC", "1", "cannot hold a line end or NUL"),
        ("A", "B", "\0", "B= cannot hold a line end or NUL"),
        ("A", "B", " 1", "B= cannot hold blanks at its ends"),
        ("A", "B", "1\t", "B= cannot hold blanks at its ends"),
        ("A", "B", "1\\", "B= cannot end in a backslash"),
    ],
)
def test_what_would_not_be_read_back_is_not_written(
    section: str, key: str, value: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        render_drop_in(["header"], {section: [(key, value)]})


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0\n\r\"'\\"), min_size=1)
VALUES = st.one_of(st.text(st.sampled_from("aé=#;[] \t\\\"'%\x01\u2028"), max_size=9), st.text())


@given(
    st.lists(st.text()),
    st.dictionaries(NAMES, st.lists(st.tuples(NAMES, VALUES), max_size=4), max_size=3),
)
def test_what_is_written_is_read_back(
    header: list[str], sections: dict[str, list[tuple[str, str]]]
) -> None:
    try:
        text = render_drop_in(header, sections)
    except ValueError:
        return
    read = parse_unit(text)
    assert [line.problem for line in read] == [None] * len(read)
    assert [(line.section, line.key, line.value) for line in read] == [
        (section, key, value) for section, lines in sections.items() for key, value in lines
    ]


@given(st.text(st.sampled_from("[]A=\\#;\n\r\0 x\ufeff\ud800é"), max_size=60))
def test_any_text_is_read_and_nothing_of_it_is_lost(text: str) -> None:
    lines = parse_unit(text)
    for line in lines:
        assert 1 <= line.line <= len(text) + 1
        assert bool(line.key) is (line.problem is None)
        assert line.section or line.problem
        assert line.value == line.value.strip(" \t\n\r")
    assert [line.line for line in lines] == sorted({line.line for line in lines})

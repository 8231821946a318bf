"""Unit-file text of systemd: sections of `Key=value` lines (systemd.syntax(7)).

What a key means, and whether a later file says otherwise, is for others.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_BLANK = " \t\n\r"
# systemd ends a line at each of these and takes one of each sort together for one line end.
_LINE_END = re.compile(r"(?:\r\n?|\n\r?)\0?|\0")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\"'\\]")  # in the name of a section
_BREAKING = re.compile(r"[\r\n\0]")


@dataclass(frozen=True, slots=True)
class Line:
    """One assignment; `line` counts from 1 and is the first of a continued one.

    Where systemd would not read it, `problem` is one sentence, `key` is empty and `value` is the
    text as it stands.
    """

    section: str
    key: str
    value: str
    line: int
    problem: str | None = None


def parse_unit(text: str) -> list[Line]:
    """The assignments of a unit file or drop-in in the order of the text; raises nothing.

    An empty value is an assignment like another: most settings take it as a reset, but a limit does
    not (systemd warns and keeps the earlier value). Behind a section header that is none, systemd
    reads no further, and every line from there on has a problem.
    """
    lines: list[Line] = []
    section = ""
    ended: str | None = None
    for number, content in _logical_lines(text.removeprefix("\ufeff")):
        if ended is None and content.startswith("["):
            name = content[1:-1]
            if content.endswith("]") and not _UNSAFE.search(name):
                section = name
                continue
            ended = f"systemd reads no further than the broken section header in line {number}"
        key, equals, value = content.partition("=")
        problem = ended
        if problem is None and not section:
            problem = "it stands outside any section"
        elif problem is None and not equals:
            problem = 'it has no "="'
        elif problem is None and not key:
            problem = 'there is no key before its "="'
        if problem is None:
            lines.append(Line(section, key.rstrip(_BLANK), value.lstrip(_BLANK), number))
        else:
            lines.append(Line(section, "", content, number, problem))
    return lines


def render_drop_in(
    header_lines: Sequence[str], sections: Mapping[str, Sequence[tuple[str, str]]]
) -> str:
    """The text of a drop-in: the header as comments, then each section with its assignments.

    Raises `ValueError` for what would not be read back as it was given. Specifiers (`%`) and quotes
    are not escaped: what they mean depends on the setting.
    """
    header = [comment for line in header_lines for comment in _LINE_END.split(line)]
    blocks = ["".join(f"# {line}\n" if line else "#\n" for line in header)] if header else []
    for section, assignments in sections.items():
        if not section or _UNSAFE.search(section):
            raise ValueError(f"no section can have the name {section!r}")
        block = [f"[{section}]\n"]
        for key, value in assignments:
            _check(key, value)
            block.append(f"{key}={value}\n")
        blocks.append("".join(block))
    return "\n".join(blocks)


def _check(key: str, value: str) -> None:
    """Raise `ValueError` unless a parser gets this key and value back."""
    if not key or key != key.strip(_BLANK) or key[0] in "#;[" or "=" in key:
        raise ValueError(f"no setting can have the name {key!r}")
    if _BREAKING.search(key + value):
        raise ValueError(f"{key}= cannot hold a line end or NUL")
    if value != value.strip(_BLANK):
        raise ValueError(f"{key}= cannot hold blanks at its ends")
    if _is_continued(f"{key}={value}"):
        raise ValueError(f"{key}= cannot end in a backslash")


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Each line that says something, with its number: comments gone, continued ones joined."""
    pieces: list[str] = []
    begun_at = 0
    # The empty line that is put behind the last one ends a continued line there.
    for number, line in enumerate((*_LINE_END.split(text), ""), 1):
        if line.lstrip(_BLANK).startswith(("#", ";")):
            continue  # in the midst of a continued line too
        begun_at = begun_at if pieces else number
        if _is_continued(line):
            pieces.append(line[:-1] + " ")
            continue
        pieces.append(line)
        if content := "".join(pieces).strip(_BLANK):
            yield begun_at, content
        pieces = []


def _is_continued(line: str) -> bool:
    """Whether the line ends in a backslash that no other backslash escapes."""
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1

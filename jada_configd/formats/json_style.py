"""How a JSON file is written: its indentation, its line ends, its separators; and new values so."""

import json
import math
import re
from dataclasses import dataclass

from jada_configd.core.model import Json
from jada_configd.formats.json_scan import Container, Member, whole_digits

_INDENTED = re.compile(r"\n([ \t]+)[^ \t\r\n]")
_MARGIN = re.compile(r"[ \t]*+")
_EMPTY_LINES = re.compile(r"(?:\r?\n[ \t]*)+(?=\r?\n)")

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class Style:
    """What new text in a file is made of. `comma` and `colon` are those within one line."""

    unit: str = "  "
    newline: str = "\n"
    comma: str = ", "
    colon: str = ": "

    @classmethod
    def of(cls, text: str, root: Container) -> "Style":
        """The style of a text with this object as its root."""
        line_end = text.find("\n")
        newline = "\r\n" if line_end > 0 and text[line_end - 1] == "\r" else "\n"
        colon = colon_of(text, root.members[0]) if root.members else ": "
        indented = _INDENTED.search(text, root.start, root.end)
        if indented:
            unit = indented.group(1)
        else:
            spread = bool(root.members) and text.find("\n", root.start, root.end) >= 0
            unit = "" if spread else "  "
        return cls(unit, newline, ", " if colon.endswith(" ") else ",", colon)

    def printed(self, value: Json, margin: str | None) -> str:
        """The value as text, on lines below one with this margin or, without one, on one line."""
        if isinstance(value, dict):
            brackets = "{}"
            inner = None if margin is None else margin + self.unit
            members = [self.member(key, value[key], self.colon, inner) for key in value]
        elif isinstance(value, list):
            brackets = "[]"
            inner = None if margin is None else margin + self.unit
            members = [self.printed(member, inner) for member in value]
        else:
            return scalar(value)
        if not members:
            return brackets
        if inner is None:
            return brackets[0] + self.comma.join(members) + brackets[1]
        line = self.newline + inner
        return f"{brackets[0]}{line}{f',{line}'.join(members)}{self.newline}{margin}{brackets[1]}"

    def member(self, key: str, value: Json, colon: str, margin: str | None) -> str:
        """A member of an object as text."""
        return _encode(key) + colon + self.printed(value, margin)


@dataclass(frozen=True, slots=True)
class Layout:
    """The white space and commas of one container, and the margin of its members' lines.

    `margin` is None where members stand on one line.
    """

    head: str
    gap: str
    tail: str
    colon: str
    margin: str | None

    @classmethod
    def of(cls, text: str, container: Container, style: Style, *, roomy: bool) -> "Layout":
        """The layout of a container; an empty one spreads over lines where it is `roomy`."""
        members = container.members
        inside = text[container.start + 1 : container.end - 1]
        if members:
            head = text[container.start + 1 : members[0].start]
            tail = text[members[-1].end : container.end - 1]
            if len(members) > 1:
                gap = _EMPTY_LINES.sub("", text[members[-2].end : members[-1].start])
            elif "\n" in head:
                gap = "," + _EMPTY_LINES.sub("", head)
            else:
                gap = ", " if head else style.comma
        elif roomy or "\n" in inside:
            margin = margin_at(text, container.start)
            head = style.newline + margin + style.unit
            tail = style.newline + margin
            gap = "," + head
        else:
            head = tail = ""
            gap = style.comma
        last = members[-1] if members else None
        colon = colon_of(text, last) if last and last.key_end else style.colon
        return cls(head, gap, tail, colon, margin_at(gap, len(gap)) if "\n" in gap else None)


def margin_at(text: str, at: int) -> str:
    """The white space that the line of this place begins with."""
    line_start = text.rfind("\n", 0, at) + 1
    found = _MARGIN.match(text, line_start, at)
    return found.group() if found else ""


def colon_of(text: str, member: Member) -> str:
    """The colon of a member with the blanks around it, at most one a side and no line end."""
    before, _, after = text[member.key_end : member.value].partition(":")
    return (" " if before else "") + ":" + (" " if after else "")


def scalar(value: bool | float | str | None) -> str:  # noqa: FBT001 - a JSON value, no switch
    """A value as text that `JSON.parse` reads as that value; NaN is none: `ValueError`."""
    if type(value) is int:  # and no bool
        return whole_digits(value)
    if isinstance(value, float) and math.isinf(value):
        return "1e999" if value > 0 else "-1e999"
    return _encode(value)

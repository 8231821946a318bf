"""Edits of JSON text as splices: what is wanted goes in, and every byte around it stays.

The text is valid and its root is an object; `json_text` has seen to that.
"""

from collections.abc import Sequence
from typing import TypeAlias

from jada_configd.core.model import ABSENT, Field, Json, Value, same
from jada_configd.formats.json_scan import (
    Container,
    Member,
    list_index,
    next_ink,
    plain,
    read,
    scan,
)
from jada_configd.formats.json_style import Layout, Style, margin_at, scalar

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

Item: TypeAlias = "int | New"  # a member that stays, by its index, or a new one


class Branch(dict[str, "Branch | Value"]):
    """What is wanted below an object, token by token; a plain value is wanted as it is."""

    __slots__ = ()


class New(str):
    """The text of a new member."""

    __slots__ = ()


def edited(data: bytes, changes: Sequence[tuple[Field, Value]]) -> bytes:
    """The file with each field as wanted; the very same bytes where nothing has to change."""
    for branch in _branches(changes):
        splices = _Editor(data).splices_for(branch)
        pieces: list[bytes] = []
        at = 0
        for start, end, text in sorted(splices, key=lambda splice: splice[:2]):
            pieces += (data[at:start], text.encode("utf-8", "backslashreplace"))
            at = end
        if pieces:
            data = b"".join((*pieces, data[at:]))
    return data


def _branches(changes: Sequence[tuple[Field, Value]]) -> list[Branch]:
    """The changes as trees, a new one where a field lies within one that went before."""
    branches: list[Branch] = []
    for field, value in changes:
        if not field:
            raise ValueError("the whole document is no field")
        if not branches or not _planted(branches[-1], field, value):
            branches.append(Branch())
            _planted(branches[-1], field, value)
    return branches


def _planted(branch: Branch, field: Field, value: Value) -> bool:
    for token in field[:-1]:
        below = branch.setdefault(token, Branch())
        if not isinstance(below, Branch):
            return False
        branch = below
    return branch.setdefault(field[-1], value) is value


def _whole(wanted: "Branch | Value") -> Value:
    """What is wanted as one value: the objects on the way made, `ABSENT` where there is nothing."""
    if not isinstance(wanted, Branch):
        return wanted
    made: dict[str, Json] = {}
    for token, below in wanted.items():
        value = _whole(below)
        if value is not ABSENT:
            made[token] = value
    return made or ABSENT


def _aligned(have: list[Json], want: list[Json]) -> list[int | tuple[Json]]:
    """The wanted members in order: the index of one that is there, or a new one in a tuple."""
    items: list[int | tuple[Json]] = []
    at = 0
    for member in want:
        found = next((i for i in range(at, len(have)) if same(have[i], member)), None)
        if found is None:
            items.append((member,))
        else:
            items.append(found)
            at = found + 1
    return items


class _Editor:
    """One edit of one text. Places are bytes: the text is the data as Latin-1 (see `scan`)."""

    __slots__ = ("_data", "_known_style", "_root", "_splices", "_text")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._text = data.decode("latin-1")
        start = len(BYTE_ORDER_MARK) if data.startswith(BYTE_ORDER_MARK) else 0
        self._root = scan(data, self._text, next_ink(self._text, start))
        self._known_style: Style | None = None
        self._splices: list[tuple[int, int, str]] = []

    def splices_for(self, branch: Branch) -> list[tuple[int, int, str]]:
        """The splices (start, end, new text) that bring the document to what is wanted."""
        self._object(self._root, branch, effective=True, roomy=True)
        return self._splices

    def _value(
        self, member: Member, wanted: "Branch | Value", *, effective: bool, roomy: bool
    ) -> None:
        """Bring the value of one member to what is wanted; one to be dropped is left alone.

        `effective` says that a reader gets this one and not a later one of the same key; `roomy`
        that it begins on a line of its own.
        """
        start, end = member.value, member.end
        if isinstance(wanted, Branch):
            if self._text[start] == "{":
                container = scan(self._data, self._text, start)
                self._object(container, wanted, effective=effective, roomy=roomy)
                return
            if self._text[start] == "[" and self._array(start, wanted, effective=effective):
                return
            value = _whole(wanted)
            if effective and value is not ABSENT:
                self._replace(start, end, value, roomy=roomy)
            return
        if wanted is ABSENT:
            return
        have = plain(read(self._data[start:end].decode("utf-8", "replace")))
        if same(have, wanted):
            return
        if isinstance(have, list) and isinstance(wanted, list):
            self._list(start, _aligned(have, wanted), roomy=roomy)
        else:
            self._replace(start, end, wanted, roomy=roomy)

    def _object(
        self, container: Container, branch: Branch, *, effective: bool, roomy: bool
    ) -> None:
        members = container.members
        last = {member.key: index for index, member in enumerate(members)}
        kept: list[Item] = []
        for index, member in enumerate(members):
            wanted = branch.get(member.key, branch)
            if wanted is not ABSENT:
                kept.append(index)
            if wanted is not branch:
                counts = effective and last[member.key] == index
                self._value(member, wanted, effective=counts, roomy=self._roomy(container, index))
        missing = {key: _whole(branch[key]) for key in branch if effective and key not in last}
        added = {key: value for key, value in missing.items() if value is not ABSENT}
        if added or len(kept) < len(members):
            layout = Layout.of(self._text, container, self._style, roomy=roomy)
            for key, value in added.items():
                kept.append(New(self._style.member(key, value, layout.colon, layout.margin)))
            self._members(container, kept, layout)

    def _array(self, start: int, branch: Branch, *, effective: bool) -> bool:
        """Edit below an array's members; false where it must become an object instead."""
        container = scan(self._data, self._text, start)
        length = len(container.members)
        dropped = [list_index(token, length) for token in branch if branch[token] is ABSENT]
        length = min((index for index in dropped if index is not None), default=length)
        indices = {token: list_index(token, length) for token in branch}
        if effective and any(
            index is None and _whole(branch[token]) is not ABSENT
            for token, index in indices.items()
        ):
            return False
        for token, index in indices.items():
            if index is not None:
                member = container.members[index]
                roomy = self._roomy(container, index)
                self._value(member, branch[token], effective=effective, roomy=roomy)
        if length < len(container.members):
            layout = Layout.of(self._text, container, self._style, roomy=False)
            self._members(container, list(range(length)), layout)
        return True

    def _list(self, start: int, items: list[int | tuple[Json]], *, roomy: bool) -> None:
        container = scan(self._data, self._text, start)
        layout = Layout.of(self._text, container, self._style, roomy=roomy)
        members: list[Item] = [
            item if isinstance(item, int) else New(self._style.printed(item[0], layout.margin))
            for item in items
        ]
        self._members(container, members, layout)

    def _members(self, container: Container, items: Sequence[Item], layout: Layout) -> None:
        """Leave these members in a container.

        What lies between two members that stay goes up to the gap before the second, so that each
        keeps its bytes and the white space it stands behind.
        """
        members = container.members
        new: list[New] = []
        previous = -1
        for item in items:
            if isinstance(item, New):
                new.append(item)
                continue
            if previous < 0:
                text = "".join(made + layout.gap for made in new)
                self._splice(members[0].start, members[item].start, text)
            else:
                text = "".join(layout.gap + made for made in new)
                self._splice(members[previous].end, members[item - 1].end, text)
            previous = item
            new = []
        if previous >= 0:
            text = "".join(layout.gap + made for made in new)
            self._splice(members[previous].end, members[-1].end, text)
        elif new:
            text = layout.head + layout.gap.join(new) + layout.tail
            self._splice(container.start + 1, container.end - 1, text)
        elif members:
            self._splice(container.start + 1, container.end - 1, "")

    def _replace(self, start: int, end: int, value: Json, *, roomy: bool) -> None:
        """Put a new value in place, over lines where the old one was or one line has room."""
        if not isinstance(value, dict | list):
            self._splice(start, end, scalar(value))
            return
        opening = self._text[start]
        if opening in "[{" and self._text[next_ink(self._text, start + 1)] not in "]}":
            roomy = self._text.find("\n", start, end) >= 0
        margin = margin_at(self._text, start) if roomy else None
        self._splice(start, end, self._style.printed(value, margin))

    def _roomy(self, container: Container, index: int) -> bool:
        """Whether a member begins on a line of its own."""
        before = container.members[index - 1].end if index else container.start
        return self._text.find("\n", before, container.members[index].start) >= 0

    @property
    def _style(self) -> Style:
        """Found out where it is needed: one scalar in another's place is written in no style."""
        if self._known_style is None:
            self._known_style = Style.of(self._text, self._root)
        return self._known_style

    def _splice(self, start: int, end: int, text: str) -> None:
        if text or start < end:
            self._splices.append((start, end, text))

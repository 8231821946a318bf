"""Where each key and array element of a TOML text stands; what they mean is `tomllib`'s to say.

The scan takes any text in linear time and raises nothing: it runs before the parser, so that what
would overrun it (keys of a million parts, a thousand brackets) is found here, with its place.
"""

import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterator
from typing import Final, TypeAlias

Keys: TypeAlias = tuple[str | int, ...]  # table keys and array indices from the root

DEEPEST: Final = 100  # levels; tomllib and json recurse, Python's own limit is 1000

# Possessive quantifiers stand on single characters alone: on a group, Python before 3.11.5 matches
# them wrongly (gh-106052). Each alternative begins otherwise than the rest, so none backtracks far.
_BASIC = r'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*"'
_LITERAL = r"'[^'\n]*+'"
_LONG_BASIC = r'"""[^"\\]*+(?:(?:\\[\s\S]|"(?!""))[^"\\]*+)*"{3,5}'
_LONG_LITERAL = r"'''[^']*+(?:'(?!'')[^']*+)*'{3,5}"
_PART = rf"(?:[A-Za-z0-9_-]++|{_BASIC}|{_LITERAL})"
_KEY = rf"{_PART}(?:[ \t]*+\.[ \t]*+{_PART})*"
_PARTS = re.compile(_PART)
_BARE = re.compile(r"[A-Za-z0-9_-]++")
_STATEMENT = re.compile(rf"[ \t]*+(?:(\[\[?)[ \t]*+({_KEY})|({_KEY})[ \t]*+=[ \t]*+)?")
_LONG_STRING = re.compile(f"{_LONG_BASIC}|{_LONG_LITERAL}")
_SPACE = re.compile(r"[ \t\n]*+(?:#[^\n]*+[ \t\n]*+)*")
_ENTRY = re.compile(rf"({_KEY})[ \t]*+=[ \t]*+")
_TOKEN = re.compile(
    rf"{_LONG_BASIC}|{_LONG_LITERAL}|{_BASIC}|{_LITERAL}|[\[\]{{}},]|[^\s\"'\[\]{{}},#]++"
)


class Places:
    """The offset of every key and array element of one text.

    A table's place is its own header where it has one, else where it is first implied.
    `too_deep` and `twice` are the first key past `DEEPEST` and the first that stands twice.
    """

    __slots__ = ("_arrays", "_assigned", "_lines", "at", "too_deep", "twice")

    def __init__(self, text: str) -> None:
        """Scan the text, whose line ends must be single newlines."""
        self.at: dict[Keys, int] = {}
        self.too_deep: int | None = None
        self.twice: tuple[Keys, int] | None = None
        self._assigned: set[Keys] = set()
        self._arrays: dict[Keys, int] = {}  # arrays of tables: the index of the last one
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]
        self._scan(text)

    def line_column(self, offset: int) -> tuple[int, int]:
        """Line and column (in characters) of an offset, both from 1."""
        line = bisect_right(self._lines, offset)
        return line, offset - self._lines[line - 1] + 1

    def offset(self, line: int, column: int) -> int:
        """The reverse of `line_column`."""
        return self._lines[min(line, len(self._lines)) - 1] + column - 1

    def _scan(self, text: str) -> None:
        table: Keys = ()
        position, end = 0, len(text)
        while position < end and self.too_deep is None:
            statement = _STATEMENT.match(text, position)
            if statement is None:  # the pattern matches the empty string too
                break
            position = statement.end()
            if header := statement[2]:
                table = self._header(header, statement.start(2), array=statement[1] == "[[")
            elif key := statement[3]:
                path = self._key(table, key, statement.start(3))
                position = self._value(text, position, path)
            line_end = text.find("\n", position)
            position = end if line_end < 0 else line_end + 1

    def _header(self, key: str, start: int, *, array: bool) -> Keys:
        path: Keys = ()
        for part, offset in _parts(key, start):
            if path in self._arrays:
                path = (*path, self._arrays[path])
            path = (*path, part)
            self.at.setdefault(path, offset)
            if len(path) > DEEPEST:
                self.too_deep = offset
                return path
        if array:
            self._arrays[path] = self._arrays.get(path, -1) + 1
            path = (*path, self._arrays[path])
        if self._assign(path, offset):
            self.at[path] = offset
        return path

    def _key(self, table: Keys, key: str, start: int) -> Keys:
        path = table
        for part, offset in _parts(key, start):
            path = (*path, part)
            self.at.setdefault(path, offset)
            if len(path) > DEEPEST:
                self.too_deep = offset
                return path
        self._assign(path, offset)
        return path

    def _assign(self, path: Keys, offset: int) -> bool:
        if path not in self._assigned:
            self._assigned.add(path)
            return True
        if self.twice is None:
            self.twice = path, offset
        return False

    def _value(self, text: str, position: int, path: Keys) -> int:
        """The end of the value at `position`; what stands inside it is recorded."""
        opening = text[position : position + 3]
        if opening in ('"""', "'''"):
            string = _LONG_STRING.match(text, position)
            return len(text) if string is None else string.end()
        if opening[:1] in ("[", "{"):
            return self._nested(text, position, path)
        return position  # no other value holds a newline

    def _nested(self, text: str, position: int, path: Keys) -> int:
        """As `_value`, for an array or an inline table, without recursion."""
        open_paths: list[Keys] = []  # of the arrays and inline tables around the position
        counts: list[int] = []  # elements begun in each of them; -1 marks an inline table
        fresh = False  # an element or entry of the innermost one may begin here
        while self.too_deep is None:
            position = _skip(text, position)
            if fresh and counts[-1] < 0:
                fresh = False
                if entry := _ENTRY.match(text, position):
                    path = self._key(open_paths[-1], entry[1], entry.start())
                    position = entry.end()
                    continue
            token = _TOKEN.match(text, position)
            if token is None:
                return position
            match token[0]:
                case "]" | "}":
                    open_paths.pop()
                    counts.pop()
                    fresh = False
                    if not open_paths:
                        return token.end()
                case ",":
                    fresh = True
                case word:
                    if fresh:  # in an array, for that of a table is dealt with above
                        path = self._element(open_paths[-1], counts[-1], position)
                        counts[-1] += 1
                    if word in ("[", "{"):
                        open_paths.append(path)
                        counts.append(0 if word == "[" else -1)
                    fresh = word in ("[", "{")
            position = token.end()
        return position

    def _element(self, array: Keys, index: int, position: int) -> Keys:
        path = (*array, index)
        self.at[path] = position
        if len(path) > DEEPEST:
            self.too_deep = position
        return path


def _skip(text: str, position: int) -> int:
    space = _SPACE.match(text, position)
    return position if space is None else space.end()


def _parts(key: str, start: int) -> Iterator[tuple[str, int]]:
    if _BARE.fullmatch(key):
        yield key, start
        return
    for part in _PARTS.finditer(key):
        yield _unquoted(part[0]), start + part.start()


def _unquoted(part: str) -> str:
    if part[0] == '"' and "\\" in part:
        try:
            return str(tomllib.loads(f"key = {part}")["key"])
        except ValueError:
            return part
    return part[1:-1] if part[0] in "\"'" else part

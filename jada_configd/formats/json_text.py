"""A settings file's bytes, read as Claude Code reads them and edited where they stand.

Claude Code hands them to Node's `JSON.parse` after stripping one byte order mark, so that is what
counts as JSON here. What an edit looks like is for `json_edit` to say.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from jada_configd.core.model import ABSENT, Field, Json, Value
from jada_configd.formats.json_edit import BYTE_ORDER_MARK, edited
from jada_configd.formats.json_scan import (
    BLANK,
    Constant,
    Node,
    Pairs,
    list_index,
    next_ink,
    plain,
    read,
    too_deep,
)

# Python's readers and writers recurse and share one limit of 1,000 frames with whoever calls them,
# several frames a level; `JSON.parse` has no bound. Real settings are some six levels deep.
MOST_LEVELS = 200

_CONSTANT = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|NaN|-?Infinity', re.DOTALL)
_ROOTS = {"[": "an array", '"': "a string", "t": "true", "f": "false", "n": "null"}
_EXPECTED = {
    "Expecting value": "a value",
    "Expecting property name enclosed in double quotes": "a key in double quotes",
    "Expecting ':' delimiter": "a colon",
    "Expecting ',' delimiter": "a comma or a closing bracket",
}
_TRAILING_COMMA = "a comma stands before the closing bracket"


class NotJson(ValueError):
    """Claude Code would not read this; `message` is one sentence without a full stop.

    `line` and `column` count from 1, in characters; a byte order mark is none.
    """

    def __init__(self, line: int, column: int, message: str) -> None:
        super().__init__(f"line {line}, column {column}: {message}")
        self.line = line
        self.column = column
        self.message = message


@dataclass(frozen=True, slots=True)
class Document:
    """A file that was read. Its `root` is for this module alone."""

    data: bytes
    root: Pairs

    def values(self, field: Field) -> list[Json]:
        """All values at the field in the order of the text, keys that stand twice included.

        An array's members are named by their index. Numbers without fraction and exponent are
        `int`; a number beyond a double's range is infinite, as in Node.
        """
        nodes: list[Node] = [self.root]
        for token in field:
            nodes = [found for node in nodes for found in _named(node, token)]
        return [plain(node) for node in nodes]

    def effective(self, field: Field) -> Value:
        """The value that a reader of the whole file gets: of keys that stand twice, the last.

        It can be `ABSENT` where `values` has some: `{"a": {"b": 1}, "a": {}}` has no `/a/b`.
        """
        node: Node = self.root
        for token in field:
            found = _named(node, token)
            if not found:
                return ABSENT
            node = found[-1]
        return plain(node)

    def edit(self, changes: Sequence[tuple[Field, Value]]) -> bytes:
        """The file with each field as wanted, wherever it stands, and every other byte as it was.

        `ABSENT` drops the field; in an array, with all members behind it, since they would move up
        into its place. A field that is missing where it counts, in the last of its parents, is
        added there with its parents; one that is no object (nor an array with such an index) is
        replaced by an object. What is right already is not rewritten. The whole document, `()`, is
        no field that can be set: `ValueError`.
        """
        if b"{" in self.data:
            return edited(self.data, changes)
        made = fresh(changes)
        return self.data if made == fresh(()) else self.data[: _body(self.data)] + made


def parse(data: bytes) -> Document:
    """The document in the bytes of a file; raises `NotJson`.

    Nothing but white space counts as `{}`. Bytes that are not UTF-8 read as U+FFFD inside strings,
    as in Node, and stay as they are.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data[:2]:
        if not data.strip(b"\0"):
            raise NotJson(1, 1, "there is nothing in it but NUL bytes")
        raise NotJson(1, 1, "this is UTF-16 or UTF-32 text, or binary; settings are read as UTF-8")
    text = data[_body(data) :].decode("utf-8", "replace")
    start = next_ink(text, 0)
    if start == len(text):
        return Document(data, Pairs())
    deep = too_deep(data, text, MOST_LEVELS)
    if deep is not None:
        raise _not_json(text, deep, f"it is nested deeper than {MOST_LEVELS} levels")
    try:
        root = read(text)
    except json.JSONDecodeError as error:
        raise _not_json(text, *_reason(text, error)) from None
    except Constant as constant:
        at = next(found for found in _CONSTANT.finditer(text) if found.group()[0] != '"').start()
        raise _not_json(text, at, f"JSON has no {constant}") from None
    if not isinstance(root, Pairs):
        kind = _ROOTS.get(text[start], "a number")
        raise _not_json(text, start, f"the whole is {kind}, where settings are an object")
    return Document(data, root)


def fresh(changes: Sequence[tuple[Field, Value]]) -> bytes:
    """A new file with these fields and nothing else: 2-space JSON with a final newline."""
    return edited(b"{}\n", changes)


def _named(node: Node, token: str) -> list[Node]:
    if isinstance(node, Pairs):
        return [value for key, value in node if key == token]
    if isinstance(node, list):
        index = list_index(token, len(node))
        return [] if index is None else [node[index]]
    return []


def _body(data: bytes) -> int:
    return len(BYTE_ORDER_MARK) if data.startswith(BYTE_ORDER_MARK) else 0


def _not_json(text: str, at: int, message: str) -> NotJson:
    line_start = text.rfind("\n", 0, at) + 1
    return NotJson(text.count("\n", 0, at) + 1, at - line_start + 1, message)


def _reason(text: str, error: json.JSONDecodeError) -> tuple[int, str]:
    """Where the text goes wrong and how; Python's own place and words differ between releases."""
    at = error.pos
    if error.msg.startswith("Unterminated string"):
        return at, "this string has no end"
    if "control character" in error.msg:
        return at, f"a raw control character (U+{ord(text[at]):04X}) is in a string"
    if "escape" in error.msg:
        return text.rindex("\\", 0, at + 1), "this backslash begins no escape that JSON has"
    at = next_ink(text, at)
    before = text[:at].rstrip(BLANK)
    if text.startswith(("]", "}"), at) and before.endswith(","):
        return len(before) - 1, _TRAILING_COMMA
    return at, _unexpected(text, at, error.msg)


def _unexpected(text: str, at: int, said: str) -> str:
    if at == len(text):
        return "the text ends before the document does"
    if text.startswith(("//", "/*", "#"), at):
        return "JSON has no comments"
    if text[at] == "," and text.startswith(("]", "}"), next_ink(text, at + 1)):
        return _TRAILING_COMMA
    if said.startswith("Extra data"):
        return f"text follows the end of the document: {text[at]!a}"
    return f"{_EXPECTED.get(said, 'a value')} should stand here, not {text[at]!a}"

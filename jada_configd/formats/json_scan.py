"""JSON text below its public face: values with keys that stand twice, and where members stand.

The C scanner of the standard library does the reading. It gives values but no positions, so
positions are found only in containers that are about to be edited. What counts as a settings file
is for `json_text` to say.
"""

import itertools
import json
import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import NamedTuple, NoReturn, TypeAlias

from jada_configd.core.model import Json

BLANK = " \t\n\r"
_INK = re.compile(r"[^ \t\n\r]")
_BRACKET = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[{]|[\]}]', re.DOTALL)
_STEPS = bytes(2 if byte in b"[{" else 0 for byte in range(256))
_NO_BRACKET = bytes(byte for byte in range(256) if byte not in b"[]{}")

# int() refuses more digits than sys.get_int_max_str_digits() and is quadratic below that. Past the
# bound a number reads as it does in Node, where 309 digits are infinite: a file of two million
# digits must not cost seconds.
_PIECE = 500
_MOST_DIGITS = 100_000


class Pairs(tuple["tuple[str, Node]", ...]):
    """The members of an object in the order of the text, those with one key twice included."""

    __slots__ = ()


class Digits(str):
    """A whole number that int() refuses for its length; made an int only where it is asked for."""

    __slots__ = ()


Node: TypeAlias = "bool | int | float | str | Digits | list[Node] | Pairs | None"


class Constant(Exception):
    """NaN or an infinity by name, which Python reads and JSON does not have."""


def _refuse(name: str) -> NoReturn:
    raise Constant(name)


def _whole_number(digits: str) -> int | Digits:
    try:
        return int(digits)
    except ValueError:
        return Digits(digits)


_quick = json.JSONDecoder(object_pairs_hook=Pairs, parse_constant=_refuse)
_quick_value = _quick.scan_once  # type: ignore[attr-defined]
_patient = json.JSONDecoder(
    object_pairs_hook=Pairs, parse_constant=_refuse, parse_int=_whole_number
)
# The scanner itself, without decode() around it: this is done for each member.
_pass_value = json.JSONDecoder(parse_int=len).scan_once  # type: ignore[attr-defined]
_pass_between: Callable[[str, int], re.Match[str]]
_pass_between = re.compile(r"[ \t\n\r]*+[:,]?[ \t\n\r]*+").match  # type: ignore[assignment]


def read(text: str) -> Node:
    """The value of a whole text; raises `json.JSONDecodeError` or `Constant`."""
    try:
        node, end = _quick_value(text, next_ink(text, 0))
        if next_ink(text, end) == len(text):
            return node  # type: ignore[no-any-return]
    except StopIteration:
        pass  # there is no value; decode() says so
    except json.JSONDecodeError:
        raise
    except ValueError:  # a number longer than int() takes
        return _patient.decode(text)  # type: ignore[no-any-return]
    return _quick.decode(text)  # type: ignore[no-any-return]


def plain(node: Node) -> Json:
    """The value as `JSON.parse` gives it: of a key that stands twice, the last."""
    if isinstance(node, Pairs):
        return {key: plain(value) for key, value in node}
    if isinstance(node, list):
        return [plain(member) for member in node]
    if isinstance(node, Digits):
        sign = -1 if node.startswith("-") else 1
        digits = node.removeprefix("-")
        return sign * (math.inf if len(digits) > _MOST_DIGITS else _integer(digits))
    return node


def _integer(digits: str) -> int:
    if len(digits) <= _PIECE:
        return int(digits)
    half = len(digits) // 2
    power: int = 10**half
    return _integer(digits[:-half]) * power + _integer(digits[-half:])


def whole_digits(number: int) -> str:
    """The decimal digits of an integer of any size."""
    if number < 0:
        return "-" + whole_digits(-number)
    size = number.bit_length() * 3 // 10  # a little under the count of digits
    if size < _PIECE:
        return str(number)
    half = size // 2
    high, low = divmod(number, 10**half)
    return whole_digits(high) + whole_digits(low).zfill(half)


def list_index(token: str, length: int) -> int | None:
    """The index that a reference token names in an array of `length` (RFC 6901, section 4)."""
    if not (token.isascii() and token.isdigit() and len(token) < len("1000000000")):
        return None
    index = int(token)
    return index if index < length and str(index) == token else None


def next_ink(text: str, start: int) -> int:
    """Where the first character that is no white space stands, or the end of the text."""
    found = _INK.search(text, start)
    return found.start() if found else len(text)


def too_deep(data: bytes, text: str, most: int) -> int | None:
    """Where `text`, which is `data` decoded, is nested deeper than `most`; None if nowhere.

    It counts by brackets outside strings, so it is exact up to the first error of the text, and the
    recursive readers behind it never get further than that.
    """
    if data.count(b"[") + data.count(b"{") <= most:
        return None
    unquoted = data.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2]
    steps = b"".join(unquoted).translate(_STEPS, _NO_BRACKET)
    if max(map(operator.sub, itertools.accumulate(steps), itertools.count(1)), default=0) <= most:
        return None
    depth = 0
    for found in _BRACKET.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found.group(), 0)
        if depth > most:
            return found.start()
    return None


class Member(NamedTuple):  # a tuple, because an object can have a hundred thousand
    """One member of an object or array: `start` is its key's, or its value's where it has none."""

    start: int
    value: int
    end: int
    key: str = ""
    key_end: int = 0


@dataclass(frozen=True, slots=True)
class Container:
    """An object or array, from its opening bracket to behind its closing one."""

    start: int
    end: int
    members: Sequence[Member]


def scan(data: bytes, text: str, start: int) -> Container:
    """The container that begins at `start` of valid JSON.

    `text` is `data` as Latin-1, so that a place in the one is the place in the other: what has a
    meaning in JSON is ASCII, and no byte of a longer UTF-8 sequence is.
    """
    members: list[Member] = []
    keyed = text[start] == "{"
    at = next_ink(text, start + 1)
    while text[at] not in "]}":
        begin = value = at
        key = ""
        key_end = 0
        if keyed:
            key, key_end = scanstring(text, begin + 1)
            if not text[begin:key_end].isascii():
                key = json.loads(data[begin:key_end].decode("utf-8", "replace"))
            value = _pass_between(text, key_end).end()
        end = _pass_value(text, value)[1]
        members.append(Member(begin, value, end, key, key_end))
        at = _pass_between(text, end).end()
    return Container(start, at + 1, members)

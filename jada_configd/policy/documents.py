"""The TOML texts of one policy as one tree, and where each key of it stands.

A later text overrides an earlier one key by key: tables are merged, all else is replaced.
"""

import re
import tomllib
from collections.abc import Sequence
from typing import Any, Final

from jada_configd.errors import PolicyError
from jada_configd.policy.phrasing import Place, dotted
from jada_configd.policy.places import DEEPEST, Keys, Places

_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_LONG_INTEGER = re.compile(r"[0-9][0-9_]{4300}")  # sys.int_info.default_max_str_digits
_NAMING = re.compile(
    r"(Cannot (?:declare|mutate immutable namespace|redefine namespace)) .*?( twice)?$", re.DOTALL
)
_REPEATS: Final = ("Cannot overwrite a value", "Duplicate inline table key", "Cannot declare")
_BYTE_ORDER_MARK: Final = "\ufeff"


class Documents:
    """The merged tree. Raises `PolicyError` with the first fault of every text that is not TOML."""

    def __init__(self, texts: Sequence[tuple[str, str]]) -> None:
        """Parse (name, text) pairs, in the order in which they override."""
        self.tree: dict[str, Any] = {}
        self._names = [name for name, _ in texts]
        self._places: list[Places] = []
        messages = []
        for index, (_, raw) in enumerate(texts):
            text = raw.replace("\r\n", "\n")  # as tomllib does, so that offsets agree
            places = Places(text)
            self._places.append(places)
            try:
                _merge(self.tree, _parsed(text, places))
            except _NotTomlError as error:
                messages.append(f"{self._at(index, error.offset)}: {error.what}")
        if messages:
            raise PolicyError(messages)
        self._latest = {keys: (0, offset) for keys, offset in self._places[0].at.items()}
        self._earliest = self._latest
        if len(texts) > 1:
            self._earliest = dict(self._latest)
            for index, places in enumerate(self._places[1:], start=1):
                for keys, offset in places.at.items():
                    self._latest[keys] = (index, offset)
                    self._earliest.setdefault(keys, (index, offset))

    def place(self, keys: Keys) -> Place:
        """Where the keys were last given; of keys that are not there, where their table is."""
        while keys:
            among = self._earliest if isinstance(self.value(keys), dict) else self._latest
            if keys in among:
                index, offset = among[keys]
                return self._at(index, offset)
            keys = keys[:-1]
        return self._at(0, 0)

    def _at(self, index: int, offset: int) -> Place:
        line, column = self._places[index].line_column(offset)
        return Place(index, line, column, self._names[index])

    def origin(self, keys: Keys) -> str:
        """File and line, `policy.toml:7`."""
        place = self.place(keys)
        return f"{place.name}:{place.line}"

    def value(self, keys: Keys) -> object:
        """What the keys lead to, or None."""
        here: object = self.tree
        for key in keys:
            if isinstance(here, dict) and isinstance(key, str):
                here = here.get(key)
            elif isinstance(here, list) and isinstance(key, int) and key < len(here):
                here = here[key]
            else:
                return None
        return here


class _NotTomlError(Exception):
    def __init__(self, offset: int, what: str) -> None:
        super().__init__(what)
        self.offset = offset
        self.what = what


def _parsed(text: str, places: Places) -> dict[str, Any]:
    if text.startswith(_BYTE_ORDER_MARK):
        raise _NotTomlError(0, "not TOML: begins with a byte order mark; save it without one")
    if places.too_deep is not None:
        raise _NotTomlError(places.too_deep, f"not read: nested more than {DEEPEST} levels deep")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _located(str(error), text, places) from None
    except RecursionError:
        raise _NotTomlError(0, "not read: nested too deeply") from None
    except ValueError:  # int() of too many digits comes through as it is
        found = _LONG_INTEGER.search(text)
        offset = found.start() if found else 0
        raise _NotTomlError(offset, "not read: an integer must fit into 64 bits") from None


def _located(message: str, text: str, places: Places) -> _NotTomlError:
    at = _AT.search(message)
    offset = places.offset(int(at[1]), int(at[2])) if at and at[1] else len(text)
    if message.startswith(_REPEATS) and places.twice is not None and places.twice[1] <= offset:
        keys, offset = places.twice
        line, column = places.line_column(places.at[keys])
        return _NotTomlError(offset, f"{dotted(keys)}: stands twice (first at {line}:{column})")
    sentence = _NAMING.sub(r"\1 this key\2", _AT.sub("", message))  # keys may be very long
    return _NotTomlError(offset, f"not TOML: {sentence[:1].lower()}{sentence[1:]}")


def _merge(below: dict[str, Any], above: dict[str, Any]) -> None:
    for key, value in above.items():
        here = below.get(key)
        if isinstance(here, dict) and isinstance(value, dict):
            _merge(here, value)
        else:
            below[key] = value

"""How the place and the fault are put into one line: `policy.toml:14:1: settings.x.pth: ...`.

No value out of a policy is ever shown, because any may be a secret; what may be shown is asked of
`near`, which knows the key that it stands under.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from jada_configd.core.wording import REDACTED, escaped, public
from jada_configd.policy.places import Keys

LONGEST: Final = 120  # characters of a key that are shown
_BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place in the sources; `source` counts them, so that places sort as the text does."""

    source: int
    line: int
    column: int
    name: str

    def __str__(self) -> str:
        return f"{self.name}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong at some keys, as one sentence without a full stop."""

    keys: Keys
    what: str


def dotted(keys: Keys) -> str:
    """Keys as TOML writes them, `service."jada-agent.service".apply`; `[n]` for an element."""
    text = ""
    for key in keys:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            text += ("." if text else "") + (key if _BARE.fullmatch(key) else quoted(key))
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}...{text[-LONGEST // 2 :]}"


def quoted(text: str) -> str:
    """The text as a TOML basic string, made of printable characters alone."""
    return '"' + escaped(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def near(keys: Keys, value: str) -> str:
    """The value in quotes, for a suggestion; redacted where it stands under a secret's key."""
    field = tuple(str(key) for key in keys)
    return REDACTED if public(field, value) == REDACTED else quoted(value)


def suggestion(word: str, known: Iterable[str]) -> str:
    """`; did you mean "path"?`, or nothing where no known word is near."""
    import difflib  # only for a policy with an error in it

    by_lower = {each.lower(): each for each in known}
    lower = word[:LONGEST].lower().replace("-", "_") if word else ""
    for tried in (word.lower(), lower):
        if matches := difflib.get_close_matches(tried, by_lower, n=1, cutoff=0.6):
            return f"; did you mean {quoted(by_lower[matches[0]])}?"
    return ""


def sort_of(value: object) -> str:
    """What TOML calls a value of this type."""
    names = {
        bool: "a boolean",
        int: "an integer",
        float: "a float",
        str: "a string",
        list: "an array",
        dict: "a table",
    }
    return names.get(type(value), "a date or time")

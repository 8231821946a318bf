"""Whether two glob(7) patterns of paths have a path in common, and which.

What one component matches is asked of `fnmatch`, as when files are looked for
(host/filesystem/patterns.py); here two of them are walked side by side.
"""

import fnmatch
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

from jada_configd.core.resources import is_pattern

LOOKS_AT_MOST: Final = 1_000_000  # at two places of two components: about a second
LONGEST_NAME: Final = 255  # bytes (limits.h: NAME_MAX)

_ANY: Final = "*"
_TOKEN: Final = re.compile(r"\[!?+\]?+[^\]]*+\]|.", re.DOTALL)
_NO_NAME: Final = ("", ".", "..")
_TRIED_FIRST: Final = ("a", "0", "\x01")

Tree: TypeAlias = dict[str, "Tree"]
_State: TypeAlias = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class Meeting:
    """Two patterns that both match `path`; `only`: and no other path."""

    one: str = ""
    other: str = ""
    path: str = ""
    only: bool = True

    def below(self, name: str, other_name: str, common: str) -> "Meeting":
        """The same, a component further down."""
        many = is_pattern(name) and is_pattern(other_name)
        return Meeting(
            f"{self.one}/{name}",
            f"{self.other}/{other_name}",
            f"{self.path}/{common}",
            self.only and not many,
        )


def meetings(patterns: Iterable[str]) -> Iterator[Meeting]:
    """Every two of these different patterns that meet; they are absolute and normal.

    Ends early where there is too much to compare.
    """
    tree: Tree = {}
    for pattern in patterns:
        here = tree
        for name in pattern[1:].split("/"):
            here = here.setdefault(name, {})
        here[""] = {}  # no name is empty: the path ends here
    left = LOOKS_AT_MOST
    todo: list[tuple[Tree, Tree, Meeting]] = [(tree, tree, Meeting())]
    while todo:
        one, other, so_far = todo.pop()
        if so_far.one != so_far.other and "" in one and "" in other:
            yield so_far
        for name, other_name in _pairs(one, other, same=so_far.one == so_far.other):
            left -= len(name) * len(other_name)
            if left < 0:
                return
            common = common_name(name, other_name)
            if common is not None:
                below = so_far.below(name, other_name, common)
                todo.append((one[name], other[other_name], below))


def _pairs(one: Tree, other: Tree, *, same: bool) -> Iterator[tuple[str, str]]:
    """The names that may have something in common, each pair once where both trees are the same."""
    wild = [name for name in other if is_pattern(name)]
    for name in filter(None, one):
        if not is_pattern(name) and name in other:
            yield name, name
        for each in filter(None, other) if is_pattern(name) else wild:
            if not same or name <= each:
                yield name, each


@lru_cache(maxsize=4096)
def common_name(one: str, other: str) -> str | None:
    """A shortest name that both components match, None where there is none."""
    if not is_pattern(one):
        return one if one == other or (is_pattern(other) and matches(other, one)) else None
    if not is_pattern(other):
        return other if matches(one, other) else None
    if one.startswith(".") != other.startswith("."):
        return None
    name = _walk(_tokens(one), _tokens(other), hidden=one.startswith("."))
    return name if name is not None and len(name.encode(errors="replace")) <= LONGEST_NAME else None


def matches(component: str, name: str) -> bool:
    """Whether it matches; a leading period only where it has one itself (glob(7))."""
    hidden = name.startswith(".") and not component.startswith(".")
    return not hidden and _expression(component).match(name) is not None


def _walk(one: list[str], other: list[str], *, hidden: bool) -> str | None:
    """Both side by side, a state being how far each has come, the shortest name first."""
    start: _State = (0, 0, "")
    came: dict[_State, tuple[_State, str]] = {start: (start, "")}
    done: set[_State] = set()
    todo = deque([start])
    while todo:
        here = todo.popleft()
        if here in done:
            continue
        done.add(here)
        at, other_at, name = here  # the name itself matters only while it is none yet
        if at == len(one) and other_at == len(other) and name not in _NO_NAME:
            return _way_to(here, came)
        if one[at : at + 1] == [_ANY]:
            _note((at + 1, other_at, name), here, "", came, todo)
        if other[other_at : other_at + 1] == [_ANY]:
            _note((at, other_at + 1, name), here, "", came, todo)
        if at < len(one) and other_at < len(other):
            period = name != "." if name else hidden
            character = _common_character(one[at], other[other_at], period=period)
            if character is None and name == ".":
                character = _common_character(one[at], other[other_at], period=True)
            if character is not None:
                longer = name + character if name in _NO_NAME else name
                nexts = at + (one[at] != _ANY), other_at + (other[other_at] != _ANY)
                state = (*nexts, longer if longer in _NO_NAME else "more")
                _note(state, here, character, came, todo)
    return None


def _note(
    state: _State,
    before: _State,
    character: str,
    came: dict[_State, tuple[_State, str]],
    todo: deque[_State],
) -> None:
    if character and state in came:
        return
    if state not in came:
        came[state] = (before, character)
    if character:
        todo.append(state)
    else:  # nothing longer: it comes before all that is
        todo.appendleft(state)


def _way_to(state: _State, came: dict[_State, tuple[_State, str]]) -> str:
    characters = []
    while state != came[state][0]:
        state, character = came[state]
        characters.append(character)
    return "".join(reversed(characters))


def _tokens(component: str) -> list[str]:
    """`*`, `?`, sets and single characters; a bracket that nothing closes stands for itself."""
    found: list[str] = []
    for token in _TOKEN.findall(component):
        if token != _ANY or found[-1:] != [_ANY]:
            found.append(token)
    return found


@lru_cache(maxsize=4096)
def _common_character(one: str, other: str, *, period: bool) -> str | None:
    """A character that both tokens match, the period only where `period` says so.

    Sets are made of ranges. So what two have in common begins with a character that is named in
    one of them or stands behind such a one, or with the first of all; or, where that is one that
    stands in no name, with "0", which comes next.
    """
    named = {*one, *other}
    behind = {chr(min(ord(each) + 1, 0x10FFFF)) for each in named}
    tried: list[str] = [*_TRIED_FIRST, *sorted(named), *sorted(behind)]
    for each in tried:
        if each in "/\0" or (each == "." and not period):
            continue
        if all(token == _ANY or _expression(token).match(each) for token in (one, other)):
            return each
    return None


@lru_cache(maxsize=4096)
def _expression(component: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(component))

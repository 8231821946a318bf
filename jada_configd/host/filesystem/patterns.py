"""Finds the paths that match a pattern, by the same safe walk as one file, and within bounds."""

import errno
import fnmatch
import re
from collections import Counter
from collections.abc import Iterable
from typing import Final

from jada_configd.core.wording import escaped
from jada_configd.errors import HostError, TooMany
from jada_configd.host.filesystem.complaints import complaint
from jada_configd.host.filesystem.ground import TRUSTED
from jada_configd.host.filesystem.litter import list_entries
from jada_configd.host.filesystem.walk import Directory, Nowhere, Walk, components

MATCHES_AT_MOST: Final = 10_000
MATCHES_OF_ONE_USER: Final = 1_000
LOOKS_AT_MOST: Final = 1_000_000  # in directories of our own
LOOKS_AT_ONE_USER: Final = 20_000  # in the directories of each user: about 30 ms
_STEP: Final = 10  # to enter a directory costs as much as to read so many names

_WILDCARDS: Final = re.compile(r"[*?\[]")
_EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}


def matches(walk: Walk, pattern: str) -> tuple[str, ...]:
    """The absolute paths that exist and match, sorted.

    As glob(7): a wildcard matches no slash, and a leading period only where the pattern has one.
    What the safe walk refuses to enter has no matches. The bounds are each user's own, so that what
    one of them piles up hides no file of another. Raises `TooMany`, `HostError`.
    """
    search = _Search(walk, components(pattern))
    if search.names:
        search.below(walk.start(), 0, "")
    found = tuple(sorted(search.found))
    if search.cut:
        where = ", ".join(escaped(path) for path in sorted(search.cut)[:3])
        raise TooMany(f"{escaped(pattern)} matches too much: {search.bound}, in {where}", found)
    return found


class _Search:
    def __init__(self, walk: Walk, names: list[str]) -> None:
        self.names = names
        self.found: set[str] = set()
        self.cut: set[str] = set()
        self.bound = ""
        self._walk = walk
        self._tests = [_test(name) for name in names]
        self._looks: Counter[int] = Counter()
        self._matches: Counter[int] = Counter()

    def below(self, here: Directory, depth: int, path: str) -> None:
        last = depth == len(self.names) - 1
        if last and self._tests[depth] is not None:
            names = self._candidates(here, depth)
            all(self._take(here, f"{path}/{name}") for name in names)  # until it is too many
            return
        for name in self._candidates(here, depth):
            if not self._may_look(here, _STEP):
                return
            with self._walk.aside():
                try:
                    if not last:
                        self.below(self._walk.into(here, name), depth + 1, f"{path}/{name}")
                    elif self._walk.has(here, name):
                        self._take(here, f"{path}/{name}")
                except Nowhere:
                    continue
                except HostError as error:
                    cause = error.__cause__
                    if isinstance(cause, OSError) and cause.errno in _EXHAUSTED:
                        raise

    def _candidates(self, here: Directory, depth: int) -> Iterable[str]:
        test = self._tests[depth]
        if test is None:
            return (self.names[depth],)
        try:
            names = list_entries(here, self._left(here) + 1)
            return [name for name in names if self._may_look(here, 1) and test.match(name)]
        except OSError as error:
            raise complaint(error, here.path) from error

    def _take(self, here: Directory, path: str) -> bool:
        holder = here.ground.holder
        most = MATCHES_AT_MOST if holder == TRUSTED else MATCHES_OF_ONE_USER
        if len(self.found) >= MATCHES_AT_MOST or self._matches[holder] >= most:
            self._cut_at(here, f"more than {most} paths")
            return False
        self._matches[holder] += 1
        self.found.add(path)
        return True

    def _left(self, here: Directory) -> int:
        holder = here.ground.holder
        most = LOOKS_AT_MOST if holder == TRUSTED else LOOKS_AT_ONE_USER
        return max(0, most - self._looks[holder])

    def _may_look(self, here: Directory, price: int) -> bool:
        if self._left(here) < price:
            self._cut_at(here, "more entries than are looked through")
            return False
        self._looks[here.ground.holder] += price
        return True

    def _cut_at(self, here: Directory, bound: str) -> None:
        self.bound = bound
        if len(self.cut) < MATCHES_OF_ONE_USER:
            self.cut.add(here.path)


def _test(name: str) -> re.Pattern[str] | None:
    if not _WILDCARDS.search(name):
        return None
    visible = "" if name.startswith(".") else r"(?!\.)"
    return re.compile(visible + fnmatch.translate(name))

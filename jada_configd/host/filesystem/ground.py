"""Decides, hop by hop, whether the walk may go on: whose ground it is, and who chose the way.

Only facts come in and only a decision goes out; looking is `walk.py`'s. The rule behind it:
where somebody untrusted could have chosen what the path leads to, the program reads nothing that
they could not read, and puts nothing where they could not put it. Two exceptions, both harmless:

- A file of root's inside a user's directory, where the user can read it (made with sudo), and one
  in a directory of root's inside the user's: they can rename either away and put a copy there.
- A file of ours in a directory of ours that others can write to: a new one there is ours and 0600
  and has to be readable again; nothing of it is ever given to anybody.
"""

import os
import stat
from dataclasses import dataclass, replace
from typing import Final

from jada_configd.core.wording import escaped
from jada_configd.errors import Refused
from jada_configd.host.filesystem.trust import Trust

TRUSTED: Final = -1  # nobody untrusted had a hand in the way up to here
STICKY: Final = -2  # ours, and others can put new things there (/tmp): what they own they made
SHARED: Final = -3  # ours, and others can rename what is there: anybody may have chosen it

_SEARCH_BY_ALL: Final = stat.S_IXOTH
_READ_BY_ALL: Final = stat.S_IROTH
_IN_SHARED: Final = "is in a directory that others can write to"


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link that an untrusted user has in hand, and that is being followed."""

    path: str
    target: str
    uid: int

    def told(self, trust: Trust, holder: int) -> str:
        """`/home/eve/.claude -> /etc: the link is eve's`."""
        whose = f"the link is {trust.name(self.uid)}'s"
        if self.uid != holder:
            whose += f", in a directory of {trust.name(holder)}'s,"
        return f"{escaped(self.path)} -> {escaped(self.target)}: {whose}"


@dataclass(frozen=True, slots=True)
class Ground:
    """Whose ground the walk stands on.

    `holder` is TRUSTED, STICKY, SHARED, or the uid of the untrusted user whose directory or link
    the way led through: from then on, everything must be theirs. `abroad`: a link of theirs, or
    `..`, has led out of their directories; it has to come back to them before it ends.
    """

    trust: Trust
    holder: int = TRUSTED
    abroad: bool = False
    link: Link | None = None

    def into(self, path: str, facts: os.stat_result, *, up: bool = False) -> "Ground":
        """The ground in a directory right below (`up`: above) this one; raises `Refused`."""
        uid = facts.st_uid
        if self.holder >= 0:
            return self._into_held(path, facts, up=up)
        if uid not in self.trust.uids:
            return Ground(self.trust, uid)
        if self.holder == SHARED:
            if not facts.st_mode & _SEARCH_BY_ALL:
                raise Refused(f"{escaped(path)} {_IN_SHARED}, and is closed to them")
            return self
        if not self.trust.shares(facts):
            return self if self.holder == TRUSTED else Ground(self.trust)
        return Ground(self.trust, STICKY if facts.st_mode & stat.S_ISVTX else SHARED)

    def _into_held(self, path: str, facts: os.stat_result, *, up: bool) -> "Ground":
        if facts.st_uid == self.holder:
            return replace(self, abroad=False) if self.abroad else self
        if facts.st_uid not in self.trust.uids:
            raise Refused(self._foreign(path, facts.st_uid))
        # Root's own directory, on the user's way elsewhere or inside one of theirs: they can have
        # brought it here by renaming, so it must be one in which they could look themselves.
        if not facts.st_mode & _SEARCH_BY_ALL:
            raise Refused(self._closed(path, facts.st_uid))
        return replace(self, abroad=True) if up and not self.abroad else self

    def through(self, above: os.stat_result, link: Link) -> "Ground":
        """The ground on which a link in the directory `above` is followed; raises `Refused`.

        The ground's `link` is then this one where the end of it has to be its holder's (`landed`).
        """
        trust = self.trust
        if self.holder == SHARED:
            raise Refused(f"{escaped(link.path)} is a link and {_IN_SHARED}")
        if self.holder >= 0:
            if link.uid != self.holder and link.uid not in trust.uids:
                raise Refused(self._foreign(link.path, link.uid))
            if self.abroad and link.uid != self.holder:
                return self._on_the_way(above, link)
            return replace(self, link=link)
        if link.uid not in trust.uids:
            return Ground(trust, link.uid, abroad=True, link=link)
        if self.holder == STICKY:
            raise Refused(f"{escaped(link.path)} is a link and {_IN_SHARED}")
        return self

    def _on_the_way(self, above: os.stat_result, link: Link) -> "Ground":
        """A link of root's in a directory of root's (/var/run), met on the way of a user's link."""
        if self.trust.shares(above):
            raise Refused(f"{escaped(link.path)} is a link and {_IN_SHARED}")
        return self

    def at_root(self, facts: os.stat_result) -> "Ground":
        """The ground in the root directory, reached from here by an absolute link."""
        start = self if self.holder >= 0 else Ground(self.trust)
        return start.into("/", facts, up=True)

    def landed(self, link: Link, path: str, uid: int) -> "Ground":
        """The ground where the user's link ends; raises `Refused` where that is not the user's."""
        if uid != self.holder:
            following = replace(self, link=link)
            raise Refused(following._foreign(path, uid))  # noqa: SLF001 - of the same class
        return replace(self, link=None)

    def at_file(self, path: str, directory: os.stat_result, facts: os.stat_result) -> None:
        """Raises `Refused` where a regular file may not be read and replaced here."""
        uid, parent = facts.st_uid, path.rpartition("/")[0] or "/"
        if self.abroad:
            raise Refused(self._foreign(parent, directory.st_uid))
        if facts.st_nlink > 1 and not (uid == directory.st_uid and self._keeps(uid)):
            names = f"{escaped(path)} has {facts.st_nlink} names (hard links)"
            raise Refused(f"{names} and belongs to {self.trust.name(uid)}")
        if self.holder >= 0 and uid != self.holder:
            if uid not in self.trust.uids:
                raise Refused(self._foreign(path, uid))
            if not facts.st_mode & _READ_BY_ALL:
                raise Refused(self._closed(path, uid))
        if self.holder == SHARED and uid not in self.trust.uids and not _open(directory, facts):
            whose = f"belongs to {self.trust.name(uid)}"
            raise Refused(f"{escaped(path)} {whose}, {_IN_SHARED}, and is closed to them")

    def at_nothing(self, path: str, directory: os.stat_result) -> None:
        """Raises `Refused` where no file may be made here."""
        parent = path.rpartition("/")[0] or "/"
        if self.abroad:
            raise Refused(self._foreign(parent, directory.st_uid))
        if self.holder >= 0 and directory.st_uid != self.holder:
            whose = f"belongs to {self.trust.name(directory.st_uid)}"
            inside = f"inside a directory of {self.trust.name(self.holder)}'s"
            raise Refused(f"{escaped(parent)} {whose} {inside}: no file is made in it")

    def _keeps(self, uid: int) -> bool:
        """Whether only that owner, or somebody trusted, can have made a second name here."""
        return self.holder in {TRUSTED, uid}

    def _foreign(self, path: str, uid: int) -> str:
        whose = f"{escaped(path)} belongs to {self.trust.name(uid)}"
        if self.link is not None:
            return f"{self.link.told(self.trust, self.holder)} but {whose}"
        return f"{whose}, on the way through a directory of {self.trust.name(self.holder)}'s"

    def _closed(self, path: str, uid: int) -> str:
        return f"{self._foreign(path, uid)}, and is closed to {self.trust.name(self.holder)}"


def _open(directory: os.stat_result, facts: os.stat_result) -> bool:
    """Whether those who can write to the directory can read the file."""
    if facts.st_mode & _READ_BY_ALL:
        return True
    return bool(facts.st_mode & stat.S_IRGRP) and facts.st_gid == directory.st_gid

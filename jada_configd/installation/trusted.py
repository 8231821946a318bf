"""Whether what a service is to run could be changed by somebody else: hop by hop, file by file.

Root runs code from every directory of the interpreter's path; whoever can write to one of them, or
to a directory on the way there, is root from the next start on.
"""

import grp
import os
import pwd
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from jada_configd.core.wording import escaped
from jada_configd.errors import HostError, Refused
from jada_configd.host.filesystem.trust import Trust, trust

LINKS_AT_MOST: Final = 40  # as the kernel itself (path_resolution(7))


class Trusted:
    """Checks paths against the users whom this installation may trust: root and who runs it."""

    def __init__(self, trusted: Trust | None = None) -> None:
        """`trusted` is for tests; by default root and the effective user."""
        self._trust = trusted or trust()
        self._groups: dict[int, bool] = {}
        self._passed: set[Path] = set()

    def check(self, paths: Iterable[str]) -> None:
        """Raises `Refused` with the first hop on the way to a path that others can change."""
        for path in paths:
            self._walk(path)

    def check_below(self, directories: Iterable[str]) -> None:
        """The same for directories from which code is imported, and for all that is in them.

        Names that begin with a dot are passed over: nothing is imported from those.
        """
        for directory in directories:
            place = self._walk(directory)
            self._judge(place, place.lstat(), passing=False)
            for here, names, files in os.walk(place):
                names[:] = [name for name in names if not name.startswith(".")]
                for name in (*names, *files):
                    if not name.startswith("."):
                        self._look(Path(here, name))

    def _look(self, path: Path) -> None:
        facts = path.lstat()
        self._judge(path, facts, passing=False)
        if stat.S_ISLNK(facts.st_mode):
            self._walk(str(path), may_lack=True)

    def _walk(self, path: str, *, may_lack: bool = False) -> Path:
        """Judge every hop on the way; where it leads. Raises `Refused`, `HostError`.

        `may_lack`: a link may lead to nothing, as long as nobody else could put something there.
        """
        rest = list(reversed(Path(path).parts[1:]))
        here = Path("/")
        links = 0
        try:
            self._pass(here)
            while rest:
                name = rest.pop()
                if name == "..":
                    here = here.parent
                    continue
                place = here / name
                target = self._pass(place)
                if target is None:
                    here = place
                    continue
                links += 1
                if links > LINKS_AT_MOST:
                    raise Refused(f"{escaped(path)} leads through more than {LINKS_AT_MOST} links")
                rest.extend(reversed([part for part in target.parts if part != "/"]))
                here = Path("/") if target.is_absolute() else here
        except FileNotFoundError as error:
            if not may_lack:
                raise HostError(f"{escaped(path)} cannot be followed: {error.strerror}") from None
            self._judge(here, here.lstat(), passing=False)
        except OSError as error:
            raise HostError(f"{escaped(path)} cannot be followed: {error.strerror}") from None
        return here

    def _pass(self, place: Path) -> Path | None:
        """Judge one hop; where it leads if it is a link."""
        if place in self._passed:
            return None
        facts = place.lstat()
        self._judge(place, facts, passing=True)
        if stat.S_ISLNK(facts.st_mode):
            return place.readlink()
        self._passed.add(place)
        return None

    def _judge(self, path: Path, facts: os.stat_result, *, passing: bool) -> None:
        if facts.st_uid not in self._trust.uids:
            raise Refused(f"{escaped(str(path))} belongs to {self._trust.name(facts.st_uid)}")
        if stat.S_ISLNK(facts.st_mode):
            return
        # In a sticky directory nobody can rename or remove what is somebody else's, only add.
        if passing and stat.S_ISDIR(facts.st_mode) and facts.st_mode & stat.S_ISVTX:
            return
        if facts.st_mode & stat.S_IWOTH:
            raise Refused(f"{escaped(str(path))} can be written by everybody")
        if facts.st_mode & stat.S_IWGRP and not self._is_ours_alone(facts.st_gid):
            raise Refused(f"{escaped(str(path))} can be written by {_group_name(facts.st_gid)}")

    def _is_ours_alone(self, gid: int) -> bool:
        """Whether nobody but trusted users is in a group: root's, a private one, an empty one."""
        if gid not in self._groups:
            self._groups[gid] = gid == self._trust.private_group or self._members_trusted(gid)
        return self._groups[gid]

    def _members_trusted(self, gid: int) -> bool:
        try:
            members = [pwd.getpwnam(name).pw_uid for name in grp.getgrgid(gid).gr_mem]
        except KeyError:
            return False
        primary = [user.pw_uid for user in pwd.getpwall() if user.pw_gid == gid]
        return self._trust.uids.issuperset((*members, *primary))


def _group_name(gid: int) -> str:
    try:
        return f"the group {grp.getgrgid(gid).gr_name}"
    except KeyError:
        return f"gid {gid}"

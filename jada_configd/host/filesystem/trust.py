"""Who is trusted on this host: root, and the user as whom the program runs."""

import grp
import os
import pwd
import stat
from collections.abc import Callable
from dataclasses import dataclass, field

_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def user_name(uid: int) -> str:
    """The name of a user of this host, or `uid 1000` where there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def user_number(uid: int) -> str:
    """`uid 1000`: on a scratch root the numbers are not this host's users."""
    return "root" if uid == 0 else f"uid {uid}"


@dataclass(frozen=True, slots=True)
class Trust:
    """`uids` are trusted; so is `private_group`, the group of that one user alone, or -1."""

    uids: frozenset[int]
    private_group: int = -1
    name: Callable[[int], str] = field(default=user_name, compare=False)

    def shares(self, facts: os.stat_result) -> bool:
        """Whether others can put things into a directory of ours."""
        mode = facts.st_mode
        if not mode & _WRITABLE_BY_OTHERS:
            return False
        return bool(mode & stat.S_IWOTH) or facts.st_gid != self.private_group


def trust(*, scratch: bool = False) -> Trust:
    """Root and ourselves. `scratch`: the uids to be met are not those of this host."""
    uid = os.geteuid()
    return Trust(
        frozenset({0, uid}),
        _private_group(uid) if uid != 0 else -1,
        user_number if scratch else user_name,
    )


def _private_group(uid: int) -> int:
    """The user's own group where it is nobody else's, as Debian and Fedora make them; else -1.

    Umask 002 goes with such groups, and makes every directory of the user writable by the group.
    """
    try:
        user = pwd.getpwuid(uid)
        group = grp.getgrgid(user.pw_gid)
    except KeyError:
        return -1
    alone = group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}
    return group.gr_gid if alone else -1

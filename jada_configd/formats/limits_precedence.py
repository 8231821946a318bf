"""Which of several lines of limits.conf(5) counts for a login, by pam_limits' own rules.

/etc/security/limits.conf is read first, then limits.d/*.conf by name, byte by byte. A line about a
user beats one about a group, and that one the default `*`, wherever they stand; of two of one sort
the one that was read last counts. `priority` and `nonewprivs` know no such ranks: the last counts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from jada_configd.core.facts import Content
from jada_configd.core.seams import Reader
from jada_configd.formats.limits_conf import Line, ids

_LAST_COUNTS: Final = {"nonewprivs", "priority"}
_LOGINS: Final = {"maxlogins", "maxsyslogins"}  # one and the same number of a login
_PASSWD_FIELDS: Final = 4
_GROUP_FIELDS: Final = 4


def rank(domain: str) -> int:
    """0 counts most: user, group, logins of a group, all logins, default."""
    if domain == "*":
        return 4
    if domain.startswith("%"):
        return 3 if domain == "%" else 2
    return 1 if domain.startswith("@") else 0


@dataclass(frozen=True, slots=True)
class Accounts:
    """Users and groups by name, from the text of passwd(5) and group(5)."""

    users: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # uid and primary gid
    groups: Mapping[str, tuple[int, frozenset[str]]] = field(default_factory=dict)  # gid, members

    @classmethod
    def parse(cls, passwd: str, group: str) -> "Accounts":
        """What there is; lines that make no sense are passed over."""
        users: dict[str, tuple[int, int]] = {}
        groups: dict[str, tuple[int, frozenset[str]]] = {}
        for line in passwd.splitlines():
            words = line.split(":")
            if len(words) >= _PASSWD_FIELDS and words[2].isdecimal() and words[3].isdecimal():
                users.setdefault(words[0], (int(words[2]), int(words[3])))
        for line in group.splitlines():
            words = line.split(":")
            if len(words) >= _GROUP_FIELDS and words[2].isdecimal():
                members = frozenset(each for each in words[3].split(",") if each)
                groups.setdefault(words[0], (int(words[2]), members))
        return cls(users, groups)

    def knows(self, domain: str) -> bool:
        """Whether the user or group that a domain names is there; ranges name none."""
        if domain in ("*", "%") or ids(domain) is not None:
            return True
        return domain[1:] in self.groups if domain[0] in "@%" else domain in self.users

    def name_of(self, uid: int) -> str | None:
        """The user with that id."""
        return next((name for name, (each, _) in self.users.items() if each == uid), None)

    def applies(self, domain: str, user: str) -> bool:
        """Whether a line about this domain is one about that user."""
        if domain in (user, "*", "%"):
            return True
        uid, gid = self.users.get(user, (-1, -1))
        named = ids(domain)
        if domain[0] not in "@%":
            return named is not None and _within(uid, named)
        if named is None:
            return self._in_group(user, gid, domain[1:])
        if named[0] == named[1]:  # of exactly one group, those who merely belong to it count too
            return (
                any(
                    each == named[0] and self._in_group(user, gid, name)
                    for name, (each, _) in self.groups.items()
                )
                or gid == named[0]
            )
        return _within(gid, named)

    def _in_group(self, user: str, gid: int, name: str) -> bool:
        number, members = self.groups.get(name, (-2, frozenset()))
        return user in members or number == gid

    def covers(self, domain: str, ours: str) -> bool:
        """Whether a line about a domain is one about all whom ours is about."""
        if domain in (ours, "*"):
            return True
        named = ids(ours)
        if rank(ours) == 0 and named is None:
            return self.applies(domain, ours)
        return named is not None and rank(domain) == rank(ours) and _contains(ids(domain), named)

    def touches(self, domain: str, ours: str) -> bool:
        """Whether a line about a domain may be one about somebody whom ours is about."""
        if self.covers(domain, ours) or self.covers(ours, domain):
            return True
        named = ids(domain)
        if rank(domain) == 0 and named is None:
            return self.applies(ours, domain)
        if rank(ours) == 0:
            theirs, mine = named, ids(ours)
            is_range = rank(domain) == 0 and theirs is not None and mine is not None
            return is_range and _overlap(theirs, mine)
        return True


def accounts_of(reader: Reader) -> Accounts:
    """Those of this host's own files; a directory service may know more."""
    texts = []
    for path in ("/etc/passwd", "/etc/group"):
        fact = reader.read_file(path)
        texts.append(fact.data.decode(errors="replace") if isinstance(fact, Content) else "")
    return Accounts.parse(*texts)


def _within(number: int, ends: tuple[int, int | None]) -> bool:
    return ends[0] <= number and (ends[1] is None or number <= ends[1])


def _contains(outer: tuple[int, int | None] | None, inner: tuple[int, int | None]) -> bool:
    if outer is None or outer[0] > inner[0]:
        return False
    return outer[1] is None or (inner[1] is not None and inner[1] <= outer[1])


def _overlap(one: tuple[int, int | None] | None, other: tuple[int, int | None] | None) -> bool:
    if one is None or other is None:
        return False
    return (other[1] is None or one[0] <= other[1]) and (one[1] is None or other[0] <= one[1])


def same_limit(one: str, other: str) -> bool:
    """Whether two items set one and the same limit."""
    return one == other or {one, other} <= _LOGINS


def beats(line: Line, ours: str, *, later: bool) -> bool:
    """Whether a line counts in place of one about our domain, for whom both are about.

    `later`: it is read after ours. A line that takes all limits off counts wherever it stands.
    """
    if not line.item:
        return True
    if line.item in _LAST_COUNTS:
        return later
    theirs = rank(line.domain)
    return theirs < rank(ours) or (theirs == rank(ours) and later)


def given(lines: Iterable[Line], user: str, accounts: Accounts) -> dict[tuple[str, str], Line]:
    """The line that counts for each item and side of a user's login, from all lines as read."""
    counting: dict[tuple[str, str], Line] = {}
    for line in lines:
        if line.problem is not None or not accounts.applies(line.domain, user):
            continue
        if not line.item:
            return {}
        item = "maxlogins" if line.item in _LOGINS else line.item
        for side in line.sides:
            have = counting.get((item, side))
            if have is not None and not beats(line, have.domain, later=True):
                break  # of a "-" line whose soft side is beaten, the hard one does not count either
            counting[item, side] = line
    return counting

"""The protocols through which the program meets the world; the facts they return are `facts.py`'s.

A `Reader` cannot write. A `Writer` carries out one action each call and makes no choice of its own.
"""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

from jada_configd.core.course import Course
from jada_configd.core.facts import (
    Ceiling,
    FileFact,
    Inhibitor,
    LimitLine,
    LimitPair,
    Owed,
    ProcessFact,
    Stray,
    SysctlFact,
    UnitFact,
    Usage,
)


class Reader(Protocol):
    """Looks, and cannot change anything."""

    def read_file(self, path: str) -> FileFact:
        """The file at an absolute path, decided hop by hop by ownership."""

    def glob(self, pattern: str) -> tuple[str, ...]:
        """The absolute paths that match, sorted; a wildcard never crosses a slash."""

    def exists(self, path: str) -> bool:
        """Whether anything stands at an absolute path; not where the way cannot be followed."""

    def unit(self, name: str) -> UnitFact:
        """The unit; raises `ManagerGone` where nobody can tell."""

    def process(self, pid: int) -> ProcessFact | None:
        """The live process, or None where it has gone."""

    def strays(self, control_group: str, wanted: Mapping[str, LimitPair]) -> tuple[Stray, ...]:
        """The live processes of a control group, and below, that lack some of these limits.

        The oldest first; none where there is no such group, or nobody may look.
        """

    def in_use(self, pid: int, limit: str) -> int | None:
        """What of a limit a process uses, in its own unit; None where nobody can tell."""

    def ceiling(self, limit: str) -> Ceiling | None:
        """What bounds a limit (limits.conf name) on this host, or None."""

    def sysctl(self, key: str) -> SysctlFact:
        """A parameter of the running kernel."""

    def limit_lines(self, unit: str) -> tuple[LimitLine, ...]:
        """All that says what the limits of a unit are to be, in the order of systemd's reading.

        Of the files that the unit had at the last look; what stands in them now systemd may have
        yet to read. Raises `ManagerGone`.
        """

    def usage(self, unit: UnitFact, near: Mapping[str, float]) -> Usage | None:
        """What a unit's processes use of their limits, or None where there are none.

        `near` names limits to be told of too, and the share from which on not the highest alone.
        """

    def last_good(self, resource: str) -> bytes | None:
        """The last content of a settings file that was as declared, or None."""

    def inhibitors(self, unit: UnitFact) -> tuple[Inhibitor, ...]:
        """The locks against shutdown that processes of a unit hold; raises `ManagerGone`."""

    def owed(self, unit: str) -> Owed | None:
        """What the ledger says that the unit has not taken up yet."""

    def course(self, unit: str) -> Course:
        """How the unit does on what was changed."""

    def stood_before(self, resource: str) -> bytes | None:
        """What stood in the file of a resource before a change that is on trial, or None."""


# What a zone's wall clock is ahead of UTC at a moment (CLOCK_REALTIME), both in seconds.
Offset: TypeAlias = Callable[[int], int]


class Calendar(Protocol):
    """The wall clock of the host, and those of time zones."""

    def now(self) -> int:
        """The moment (CLOCK_REALTIME, whole seconds)."""

    def zone(self, name: str) -> Offset:
        """The clock of a zone by its IANA name; "" is the host's own. Raises `HostError`."""

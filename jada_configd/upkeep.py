"""What a daemon stands on, looked after at each beat: somebody may clean it up under the daemon.

That is its locks, its state directory, and the files in which it says how things stand; and the
view that it has of mounts, which may be outdated.
"""

from dataclasses import dataclass
from typing import Protocol

from jada_configd.core.wording import escaped


class Instance(Protocol):
    """What keeps a second daemon from starting."""

    def keep(self) -> None:
        """Lock anew what was removed."""

    def troubles(self) -> tuple[str, ...]:
        """Why not all is locked that was."""


class Memory(Protocol):
    """The state directory."""

    def renew(self) -> bool:
        """Whether it was lost, and is there again."""


class Shown(Protocol):
    """A file in which a daemon says how things stand."""

    def stands(self) -> bool:
        """Whether it is there."""


class View(Protocol):
    """The mounts as this process sees them."""

    def outdated(self) -> str | None:
        """A place that is read-only to this process alone, or None."""


@dataclass(frozen=True, slots=True)
class Upkeep:
    """All of them; `view` where somebody starts the daemon anew when it ends."""

    instance: Instance
    memory: Memory
    shown: tuple[Shown, ...]
    view: View | None = None

    def look(self) -> tuple[bool, bool]:
        """Whether all has to be looked at again, to be remembered; whether all has to be told."""
        self.instance.keep()
        lost = self.memory.renew()
        shown = all(each.stands() for each in self.shown)
        return lost, lost or bool(self.instance.troubles()) or not shown

    def outdated(self) -> str | None:
        """Why the daemon has to be started anew, or None."""
        point = None if self.view is None else self.view.outdated()
        if point is None:
            return None
        return f"{escaped(point)} can be written to again, which only a new process of ours sees"

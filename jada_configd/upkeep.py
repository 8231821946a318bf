"""What a daemon stands on, looked after at each beat: somebody may clean it up under the daemon.

That is its locks, its state directory, and the file in which it says how things stand.
"""

from dataclasses import dataclass
from typing import Protocol


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
    """The file in which a daemon says how things stand."""

    def stands(self) -> bool:
        """Whether it is there."""


@dataclass(frozen=True, slots=True)
class Upkeep:
    """The three of them."""

    instance: Instance
    memory: Memory
    shown: Shown

    def look(self) -> tuple[bool, bool]:
        """Whether all has to be looked at again, to be remembered; whether all has to be told."""
        self.instance.keep()
        lost = self.memory.renew()
        return lost, lost or bool(self.instance.troubles()) or not self.shown.stands()

"""What was found of services and outlives restarts and reboots: marks, and breakers.

Without it the next start would write values again that a service did not bear. What an operator
says of them (`jada-configd retry`) is a file beside, which is taken away once it has been read.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from jada_configd.core.breaker import Breakers
from jada_configd.core.marks import Marks
from jada_configd.memory import boot_id


class Keeps(Protocol):
    """Where they are kept (`memory.py`)."""

    def verdicts(self) -> Mapping[str, Any] | None:
        """As they were last saved."""

    def save_verdicts(self, plain: Mapping[str, Any]) -> None:
        """Make them last."""

    def verdicts_stamp(self) -> object:
        """What is another one whenever they have been saved, by whomever."""


class Verdicts:
    """Saved in one document, synced, whenever something in it is another."""

    def __init__(self, memory: Keeps, *, keeps: bool = True) -> None:
        """`keeps` False: for looking alone, by a policy that need not be the one in force."""
        self._revision = ""  # of the policy in force
        self._stamp = memory.verdicts_stamp()
        kept = memory.verdicts() or {}
        self._memory = memory
        self._keeps = keeps
        self.marks = Marks.of_plain(kept.get("marks"))
        self.breakers = Breakers.of(kept.get("breakers"), boot_id())
        self.changed = False

    def save(self) -> None:
        """Make all of it last, if it has changed."""
        if self._keeps and (self.changed or self.breakers.changed):
            self.catch_up(self._revision)
            self._memory.save_verdicts(
                {"marks": self.marks.plain(), "breakers": self.breakers.plain(boot_id())}
            )
            self.changed = self.breakers.changed = False
            self._stamp = self._memory.verdicts_stamp()

    def catch_up(self, revision: str) -> None:
        """Take note of what another process of ours (`apply` beside a daemon) has marked since.

        To be called with the lock of a pass held, before its looks: a mark is saved before any file
        goes back, so whoever has read it does not correct that file again.
        """
        self._revision = revision
        stamp = self._memory.verdicts_stamp()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        kept = self._memory.verdicts() or {}
        self.marks.add(Marks.of_plain(kept.get("marks")).all(), revision)

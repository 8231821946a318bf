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


class Verdicts:
    """Saved in one document, synced, whenever something in it is another."""

    def __init__(self, memory: Keeps, *, keeps: bool = True) -> None:
        """`keeps` False: for looking alone, by a policy that need not be the one in force."""
        kept = memory.verdicts() or {}
        self._memory = memory
        self._keeps = keeps
        self.marks = Marks.of_plain(kept.get("marks"))
        self.breakers = Breakers.of(kept.get("breakers"), boot_id())
        self.changed = False

    def save(self) -> None:
        """Make all of it last, if it has changed."""
        if self._keeps and (self.changed or self.breakers.changed):
            self._memory.save_verdicts(
                {"marks": self.marks.plain(), "breakers": self.breakers.plain(boot_id())}
            )
            self.changed = self.breakers.changed = False

"""When to look for an end that no signal may tell of: soon where none will, late where one should.

The routes that hear miss what happens while they are lost, and `systemctl` hears nothing.
"""

import time
from dataclasses import dataclass
from typing import Final

FIRST_NS: Final = 100_000_000
_LAST_NS: Final = 2_000_000_000


@dataclass(slots=True)
class Poll:
    """Due after a gap, then after one twice as long, up to two seconds or the first one."""

    gap_ns: int
    due_ns: int

    @classmethod
    def after(cls, gap_ns: int) -> "Poll":
        """Due for the first time after that long."""
        return cls(gap_ns, time.monotonic_ns() + gap_ns)

    def is_due(self) -> bool:
        """Whether to look now."""
        return self.due_ns <= time.monotonic_ns()

    def soon(self) -> None:
        """Something was missed: start anew, with short gaps."""
        self._look_in(FIRST_NS)

    def later(self) -> None:
        """Nothing yet: look again."""
        self._look_in(max(self.gap_ns, min(self.gap_ns * 2, _LAST_NS)))

    def _look_in(self, gap_ns: int) -> None:
        self.gap_ns = gap_ns
        self.due_ns = time.monotonic_ns() + gap_ns

"""Tells whether somebody has a file open for writing, and waits a little until nobody has.

A read lease is granted only where there is no writer (fcntl(2), F_SETLEASE); it is given back at
once. It takes the file's owner or CAP_LEASE: for anybody else nobody can be told of, or waited for.
"""

import fcntl
import os
import signal
import time
from typing import Final

PATIENCE: Final = 10  # ms for each look: a writer that is at work is through by then
HELD_AT_MOST: Final = 1.0  # s; who has it open for longer does not keep it from being replaced
_REMEMBERED: Final = 1000


class Writers:
    """Remembers since when files have been open to writers, to be patient, but not for ever."""

    def __init__(self) -> None:
        self._since: dict[tuple[int, int], float] = {}

    def are_gone(self, descriptor: int) -> bool:
        """Whether there is no writer, or only one that has had the file open for too long."""
        free = await_none(descriptor)
        if free and not self._since:
            return True
        facts = os.fstat(descriptor)
        identity = (facts.st_dev, facts.st_ino)
        if free:
            self._since.pop(identity, None)
            return True
        if len(self._since) >= _REMEMBERED:
            self._since.clear()
        now = time.monotonic()
        return now - self._since.setdefault(identity, now) > HELD_AT_MOST


def await_none(descriptor: int) -> bool:
    """Whether nobody has it open for writing, or stops within `PATIENCE`."""
    for _ in range(PATIENCE):
        if _is_none(descriptor):
            return True
        time.sleep(0.001)
    return False


def _is_none(descriptor: int) -> bool:
    try:
        # Should somebody open it for writing just then: a signal that nobody minds, not SIGIO.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True

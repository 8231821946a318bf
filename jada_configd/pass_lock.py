"""One pass at a time: who waits for the lock, how long, and what is told of that.

What takes the lock, and what else a pass has for itself, is `host/passes.py`'s.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, TypeVar

from jada_configd.errors import Busy, HostError

RETRY_NS: Final = 20_000_000  # another pass is under way: ask again, and keep the beat
BLOCKED_NS: Final = 2_000_000_000  # longer than a pass takes: who has the lock hangs, or is stopped
BLOCKED_RETRY_NS: Final = 250_000_000
TROUBLE_RETRY_NS: Final = 1_000_000_000
T = TypeVar("T")


class PassLock:
    """Of a daemon, which asks again later and beats meanwhile; or of a command, which does not."""

    def __init__(
        self, lock: Callable[[], AbstractContextManager[object]], *, asks_again: bool
    ) -> None:
        """Entering a `lock` raises `Busy` and `HostError`."""
        self._lock = lock
        self._asks_again = asks_again
        self._busy_since_ns: int | None = None
        self.not_before_ns = 0  # when to ask again
        self.trouble: str | None = None

    @property
    def is_held_up(self) -> bool:
        """Whether another pass keeps one that is due from beginning."""
        return self._busy_since_ns is not None

    def within(self, work: Callable[[], T], now_ns: int) -> T | None:
        """What came of it; None where it has to wait, or the machine refused.

        Raises `Busy` and `HostError` where nobody asks again.
        """
        try:
            with self._lock():
                done = work()
        except Busy as busy:
            if not self._asks_again:  # a single pass has waited for the lock long enough
                raise
            self._wait(busy, now_ns)
            return None
        except HostError as error:  # no lock to be had: the run-time directory is gone or full
            if not self._asks_again:
                raise
            self.trouble = str(error)
            self.not_before_ns = now_ns + TROUBLE_RETRY_NS
            return None
        self._busy_since_ns = None
        self.trouble = None
        return done

    def _wait(self, busy: Busy, now_ns: int) -> None:
        """Another pass is under way; one that does not end keeps us from our work, and is told."""
        self._busy_since_ns = self._busy_since_ns or now_ns
        blocked = now_ns >= self._busy_since_ns + BLOCKED_NS
        if blocked:
            self.trouble = f"nothing can be looked at: {busy}"
        self.not_before_ns = now_ns + (BLOCKED_RETRY_NS if blocked else RETRY_NS)

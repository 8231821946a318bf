"""Signals as something to wait for: a descriptor for the selector, and a set of what has come."""

import signal
import socket
from contextlib import suppress
from types import FrameType
from typing import Final, Self

CAUGHT: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Signals:
    """Catches SIGTERM, SIGINT and SIGHUP while it is entered (signal(7))."""

    def __init__(self) -> None:
        self._come: set[int] = set()
        self._read, self._write = socket.socketpair()
        for end in (self._read, self._write):
            end.setblocking(False)  # noqa: FBT003 - the standard library has it so

    def __enter__(self) -> Self:
        signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        for number in CAUGHT:
            signal.signal(number, self._catch)
        return self

    def __exit__(self, *_: object) -> None:
        for number in CAUGHT:
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        self._read.close()
        self._write.close()

    def fileno(self) -> int:
        """Readable when a signal has come."""
        return self._read.fileno()

    def told_to_stop(self) -> bool:
        """Whether SIGTERM or SIGINT has come."""
        return not self._come.isdisjoint({signal.SIGTERM, signal.SIGINT})

    def drain(self) -> None:
        """Read away what has woken the selector; what has come is still known."""
        with suppress(BlockingIOError):
            while self._read.recv(64):
                pass

    def take_reload(self) -> bool:
        """Whether SIGHUP has come since the last call."""
        self.drain()
        came = signal.SIGHUP in self._come
        self._come.discard(signal.SIGHUP)
        return came

    def _catch(self, number: int, _frame: FrameType | None) -> None:
        self._come.add(number)

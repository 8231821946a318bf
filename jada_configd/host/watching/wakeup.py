"""What wakes the loop on behalf of the watcher, behind one descriptor, and how often at most.

Events that concern nobody cost a wake-up each, and whoever moves directories about costs walks.
Once either comes by the hundred in a second, the queue is left alone for some milliseconds at a
time: the kernel keeps it, and nothing is lost.
"""

import ctypes
import os
import select
import time
from typing import Final

from jada_configd.errors import HostError
from jada_configd.host.watching.mount_table import MountTable

# A share of one core, counted in wake-ups for nothing: so many at once, so many more in a second.
# An editor that saves by backup, write and rename causes some five beside the one that matters.
_MOST: Final = 64.0
_PER_SECOND: Final = 250
_EARNED: Final = 4  # with each wake-up for something
_WORTH_NS: Final = 40_000  # what a wake-up for nothing takes
PAUSE_NS: Final = 4_000_000
PAUSE_MOST_NS: Final = 50_000_000
_LEAST: Final = -PAUSE_MOST_NS * _PER_SECOND / 1e9

_TFD_FLAGS: Final = os.O_NONBLOCK | os.O_CLOEXEC  # timerfd_create(2)


class Wakeup:
    """An epoll descriptor over the queue of events, the mount table and a timer."""

    def __init__(self, queue: int) -> None:
        """`queue` is the descriptor of the events."""
        self._queue = queue
        self._epoll = select.epoll()
        self._epoll.register(queue, select.EPOLLIN)
        self._timer = _Timer()
        self._epoll.register(self._timer.fileno(), select.EPOLLIN)
        self.mounts = MountTable(self._epoll)
        self._paused = False
        self._left = _MOST
        self._counted_ns = time.monotonic_ns()

    def fileno(self) -> int:
        """Readable when the watcher has something to look at."""
        return self._epoll.fileno()

    def looked(self, *, found: bool, useful: bool, walks_ns: int) -> None:
        """The queue has been read, and what followed from it walked since `walks_ns` (monotonic).

        `found` tells whether there was anything, `useful` whether it was what the loop waits for.
        """
        now_ns = time.monotonic_ns()
        earned = (now_ns - self._counted_ns) * _PER_SECOND / 1e9
        self._counted_ns = now_ns
        self._left = min(_MOST, self._left + earned + (_EARNED if useful else 0))
        if found and not useful:
            self._left = max(_LEAST, self._left - 1 - (now_ns - walks_ns) / _WORTH_NS)
        if self._paused:
            self._timer.clear()
        if found and self._left < 0:
            self._pause()
        elif self._paused:
            self._epoll.register(self._queue, select.EPOLLIN)
            self._paused = False

    def close(self) -> None:
        """Close every descriptor but the queue's."""
        self._epoll.close()
        self._timer.close()
        self.mounts.close()

    def _pause(self) -> None:
        if not self._paused:
            # Not modify() to no events: each would still have the kernel wake us, and find nothing.
            self._epoll.unregister(self._queue)
            self._paused = True
        self._timer.start(max(PAUSE_NS, int(-self._left * 1e9 / _PER_SECOND)))


class _TimerSpec(ctypes.Structure):
    """`struct itimerspec` (timerfd_settime(2)): the interval, then the first expiry."""

    _fields_ = tuple(
        (name, ctypes.c_long) for name in ("every_s", "every_ns", "first_s", "first_ns")
    )


class _Timer:
    """A descriptor that becomes readable after a while (Python 3.13 has it in `os`)."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = int(self._libc.timerfd_create(time.CLOCK_MONOTONIC, _TFD_FLAGS))
        if self._descriptor < 0:
            text = os.strerror(ctypes.get_errno())
            raise HostError(f"cannot make a timer for the watcher: {text}")

    def fileno(self) -> int:
        return self._descriptor

    def start(self, after_ns: int) -> None:
        spec = _TimerSpec(0, 0, *divmod(after_ns, 1_000_000_000))
        self._libc.timerfd_settime(self._descriptor, 0, ctypes.byref(spec), None)

    def clear(self) -> None:
        try:
            os.read(self._descriptor, 8)
        except BlockingIOError:  # asked before the time
            self.start(0)

    def close(self) -> None:
        os.close(self._descriptor)

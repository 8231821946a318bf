"""What the service manager is told (sd_notify(3)), by `sdnotify` with its rough edges filed off.

That package encodes in Latin-1, so that a status with another character would lose the whole
message, READY=1 included; its socket blocks when systemd is slow to read; it tells of no failure.
"""

import os
import select
import time
import warnings
from typing import Final

from sdnotify import SystemdNotifier

from jada_configd.core.wording import escaped

LONGEST_STATUS: Final = 400  # characters; `systemctl status` shows one line
_PATIENCE_MS: Final = 500  # for what a start, a reload or a stop hangs on; a beat waits for nothing
# What prose is made of, and ASCII has no sign for. What is in a name is escaped instead.
_PLAIN: Final = str.maketrans(
    {"→": "->", "…": "...", "–": "-", "—": "-", "‘": "'", "’": "'", "“": '"', "”": '"'}  # noqa: RUF001
)


class Notifier:
    """Speaks to the manager that started us, or to nobody.

    `failed` says why the last message did not arrive. READY=1 and its like are kept then, and go
    before the next message; what a later one replaces is not.
    """

    def __init__(self) -> None:
        self.failed: str | None = None
        self._owed: list[str] = []
        self._notifier: SystemdNotifier | None = None
        if os.environ.get("NOTIFY_SOCKET"):
            self._connect()

    def ready(self) -> None:
        """READY=1: the first pass, or a reload, is done."""
        self._must_say("READY=1")

    def reloading(self) -> None:
        """RELOADING=1 with the moment at which it began, as systemd 253 wants it."""
        self._must_say(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """STOPPING=1."""
        self._must_say("STOPPING=1")

    def beat(self) -> None:
        """WATCHDOG=1."""
        self._say("WATCHDOG=1")

    def status(self, line: str) -> None:
        """STATUS=: one line for an operator, in ASCII."""
        plain = escaped(line.translate(_PLAIN)).encode("ascii", "backslashreplace").decode("ascii")
        if len(plain) > LONGEST_STATUS:
            plain = plain[: LONGEST_STATUS - 3] + "..."
        self._say(f"STATUS={plain}")

    def watchdog_seconds(self) -> float | None:
        """How often a beat is expected (sd_watchdog_enabled(3)), None where none is."""
        if os.environ.get("WATCHDOG_PID") not in (None, "", str(os.getpid())):
            return None
        microseconds = os.environ.get("WATCHDOG_USEC", "")
        if not (microseconds.isascii() and microseconds.isdigit()):
            return None
        return int(microseconds) / 1e6 or None

    def close(self) -> None:
        """Say nothing more."""
        if self._notifier is not None and self._notifier.socket is not None:
            self._notifier.socket.close()
        self._notifier = None

    def _connect(self) -> None:
        self.close()
        with warnings.catch_warnings():
            # Where nobody listens, sdnotify forgets its socket without closing it.
            warnings.simplefilter("ignore", ResourceWarning)
            self._notifier = SystemdNotifier()
        if self._notifier.socket is None:
            self.failed = f"nobody listens at {escaped(os.environ['NOTIFY_SOCKET'])}"
        else:
            self._notifier.socket.setblocking(False)  # noqa: FBT003 - the standard library's way

    def _must_say(self, message: str) -> None:
        self._owed.append(message)
        self._deliver(_PATIENCE_MS)

    def _say(self, message: str) -> None:
        if self._deliver(0):
            self._send(message)

    def _deliver(self, patience_ms: int) -> bool:
        """Say what is owed; whether nothing is owed any more."""
        while self._owed:
            if not self._send(self._owed[0]) and not (
                patience_ms and self._writable(patience_ms) and self._send(self._owed[0])
            ):
                return False
            self._owed.pop(0)
        return True

    def _send(self, message: str) -> bool:
        if self._notifier is None:
            return True  # nobody asked to be told
        try:
            if self._notifier.socket is None:
                self._connect()
            if self._notifier.socket is None:
                return False
            self._notifier.socket.sendall(message.encode("ascii"))
        except ConnectionError as error:  # another listens there now, or nobody any more
            self.failed = error.strerror
            self._notifier.socket.close()
            self._notifier.socket = None
            return False
        except OSError as error:
            self.failed = error.strerror
            return False
        self.failed = None
        return True

    def _writable(self, within_ms: int) -> bool:
        if self._notifier is None or self._notifier.socket is None:
            return True
        poll = select.poll()
        poll.register(self._notifier.socket, select.POLLOUT)
        return bool(poll.poll(within_ms))

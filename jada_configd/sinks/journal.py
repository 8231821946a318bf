"""Structured records for the journal by its native protocol (systemd's JOURNAL_NATIVE_PROTOCOL).

It never blocks and raises nothing: records that cannot be sent are counted, and the next says so.
"""

import errno
import os
import select
import socket
import struct
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from jada_configd.core.wording import escaped

SOCKET: Final = "/run/systemd/journal/socket"

# Stable for good: `journalctl MESSAGE_ID=…`, alerts and systemd/jada-configd.catalog hang on them.
MESSAGE_IDS: Final[Mapping[str, str]] = {
    "drift": "4a2d35889c794133a94a012a7c9f4960",
    "corrected": "576f84d1ac4448dea8f90bfd06379140",
    "failed": "f7b5cf4aacb34e6487a82af193de638e",
    "service-applied": "e832aaff90544d21913f925cdba2cb2b",
    "rolled-back": "38bee2e14d3b4da48706037d804cbb5c",
    "fallback": "f22f36187226414291a09c1c36f4cfb4",
    "policy-loaded": "f70b9c423dcd4eafa3cc59b0cbfc073b",
    "policy-rejected": "deb0d25bf41a4579ad461f5b106e83f9",
    "contested": "d10fa364af974d62b0bf7a0655d24fd1",
    "uncontested": "25b6b2ea69914e7b9ee81527d163b514",
    "held": "561080aa36c440bd8a31c8189e8ef18e",
    "eased": "4f1575d6593c4f018deb9c00797fe954",
}
_DAEMON: Final = "3"  # the facility, syslog(3)
_LENGTH: Final = struct.Struct("<Q")
_NO_JOURNAL: Final = (
    FileNotFoundError, ConnectionRefusedError, NotADirectoryError, PermissionError,
)  # fmt: skip
_LINE_BYTES: Final = 4096  # PIPE_BUF, pipe(7): what is writable at all takes so much at once


class Journal:
    """Sends records; where there is no journal, one line each on standard error."""

    def __init__(self, path: str = SOCKET) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.dropped = 0

    def send(
        self, event: str, message: str, priority: int, fields: Mapping[str, str | Sequence[str]]
    ) -> None:
        """Send one record; a field with several values is repeated."""
        text = "\n".join(map(escaped, message.split("\n")))
        own = {
            "MESSAGE": text,
            "PRIORITY": str(priority),
            "SYSLOG_IDENTIFIER": "jada-configd",
            "SYSLOG_FACILITY": _DAEMON,
            "JADA_EVENT": event,
        }
        if event in MESSAGE_IDS:
            own["MESSAGE_ID"] = MESSAGE_IDS[event]
        if self.dropped:
            own["JADA_DROPPED"] = str(self.dropped)
        try:
            self._deliver(_record({**fields, **own}))
        except _NO_JOURNAL:
            self._say_aloud(text)
        except OSError:
            self.dropped += 1
        else:
            self.dropped = 0

    def close(self) -> None:
        """Send no more."""
        self._socket.close()

    def _deliver(self, record: bytes) -> None:
        try:
            self._socket.sendto(record, self._path)
        except OSError as error:
            if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                raise
            self._deliver_large(record)

    def _deliver_large(self, record: bytes) -> None:
        """Past a datagram's size the protocol takes a sealed memory file (memfd_create(2))."""
        import fcntl

        memory = os.memfd_create("jada-configd", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            with open(memory, "wb", buffering=0, closefd=False) as file:
                left = memoryview(record)
                while left:
                    left = left[file.write(left) :]
            seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
            fcntl.fcntl(memory, fcntl.F_ADD_SEALS, seals)
            # Not socket.send_fds: Python 3.11's forgets the address.
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("=i", memory))
            self._socket.sendmsg([b""], [rights], 0, self._path)
        finally:
            os.close(memory)

    def _say_aloud(self, text: str) -> None:
        """One line on standard error, unless whoever reads it is slow."""
        line = text.replace("\n", "; ").encode("utf-8", "backslashreplace")
        if len(line) >= _LINE_BYTES:
            line = line[: _LINE_BYTES - 4] + b"..."
        try:
            descriptor = sys.stderr.fileno()
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            writable = any(ready & select.POLLOUT for _, ready in poll.poll(0))
            if writable:
                os.write(descriptor, line + b"\n")
        except (OSError, ValueError, AttributeError):  # closed, or none at all
            writable = False
        if not writable:
            self.dropped += 1


def _record(fields: Mapping[str, str | Sequence[str]]) -> bytes:
    """All fields as the protocol has them."""
    parts: list[bytes] = []
    for name, value in fields.items():
        values: Iterable[str] = (value,) if isinstance(value, str) else value
        parts += (_field(name, each) for each in values)
    return b"".join(parts)


def _field(name: str, value: str) -> bytes:
    """`NAME=value`, or the binary form where the value has a line end in it."""
    data = value.encode("utf-8", "backslashreplace")
    if b"\n" not in data:
        return name.encode() + b"=" + data + b"\n"
    return name.encode() + b"\n" + _LENGTH.pack(len(data)) + data + b"\n"

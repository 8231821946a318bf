"""A D-Bus connection as bytes: connect, authenticate, send, and cut what comes into messages.

jeepney marshals and authenticates; the waiting is done here, on a socket that never blocks and that
a selector can watch. What the messages are for is the business of `bus.py`.
"""

import select
import socket
import struct
import time
from collections.abc import Iterator
from typing import Final

from jeepney.auth import BEGIN, AuthenticationError, Authenticator
from jeepney.bus import get_connectable_addresses
from jeepney.low_level import Header, HeaderFields, Message, calc_msg_size

from jada_configd.host.manager.routes import Gone, Silent

_HEADER_BYTES: Final = 16  # what tells a message's size (D-Bus specification, message format)
_BYTE_ORDERS: Final = (b"l", b"B")  # how a message begins
_READ_BYTES: Final = 1 << 16
_DRAIN_BYTES: Final = 1 << 20  # in one turn of the loop; the rest stays in the socket till the next
_LARGEST: Final = 1 << 24  # no answer of systemd comes near; a larger message is read away unparsed
_UCRED: Final = struct.Struct("=iII")  # pid, uid, gid
_UNUSABLE: Final = (OSError, AuthenticationError, ValueError, KeyError, StopIteration, RuntimeError)
_UNREADABLE: Final = (
    ValueError, LookupError, AssertionError, TypeError, struct.error, RecursionError,
)  # fmt: skip


class BusStream:
    """An authenticated connection.

    `accepts` are the senders (unique bus names) whose messages count, because on a message bus
    anybody may send us a signal; empty on a connection with one peer only.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(0)
        self._socket = sock
        self._buffer = bytearray()
        self._skip = 0
        self._poll = select.poll()
        self.accepts: frozenset[str] = frozenset()

    @classmethod
    def connect(cls, address: str, seconds: float) -> "BusStream":
        """Connect and authenticate as the effective user. Raises `Gone` and `Silent`."""
        deadline = time.monotonic() + seconds
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        stream = cls(sock)
        try:
            _connect(sock, next(iter(get_connectable_addresses(address))), deadline)
            stream._authenticate(deadline)
        except _UNUSABLE as error:
            sock.close()
            raise Gone(f"cannot connect to {address}: {_why(error)}") from error
        except (Silent, Gone):
            sock.close()
            raise
        return stream

    def fileno(self) -> int:
        """The socket: readable when something has come."""
        return self._socket.fileno()

    def peer_pid(self) -> int:
        """The process that listens at the other end, as it was when it began to (unix(7))."""
        credentials = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        pid: int = _UCRED.unpack(credentials)[0]
        return pid

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def send(self, data: bytes, deadline: float) -> None:
        """Send it whole. Raises `Gone`, and `Silent` where nothing was sent till then."""
        left = data
        while left:
            try:
                left = left[self._socket.send(left, socket.MSG_NOSIGNAL) :]
            except BlockingIOError as error:
                if self._writable_before(deadline):
                    continue
                if len(left) < len(data):  # the rest of a message is owed, and nothing else fits
                    raise Gone("the other side takes no bytes") from error
                raise Silent("the other side takes no bytes") from error
            except OSError as error:
                raise Gone(_why(error)) from error

    def wait(self, deadline: float) -> None:
        """Wait till something can be read. Raises `Silent`."""
        self._poll.register(self._socket, select.POLLIN)
        left = deadline - time.monotonic()
        if left <= 0 or not self._poll.poll(left * 1000):
            raise Silent("no answer within the time limit")

    def read(self) -> None:
        """Take what has come, up to a bound. Raises `Gone` where nothing more can."""
        taken = 0
        while taken < _DRAIN_BYTES:
            try:
                data = self._socket.recv(_READ_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                raise Gone(_why(error)) from error
            if not data:
                if taken:
                    return  # the end is met again, once what came before it has been taken
                raise Gone("the connection was closed by the other side")
            taken += len(data)
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            self._buffer += data[skipped:]

    def complete(self) -> bool:
        """Whether there is a whole message among what was read."""
        return len(self._buffer) >= _HEADER_BYTES and len(self._buffer) >= self._size()

    def messages(self) -> Iterator[Message]:
        """Every whole message that was read, from those who count, as far as it makes sense."""
        while len(self._buffer) >= _HEADER_BYTES:
            size = self._size()
            if size > _LARGEST:
                self._skip = max(0, size - len(self._buffer))
                del self._buffer[:size]
                continue
            if len(self._buffer) < size:
                return
            raw = bytes(self._buffer[:size])
            del self._buffer[:size]
            message = self._parse(raw)
            if message is not None:
                yield message

    def _size(self) -> int:
        try:
            return int(calc_msg_size(bytes(self._buffer[:_HEADER_BYTES])))
        except KeyError as error:  # neither little nor big endian: where a message begins is lost
            raise Gone("what came is not D-Bus") from error

    def _parse(self, raw: bytes) -> Message | None:
        """A message, or None: a stranger's body is not even looked at."""
        try:
            header, _ = Header.from_buffer(raw)
            sender = header.fields.get(HeaderFields.sender)
            if self.accepts and sender not in self.accepts:
                return None
            return Message.from_buffer(raw)
        except _UNREADABLE:
            return None

    def _authenticate(self, deadline: float) -> None:
        conversation = Authenticator()
        # BEGIN goes along with AUTH, as sd-bus has it. Sent later, it may come to systemd's private
        # socket in one piece with the first call, and sd-bus then leaves that call lying unread.
        self.send((conversation.data_to_send() or b"") + BEGIN, deadline)
        while not conversation.authenticated:
            self.wait(deadline)
            answer = self._socket.recv(_READ_BYTES)
            if not answer:
                raise Gone("the connection was closed before it was authenticated")
            line, end, rest = answer.partition(b"\r\n")
            # systemd's private socket tells of units from BEGIN on, in one piece with its answer.
            is_message = rest[:1] in _BYTE_ORDERS
            conversation.feed(line + end + (b"" if is_message else rest))
            self._buffer += rest if is_message else b""

    def _writable_before(self, deadline: float) -> bool:
        self._poll.register(self._socket, select.POLLOUT)
        left = deadline - time.monotonic()
        return left > 0 and bool(self._poll.poll(left * 1000))


def _connect(sock: socket.socket, address: str, deadline: float) -> None:
    while True:
        try:
            sock.connect(address)
        except BlockingIOError as error:  # unix(7): the backlog is full, and there is no waiting
            if time.monotonic() > deadline:
                raise Silent("the bus takes no connection") from error
            time.sleep(0.01)
        else:
            return


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or repr(error)

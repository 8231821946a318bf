"""One D-Bus connection: calls with a time limit, calls whose reply comes later, and signals.

jeepney marshals and authenticates; the waiting is done here, on a socket that never blocks and that
a selector can watch. What is called, and what a signal means, is the caller's business.
"""

import os
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, TypeAlias

from jeepney import DBusAddress, MessageType, new_method_call
from jeepney.auth import BEGIN, AuthenticationError, Authenticator
from jeepney.bus import get_connectable_addresses
from jeepney.low_level import Header, HeaderFields, Message, calc_msg_size

from jada_configd.host.routes import Declined, Gone, Silent

_HEADER_BYTES: Final = 16  # what tells a message's size (D-Bus specification, message format)
_UCRED: Final = struct.Struct("=iII")  # pid, uid, gid
_READ_BYTES: Final = 1 << 16
_DRAIN_BYTES: Final = 1 << 20  # in one turn of the loop; the rest stays in the socket till the next
_LARGEST: Final = 1 << 24  # no answer of systemd comes near; a larger message is read away unparsed
_UNUSABLE: Final = (OSError, AuthenticationError, ValueError, KeyError, StopIteration, RuntimeError)


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a call is for: a bus name, an object and one of its interfaces."""

    name: str
    path: str
    interface: str


MESSAGE_BUS: Final = Target("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")


@dataclass(frozen=True, slots=True)
class Signal:
    """Something that the other side broadcast."""

    path: str
    interface: str
    member: str
    body: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a call that nobody waited for. `error` is the refusal's sentence, or None."""

    serial: int
    body: tuple[Any, ...]
    error: str | None


Incoming: TypeAlias = Signal | Reply


def message_bus_address(*, user: bool) -> str:
    """The D-Bus address of the system's message bus, or of this user's (dbus-daemon(1)).

    Raises `Gone` where the environment names none.
    """
    if not user:
        return os.environ.get("DBUS_SYSTEM_BUS_ADDRESS") or "unix:path=/run/dbus/system_bus_socket"
    if address := os.environ.get("DBUS_SESSION_BUS_ADDRESS"):
        return address
    return f"unix:path={_runtime_directory()}/bus"


def private_address(*, user: bool) -> str:
    """The D-Bus address of the service manager's own socket, which needs no message bus.

    It is what systemctl(1) talks to for root and for `--user`. Raises `Gone`.
    """
    directory = _runtime_directory() if user else "/run"
    return f"unix:path={directory}/systemd/private"


def _runtime_directory() -> str:
    directory = os.environ.get("XDG_RUNTIME_DIR")
    if not directory:
        raise Gone("XDG_RUNTIME_DIR is not set")
    return directory


class Bus:
    """An authenticated connection. One thread uses it.

    `accepts` are the senders (unique bus names) whose messages count, because on a message bus
    anybody may send us a signal; empty on a connection with one peer only.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(0)
        self._socket = sock
        self._serials = count(1)
        self._buffer = bytearray()
        self._skip = 0
        self._inbox: deque[Incoming] = deque()
        self._asked: set[int] = set()
        self._poll = select.poll()
        self.accepts: frozenset[str] = frozenset()
        self.name = ""  # ours on a message bus; empty before `hello`

    @classmethod
    def connect(cls, address: str, seconds: float) -> "Bus":
        """Connect and authenticate as the effective user. Raises `Gone` and `Silent`."""
        deadline = time.monotonic() + seconds
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        bus = cls(sock)
        try:
            bus._connect(next(iter(get_connectable_addresses(address))), deadline)
            bus._authenticate(deadline)
        except _UNUSABLE as error:
            bus.close()
            raise Gone(f"cannot connect to {address}: {_why(error)}") from error
        except (Silent, Gone):
            bus.close()
            raise
        return bus

    def hello(self, seconds: float) -> None:
        """Join the message bus behind the connection; a private peer needs none."""
        (self.name,) = self.call(MESSAGE_BUS, "Hello", seconds=seconds)

    def fileno(self) -> int:
        """The socket: readable when something has come. See `pending` too."""
        return self._socket.fileno()

    def peer_pid(self) -> int:
        """The process that listens at the other end, as it was when it began to (unix(7))."""
        credentials = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        pid: int = _UCRED.unpack(credentials)[0]
        return pid

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    # ---- calls

    def call(
        self,
        target: Target,
        member: str,
        signature: str = "",
        body: tuple[Any, ...] = (),
        *,
        seconds: float,
    ) -> tuple[Any, ...]:
        """The answer to a call; what comes before it is kept for `incoming`.

        Raises `Declined`, `Gone`, and `Silent` after so many seconds.
        """
        deadline = time.monotonic() + seconds
        serial = self.begin(target, member, signature, body, seconds=seconds)
        self._asked.discard(serial)
        while True:
            for message in self._parsed():
                if _answers(message.header) == serial:
                    return _body_or_error(message)
                self._keep(message)
            self._wait(select.POLLIN, deadline)
            self._read()

    def begin(
        self,
        target: Target,
        member: str,
        signature: str = "",
        body: tuple[Any, ...] = (),
        *,
        seconds: float,
    ) -> int:
        """Send a call and do not wait: its `Reply` will be among `incoming`, under this serial.

        Raises `Gone`, and `Silent` where the other side takes no bytes for so many seconds.
        """
        address = DBusAddress(target.path, bus_name=target.name, interface=target.interface)
        message = new_method_call(address, member, signature or None, body)
        serial = next(self._serials)
        self._send(message.serialise(serial=serial), time.monotonic() + seconds)
        self._asked.add(serial)
        return serial

    # ---- what comes by itself

    def pending(self) -> bool:
        """Whether `incoming` has something that makes no descriptor readable."""
        return bool(self._inbox) or self._complete()

    def incoming(self) -> list[Incoming]:
        """What has come, without waiting. Raises `Gone` once all before the end was taken."""
        if not self.pending():
            self._read()
        for message in self._parsed():
            self._keep(message)
        taken = list(self._inbox)
        self._inbox.clear()
        return taken

    def _keep(self, message: Message) -> None:
        fields = message.header.fields
        if message.header.message_type is MessageType.signal:
            path, interface, member = (
                fields.get(key, "")
                for key in (HeaderFields.path, HeaderFields.interface, HeaderFields.member)
            )
            self._inbox.append(Signal(path, interface, member, message.body))
            return
        serial = _answers(message.header)
        if serial in self._asked:
            self._asked.discard(serial)
            try:
                self._inbox.append(Reply(serial, _body_or_error(message), None))
            except Declined as error:
                self._inbox.append(Reply(serial, (), str(error)))

    # ---- bytes

    def _connect(self, address: str, deadline: float) -> None:
        while True:
            try:
                self._socket.connect(address)
            except BlockingIOError as error:  # unix(7): the backlog is full, there is no waiting
                if time.monotonic() > deadline:
                    raise Silent("the bus takes no connection") from error
                time.sleep(0.01)
            else:
                break

    def _authenticate(self, deadline: float) -> None:
        conversation = Authenticator()
        # BEGIN goes along with AUTH, as sd-bus has it. Sent later, it may come to systemd's private
        # socket in one piece with the first call, and sd-bus then leaves that call lying unread.
        self._send((conversation.data_to_send() or b"") + BEGIN, deadline)
        while not conversation.authenticated:
            self._wait(select.POLLIN, deadline)
            answer = self._socket.recv(1024)
            if not answer:
                raise Gone("the connection was closed before it was authenticated")
            conversation.feed(answer)

    def _send(self, data: bytes, deadline: float) -> None:
        while data:
            try:
                sent = self._socket.send(data, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                self._wait(select.POLLOUT, deadline)
            except OSError as error:
                raise Gone(_why(error)) from error
            else:
                data = data[sent:]

    def _wait(self, what: int, deadline: float) -> None:
        self._poll.register(self._socket, what)
        left = deadline - time.monotonic()
        if left <= 0 or not self._poll.poll(left * 1000):
            raise Silent("no answer within the time limit")

    def _read(self) -> None:
        """Take what is in the socket, up to a bound."""
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

    def _complete(self) -> bool:
        return len(self._buffer) >= _HEADER_BYTES and len(self._buffer) >= self._size()

    def _size(self) -> int:
        try:
            return int(calc_msg_size(bytes(self._buffer[:_HEADER_BYTES])))
        except KeyError as error:  # neither little nor big endian: the stream is lost
            raise Gone("what came is not D-Bus") from error

    def _parsed(self) -> Iterator[Message]:
        """Every whole message from those who count, as far as it can be read."""
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

    def _parse(self, raw: bytes) -> Message | None:
        """A message, or None: a stranger's body is not even looked at."""
        try:
            header, _ = Header.from_buffer(raw)
            sender = header.fields.get(HeaderFields.sender)
            if self.accepts and sender not in self.accepts:
                return None
            return Message.from_buffer(raw)
        except (ValueError, LookupError, AssertionError, TypeError, struct.error, RecursionError):
            return None


def _answers(header: Header) -> int:
    return int(header.fields.get(HeaderFields.reply_serial, 0))


def _body_or_error(message: Message) -> tuple[Any, ...]:
    if message.header.message_type is not MessageType.error:
        body: tuple[Any, ...] = message.body
        return body
    name = str(message.header.fields.get(HeaderFields.error_name, ""))
    text = message.body[0] if message.body and isinstance(message.body[0], str) else name
    raise Declined(name, text)


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or repr(error)

"""One D-Bus connection: calls with a time limit, calls whose reply comes later, and signals.

What is called, and what a signal means, is the caller's business; the bytes are `bus_stream.py`'s.
"""

import os
import time
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, TypeAlias

from jeepney import DBusAddress, MessageType, new_method_call
from jeepney.low_level import Header, HeaderFields, Message

from jada_configd.host.manager.bus_stream import BusStream
from jada_configd.host.manager.routes import Declined, Gone


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a call is for: a bus name, an object and one of its interfaces."""

    name: str
    path: str
    interface: str


# What separates the parts of an address (D-Bus specification, server addresses).
_ESCAPED: Final = str.maketrans({character: f"%{ord(character):02x}" for character in "%,;"})

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
    return directory.translate(_ESCAPED)


class Bus:
    """A connection over which methods are called and signals come. One thread uses it."""

    def __init__(self, stream: BusStream) -> None:
        self._stream = stream
        self._serials = count(1)
        self._inbox: deque[Incoming] = deque()
        self._asked: set[int] = set()
        self.name = ""  # ours on a message bus; empty before `hello`

    @classmethod
    def connect(cls, address: str, seconds: float) -> "Bus":
        """Connect and authenticate as the effective user. Raises `Gone` and `Silent`."""
        return cls(BusStream.connect(address, seconds))

    def hello(self, seconds: float) -> None:
        """Join the message bus behind the connection; a private peer needs none."""
        (self.name,) = self.call(MESSAGE_BUS, "Hello", seconds=seconds)

    def hear_only(self, senders: Collection[str]) -> None:
        """Leave unread what others than these unique names send; on a bus anybody may."""
        self._stream.accepts = frozenset(senders)

    @contextmanager
    def hearing(self, sender: str) -> Iterator[None]:
        """Hear this unique name too, for a while."""
        before = self._stream.accepts
        self._stream.accepts = before | {sender} if before else before
        try:
            yield
        finally:
            self._stream.accepts = before

    def fileno(self) -> int:
        """The socket: readable when something has come. See `pending` too."""
        return self._stream.fileno()

    def peer_pid(self) -> int:
        """The process that listens at the other end."""
        return self._stream.peer_pid()

    def close(self) -> None:
        """End the connection."""
        self._stream.close()

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
            for message in self._stream.messages():
                if _answers(message.header) == serial:
                    return _body_or_error(message)
                self._keep(message)
            self._stream.wait(deadline)
            self._stream.read()

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
        self._stream.send(message.serialise(serial=serial), time.monotonic() + seconds)
        self._asked.add(serial)
        return serial

    # ---- what comes by itself

    def pending(self) -> bool:
        """Whether `incoming` has something that makes no descriptor readable."""
        return bool(self._inbox) or self._stream.complete()

    def incoming(self) -> list[Incoming]:
        """What has come, without waiting. Raises `Gone` once all before the end was taken."""
        if not self.pending():
            self._stream.read()
        for message in self._stream.messages():
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


def _answers(header: Header) -> int:
    return int(header.fields.get(HeaderFields.reply_serial, 0))


def _body_or_error(message: Message) -> tuple[Any, ...]:
    if message.header.message_type is not MessageType.error:
        body: tuple[Any, ...] = message.body
        return body
    name = str(message.header.fields.get(HeaderFields.error_name, ""))
    text = message.body[0] if message.body and isinstance(message.body[0], str) else name
    raise Declined(name, text)

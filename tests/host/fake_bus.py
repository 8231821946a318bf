"""A message bus with systemd on it, as far as a client can tell: one thread, one connection a time.

It speaks through jeepney like the client does, so what it proves is routing, waiting and loss; that
the words are systemd's own is proved on a real one (`tests/system/test_systemd_bus.py`).
"""

import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from jeepney import (
    DBusAddress,
    HeaderFields,
    Message,
    MessageType,
    Parser,
    new_error,
    new_method_return,
    new_signal,
)

SYSTEMD = ":1.1"
LOGIND = ":1.3"
CLIENT = ":1.7"
OWNERS = {"org.freedesktop.systemd1": SYSTEMD, "org.freedesktop.login1": LOGIND}
MANAGER = DBusAddress("/org/freedesktop/systemd1", interface="org.freedesktop.systemd1.Manager")
UNKNOWN = "org.freedesktop.DBus.Error.InvalidArgs"

Answer = Callable[[Message], Message | None]


class FakeBus:
    """Answers calls by `answers`, by the name of the method; None for silence."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.authenticates = b"OK 0123456789abcdef0123456789abcdef\r\n"
        self.units: dict[str, dict[str, tuple[str, Any]]] = {}
        self.answers: dict[str, Answer] = {
            "Hello": lambda call: new_method_return(call, "s", (CLIENT,)),
            "GetNameOwner": lambda call: new_method_return(call, "s", (OWNERS[call.body[0]],)),
            "GetConnectionUnixProcessID": lambda call: new_method_return(call, "u", (1,)),
            "AddMatch": new_method_return,
            "RemoveMatch": new_method_return,
            "Subscribe": new_method_return,
            "GetAll": self._properties,
        }
        self.connections = 0
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(str(path))
        self._listening.listen()
        self._client: socket.socket | None = None
        self._connected = threading.Event()
        self._serial = 0
        self._over = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"unix:path={self.path}"

    @property
    def connected(self) -> bool:
        return self._connected.is_set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Be gone, as a bus that has ended is."""
        self._over = True
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self.hang_up()
        self._thread.join(5)
        self._listening.close()
        self.path.unlink(missing_ok=True)

    def hang_up(self) -> None:
        """End the connection."""
        if self._client is not None:
            with contextlib.suppress(OSError):
                self._client.shutdown(socket.SHUT_RDWR)

    def signal(
        self, emitter: DBusAddress, member: str, signature: str, body: tuple[Any, ...]
    ) -> None:
        """Send a signal of systemd's."""
        self.send(new_signal(emitter, member, signature, body), SYSTEMD)

    def changed(self, unit_path: str) -> None:
        """Say that a unit's properties have changed."""
        properties = DBusAddress(unit_path, interface="org.freedesktop.DBus.Properties")
        body: tuple[Any, ...] = (
            "org.freedesktop.systemd1.Unit",
            {"ActiveState": ("s", "active")},
            [],
        )
        self.signal(properties, "PropertiesChanged", "sa{sv}as", body)

    def job_removed(self, job: str, unit: str, result: str) -> None:
        """Say that a job has ended."""
        self.signal(MANAGER, "JobRemoved", "uoss", (1, job, unit, result))

    def send(self, message: Message, sender: str) -> None:
        """Send a message in somebody's name."""
        self._serial += 1
        message.header.fields[HeaderFields.sender] = sender
        self.send_bytes(message.serialise(self._serial))

    def send_bytes(self, data: bytes) -> None:
        """Send anything."""
        assert self._connected.wait(5)
        assert self._client is not None
        self._client.sendall(data)

    def _properties(self, call: Message) -> Message:
        name = str(call.header.fields[HeaderFields.path]).rpartition("/")[2]
        if name not in self.units:
            return new_error(call, UNKNOWN, "s", (f"{name} is no unit",))
        return new_method_return(call, "a{sv}", (self.units[name],))

    def _serve(self) -> None:
        while not self._over:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            with client, contextlib.suppress(OSError):
                self._converse(client)
            self._connected.clear()

    def _converse(self, client: socket.socket) -> None:
        asked = b""
        while b"BEGIN\r\n" not in asked:
            asked += client.recv(4096)
        if not self.authenticates:
            client.recv(1)
            return
        client.sendall(self.authenticates)
        self._client = client
        self.connections += 1
        self._connected.set()
        parser = Parser()
        while data := client.recv(65536):
            parser.add_data(data)
            while (call := parser.get_next_message()) is not None:
                self._answer(call)

    def _answer(self, call: Message) -> None:
        assert call.header.message_type is MessageType.method_call
        member = str(call.header.fields[HeaderFields.member])
        self.calls.append((member, call.body))
        answer = self.answers.get(member, lambda _: None)(call)
        if answer is not None:
            asked = call.header.fields[HeaderFields.destination]
            self.send(answer, asked if asked in ("org.freedesktop.DBus", LOGIND) else SYSTEMD)

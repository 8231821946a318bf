"""The machines that reader and writer are held to their contracts on: the fake and the real one.

The real one works on a scratch root and on processes of the test's own.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from jada_configd.apply import Writer
from jada_configd.core.facts import Ceiling, ProcessFact
from jada_configd.core.ledger import Ledger
from jada_configd.core.model import ResourceId
from jada_configd.core.seams import Reader
from jada_configd.formats.sysctl_lines import normal
from jada_configd.host.filesystem.files import Files
from jada_configd.host.machine import MachineReader, MachineWriter
from jada_configd.host.storage.state import StateDirectory
from jada_configd.host.sysctls import Sysctls
from tests.fake_host import FakeHost, Unit

UID: Final = os.geteuid()
GID: Final = os.getegid()


class Machine(Protocol):
    """A machine, with what others can do to it behind the program's back."""

    reader: Reader
    writer: Writer
    ledger: Ledger

    def put(self, path: str, data: bytes, mode: int = 0o600) -> None:
        """Somebody writes a file, in place where there is one."""

    def move_over(self, path: str, data: bytes) -> None:
        """Somebody renames another file over this one."""

    def make_directory(self, path: str) -> None:
        """Somebody makes a directory, and those above it."""

    def unlink(self, path: str) -> None:
        """Somebody removes a file."""

    def exists(self, path: str) -> bool:
        """Whether there is anything."""

    def names(self, path: str) -> list[str]:
        """The names in a directory."""

    def remember(self, resource: str, data: bytes) -> None:
        """Content that was right is kept."""

    def put_sysctl(self, key: str, text: str) -> None:
        """Somebody sets a parameter, or a module brings it."""

    def evidence(self) -> list[bytes]:
        """What was kept of what was replaced."""

    def start_process(self) -> ProcessFact:
        """A process of our own."""

    def end_process(self, pid: int) -> None:
        """It ends, and nobody waits for it any more."""

    def group_of(self, pid: int) -> str:
        """The control group in which it is by itself."""

    def close(self) -> None:
        """Whatever was started ends."""


class Fake:
    """`tests/fake_host.py`."""

    def __init__(self) -> None:
        self.host = FakeHost()
        self.host.manager_is_gone = True
        self.host.ceilings["nofile"] = Ceiling(1048576, "fs.nr_open is 1048576")
        self.reader: Reader = self.host
        self.writer: Writer = self.host
        self.ledger = self.host.ledger
        self._processes = 0

    def put(self, path: str, data: bytes, mode: int = 0o600) -> None:
        self.host.advance(1_000_000)
        self.host.write(path, data, mode=mode, uid=UID)

    def move_over(self, path: str, data: bytes) -> None:
        self.host.move_over(path, data)

    def make_directory(self, path: str) -> None:
        self.host.make_directory(path, UID, GID)

    def unlink(self, path: str) -> None:
        self.host.unlink(path)

    def exists(self, path: str) -> bool:
        return path in self.host.files or path in self.host.directories

    def names(self, path: str) -> list[str]:
        entries = self.host.files.keys() | self.host.directories.keys()
        return sorted(
            each.rpartition("/")[2] for each in entries if each.rpartition("/")[0] == path
        )

    def remember(self, resource: str, data: bytes) -> None:
        kind, _, path = resource.partition(":")
        self.host.remember(ResourceId(kind, path), data)

    def put_sysctl(self, key: str, text: str) -> None:
        self.host.sysctls[key] = text

    def evidence(self) -> list[bytes]:
        return [content for _, content in self.host.evidence]

    def start_process(self) -> ProcessFact:
        self._processes += 1
        name = f"process-{self._processes}.service"
        self.host.add_unit(Unit(name, uid=UID))
        started = self.host.start(name)
        found = self.host.process(started.pid)
        assert found is not None
        return found

    def end_process(self, pid: int) -> None:
        for unit in self.host.units.values():
            if unit.process is not None and unit.process.pid == pid:
                self.host.stop(unit.name)

    def group_of(self, pid: int) -> str:
        (name,) = (
            each.name
            for each in self.host.units.values()
            if each.process is not None and each.process.pid == pid
        )
        return f"/system.slice/{name}"

    def close(self) -> None:
        """Nothing runs."""


class Real:
    """`jada_configd/host`, on a scratch root."""

    def __init__(self, directory: Path) -> None:
        self._root = directory / "root"
        self._root.mkdir()
        self._state_path = directory / "state"
        state = StateDirectory(str(self._state_path))
        self._state = state
        self._files = Files(str(self._root))
        self.ledger = Ledger()
        self._sysctls = directory / "sys"
        sysctls = Sysctls(str(self._sysctls))
        self._groups = directory / "groups"
        self.reader: Reader = MachineReader(
            self._files,
            None,
            lambda: state,
            sysctls,
            owed=self.ledger.owed,
            seen=self.ledger.pay_off,
            groups=str(self._groups),
        )
        self.writer: Writer = MachineWriter(
            self._files, None, lambda: state, lambda *_: None, sysctls
        )
        self._children: dict[int, subprocess.Popen[bytes]] = {}

    def _real(self, path: str) -> Path:
        return self._root / path.lstrip("/")

    def put(self, path: str, data: bytes, mode: int = 0o600) -> None:
        real = self._real(path)
        self.make_directory(path.rpartition("/")[0])
        is_new = not real.exists()
        real.write_bytes(data)
        if is_new:
            real.chmod(mode)

    def move_over(self, path: str, data: bytes) -> None:
        real = self._real(path)
        other = real.with_name("other")
        other.write_bytes(data)
        other.chmod(real.stat().st_mode & 0o7777)
        other.rename(real)

    def make_directory(self, path: str) -> None:
        self._real(path).mkdir(parents=True, exist_ok=True)

    def unlink(self, path: str) -> None:
        self._real(path).unlink()

    def exists(self, path: str) -> bool:
        return self._real(path).exists()

    def names(self, path: str) -> list[str]:
        return sorted(each.name for each in self._real(path).iterdir())

    def remember(self, resource: str, data: bytes) -> None:
        self._state.remember(resource, data)

    def put_sysctl(self, key: str, text: str) -> None:
        path = self._sysctls / normal(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def evidence(self) -> list[bytes]:
        return [each.read_bytes() for each in (self._state_path / "evidence").iterdir()]

    def start_process(self) -> ProcessFact:
        child = subprocess.Popen([sys.executable, "-Sc", "input()"], stdin=subprocess.PIPE)
        self._children[child.pid] = child
        found = self.reader.process(child.pid)
        assert found is not None
        return found

    def end_process(self, pid: int) -> None:
        child = self._children.pop(pid)
        child.send_signal(signal.SIGKILL)
        child.communicate()

    def group_of(self, pid: int) -> str:
        place = self._groups / f"system.slice/{pid}.service"
        place.mkdir(parents=True)
        (place / "cgroup.procs").write_text(f"{pid}\n")
        return f"/system.slice/{pid}.service"

    def close(self) -> None:
        for pid in list(self._children):
            self.end_process(pid)
        self._files.close()


MACHINES: Final[dict[str, Callable[[Path], Machine]]] = {"fake": lambda _: Fake(), "real": Real}

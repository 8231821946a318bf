"""The state directory: evidence, last good contents and small documents, all of them ours and 0600.

It is opened and checked for each use. What is kept there, and what it means, is the callers'
business; `lock` is here for those who look for it beside.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeAlias

from jada_configd.core.actions import digest
from jada_configd.core.wording import escaped
from jada_configd.errors import HostError
from jada_configd.host.filesystem.complaints import complaint
from jada_configd.host.filesystem.walk import Nowhere
from jada_configd.host.storage import private
from jada_configd.host.storage.locks import Lock, lock
from jada_configd.host.storage.shelf import Shelf

__all__ = ["Lock", "StateDirectory", "lock"]

EVIDENCE_BYTES_AT_MOST: Final = 64 * 1024 * 1024
EVIDENCE_FILES_AT_MOST: Final = 200
LAST_GOOD_BYTES_AT_MOST: Final = 64 * 1024 * 1024
LAST_GOOD_FILES_AT_MOST: Final = 10_000
APPENDED_BYTES_AT_MOST: Final = 64 * 1024
_MODE: Final = 0o700
_encode: Final = json.JSONEncoder(separators=(",", ":")).encode
_DIRECTORY: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class StateDirectory:
    """A directory of ours, closed to everybody else."""

    def __init__(self, path: str, *, create: bool = True) -> None:
        """Checks the directory; raises `Refused` where it cannot be trusted, `HostError`.

        `create`: make it if it does not exist. Where it is not made, nothing is known yet.
        """
        self.path = path
        self._create = create
        self._evidence = Shelf("evidence", EVIDENCE_BYTES_AT_MOST, EVIDENCE_FILES_AT_MOST)
        self._good = Shelf("last-good", LAST_GOOD_BYTES_AT_MOST, LAST_GOOD_FILES_AT_MOST)
        self._before = Shelf("before", LAST_GOOD_BYTES_AT_MOST, LAST_GOOD_FILES_AT_MOST)
        self._remembered: dict[str, bytes] = {}
        self._appended: set[str] = set()
        self._found_safe: _Identity | None = None
        with suppress(Nowhere), self._opened() as directory:
            if create:
                private.sweep(directory)

    def keep_evidence(self, resource: str, content: bytes) -> str:
        """Keep bytes that are about to be lost, synced; their name. Raises `HostError`.

        Bounded in size and number; the oldest of the resource that has most gives way, so that one
        user's noise drives nobody else's evidence out. The same bytes again are kept once.
        """
        ending = f"-{_short(resource)}-{digest(content)[:32]}"
        with self._writable() as directory:
            name = self._evidence.find(directory, ending)
            if name is None or self._evidence.get(directory, name) != content:
                name = f"{time.time_ns():020d}{ending}"
                self._evidence.put(directory, name, content, sync=True)
            return name

    def evidence(self, name: str) -> bytes | None:
        """Bytes that were kept, or None where they are no longer; raises `HostError`."""
        if "/" in name or name.startswith("."):
            return None
        with suppress(Nowhere), self._opened() as directory:
            return self._evidence.get(directory, name)
        return None

    def remember(self, resource: str, content: bytes) -> None:
        """Keep the content as the last good one of that resource; raises `HostError`.

        What this object wrote last is not looked at again. Nothing is synced: a content that a
        crash of the machine spoiled is known by its seal, and counts as none.
        """
        seal = hashlib.sha256(content).digest()
        if self._remembered.get(resource) == seal:
            return
        sealed = seal.hex().encode() + b"\n" + content
        with self._writable() as directory:
            if self._good.get(directory, _long(resource)) != sealed:
                self._good.put(directory, _long(resource), sealed)
        self._remembered[resource] = seal

    def last_good(self, resource: str) -> bytes | None:
        """The last good content, None where there is none or it is spoiled; raises `HostError`."""
        sealed = None
        with suppress(Nowhere), self._opened() as directory:
            sealed = self._good.get(directory, _long(resource))
        if sealed is None:
            return None
        seal, _, content = sealed.partition(b"\n")
        return content if digest(content).encode() == seal else None

    def keep_before(self, resource: str, content: bytes) -> None:
        """Keep what stood in the file of that resource before a change; raises `HostError`.

        Not synced: a crash of the machine ends every process that could be on trial.
        """
        with self._writable() as directory:
            self._before.put(directory, _long(resource), content)

    def before(self, resource: str) -> bytes | None:
        """What stood there, or None; raises `HostError`."""
        with suppress(Nowhere), self._opened() as directory:
            return self._before.get(directory, _long(resource))
        return None

    def remove(self, name: str) -> None:
        """Remove a small document, if it is there; raises `HostError`."""
        with self._writable() as directory, suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)

    def load(self, name: str) -> dict[str, Any] | None:
        """A small document, None where there is none or it is no object; raises `HostError`.

        Where several were appended, the last one that is whole.
        """
        text = None
        with suppress(Nowhere), self._opened() as directory:
            text = private.read(directory, name)
        for line in reversed((text or b"").split(b"\n")):
            with suppress(ValueError, RecursionError):
                plain = json.loads(line)
                return plain if isinstance(plain, dict) else None
        return None

    def save(self, name: str, plain: Mapping[str, Any], *, sync: bool = False) -> None:
        """Replace a small document in one step; raises `HostError`.

        `sync`: it is to survive a crash of the machine.
        """
        text = _line(plain)
        with self._writable() as directory:
            private.write(directory, name, text, sync=sync)

    def append(self, name: str, plain: Mapping[str, Any]) -> None:
        """The same, for what is saved before each correction: a new file takes ten times as long.

        The document stands behind those before it until they are many; nothing is synced. A process
        killed in between leaves a line that is not whole, which is why each begins with a new one.
        """
        text = _line(plain)
        with self._writable() as directory:
            if name not in self._appended or not private.append(
                directory, name, b"\n" + text, APPENDED_BYTES_AT_MOST
            ):
                private.write(directory, name, text, sync=False)
        self._appended.add(name)

    @contextmanager
    def _writable(self) -> Iterator[int]:
        try:
            with self._opened() as directory:
                yield directory
        except Nowhere:
            raise HostError(f"{escaped(self.path)} does not exist") from None

    @contextmanager
    def _opened(self) -> Iterator[int]:
        try:
            descriptor = self._open_again()
            if descriptor >= 0:
                try:
                    yield descriptor
                finally:
                    os.close(descriptor)
                return
            with private.opened(self.path, _MODE, create=self._create) as directory:
                self._found_safe = _identity(os.fstat(directory.descriptor))
                yield directory.descriptor
        except OSError as error:
            raise complaint(error, self.path) from error

    def _open_again(self) -> int:
        """The directory that was found safe by a walk, if the path leads to that very one; or -1.

        However it leads there: the directory is the same, and nobody else can change it.
        """
        if self._found_safe is None:
            return -1
        try:
            descriptor = os.open(self.path, _DIRECTORY)
        except OSError:
            return -1
        if _identity(os.fstat(descriptor)) == self._found_safe:
            return descriptor
        os.close(descriptor)
        return -1


_Identity: TypeAlias = tuple[int, ...]


def _identity(facts: os.stat_result) -> _Identity:
    return facts.st_dev, facts.st_ino, facts.st_uid, facts.st_gid, facts.st_mode


def _line(plain: Mapping[str, Any]) -> bytes:
    return _encode(plain).encode() + b"\n"


def _short(resource: str) -> str:
    return digest(resource.encode("utf-8", "surrogateescape"))[:16]


def _long(resource: str) -> str:
    return digest(resource.encode("utf-8", "surrogateescape"))

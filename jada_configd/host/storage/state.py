"""The state directory: evidence, last good contents and small documents, all of them ours and 0600.

It is opened and checked for each use. What is kept there, and what it means, is the callers'
business; `lock` is here for those who look for it beside.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

from jada_configd.core.actions import digest
from jada_configd.core.wording import escaped
from jada_configd.errors import HostError
from jada_configd.host.filesystem.complaints import complaint
from jada_configd.host.filesystem.walk import Directory, Nowhere
from jada_configd.host.storage import private
from jada_configd.host.storage.locks import Lock, lock
from jada_configd.host.storage.shelf import Shelf

__all__ = ["Lock", "StateDirectory", "lock"]

EVIDENCE_BYTES_AT_MOST: Final = 64 * 1024 * 1024
EVIDENCE_FILES_AT_MOST: Final = 200
LAST_GOOD_BYTES_AT_MOST: Final = 64 * 1024 * 1024
LAST_GOOD_FILES_AT_MOST: Final = 10_000
_MODE: Final = 0o700


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
        self._remembered: dict[str, bytes] = {}
        with suppress(Nowhere), self._opened() as directory:
            if create:
                private.sweep(directory.descriptor)

    def keep_evidence(self, resource: str, content: bytes) -> str:
        """Keep bytes that are about to be lost, synced; their name. Raises `HostError`.

        Bounded in size and number; the oldest of the resource that has most gives way, so that one
        user's noise drives nobody else's evidence out. The same bytes again are kept once.
        """
        ending = f"-{_short(resource)}-{digest(content)[:32]}"
        with self._writable() as directory:
            name = self._evidence.find(directory.descriptor, ending)
            if name is None or self._evidence.get(directory.descriptor, name) != content:
                name = f"{time.time_ns():020d}{ending}"
                self._evidence.put(directory.descriptor, name, content, sync=True)
            return name

    def evidence(self, name: str) -> bytes | None:
        """Bytes that were kept, or None where they are no longer; raises `HostError`."""
        if "/" in name or name.startswith("."):
            return None
        with suppress(Nowhere), self._opened() as directory:
            return self._evidence.get(directory.descriptor, name)
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
            if self._good.get(directory.descriptor, _long(resource)) != sealed:
                self._good.put(directory.descriptor, _long(resource), sealed)
        self._remembered[resource] = seal

    def last_good(self, resource: str) -> bytes | None:
        """The last good content, None where there is none or it is spoiled; raises `HostError`."""
        sealed = None
        with suppress(Nowhere), self._opened() as directory:
            sealed = self._good.get(directory.descriptor, _long(resource))
        if sealed is None:
            return None
        seal, _, content = sealed.partition(b"\n")
        return content if digest(content).encode() == seal else None

    def load(self, name: str) -> dict[str, Any] | None:
        """A small document, None where there is none or it is no object; raises `HostError`."""
        text = None
        with suppress(Nowhere), self._opened() as directory:
            text = private.read(directory.descriptor, name)
        try:
            plain = json.loads(text or b"")
        except (ValueError, RecursionError):
            return None
        return plain if isinstance(plain, dict) else None

    def save(self, name: str, plain: Mapping[str, Any], *, sync: bool = False) -> None:
        """Replace a small document in one step; raises `HostError`.

        `sync`: it is to survive a crash of the machine.
        """
        text = json.dumps(plain, separators=(",", ":")).encode() + b"\n"
        with self._writable() as directory:
            private.write(directory.descriptor, name, text, sync=sync)

    @contextmanager
    def _writable(self) -> Iterator[Directory]:
        try:
            with self._opened() as directory:
                yield directory
        except Nowhere:
            raise HostError(f"{escaped(self.path)} does not exist") from None

    @contextmanager
    def _opened(self) -> Iterator[Directory]:
        try:
            with private.opened(self.path, _MODE, create=self._create) as directory:
                yield directory
        except OSError as error:
            raise complaint(error, self.path) from error


def _short(resource: str) -> str:
    return digest(resource.encode("utf-8", "surrogateescape"))[:16]


def _long(resource: str) -> str:
    return digest(resource.encode("utf-8", "surrogateescape"))

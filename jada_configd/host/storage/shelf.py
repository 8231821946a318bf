"""A bounded number of files in a subdirectory of our own: who has most of it gives way first."""

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from jada_configd.host.storage import private

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class _Item:
    size: int
    written_ns: int


class Shelf:
    """Files named `OWNER` or `AGE-OWNER-CONTENT`, bounded in total size and in number.

    What the shelf holds is counted when something is first put on it, and by heart from then on:
    another process may add to it meanwhile, but does so within the same bounds.
    """

    def __init__(self, name: str, bytes_at_most: int, files_at_most: int) -> None:
        self._name = name
        self._bytes_at_most = bytes_at_most
        self._files_at_most = files_at_most
        self._items: dict[str, _Item] | None = None

    def get(self, parent: int, name: str) -> bytes | None:
        """The content, or None; raises OSError."""
        try:
            directory = os.open(self._name, _DIRECTORY, dir_fd=parent)
        except FileNotFoundError:
            return None
        try:
            return private.read(directory, name)
        finally:
            os.close(directory)

    def find(self, parent: int, ending: str) -> str | None:
        """The name of the file whose name ends so, or None; raises OSError."""
        if self._items is None:
            os.close(self._open(parent))
        names = self._items or {}
        return next((name for name in names if name.endswith(ending)), None)

    def put(self, parent: int, name: str, content: bytes, *, sync: bool = False) -> None:
        """Write a file, and remove others until the bounds are kept; raises OSError."""
        directory = self._open(parent)
        try:
            items = self._items if self._items is not None else {}
            private.write(directory, name, content, sync=sync)
            facts = os.stat(name, dir_fd=directory, follow_symlinks=False)
            items[name] = _Item(facts.st_size, facts.st_mtime_ns)
            while len(items) > 1 and self._is_over(items):
                surplus = self._surplus(items, name)
                with suppress(FileNotFoundError):
                    os.unlink(surplus, dir_fd=directory)
                del items[surplus]
        finally:
            os.close(directory)

    def _open(self, parent: int) -> int:
        with suppress(FileExistsError):
            os.mkdir(self._name, 0o700, dir_fd=parent)
        directory = os.open(self._name, _DIRECTORY, dir_fd=parent)
        if self._items is None:
            try:
                private.sweep(directory)
                self._items = _count(directory)
            except BaseException:
                os.close(directory)
                raise
        return directory

    def _is_over(self, items: dict[str, _Item]) -> bool:
        total = sum(item.size for item in items.values())
        return total > self._bytes_at_most or len(items) > self._files_at_most

    def _surplus(self, items: dict[str, _Item], newest: str) -> str:
        """The oldest file of the owner who has most, in the unit of the bound that is broken."""
        by_number = len(items) > self._files_at_most
        shares: dict[str, int] = {}
        for name, item in items.items():
            owner = _owner(name)
            shares[owner] = shares.get(owner, 0) + (1 if by_number else item.size)
        others = [name for name in items if name != newest]
        return max(others, key=lambda name: (shares[_owner(name)], -items[name].written_ns))


def _owner(name: str) -> str:
    return name.split("-")[1] if "-" in name else name


def _count(directory: int) -> dict[str, _Item]:
    found = {}
    with os.scandir(directory) as entries:
        for entry in entries:
            facts = entry.stat(follow_symlinks=False)
            found[entry.name] = _Item(facts.st_size, facts.st_mtime_ns)
    return found

"""How many of the kernel's watches a policy needs: the watcher's own count, with none taken."""

import os
from collections.abc import Collection

from jada_configd.host.watching.inotify import Inotify
from jada_configd.host.watching.watch import Watcher


class _Tally(Inotify):
    """Stands in for the kernel's queue: gives numbers as it would, and watches nothing."""

    def __init__(self) -> None:
        self._descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._numbers: dict[tuple[int, int], int] = {}

    def add(self, path: str, mask: int) -> int:
        """The same file or directory always has the same number. Raises `OSError`."""
        facts = os.lstat(path)
        return self._numbers.setdefault((facts.st_dev, facts.st_ino), len(self._numbers) + 1)

    def remove(self, watch: int) -> None:
        """Nothing was watched."""

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._descriptor)


def watches_needed(paths: Collection[str], root: str = "/") -> int:
    """How many watches these absolute paths and patterns take on this host as it is now."""
    watcher = Watcher(root, _Tally())
    try:
        watcher.watch(paths)
        return watcher.watches()
    finally:
        watcher.close()

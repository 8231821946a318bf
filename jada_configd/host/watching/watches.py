"""The kernel's watches that are in use, and which places depend on which of their entries."""

import errno
import os
from typing import Final

from jada_configd.host.watching.inotify import DIRECTORY, FILE, Inotify, limit
from jada_configd.host.watching.places import Place

# What is gone, or something else by now, has an event under way.
_PASSING: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


class Watch:
    """One watched directory or file, and the places that depend on its entries.

    The entry `b""` is the directory or the file itself. `nurseries` are places with a wildcard
    right below: any new entry may be one of theirs.
    """

    __slots__ = ("entries", "mask", "nurseries", "paths")

    def __init__(self, mask: int) -> None:
        self.paths: set[str] = set()  # several where it is mounted, or linked, in several places
        self.mask = mask
        self.entries: dict[bytes, set[Place]] = {}
        self.nurseries: set[Place] = set()

    def places(self) -> set[Place]:
        """Every place that depends on it."""
        return self.nurseries.union(*self.entries.values())


class Watches:
    """By the kernel's numbers. A watch on which no place depends is removed, sooner or later."""

    def __init__(self, inotify: Inotify) -> None:
        self._inotify = inotify
        self._used: dict[int, Watch] = {}
        self._idle: set[int] = set()
        self._failures: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._used)

    def get(self, number: int) -> Watch | None:
        """The watch, or None where it was removed and the event is an old one."""
        return self._used.get(number)

    def add(self, path: str, mask: int = DIRECTORY) -> int | None:
        """Watch; the number is the one it has if it is watched already. None where it cannot be."""
        try:
            number = self._inotify.add(path, mask)
        except OSError as error:
            # A closed file (mask FILE): its directory tells when it is opened up (chmod(1)).
            if error.errno not in _PASSING and (mask, error.errno) != (FILE, errno.EACCES):
                self._failures[path] = error.errno or errno.EIO
            return None
        self._failures.pop(path, None)
        watch = self._used.get(number)
        if watch is None:
            watch = self._used[number] = Watch(mask)
            self._idle.add(number)
        watch.paths.add(path)
        return number

    def note(self, place: Place, number: int, name: bytes = b"") -> None:
        """The place depends on this entry from now on."""
        self._used[number].entries.setdefault(name, set()).add(place)
        place.notes.append((number, name))

    def nurse(self, place: Place, number: int) -> None:
        """The place depends on new entries too, besides the directory itself."""
        self._used[number].nurseries.add(place)

    def release(self, place: Place) -> None:
        """The place depends on nothing any more."""
        for number, name in place.notes:
            watch = self._used.get(number)
            if watch is None:
                continue
            places = watch.entries.get(name, set())
            places.discard(place)
            if not places:
                watch.entries.pop(name, None)
            watch.nurseries.discard(place)
            self._idle.add(number)
        place.notes.clear()

    def forget(self, number: int) -> None:
        """The kernel has dropped it."""
        self._used.pop(number, None)

    def begin_anew(self) -> frozenset[int]:
        """Begin without any. The kernel's stay until `drop_idle`: there is no gap."""
        numbers = frozenset(self._used)
        self._used = {}
        self._failures = {}
        return numbers

    def drop_idle(self, others: frozenset[int] = frozenset()) -> None:
        """Remove what no place depends on, and of `others` what was not added again."""
        for number in others - self._used.keys():
            self._inotify.remove(number)
        for number in self._idle:
            watch = self._used.get(number)
            if watch is not None and not watch.entries and not watch.nurseries:
                del self._used[number]
                self._inotify.remove(number)
        self._idle.clear()

    def elsewhere(self) -> set[Place]:
        """The places whose path leads to another directory or file than the one watched."""
        found = set()
        for number, watch in list(self._used.items()):
            for path in list(watch.paths):
                if self.add(path, watch.mask) != number:
                    watch.paths.discard(path)
                    found |= watch.places()
        return found

    def problems(self) -> tuple[str, ...]:
        """What could not be watched, one sentence each."""
        found = []
        full = [path for path, code in self._failures.items() if code == errno.ENOSPC]
        if full:
            more = f" and {len(full) - 1} more" if len(full) > 1 else ""
            found.append(f"cannot watch {full[0]}{more}: {limit('max_user_watches')}")
        for path, code in self._failures.items():
            # A directory that may not be read can still be gone through, and its entries watched:
            # then it is only its own replacement that goes unseen.
            if code != errno.ENOSPC and not self._has_below(path):
                found.append(f"cannot watch {path}: {os.strerror(code)}")
        return tuple(found)

    def _has_below(self, path: str) -> bool:
        return any(
            below.startswith(f"{path}/") for watch in self._used.values() for below in watch.paths
        )

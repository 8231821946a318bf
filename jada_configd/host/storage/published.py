"""A file for others to read, in a directory that others may have made: the metrics' textfile.

It is written where nobody but us can write, since others trust what they find there, and only over
what we wrote. On the way there may be directories of others (Debian's /var/lib/prometheus is the
user prometheus's): they are walked as any way through a user's directories is, by `walk.py`.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from jada_configd.core.our_files import FILE_MODE, begins_as_ours
from jada_configd.core.wording import escaped
from jada_configd.errors import HostError, Refused
from jada_configd.host.filesystem.complaints import complaint
from jada_configd.host.filesystem.mounts import Mounts
from jada_configd.host.filesystem.trust import trust
from jada_configd.host.filesystem.walk import Directory, Nowhere, Walk, components
from jada_configd.host.storage import private

_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NO_FILE: Final = {errno.ELOOP, errno.ENXIO, errno.ENODEV}  # a link; a socket or a device
_BEGINNING: Final = 256  # bytes: as much as says whose it is


class Publisher:
    """Replaces and removes such files, of which paths are as seen inside the root."""

    def __init__(self, root: str = "/") -> None:
        self._root = root
        self._trust = trust(scratch=root != "/")
        self._swept: str | None = None

    def put(self, path: str, content: bytes) -> None:
        """Make this the content of the file, 0644, in one step; raises `HostError`.

        Nothing is synced: what it says means nothing after a crash of the machine.
        """
        name = components(path)[-1]
        with self._place(path) as directory:
            if self._swept != path:
                private.sweep(directory.descriptor, name)
                self._swept = path
            private.write(directory.descriptor, name, content, sync=False, mode=FILE_MODE)

    def trouble(self, path: str) -> str | None:
        """Why nothing would be put there, whatever permissions say; None where something would."""
        try:
            with self._place(path):
                return None
        except HostError as error:
            return str(error)

    def remove(self, path: str) -> None:
        """Remove the file, where it is one of ours; raises `HostError`.

        A directory in which we would write nothing has nothing of ours either.
        """
        name = components(path)[-1]
        try:
            with suppress(Nowhere, Refused), self._directory(path) as directory:
                if _is_ours_or_nothing(directory, name):
                    with suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=directory.descriptor)
        except OSError as error:
            raise complaint(error, path) from error

    def stands(self, path: str) -> bool:
        """Whether there is such a file."""
        return os.path.lexists(self._root.rstrip("/") + path)

    @contextmanager
    def _place(self, path: str) -> Iterator[Directory]:
        """The directory, where the file may be put into it; raises `HostError`."""
        try:
            with self._directory(path) as directory:
                if not _is_ours_or_nothing(directory, components(path)[-1]):
                    raise Refused(f"{escaped(path)} is not ours; it is left alone")
                yield directory
        except Nowhere as nowhere:
            missing = escaped(nowhere.at.below(nowhere.rest[0]))
            raise HostError(f"{missing} does not exist") from None
        except OSError as error:
            raise complaint(error, path) from error

    @contextmanager
    def _directory(self, path: str) -> Iterator[Directory]:
        mounts = Mounts()
        try:
            with Walk(self._root, self._trust, mounts) as walk:
                here = walk.start()
                names = components(path)[:-1]
                for index, name in enumerate(names):
                    try:
                        here = walk.into(here, name)
                    except Nowhere as nowhere:
                        nowhere.rest.extend(names[index + 1 :])
                        raise
                self._check(here)
                yield here
        finally:
            mounts.close()

    def _check(self, here: Directory) -> None:
        """Raises `Refused` where others could put a file into the directory."""
        where, facts = escaped(here.path), here.facts
        if facts.st_uid not in self._trust.uids:
            whose = self._trust.name
            raise Refused(f"{where} belongs to {whose(facts.st_uid)}, not to {whose(os.geteuid())}")
        if self._trust.shares(facts):
            raise Refused(f"others can write to {where}; chmod go-w makes it safe")


def _is_ours_or_nothing(directory: Directory, name: str) -> bool:
    """Whether there is no such file, or one that we wrote; an empty one is what a crash leaves."""
    try:
        descriptor = os.open(name, _READ, dir_fd=directory.descriptor)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno not in _NO_FILE:
            raise
        return False
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            return False
        return facts.st_size == 0 or begins_as_ours(os.read(descriptor, _BEGINNING))
    finally:
        os.close(descriptor)

"""The new content of a file, whole and on the disk, under a name of its own beside the old one."""

import os
import re
import stat
from collections.abc import Mapping
from typing import Final, Self

from jada_configd.core.wording import escaped
from jada_configd.errors import Stale
from jada_configd.host.filesystem import attributes
from jada_configd.host.filesystem.complaints import complaint
from jada_configd.host.filesystem.walk import Directory

LITTER: Final = re.compile(r"\..*\.jada-configd-[0-9a-f]{16}", re.DOTALL)
_NAME_MAX: Final = 255  # bytes (limits.h)
_CHARACTER_MAX: Final = 4  # bytes in UTF-8
_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def temporary_name(name: str) -> str:
    """A new name beside that one; what carries such a name is ours to remove."""
    suffix = f".jada-configd-{os.urandom(8).hex()}"
    room = _NAME_MAX - 1 - len(suffix)
    if len(name) * _CHARACTER_MAX > room:
        name = os.fsdecode(os.fsencode(name)[:room])
    return f".{name}{suffix}"


class Temporary:
    """A new file of our own in a directory, 0600 and ours until it is given away.

    It is removed at the end of the `with` unless it has been `placed`: then what stands under its
    name is somebody else's.
    """

    def __init__(self, directory: Directory, name: str) -> None:
        """Raises `Stale`, `HostError`."""
        self._directory = directory
        self.name = temporary_name(name)
        self.placed = False
        try:
            self.descriptor = os.open(self.name, _FLAGS, 0o600, dir_fd=directory.descriptor)
        except FileNotFoundError:  # no entry can be made in a directory that was removed
            raise Stale(f"{escaped(directory.path)} is gone by now") from None
        except OSError as error:
            raise complaint(error, directory.path) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)
        if not self.placed:
            self.unlink()

    def unlink(self) -> None:
        """Remove what stands under the name; raises `HostError`."""
        try:
            os.unlink(self.name, dir_fd=self._directory.descriptor)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise complaint(error, self._directory.below(self.name)) from error

    def fill(
        self,
        content: bytes,
        owner: tuple[int, int],
        mode: int,
        extra: Mapping[str, bytes] | None,
    ) -> None:
        """Write it all, and sync; `extra` None leaves what the directory gives. Raises `HostError`.

        The sync comes before the rename, since otherwise a crash of the machine can leave an empty
        file under the good name. The bits for set-uid, set-gid and sticky are never set.
        """
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(self.descriptor, rest) :]
            if extra is not None:
                attributes.give(self.descriptor, extra)
            _give_away(self.descriptor, *owner, mode & 0o777)
            os.fsync(self.descriptor)
        except OSError as error:
            raise complaint(error, self._directory.path) from error

    def reopen(self) -> tuple[int, ...]:
        """Have it open for reading alone from now on, and say what it is like; raises OSError."""
        flags = os.O_RDONLY | os.O_CLOEXEC
        descriptor = os.open(f"/proc/self/fd/{self.descriptor}", flags)
        os.close(self.descriptor)
        self.descriptor = descriptor
        return mark(os.fstat(descriptor))


def mark(facts: os.stat_result) -> tuple[int, ...]:
    """By what a file is known again under another name, and known not to have been written to."""
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def _give_away(descriptor: int, uid: int, gid: int, mode: int) -> None:
    """Give the file its owner and group (-1: as they are) and its mode.

    An ordinary user can give nothing away: the file stays the user's, and where the group cannot be
    kept either, the other group gets no more than everybody.
    """
    made = os.fstat(descriptor)
    mode = _given_away(descriptor, made, uid, gid, mode)
    if mode != stat.S_IMODE(made.st_mode):
        os.fchmod(descriptor, mode)


def _given_away(descriptor: int, made: os.stat_result, uid: int, gid: int, mode: int) -> int:
    """Give owner and group, and say with which mode the file is right then."""
    uid = -1 if uid == made.st_uid else uid
    gid = -1 if gid == made.st_gid else gid
    if uid == gid == -1:
        return mode
    try:
        os.fchown(descriptor, uid, gid)
    except PermissionError:
        if os.geteuid() == 0:
            raise
        if gid != -1:
            try:
                os.fchown(descriptor, -1, gid)
            except PermissionError:
                return mode & 0o707 | (mode & 0o007 & mode >> 3) << 3
    return mode

"""Exchanges what has a name for new content, and is sure of what came out.

The two names are exchanged in one step (renameat2(2), RENAME_EXCHANGE), so that what was really
replaced is in hand. If that is not what was looked at it goes back, and whatever was put in its
place meanwhile is newer still and wins.

What remains: for some microseconds readers may see the new content although it is taken back. A
writer that keeps the old file open for longer than `writers.HELD_AT_MOST` writes to a file without
a name, as with every editor that renames. So does one that opened the new content in the
microseconds before it was taken back, and writes later than `writers.PATIENCE`. A process killed
between the exchange and the comparison, while somebody else was renaming too, leaves their content
under the temporary name.
"""

import errno
import os
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

from jada_configd.core.wording import escaped
from jada_configd.errors import HostError, Stale
from jada_configd.host.filesystem import kernel, reading
from jada_configd.host.filesystem.attributes import attributes
from jada_configd.host.filesystem.complaints import complaint
from jada_configd.host.filesystem.temporary import Temporary, mark
from jada_configd.host.filesystem.walk import Directory, End
from jada_configd.host.filesystem.writers import Writers, await_none

UNSUPPORTED: Final = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}
_ROUNDS: Final = 16  # that somebody renames between two system calls of ours so often is no race
# s. Where a writer's open(2) had found the name before the exchange and is still under way in the
# kernel, no lease tells of it yet; who writes without a pause makes that happen twice a minute.
_GRACE: Final = 0.002


@dataclass(slots=True)
class Looked:
    """The file that is to be replaced, open, as it was looked at."""

    descriptor: int
    data: bytes
    facts: os.stat_result
    extra: dict[str, bytes]
    writers: Writers


def exchange(end: End, new: Temporary, content: bytes, looked: Looked) -> None:
    """Put `new`, which holds `content`, in place of what was looked at.

    Raises `Stale`, `HostError`.
    """
    try:
        kernel.rename(end.directory.descriptor, new.name, end.name, kernel.RENAME_EXCHANGE)
    except FileNotFoundError:
        raise Stale(f"{escaped(end.path)} is gone by now") from None
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise complaint(error, end.path) from error
        _rename_over(end, new, looked)
        return
    new.placed = True
    if came_out(end.directory, new.name, looked):
        new.unlink()
        return
    _put_back(end, new, content)
    raise raced(end)


def raced(end: End) -> Stale:
    """What to raise where somebody else got in between."""
    return Stale(f"{escaped(end.path)} was written by somebody else in the same moment")


def _rename_over(end: End, new: Temporary, looked: Looked) -> None:
    """Where no exchange can be had (NFS, 9p): compare, then rename; what comes between is lost."""
    if not came_out(end.directory, end.name, looked):
        raise raced(end)
    at = end.directory.descriptor
    try:
        os.rename(new.name, end.name, src_dir_fd=at, dst_dir_fd=at)
    except OSError as error:
        raise complaint(error, end.path) from error
    new.placed = True


def came_out(directory: Directory, name: str, looked: Looked) -> bool:
    """Whether what has that name now is what was looked at, and nobody is about to write to it.

    By its bytes, owner, mode and attributes: who put the same thing there again lost nothing.
    """
    descriptor = -1
    try:
        facts = os.stat(name, dir_fd=directory.descriptor, follow_symlinks=False)
        if (facts.st_dev, facts.st_ino) == (looked.facts.st_dev, looked.facts.st_ino):
            return _is_unchanged(looked.descriptor, looked)
        flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
        path = os.open(name, flags, dir_fd=directory.descriptor)
        try:
            end = End(directory, name, path, os.fstat(path))
            descriptor = reading.open_regular(end)
        finally:
            os.close(path)
        return _is_unchanged(descriptor, looked)
    except (OSError, HostError):
        return False
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _is_unchanged(descriptor: int, looked: Looked) -> bool:
    if not looked.writers.are_gone(descriptor):
        return False
    size = len(looked.data)
    if os.pread(descriptor, size + 1, 0) != looked.data:
        return False
    facts = os.fstat(descriptor)
    return (
        facts.st_size == size
        and (facts.st_uid, facts.st_gid, facts.st_mode)
        == (looked.facts.st_uid, looked.facts.st_gid, looked.facts.st_mode)
        and attributes(descriptor, "") == looked.extra
    )


def _put_back(end: End, new: Temporary, content: bytes) -> None:
    """Exchange until what comes out is what we put there ourselves; raises `HostError`.

    What comes out otherwise was put there since, so it is newer than what just went in, and goes
    back in its turn. Where that does not end, the newest goes back by a rename.
    """
    at = end.directory.descriptor
    try:
        placed = new.reopen()
        is_unwritten = partial(_stands_as, new.descriptor, content)
        for _ in range(_ROUNDS):
            held = _mark(at, new.name)
            if held is None or not _exchange_or_rename(at, new.name, end.name):
                return
            if _mark(at, new.name) == placed and is_unwritten():
                new.unlink()
                return
            placed, is_unwritten = held, partial(_is_marked, at, new.name, held)
        os.rename(new.name, end.name, src_dir_fd=at, dst_dir_fd=at)
    except OSError as error:
        raise complaint(error, end.path) from error


def _mark(directory: int, name: str) -> tuple[int, ...] | None:
    try:
        return mark(os.stat(name, dir_fd=directory, follow_symlinks=False))
    except FileNotFoundError:
        return None


def _stands_as(descriptor: int, content: bytes) -> bool:
    """Whether nobody wrote to our file, or has it open to, while it had its name."""
    time.sleep(_GRACE)
    await_none(descriptor)
    return os.pread(descriptor, len(content) + 1, 0) == content


def _is_marked(directory: int, name: str, expected: tuple[int, ...]) -> bool:
    """The same of a file that is not ours; what is no regular file cannot be written to."""
    if not stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
        return True
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        descriptor = os.open(name, flags, dir_fd=directory)
    except OSError:
        return False
    try:
        time.sleep(_GRACE)
        await_none(descriptor)
        return mark(os.fstat(descriptor)) == expected
    finally:
        os.close(descriptor)


def _exchange_or_rename(directory: int, source: str, name: str) -> bool:
    """Whether something came out; where the name was gone, what is held just gets it back."""
    for _ in range(_ROUNDS):
        with suppress(FileNotFoundError):
            kernel.rename(directory, source, name, kernel.RENAME_EXCHANGE)
            return True
        with suppress(FileExistsError):
            with suppress(FileNotFoundError):
                kernel.rename(directory, source, name, kernel.RENAME_NOREPLACE)
            return False
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), name)

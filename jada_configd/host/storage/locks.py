"""Locks between processes of this program: one daemon a host, one pass at a time.

A lock is a record lock (fcntl(2), F_SETLK): the kernel releases it when the process ends, however
it ends, and a child never has it, whether it was made by fork or by exec. It is also gone when the
process closes any other descriptor of the file, so none is ever opened twice here.
"""

import errno
import fcntl
import os
import struct
import time
from typing import Final, Self

from jada_configd.core.wording import escaped
from jada_configd.errors import Busy, HostError, Refused
from jada_configd.host.filesystem.complaints import complaint
from jada_configd.host.filesystem.trust import trust
from jada_configd.host.storage import private

_DIRECTORY_MODE: Final = 0o755
_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_AGAIN: Final = 0.02  # seconds between two attempts
_FLOCK: Final = struct.Struct("@hhqqi4x")  # struct flock (fcntl(2)): type, whence, start, len, pid
_held: dict[tuple[int, int], int] = {}  # and by which process: a fork inherits this, not the lock


class Lock:
    """A lock that is held until it is released or the process ends."""

    def __init__(self, descriptor: int, identity: tuple[int, int]) -> None:
        self._descriptor = descriptor
        self._identity = identity

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def is_at(self, path: str) -> bool:
        """Whether it is this that whoever locks the path would meet."""
        return _leads_to(path, self._identity)

    def release(self) -> None:
        """Let others have it; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            _held.pop(self._identity, None)


class Standing:
    """A lock that is taken again and again: its file stays open in between.

    To find the file anew by a safe walk takes as long as half a look at a settings file, and each
    pass begins with it.
    """

    def __init__(self, path: str, wait_seconds: float = 0.0) -> None:
        self._path = path
        self._wait_seconds = wait_seconds
        self._descriptor = -1
        self._identity = (0, 0)

    def taken(self) -> Self:
        """To hold it meanwhile, as a context; entering raises what `lock` raises."""
        return self

    def __enter__(self) -> Self:
        if not self._is_in_place():
            self._open()
        pid = os.getpid()
        if _held.get(self._identity) == pid:
            raise Busy(f"{escaped(self._path)} is held by this very process")
        _take(self._descriptor, self._path, self._wait_seconds)
        _held[self._identity] = pid
        return self

    def __exit__(self, *_: object) -> None:
        _held.pop(self._identity, None)
        fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def _is_in_place(self) -> bool:
        """Whether the path still leads to the file that was found safe: others lock that."""
        return _leads_to(self._path, self._identity)

    def _open(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._descriptor = _opened(self._path)
        facts = os.fstat(self._descriptor)
        self._identity = (facts.st_dev, facts.st_ino)


def _leads_to(path: str, identity: tuple[int, int]) -> bool:
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == identity


def lock(path: str, wait_seconds: float = 0.0, *, directory_mode: int = _DIRECTORY_MODE) -> Lock:
    """Take the lock; raises `Busy` where another has it for longer than that, `HostError`.

    The file is 0600, since whoever can open a file can lock it; its directory is made if need be.
    """
    descriptor = _opened(path, directory_mode)
    facts = os.fstat(descriptor)
    identity = (facts.st_dev, facts.st_ino)
    try:
        _take(descriptor, path, wait_seconds)
    except BaseException:
        os.close(descriptor)
        raise
    _held[identity] = os.getpid()
    return Lock(descriptor, identity)


def _opened(path: str, directory_mode: int = _DIRECTORY_MODE) -> int:
    parent, _, name = path.rpartition("/")
    with private.opened(parent, directory_mode, create=True) as directory:
        try:
            found = os.stat(name, dir_fd=directory.descriptor, follow_symlinks=False)
            if _held.get((found.st_dev, found.st_ino)) == os.getpid():
                raise Busy(f"{escaped(path)} is held by this very process")
        except FileNotFoundError:
            pass
        try:
            descriptor = os.open(name, _FLAGS, 0o600, dir_fd=directory.descriptor)
        except OSError as error:
            raise complaint(error, path) from error
    try:
        _check_owner(os.fstat(descriptor).st_uid, path)
        os.fchmod(descriptor, 0o600)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check_owner(uid: int, path: str) -> None:
    if uid != os.geteuid():
        raise Refused(f"{escaped(path)} belongs to {trust().name(uid)}")


def _take(descriptor: int, path: str, wait_seconds: float) -> None:
    until = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EAGAIN, errno.EACCES}:
                raise HostError(f"{escaped(path)} cannot be locked: {error.strerror}") from error
        else:
            return
        left = until - time.monotonic()
        if left <= 0:
            raise Busy(f"{escaped(path)} is held by {_holder(descriptor)}")
        time.sleep(min(_AGAIN, left))


def _holder(descriptor: int) -> str:
    """`process 412`; of another pid namespace the kernel tells no number."""
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    try:
        pid = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))[-1]
    except OSError:
        pid = 0
    return f"process {pid}" if pid > 0 else "another process"

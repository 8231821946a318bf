"""The files of a throwaway host, from outside, as the root of the machine.

A link inside, whatever it says, leads to a place inside (openat2(2), RESOLVE_IN_ROOT):
`/proc/PID/root/...` would follow an absolute one to a file of the machine.
"""

import ctypes
import os
from dataclasses import dataclass
from pathlib import PurePosixPath

SYS_OPENAT2 = 437  # the same number everywhere (openat2(2))
RESOLVE_IN_ROOT = 0x10

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Account:
    """A user as the host's /etc/passwd has it."""

    name: str
    uid: int
    gid: int
    home: str


@dataclass(slots=True)
class Files:
    """A tree of files below a directory, of which a descriptor is held."""

    _root: int

    def account(self, name: str) -> Account:
        """A user of the host. Raises `KeyError`."""
        for line in self.read("/etc/passwd").splitlines():
            found, _, uid, gid, _, home, *_ = line.split(":")
            if found == name:
                return Account(name, int(uid), int(gid), home)
        raise KeyError(name)

    def read(self, path: str) -> str:
        """A file's text. Raises `OSError`."""
        return self.read_bytes(path).decode()

    def read_bytes(self, path: str) -> bytes:
        """A file's bytes. Raises `OSError`."""
        with os.fdopen(self._open(path, os.O_RDONLY), "rb") as file:
            return file.read()

    def exists(self, path: str) -> bool:
        """Whether there is something, links followed."""
        return self.status(path) is not None

    def status(self, path: str, *, follow: bool = True) -> os.stat_result | None:
        """What stat(2) says, or None where there is nothing."""
        try:
            descriptor = self._open(path, os.O_PATH | (0 if follow else os.O_NOFOLLOW))
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            return os.fstat(descriptor)
        finally:
            os.close(descriptor)

    def write(
        self, path: str, text: str | bytes, *, owner: str = "root", mode: int = 0o644
    ) -> None:
        """Write a file in place; one that is new, and directories on the way, get that owner."""
        account = self.account(owner)
        self.make_directory(str(PurePosixPath(path).parent), owner=owner)
        new = not self.exists(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        with os.fdopen(self._open(path, flags, mode), "wb") as file:
            if new:
                os.fchown(file.fileno(), account.uid, account.gid)
                os.fchmod(file.fileno(), mode)
            file.write(text.encode() if isinstance(text, str) else text)

    def make_directory(self, path: str, *, owner: str = "root", mode: int = 0o755) -> None:
        """Make a directory, and those on the way, where there are none."""
        account = self.account(owner)
        for place in reversed([PurePosixPath(path), *PurePosixPath(path).parents]):
            if self.exists(str(place)):
                continue
            parent = self._open(str(place.parent), os.O_PATH | os.O_DIRECTORY)
            try:
                os.mkdir(place.name, mode, dir_fd=parent)
                os.chmod(place.name, mode, dir_fd=parent)
                os.chown(place.name, account.uid, account.gid, dir_fd=parent)
            finally:
                os.close(parent)

    def remove(self, path: str) -> None:
        """Remove a file, or a link itself. Raises `OSError`."""
        parent = self._open(str(PurePosixPath(path).parent), os.O_PATH | os.O_DIRECTORY)
        try:
            os.unlink(PurePosixPath(path).name, dir_fd=parent)
        finally:
            os.close(parent)

    def _open(self, path: str, flags: int, mode: int = 0) -> int:
        how = (ctypes.c_uint64 * 3)(flags | os.O_CLOEXEC, mode, RESOLVE_IN_ROOT)
        size = ctypes.sizeof(how)
        descriptor = _libc.syscall(SYS_OPENAT2, self._root, os.fsencode(path), how, size)
        if descriptor < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
        return int(descriptor)

"""Directories of our own: reached through no hands but ours, checked whenever they are opened.

What root finds in one of them root believes, so it must not be possible for anybody else to have
put it there. Inside, files are read and replaced without further care.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from jada_configd.core.wording import escaped
from jada_configd.errors import Refused
from jada_configd.host.filesystem.complaints import complaint
from jada_configd.host.filesystem.ground import STICKY, TRUSTED
from jada_configd.host.filesystem.mounts import Mounts
from jada_configd.host.filesystem.temporary import LITTER, temporary_name
from jada_configd.host.filesystem.trust import trust
from jada_configd.host.filesystem.walk import Directory, Nowhere, Walk, components

_OTHERS: Final = 0o077
_ON_THE_WAY: Final = 0o755
_MODE: Final = 0o600
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MORE: Final = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def opened(path: str, mode: int, *, create: bool) -> Iterator[Directory]:
    """The directory, made with that mode if it is to be, and closed to others if `mode` says so.

    Raises `Refused` where it cannot be trusted, `HostError`; `Nowhere` where it does not exist.
    """
    mounts = Mounts()
    try:
        with Walk("/", trust(), mounts) as walk:
            yield _enter(walk, path, mode, create=create)
    finally:
        mounts.close()


def _enter(walk: Walk, path: str, mode: int, *, create: bool) -> Directory:
    names = components(path)
    if not names:
        raise Refused("/ is no directory of this program alone")
    *way, last = names
    above = walk.start()
    for name in way:
        above = _into(walk, above, name, _ON_THE_WAY, create=create)
    here = _into(walk, above, last, mode, create=create, whatever_the_umask=True)
    if here.path != above.below(last):
        raise Refused(f"{escaped(path)} is a link")
    _check(path, here)
    if create and stat.S_IMODE(here.facts.st_mode) & _OTHERS & ~mode:
        os.chmod(last, mode, dir_fd=above.descriptor)
    return here


def _into(
    walk: Walk,
    here: Directory,
    name: str,
    mode: int,
    *,
    create: bool,
    whatever_the_umask: bool = False,
) -> Directory:
    try:
        return walk.into(here, name)
    except Nowhere:
        if not create or here.ground.holder not in {TRUSTED, STICKY}:
            raise
    try:
        with suppress(FileExistsError):
            os.mkdir(name, mode, dir_fd=here.descriptor)
            if whatever_the_umask:
                os.chmod(name, mode, dir_fd=here.descriptor)
    except OSError as error:
        raise complaint(error, here.below(name)) from error
    return walk.into(here, name)


def _check(path: str, here: Directory) -> None:
    where, whose = escaped(path), here.ground.trust.name
    if here.facts.st_uid != os.geteuid():
        raise Refused(
            f"{where} belongs to {whose(here.facts.st_uid)}, not to {whose(os.geteuid())}"
        )
    if here.ground.trust.shares(here.facts):
        raise Refused(f"others can write to {where}; chmod go-w makes it safe, once it is emptied")
    if here.ground.holder >= 0:
        raise Refused(f"{where} stands in a directory of {whose(here.ground.holder)}'s")
    if here.ground.holder != TRUSTED:
        raise Refused(f"{where} stands in a directory that others can write to")


def read(directory: int, name: str) -> bytes | None:
    """The content of a file in it, None where there is none; raises OSError."""
    try:
        descriptor = os.open(name, _READ, dir_fd=directory)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def write(directory: int, name: str, content: bytes, *, sync: bool, mode: int = _MODE) -> None:
    """Replace a file in one step; raises OSError.

    `sync`: it is to survive a crash of the machine, its name too.
    """
    new = temporary_name(name)
    descriptor = os.open(new, _NEW, _MODE, dir_fd=directory)
    try:
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            if mode != _MODE:
                os.fchmod(file.fileno(), mode)  # whatever the umask
            rest = memoryview(content)
            while rest:
                rest = rest[file.write(rest) :]
            if sync:
                os.fsync(file.fileno())
        os.rename(new, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with suppress(OSError):
            os.unlink(new, dir_fd=directory)
        raise
    if sync:
        _sync(directory)


def append(directory: int, name: str, content: bytes, most: int) -> bool:
    """Write to the end of a file; false where it cannot be, or would have more bytes than `most`.

    The file may end with a part of the content then.
    """
    try:
        descriptor = os.open(name, _MORE, dir_fd=directory)
    except OSError:
        return False
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size + len(content) > most:
            return False
        return os.write(descriptor, content) == len(content)
    except OSError:
        return False
    finally:
        os.close(descriptor)


def sweep(directory: int, name: str = "") -> None:
    """Remove what killed processes left half-written, of one file or of all; raises OSError."""
    of_it = f".{name}"
    descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    try:
        with os.scandir(descriptor) as entries:
            for entry in entries:
                if entry.name.startswith(of_it) and LITTER.fullmatch(entry.name):
                    with suppress(FileNotFoundError):
                        os.unlink(entry.name, dir_fd=directory)
    finally:
        os.close(descriptor)


def _sync(directory: int) -> None:
    descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

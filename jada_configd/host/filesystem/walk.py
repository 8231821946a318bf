"""Walks to a file component by component, by directory descriptors, and asks whose each hop is.

`ground.py` decides; this file only looks. What is done at the end of the way is the callers'.
Nothing that a user can swap in between matters: each hop is judged by its own descriptor.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Self

from jada_configd.core.wording import escaped
from jada_configd.errors import HostError, Refused
from jada_configd.host.filesystem.complaints import complaint
from jada_configd.host.filesystem.ground import Ground, Link
from jada_configd.host.filesystem.kernel import SameMount
from jada_configd.host.filesystem.mounts import Mounts, UnknownMount
from jada_configd.host.filesystem.trust import Trust

LINKS_AT_MOST: Final = 40  # as the kernel itself (path_resolution(7))
HOPS_AT_MOST: Final = 200  # a user's links can make a path that takes a second to walk

# O_DIRECTORY has the kernel mount what is mounted on demand (autofs); O_PATH alone does not.
_DIRECTORY: Final = SameMount(os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_DIRECTORY)
_ANYTHING: Final = SameMount(os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)


class Nowhere(Exception):
    """A directory on the way does not exist. `at` is the last one that does, `rest` what lacks."""

    def __init__(self, at: "Directory", rest: list[str]) -> None:
        super().__init__(at.path)
        self.at = at
        self.rest = rest


@dataclass(slots=True)
class Directory:
    """A directory in which the walk stands; `path` is physical, as seen inside the root."""

    descriptor: int
    path: str
    facts: os.stat_result
    ground: Ground

    def below(self, name: str) -> str:
        """The path of an entry."""
        return f"{self.path}/{name}" if self.path != "/" else f"/{name}"


@dataclass(slots=True)
class End:
    """Where the way leads, an entry of a directory; `descriptor` is -1 where there is none."""

    directory: Directory
    name: str
    descriptor: int
    facts: os.stat_result

    @property
    def path(self) -> str:
        """The physical path."""
        return self.directory.below(self.name)


class Walk:
    """One walk; every descriptor that it opened is closed when it is left."""

    def __init__(self, root: str, trust: Trust, mounts: Mounts) -> None:
        self._root = root
        self._trust = trust
        self._mounts = mounts
        self._descriptors: list[int] = []
        self._hops = 0
        self._links = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give every descriptor back; a second call does nothing."""
        self._close_from(0)

    def own(self, descriptor: int) -> int:
        """The same descriptor, which is closed with the walk from now on."""
        self._descriptors.append(descriptor)
        return descriptor

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What is opened within is closed at the end of it, and its hops and links are its own."""
        mark, hops, links = len(self._descriptors), self._hops, self._links
        try:
            yield
        finally:
            self._close_from(mark)
            self._hops, self._links = hops, links

    def start(self) -> Directory:
        """The root directory."""
        flags = os.O_PATH | os.O_CLOEXEC | os.O_DIRECTORY
        try:
            descriptor = os.open(self._root, flags)
        except OSError as error:
            raise complaint(error, self._root) from error
        self._descriptors.append(descriptor)
        facts = os.fstat(descriptor)
        return Directory(descriptor, "/", facts, Ground(self._trust).into("/", facts))

    def to(self, path: str) -> End:
        """The end of an absolute path; raises `Nowhere`, `HostError`."""
        names = components(path)
        if not names:
            raise Refused("/ is a directory")
        return self.end(self._along(self.start(), names[:-1]), names[-1])

    def into(self, here: Directory, name: str) -> Directory:
        """The directory to which an entry leads, links followed; raises `Nowhere`, `HostError`."""
        if name == ".." and self._at_root(here):
            return here
        try:
            descriptor = self._open(_DIRECTORY, here, name)
        except FileNotFoundError:
            raise Nowhere(here, [name]) from None
        except NotADirectoryError:
            return self._into_link(here, name)
        facts = os.fstat(descriptor)
        if name == "..":
            path = here.path.rpartition("/")[0] or "/"
            return Directory(descriptor, path, facts, here.ground.into(path, facts, up=True))
        path = here.below(name)
        return Directory(descriptor, path, facts, here.ground.into(path, facts))

    def end(self, here: Directory, name: str) -> End:
        """The entry to which a name leads, links followed; what it is has not been judged."""
        if name == "..":
            raise Refused(f"{escaped(here.below(name))} is a directory")
        try:
            descriptor = self._open(_ANYTHING, here, name)
        except FileNotFoundError:
            return End(here, name, -1, here.facts)
        facts = os.fstat(descriptor)
        if not stat.S_ISLNK(facts.st_mode):
            return End(here, name, descriptor, facts)
        link, start, names = self._follow(here, name, descriptor, facts)
        if not names:
            raise Refused(f"{escaped(link.path)} is a link to a directory")
        held = start.ground.link is link
        end = self.end(self._along(start, names[:-1]), names[-1])
        if held:
            ground = end.directory.ground
            ground = ground.landed(link, end.directory.path, end.directory.facts.st_uid)
            if end.descriptor >= 0:
                ground.landed(link, end.path, end.facts.st_uid)
            end.directory.ground = ground
        return end

    def has(self, here: Directory, name: str) -> bool:
        """Whether there is an entry of that name, whatever it is; raises `HostError`."""
        try:
            self._open(_ANYTHING, here, name)
        except FileNotFoundError:
            return False
        return True

    def _into_link(self, here: Directory, name: str) -> Directory:
        try:
            descriptor = self._open(_ANYTHING, here, name)
        except FileNotFoundError:
            raise Nowhere(here, [name]) from None
        facts = os.fstat(descriptor)
        if not stat.S_ISLNK(facts.st_mode):
            raise Refused(f"{escaped(here.below(name))} is not a directory")
        link, start, names = self._follow(here, name, descriptor, facts)
        held = start.ground.link is link
        place = self._along(start, names)
        if held:
            place.ground = place.ground.landed(link, place.path, place.facts.st_uid)
        return place

    def _follow(
        self, here: Directory, name: str, descriptor: int, facts: os.stat_result
    ) -> tuple[Link, Directory, list[str]]:
        """The link, where following it begins, and the names on the way."""
        self._links += 1
        path = here.below(name)
        if self._links > LINKS_AT_MOST:
            raise Refused(f"{escaped(path)} leads through more than {LINKS_AT_MOST} links")
        target = os.readlink("", dir_fd=descriptor)
        link = Link(path, target, facts.st_uid)
        ground = here.ground.through(here.facts, link)
        if not target.startswith("/"):
            start = Directory(here.descriptor, here.path, here.facts, ground)
        else:
            start = self.start()
            start.ground = ground.at_root(start.facts)
        return link, start, components(target)

    def _along(self, here: Directory, names: list[str]) -> Directory:
        for index, name in enumerate(names):
            try:
                here = self.into(here, name)
            except Nowhere as nowhere:
                nowhere.rest.extend(names[index + 1 :])
                raise
        return here

    def _open(self, same_mount: SameMount, here: Directory, name: str) -> int:
        self._hops += 1
        if self._hops > HOPS_AT_MOST:
            path = escaped(here.below(name))
            raise Refused(f"{path} leads through more than {HOPS_AT_MOST} directories and links")
        try:
            descriptor = same_mount(here.descriptor, name)
        except (FileNotFoundError, NotADirectoryError):
            raise
        except OSError as error:
            if error.errno not in {errno.EXDEV, errno.ENOSYS, errno.EPERM}:
                raise complaint(error, here.below(name)) from error
            return self._cross(same_mount.flags, here, name)
        self._descriptors.append(descriptor)
        return descriptor

    def _cross(self, flags: int, here: Directory, name: str) -> int:
        """Opens what a mount may be in front of; EPERM is a system call filter without openat2."""
        path = here.below(name)
        try:
            descriptor = os.open(name, flags, dir_fd=here.descriptor)
            self._descriptors.append(descriptor)
            fuse = self._mounts.fuse(descriptor)
        except (FileNotFoundError, NotADirectoryError):
            raise
        except OSError as error:
            raise complaint(error, path) from error
        except UnknownMount:
            raise Refused(f"{escaped(path)} is on a mount that the kernel does not list") from None
        if fuse is not None and (here.ground.holder >= 0 or fuse.uid not in self._trust.uids):
            whose = self._trust.name(fuse.uid)
            raise Refused(f"{escaped(path)} is on a FUSE mount ({escaped(fuse.kind)}) of {whose}'s")
        return descriptor

    def _at_root(self, here: Directory) -> bool:
        top = os.stat(self._root)
        return (here.facts.st_dev, here.facts.st_ino) == (top.st_dev, top.st_ino)

    def _close_from(self, mark: int) -> None:
        for descriptor in self._descriptors[mark:]:
            os.close(descriptor)
        del self._descriptors[mark:]


def components(path: str) -> list[str]:
    """The names in a path."""
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise HostError(f"{escaped(path)} cannot be the name of a file") from None
    if "\0" in path:
        raise HostError(f"{escaped(path)} cannot be the name of a file")
    return [name for name in path.split("/") if name not in {"", "."}]

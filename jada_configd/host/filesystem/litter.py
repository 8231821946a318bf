"""Removes the temporary files that a killed process of ours left where it replaced files."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Final

from jada_configd.errors import HostError
from jada_configd.host.filesystem.ground import TRUSTED
from jada_configd.host.filesystem.temporary import LITTER
from jada_configd.host.filesystem.walk import Directory, Nowhere, Walk

ENTRIES_AT_MOST: Final = 50_000  # of one directory; a user can make as many as the disk takes


def clean(walks: Callable[[], Walk], paths: Iterable[str]) -> tuple[str, ...]:
    """Remove it from the directories of these files, and say what was removed.

    A user can give a file of theirs such a name, and loses it: in a directory of theirs they could
    remove it themselves. Hence only regular files, of one name, and theirs or ours.
    """
    removed: list[str] = []
    seen: set[tuple[int, int]] = set()
    for path in paths:
        with walks() as walk:
            try:
                directory = walk.to(path).directory
            except (HostError, Nowhere):
                continue
            identity = (directory.facts.st_dev, directory.facts.st_ino)
            if identity not in seen and not directory.ground.abroad:
                seen.add(identity)
                removed.extend(_clean(directory))
    return tuple(removed)


def _clean(directory: Directory) -> Iterator[str]:
    try:
        for name in list_entries(directory, ENTRIES_AT_MOST):
            if LITTER.fullmatch(name) and _is_litter(directory, name):
                os.unlink(name, dir_fd=directory.descriptor)
                yield directory.below(name)
    except OSError:
        return  # it is tried again at the next start


def _is_litter(directory: Directory, name: str) -> bool:
    facts = os.stat(name, dir_fd=directory.descriptor, follow_symlinks=False)
    if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1:
        return False
    ground = directory.ground
    owners = ground.trust.uids | {directory.facts.st_uid, ground.holder}
    return ground.holder == TRUSTED or facts.st_uid in owners


def list_entries(directory: Directory, at_most: int) -> Iterator[str]:
    """The names in a directory, no more than that; raises OSError."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(".", flags, dir_fd=directory.descriptor)
    try:
        with os.scandir(descriptor) as entries:
            for entry in islice(entries, at_most):
                yield entry.name
    finally:
        os.close(descriptor)

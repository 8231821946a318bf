"""Puts what the kernel refused into one sentence for an operator, hostile names escaped."""

import errno
import os
from typing import Final

from jada_configd.core.wording import escaped
from jada_configd.errors import HostError, Unable

_SENTENCES: Final = {
    errno.ENOSPC: "No space left on {}",
    errno.EDQUOT: "The disk quota is used up on {}",
    errno.EROFS: "{} is on a read-only file system",
    errno.EPERM: "{} may not be changed: it or its directory is immutable or append-only",
    errno.EACCES: "Permission denied on {}",
    errno.EBUSY: "{} is a mount point and cannot be replaced",
    errno.EMFILE: "No file descriptor is left to open {}",
    errno.ENFILE: "The host has no file descriptor left to open {}",
    errno.EAGAIN: "{} is held by the lease of another process",
    errno.ENAMETOOLONG: "{} has a name that is too long",
    errno.ELOOP: "{} leads through too many links",
    errno.ENOTDIR: "{} is not a directory",
}
_OF_THE_FILE: Final = {
    errno.EAGAIN,
    errno.EBUSY,
    errno.EDQUOT,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
}


def sentence(error: OSError, path: str) -> str:
    """What went wrong with that path."""
    number = error.errno or 0
    where = escaped(path)
    if number in _SENTENCES:
        return _SENTENCES[number].format(where)
    return f"{os.strerror(number) if number else error} on {where}"


def complaint(error: OSError, path: str) -> HostError:
    """The same as an error of ours: `Unable` where it is the machine, not what a file is like."""
    kind = HostError if error.errno in _OF_THE_FILE else Unable
    return kind(sentence(error, path))

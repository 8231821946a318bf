"""The system calls that Python does not offer, openat2(2) and renameat2(2), with errors as in `os`.

What the calls are for is the callers' business.
"""

import ctypes
import errno
import os
import struct
import sys
from typing import Final

RENAME_NOREPLACE: Final = 1  # linux/fs.h
RENAME_EXCHANGE: Final = 2

_OPENAT2: Final = 437  # the same number on every architecture
_RESOLVE_NO_XDEV: Final = 0x01  # linux/openat2.h
_HOW: Final = struct.Struct("=QQQ")  # struct open_how: flags, mode, resolve

_ENCODING: Final = sys.getfilesystemencoding()
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_SYSCALL: Final = _LIBC.syscall
_SYSCALL.restype = ctypes.c_long
_SYSCALL.argtypes = (
    ctypes.c_long,
    ctypes.c_int,
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_size_t,
)
_RENAMEAT2: Final = getattr(_LIBC, "renameat2", None)  # glibc 2.28
if _RENAMEAT2 is not None:
    _RENAMEAT2.argtypes = (
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_uint,
    )


def _encoded(name: str) -> bytes:
    """As os.fsencode(), which asks first what it is given; a walk does this at each hop."""
    return name.encode(_ENCODING, "surrogateescape")


class SameMount:
    """Opens an entry of a directory unless a mount begins there, with some flags of open(2)."""

    __slots__ = ("_how", "flags")

    def __init__(self, flags: int) -> None:
        self.flags = flags
        self._how = _HOW.pack(flags, 0, _RESOLVE_NO_XDEV)

    def __call__(self, directory: int, name: str) -> int:
        """The descriptor; OSError with EXDEV where a mount is crossed, ENOSYS in an old kernel."""
        descriptor: int = _SYSCALL(_OPENAT2, directory, _encoded(name), self._how, _HOW.size)
        if descriptor < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), name)
        return descriptor


def rename(directory: int, source: str, target: str, flags: int) -> None:
    """renameat2(2) within one directory; OSError with ENOSYS or EINVAL where it cannot be had."""
    if _RENAMEAT2 is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), target)
    done = _RENAMEAT2(directory, _encoded(source), directory, _encoded(target), flags)
    if done != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)

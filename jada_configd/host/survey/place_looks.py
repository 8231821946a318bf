"""Directories that the program writes to: their file systems, as statvfs(3) and statx(2) say.

Whether something can be written is worked out from that, never tried.
"""

import ctypes
import os
import re
import struct
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from jada_configd.core.survey import Mount, PlaceLook
from jada_configd.errors import HostError
from jada_configd.host.filesystem.complaints import sentence
from jada_configd.host.filesystem.walk import Nowhere
from jada_configd.host.storage import private

_TABLE: Final = "/proc/self/mountinfo"
_OCTAL: Final = re.compile(r"\\([0-7]{3})")
_USER: Final = re.compile(r"(?:^|,)user_id=([0-9]+)(?:,|$)")

_STATX_BYTES: Final = 256  # struct statx
_ATTRIBUTES: Final = struct.Struct("=8xQ")  # stx_mask, stx_blksize, stx_attributes
_IMMUTABLE: Final = 0x10  # STATX_ATTR_IMMUTABLE, STATX_ATTR_APPEND (linux/stat.h)
_APPEND: Final = 0x20
_HERE: Final = -100  # AT_FDCWD
_NOFOLLOW_DONT_SYNC: Final = 0x100 | 0x4000  # AT_SYMLINK_NOFOLLOW, AT_STATX_DONT_SYNC
_STATX: Final = getattr(ctypes.CDLL(None, use_errno=True), "statx", None)  # glibc 2.28


def mounts() -> tuple[Mount, ...]:
    """The mount table as this process sees it; empty without /proc."""
    try:
        with open(_TABLE, encoding="utf-8", errors="surrogateescape") as file:
            return parse_mounts(file.read())
    except OSError:
        return ()


def parse_mounts(table: str) -> tuple[Mount, ...]:
    """`36 35 98:0 /root /point rw,noatime shared:1 - fuse.sshfs host:/ rw,user_id=1000`."""
    found = []
    for line in table.splitlines():
        front, _, back = line.partition(" - ")
        fields, about = front.split(" "), back.split(" ")
        if len(fields) < 6 or len(about) < 3:  # noqa: PLR2004 - what every line has
            continue
        point = _OCTAL.sub(lambda octal: chr(int(octal[1], 8)), fields[4])
        options = {*fields[5].split(","), *about[2].split(",")}
        user = _USER.search(about[2]) if about[0].startswith("fuse") else None
        found.append(Mount(point, about[0], "ro" in options, int(user[1]) if user else None))
    return tuple(found)


def mount_of(path: str, table: Iterable[Mount]) -> Mount:
    """The mount on which a path is; of several at one point the last, which covers the others."""
    best = Mount("/", "", read_only=False)
    for mount in table:
        point = mount.point.rstrip("/")
        if (path == point or path.startswith(f"{point}/")) and len(mount.point) >= len(best.point):
            best = mount
    return best


def place_look(path: str, files: Sequence[str], table: Sequence[Mount], daemon: int) -> PlaceLook:
    """A directory, and files in it that may be there; `daemon` is the PID of one, or 0."""
    # A user's own FUSE mount is told by its place alone: a look at it may never be answered.
    if (mount := mount_of(path, table)).user:
        return PlaceLook(path, path, mount)
    there = _nearest(path)
    if (mount := mount_of(there, table)).user:
        return PlaceLook(path, there, mount)
    facts = os.statvfs(there)
    root = os.geteuid() == 0
    blocks = facts.f_bfree if root else facts.f_bavail
    inodes = facts.f_ffree if root else facts.f_favail
    read_only = bool(facts.f_flag & os.ST_RDONLY)
    present = [each for each in (there, *files) if os.path.lexists(each)]
    flags = {each: _attributes(each) for each in present}
    immutable = tuple(each for each, bits in flags.items() if bits & _IMMUTABLE)
    return PlaceLook(
        path,
        there,
        mount,
        # No directory below /proc/sys can be written; its files can, where it is not read-only.
        writable=read_only or bool(immutable) or mount.kind == "proc" or _may_write(there),
        read_only=read_only,
        daemon_read_only=_daemon_read_only(there, daemon),
        free_bytes=blocks * facts.f_frsize if facts.f_blocks else None,
        free_inodes=inodes if facts.f_files else None,
        immutable=immutable,
        append_only=tuple(each for each, bits in flags.items() if bits & _APPEND),
    )


def own_place_look(path: str, mode: int, table: Sequence[Mount], daemon: int) -> PlaceLook:
    """A directory of ours: by the rules by which it is opened, too. It need not be there yet."""
    look = place_look(path, (), table, daemon)
    if look.mount.user:
        return look
    problem = None
    try:
        with suppress(Nowhere), private.opened(path, mode, create=False):
            pass
    except HostError as error:
        problem = str(error)
    except OSError as error:
        problem = sentence(error, path)
    return replace(look, problem=problem)


def _nearest(path: str) -> str:
    """The directory itself, links followed, or the nearest one above it that exists."""
    while not os.path.isdir(path) and path not in ("/", ""):
        path = os.path.dirname(path)
    return os.path.realpath(path or "/")


def _may_write(directory: str) -> bool:
    return os.access(directory, os.W_OK | os.X_OK, effective_ids=True)


def _daemon_read_only(directory: str, daemon: int) -> bool | None:
    """How the daemon sees it, whose mounts are its own (systemd.exec(5), ProtectSystem=)."""
    if not daemon:
        return None
    try:
        facts = os.statvfs(f"/proc/{daemon}/root{directory}")
    except OSError:
        return None
    return bool(facts.f_flag & os.ST_RDONLY)


def _attributes(path: str) -> int:
    """What chattr(1) has set, 0 where the kernel or the file system does not tell (statx(2))."""
    if _STATX is None:
        return 0
    buffer = ctypes.create_string_buffer(_STATX_BYTES)
    if _STATX(_HERE, os.fsencode(path), _NOFOLLOW_DONT_SYNC, 0, buffer):
        return 0
    bits: int = _ATTRIBUTES.unpack_from(buffer.raw)[0]
    return bits

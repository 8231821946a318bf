"""Which files a policy is made of, their bytes, and the revision that these are; nothing is parsed.

Whatever stands in the place of a file (a FIFO, a directory, 5 GiB) is refused in one line each.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from jada_configd.core.wording import escaped
from jada_configd.errors import PolicyError

LARGEST: Final = 4 * 1024 * 1024  # bytes, of all files together
FRAGMENTS: Final = "policy.d"

_SORTS: Final = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@dataclass(frozen=True, slots=True)
class Source:
    """One file of a policy; `name` is how messages call it."""

    name: str
    path: str
    data: bytes


def sources(path: str, *, fragments: bool = True) -> list[str]:
    """The paths of the policy file and, in name order, of the `policy.d/*.toml` beside it.

    Raises `PolicyError` where `policy.d` is there and cannot be listed.
    """
    directory = os.path.join(os.path.dirname(path), FRAGMENTS)
    names: list[str] = []
    if fragments:
        try:
            names = os.listdir(directory)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise PolicyError([f"{escaped(directory)}: {_reason(error)}"]) from None
    # An editor's lock and backup files begin with a dot or end otherwise; byte order, as systemd's.
    kept = [name for name in names if name.endswith(".toml") and not name.startswith(".")]
    return [path, *(os.path.join(directory, name) for name in sorted(kept, key=os.fsencode))]


def read(paths: Sequence[str]) -> list[Source]:
    """The files' bytes. Raises `PolicyError` with a line for each that cannot be read."""
    found: list[Source] = []
    messages = []
    left = LARGEST
    for index, path in enumerate(paths):
        name = os.path.basename(path)
        try:
            data = _read_regular(path, left)
        except OSError as error:
            messages.append(f"{escaped(path)}: {_reason(error)}")
            continue
        left -= len(data)
        shown = escaped(name) if index == 0 else f"{FRAGMENTS}/{escaped(name)}"
        found.append(Source(shown, path, data))
    if messages:
        raise PolicyError(messages)
    return found


def texts(found: Sequence[Source]) -> list[tuple[str, str]]:
    """Name and text of each file. Raises `PolicyError` where one is not UTF-8."""
    pairs = []
    messages = []
    for source in found:
        try:
            pairs.append((source.name, source.data.decode()))
        except UnicodeDecodeError as error:
            before = source.data[: error.start].decode()
            line = before.count("\n") + 1
            column = len(before) - (before.rfind("\n") + 1) + 1
            byte = source.data[error.start]
            messages.append(f"{source.name}:{line}:{column}: not UTF-8: byte 0x{byte:02x}")
    if messages:
        raise PolicyError(messages)
    return pairs


def revision_of(found: Sequence[Source]) -> str:
    """`sha256:` of a lone file's bytes (what `sha256sum FILE` prints).

    Of several, that of `sha256sum`'s own output over them: `sha256sum policy.toml policy.d/*.toml |
    sha256sum`, run beside the policy.
    """
    digests = [hashlib.sha256(source.data).hexdigest() for source in found]
    if len(digests) == 1:
        return f"sha256:{digests[0]}"
    lines = [f"{digest}  {source.name}\n" for digest, source in zip(digests, found, strict=True)]
    return f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"


def revision(paths: Sequence[str]) -> str:
    """The revision of what these files hold now; see `revision_of`. Raises `PolicyError`."""
    return revision_of(read(paths))


def _read_regular(path: str, most: int) -> bytes:
    """The bytes of a regular file; neither opens nor waits for anything else."""
    _check_regular(os.stat(path))
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        _check_regular(os.fstat(descriptor))  # it may have become something else since
        pieces = []
        left = most + 1
        while left > 0 and (piece := os.read(descriptor, left)):
            pieces.append(piece)
            left -= len(piece)
    finally:
        os.close(descriptor)
    if left <= 0:
        raise OSError(errno.EFBIG, f"the policy is larger than {LARGEST >> 20} MiB in all")
    return b"".join(pieces)


def _check_regular(status: os.stat_result) -> None:
    for is_sort, name in _SORTS:
        if is_sort(status.st_mode):
            raise OSError(errno.EINVAL, f"is {name}, not a regular file")


def _reason(error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return "there is no such file"
    return error.strerror or str(error)

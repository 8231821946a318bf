"""The files of `/proc/PID` (proc(5)): reading one, and what stands in `stat` and `status`.

The parsers are pure: text in, facts out.
"""

import os
from collections.abc import Mapping
from typing import Final, NamedTuple

from jada_configd.errors import Unable

# Of /proc/pid/stat, numbered as in proc(5); the first after the name is the third.
# parent, flags, processor time in user and in kernel mode, start.
_NUMBERS: Final = (4, 9, 14, 15, 22)
_READ_BYTES: Final = 1 << 17  # all of each file but a boundless command line
_PART_BYTES: Final = 1 << 12  # most files in one go, and no more memory for one than it needs


class Stat(NamedTuple):
    """What `/proc/pid/stat` tells, as far as it matters here."""

    name: bytes
    state: str
    parent: int
    flags: int
    ticks: int  # of processor time, in user and in kernel mode
    started: int  # clock ticks since boot

    @property
    def is_over(self) -> bool:
        """Whether only what is left of a process is there: a zombie, or not even that."""
        return self.state in "ZXx"


def parse_stat(text: bytes) -> Stat | None:
    """`/proc/pid/stat`; the name may hold blanks and brackets. None: not to be read."""
    before, bracket, after = text.rpartition(b")")
    fields = after.split()
    if not bracket or len(fields) <= _NUMBERS[-1] - 3:
        return None
    numbers = [fields[number - 3] for number in _NUMBERS]
    if not b"".join(numbers).isdigit():
        return None
    parent, flags, user, system, started = map(int, numbers)
    name = before.partition(b"(")[2]
    return Stat(name, fields[0].decode(errors="replace"), parent, flags, user + system, started)


def parse_status(text: str) -> Mapping[str, str]:
    """`/proc/pid/status` as keys and values."""
    lines = (line.partition(":") for line in text.splitlines())
    return {key: value.strip() for key, colon, value in lines if colon}


def stat(pid: int) -> Stat | None:
    """None where there is no such process, or only what is left of one. Raises `Unable`."""
    found = parse_stat(read(pid, "stat"))
    return None if found is None or found.is_over else found


def status(pid: int) -> Mapping[str, str]:
    """Keys and values, none where the process has gone. Raises `Unable`."""
    return parse_status(read(pid, "status").decode(errors="replace"))


def read(pid: int, name: str) -> bytes:
    """A file of `/proc/pid`, empty where the process has gone. Raises `Unable`."""
    try:
        descriptor = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError):
        return b""
    except OSError as error:
        raise Unable(f"/proc/{pid}/{name}: {error.strerror}") from error
    try:
        parts = []
        left = _READ_BYTES
        while left > 0 and (part := os.read(descriptor, min(left, _PART_BYTES))):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)
    except ProcessLookupError:
        return b""
    except OSError as error:
        raise Unable(f"/proc/{pid}/{name}: {error.strerror}") from error
    finally:
        os.close(descriptor)

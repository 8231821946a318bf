"""Kernel parameters below /proc/sys: read, and set to a value in place of the one looked at.

What the kernel did not take is remembered, so that the next look tells it and nobody asks again and
again. Which value a parameter should have is decided elsewhere.
"""

import errno
import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Self

from jada_configd.core.actions import SetSysctl
from jada_configd.core.facts import SysctlFact
from jada_configd.core.model import same
from jada_configd.core.wording import escaped
from jada_configd.errors import HostError, Refused, Stale, Unable
from jada_configd.formats.sysctl_lines import is_glob, normal, plain

PLACE: Final = "/proc/sys"
# After this long the kernel is asked again: what bounded the value may have moved.
REFUSAL_NS: Final = 600_000_000_000
_READ_BYTES: Final = 1 << 16  # more than any value has
_DIRECTORY: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FLAGS: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Refusal:
    """What was asked for in vain, what the kernel had afterwards, and when that was."""

    value: str
    text: str
    why: str
    at_ns: int


class Sysctls:
    """The kernel's parameters. One for whoever looks and whoever sets: it remembers refusals."""

    def __init__(self, place: str = PLACE, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        """`place`: the directory in which each parameter is a file."""
        self._place = place
        self._clock_ns = clock_ns
        self._refusals: dict[str, Refusal] = {}

    def look(self, key: str) -> SysctlFact:
        """The parameter as it is; raises nothing."""
        try:
            with _Parameter(self._place, key) as parameter:
                text = parameter.read()
                obstacle = parameter.obstacle()
        except HostError as error:
            return SysctlFact(key, None, str(error))
        return SysctlFact(key, text, obstacle=obstacle, refused=self._refused(key, text))

    def set(self, action: SetSysctl) -> None:
        """Give the kernel a value; raises `Stale` where it has another than was looked at.

        What it does not take, or makes something else of, is told by the next look.
        """
        key, value = action.key, action.value
        shown = escaped(value) or '""'
        with _Parameter(self._place, key) as parameter:
            if not same(plain(parameter.read()), plain(action.replaces)):
                raise Stale(f"{escaped(key)} has another value than was looked at")
            try:
                parameter.write(value)
                why = f"the kernel did not keep {shown} for {escaped(key)}"
            except OSError as error:
                why = f"the kernel takes no {shown} for {escaped(key)}: {_said(error)}"
            text = parameter.read()
        if same(plain(text), plain(value)):
            self._refusals.clear()  # one value may bound another
            return
        self._refusals[key] = Refusal(value, text, why, self._clock_ns())

    def _refused(self, key: str, text: str) -> tuple[str, str] | None:
        refusal = self._refusals.get(key)
        if refusal is None:
            return None
        if refusal.text != text or self._clock_ns() >= refusal.at_ns + REFUSAL_NS:
            del self._refusals[key]
            return None
        return refusal.value, refusal.why


class _Parameter:
    """One parameter, found name by name so that nothing but a file below the place is reached."""

    def __init__(self, place: str, key: str) -> None:
        names = normal(key).split("/")
        if len(names) < 2 or is_glob(key) or ".." in names or not key.isprintable():  # noqa: PLR2004 - a directory and a name
            raise Refused(f"{escaped(key)} is no key of a kernel parameter")
        self._key = escaped(key)
        self._place = place
        self._directories, self._name = names[:-1], names[-1]
        self._descriptor = -1

    def __enter__(self) -> Self:
        try:
            at = os.open(self._place, _DIRECTORY & ~os.O_NOFOLLOW)
        except OSError as error:
            raise Unable(f"{self._place}: {error.strerror}") from error
        try:
            for name in self._directories:
                below = os.open(name, _DIRECTORY, dir_fd=at)
                os.close(at)
                at = below
        except OSError as error:
            os.close(at)
            raise self._missing(error) from error
        except ValueError as error:  # a name that no file can have
            os.close(at)
            raise Refused(f"{self._key} is no key of a kernel parameter") from error
        self._descriptor = at
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def read(self) -> str:
        """What the kernel gives; raises `HostError`."""
        try:
            descriptor = self._open(os.O_RDONLY)
            try:
                parts = []
                left = _READ_BYTES
                while left > 0 and (part := os.read(descriptor, left)):
                    parts.append(part)
                    left -= len(part)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise self._missing(error) from error
        return b"".join(parts).decode(errors="replace")

    def write(self, value: str) -> None:
        """Put a value in its place; raises OSError as the kernel has it."""
        descriptor = self._open(os.O_WRONLY)
        try:
            os.write(descriptor, f"{value}\n".encode())  # in one piece: the kernel takes each alone
        finally:
            os.close(descriptor)

    def obstacle(self) -> str | None:
        """Why it cannot be set from here, as far as that can be told without trying."""
        with suppress(OSError):
            if os.access(self._name, os.W_OK, dir_fd=self._descriptor):
                return None
        if os.fstatvfs(self._descriptor).f_flag & os.ST_RDONLY:
            return f"{self._key} is read-only here, as {self._place} is mounted in a container"
        if os.geteuid() != 0:
            return f"{self._key} can be set by root alone, in the policy of the whole host"
        return f"{self._key} is read-only: this kernel lets nobody set it"

    def _open(self, mode: int) -> int:
        descriptor = os.open(self._name, mode | _FLAGS, dir_fd=self._descriptor)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise Refused(f"{self._key} is no single parameter")
        return descriptor

    def _missing(self, error: OSError) -> HostError:
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}:
            return Unable(f"this kernel has no {self._key}: a module may not be loaded")
        return Unable(f"{self._key} cannot be read: {error.strerror}")


def _said(error: OSError) -> str:
    words = error.strerror or "no reason given"
    if error.errno in {errno.EPERM, errno.EACCES}:
        return f"{words}; jada-configd may lack a capability for it"
    return words

"""The closed set of actions: data, specific enough that no choice is left when one is carried out.

`replaces` (the digest of what was looked at) and `started` are guards: an action changes only what
was looked at, and raises `Stale` otherwise.
"""

import hashlib
from dataclasses import dataclass
from typing import Literal, TypeAlias

from jada_configd.core.facts import LimitValue

# "start" resets a failure (systemctl(1), reset-failed) and then restarts a unit, or starts it where
# it does not run; the others leave alone what does not run.
How: TypeAlias = Literal["reload", "restart", "reload-or-restart", "start"]


def digest(data: bytes) -> str:
    """The guard of a file's content: its SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True, slots=True)
class KeepEvidence:
    """Keep bytes that are about to be replaced and cannot be had again, in the state directory."""

    resource: str
    content: bytes

    def __str__(self) -> str:
        return f"keep the replaced bytes of {self.resource}"


@dataclass(frozen=True, slots=True)
class ReplaceFile:
    """Put whole content in place, atomically; `replaces` None: there must be no file yet."""

    path: str
    content: bytes
    mode: int
    uid: int
    gid: int
    replaces: str | None
    make_directories: bool = False  # root's own places alone: a drop-in's directory

    def __str__(self) -> str:
        return f"{'replace' if self.replaces else 'create'} {self.path}"


@dataclass(frozen=True, slots=True)
class RemoveFile:
    """Remove a file of ours, and its directory where that leaves it empty."""

    path: str
    replaces: str

    def __str__(self) -> str:
        return f"remove {self.path}"


@dataclass(frozen=True, slots=True)
class SetSysctl:
    """Give the running kernel a value; `replaces` is the one that it had when it was looked at."""

    key: str
    value: str
    replaces: str

    def __str__(self) -> str:
        return f"set {self.key}"


@dataclass(frozen=True, slots=True)
class ReloadUnits:
    """Have the service manager read its unit files again (systemctl(1), daemon-reload)."""

    def __str__(self) -> str:
        return "daemon-reload"


@dataclass(frozen=True, slots=True)
class SetProcessLimit:
    """Set one limit of one live process (prlimit(2)); `limit` is its limits.conf name."""

    pid: int
    started: int
    limit: str
    soft: LimitValue
    hard: LimitValue

    def __str__(self) -> str:
        return f"prlimit --{self.limit} of process {self.pid}"


@dataclass(frozen=True, slots=True)
class StartJob:
    """Start a job for a unit; its end comes later, as an event."""

    unit: str
    how: How

    def __str__(self) -> str:
        return f"{self.how} {self.unit}"


Action: TypeAlias = (
    KeepEvidence | SetSysctl | ReplaceFile | RemoveFile | ReloadUnits | SetProcessLimit | StartJob
)

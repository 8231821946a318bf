"""Validation in a short-lived child, so that what it needs (pydantic, 20 MiB) is gone afterwards.

The child is this very package under the same interpreter, isolated from the environment and the
working directory (`python -I`). It gets the texts and gives the plain policy through two memory
files, so nobody pumps pipes, and it opens no file of the policy itself.
"""

import fcntl
import json
import os
import select
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import jada_configd
from jada_configd.core.wording import escaped
from jada_configd.errors import PolicyError, ValidatorFailed

SECONDS: Final = 30.0  # that the child may take; importing from a cold disk is most of it
MOST_ANSWER: Final = 64 << 20  # bytes

# The package's directory is on the path for its own import alone, so that nothing else in a
# checkout can stand in for a module of the standard library.
_BOOT: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); import jada_configd; del sys.path[0]; "
    "from jada_configd.policy.__main__ import main; main()"
)
_ENVIRONMENT: Final = {"PYDANTIC_DISABLE_PLUGINS": "__all__"}  # plugins are others' code, and slow
# Python ignores the first two, and a daemon blocks or handles the others.
_DEFAULT_SIGNALS: Final = (
    signal.SIGPIPE,
    signal.SIGXFSZ,
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGTERM,
)


class Child:
    """A validation under way."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        """Start it. Raises `PolicyError` where no process can be had."""
        self._path: str = request["path"]
        self._pid = self._process = -1
        self._descriptors: list[int] = []
        try:
            given, self._answer, self._complaint = (self._memory() for _ in range(3))
            _fill(given, json.dumps(request).encode("ascii"))
            self._spawn(given)
        except OSError as error:
            self.close()
            raise self._failed(f"its validator did not start: {error.strerror}") from None

    def fileno(self) -> int:
        """A descriptor that is readable as soon as the child has ended."""
        return self._process

    def take(self, seconds: float = SECONDS) -> dict[str, Any]:
        """What the child made of the texts; waits for it. Raises `PolicyError`. Closes all."""
        try:
            ready = select.poll()
            ready.register(self._process, select.POLLIN)
            if not ready.poll(seconds * 1000):
                raise self._failed(f"its validation took more than {seconds:g} s and was stopped")
            answer, complaint = _content(self._answer), _content(self._complaint)
        finally:
            self.close()
        return self._parsed(answer, complaint)

    def close(self) -> None:
        """End the child, whatever it is at, and give everything back. May be called twice."""
        if self._pid > 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._process, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(self._pid, 0)
            self._pid = -1
        while self._descriptors:
            os.close(self._descriptors.pop())

    def _spawn(self, given: int) -> None:
        self._pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-c", _BOOT, os.path.dirname(jada_configd.__path__[0])],
            _ENVIRONMENT,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, given, 0),
                (os.POSIX_SPAWN_DUP2, self._answer, 1),
                (os.POSIX_SPAWN_DUP2, self._complaint, 2),
            ],
            setsigmask=[],
            setsigdef=_DEFAULT_SIGNALS,
        )
        try:
            self._process = os.pidfd_open(self._pid)
        except OSError:  # no more descriptors: nobody could wait for it with a bound
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._pid = -1
            raise
        self._descriptors.append(self._process)

    def _memory(self) -> int:
        first = os.memfd_create("jada-configd-policy", os.MFD_CLOEXEC)
        try:  # past the standard descriptors, even where a caller has closed those
            descriptor = fcntl.fcntl(first, fcntl.F_DUPFD_CLOEXEC, 3)
        finally:
            os.close(first)
        self._descriptors.append(descriptor)
        return descriptor

    def _parsed(self, answer: bytes, complaint: bytes) -> dict[str, Any]:
        try:
            parsed = json.loads(answer)
        except ValueError:
            # The last line of a traceback as far as its colon: what follows may quote the policy.
            said = complaint.decode(errors="replace").strip().rpartition("\n")[2].partition(":")[0]
            raise self._failed(f"its validator ended without an answer ({escaped(said)})") from None
        if "exhausted" in parsed:
            most = parsed["exhausted"]
            raise self._failed(f"its validation needs more than {most} MiB of memory")
        if "errors" in parsed:
            raise PolicyError(parsed["errors"])
        plain: dict[str, Any] = parsed["policy"]
        return plain

    def _failed(self, what: str) -> ValidatorFailed:
        return ValidatorFailed([f"{escaped(self._path)}: {what}"])


def _fill(descriptor: int, data: bytes) -> None:
    with open(descriptor, "wb", closefd=False) as memory:
        memory.write(data)
    os.lseek(descriptor, 0, os.SEEK_SET)  # the child shares this offset


def _content(descriptor: int) -> bytes:
    return os.pread(descriptor, min(os.fstat(descriptor).st_size, MOST_ANSWER), 0)

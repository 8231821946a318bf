"""Asks something of the machine that may never answer, and waits for it only so long.

A look at a dead network file system, or at one that its maker does not serve, may sleep in the
kernel where no signal reaches it. So each question is asked by a child: a parent can leave that
behind, and a thread would keep the whole process from ending.
"""

import mmap
import os
import pickle
import select
import signal
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Generic, NoReturn, TypeAlias, TypeVar

from jada_configd.core.survey import Unknown
from jada_configd.core.wording import escaped
from jada_configd.host.survey.place_looks import mount_of, mounts

T = TypeVar("T")
Note: TypeAlias = Callable[[str], None]

_NOTE_BYTES: Final = 4096
_PIECE: Final = 1 << 16
_REAPS: Final = 50
_REAP_SECONDS: Final = 0.001


class Question(Generic[T]):
    """A function that is being run by a child."""

    def __init__(self, what: str, ask: Callable[[Note], T]) -> None:
        """Begin. `what` names it to an operator; `ask` gets a function to note where it is."""
        self._what = what
        self._note = mmap.mmap(-1, _NOTE_BYTES)  # shared with the child
        self._problem = ""
        self._began = time.monotonic()
        self._pid = self._readable = -1
        try:
            self._readable, writable = os.pipe2(os.O_CLOEXEC)
            with warnings.catch_warnings():  # no other thread of Python runs here
                warnings.simplefilter("ignore", DeprecationWarning)
                self._pid = os.fork()
        except OSError as error:
            self._problem = f"{what} cannot be looked at: {error.strerror}"
            return
        if self._pid == 0:
            self._answer(ask, writable)
        os.close(writable)

    def take(self, until: float) -> T | Unknown:
        """The answer; waits for it until that moment (CLOCK_MONOTONIC, seconds). To be called once.

        What goes wrong in the child is `Unknown`, whatever it is.
        """
        if self._pid < 0:
            return Unknown(self._problem)
        parts: list[bytes] = []
        ready = select.poll()
        ready.register(self._readable, select.POLLIN)
        try:
            while ready.poll(max(0.0, until - time.monotonic()) * 1000):
                if part := os.read(self._readable, _PIECE):
                    parts.append(part)
                    continue
                return self._opened(b"".join(parts))
            waited = time.monotonic() - self._began
            where = self._note[:].rstrip(b"\0").decode(errors="surrogateescape")
            # From the table alone: what does not answer is not asked again.
            stuck = mount_of(where, mounts()).point if where.startswith("/") else ""
            why = f"{escaped(where) or self._what} does not answer ({waited:.1f} s)"
            return Unknown(why, stuck)
        finally:
            self._leave()

    def _opened(self, data: bytes) -> T | Unknown:
        try:
            answer: T | Unknown = pickle.loads(data)  # noqa: S301 - our own child has written it
        except (EOFError, ValueError, pickle.UnpicklingError):
            return Unknown(f"{self._what} cannot be looked at: who did has ended without an answer")
        return answer

    def _leave(self) -> None:
        os.close(self._readable)
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        for _ in range(_REAPS):
            if os.waitpid(self._pid, os.WNOHANG)[0]:
                return
            time.sleep(_REAP_SECONDS)
        # It cannot die yet: it becomes a child of PID 1 when we end.

    def _answer(self, ask: Callable[[Note], T], writable: int) -> NoReturn:
        """The child: it never comes back from here."""
        try:
            _let_go_of_output()
            try:
                answer: T | Unknown = ask(self._at)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told and nothing more
                said = f"{type(error).__name__}: {error}"
                answer = Unknown(f"{self._what} cannot be looked at: {escaped(said)}")
            rest = memoryview(pickle.dumps(answer))
            while rest:
                rest = rest[os.write(writable, rest) :]
        finally:
            os._exit(0)

    def _at(self, where: str) -> None:
        noted = where.encode(errors="surrogateescape")[:_NOTE_BYTES]
        self._note[:] = noted.ljust(_NOTE_BYTES, b"\0")


def _let_go_of_output() -> None:
    """Who reads what the parent prints waits for all who could; a child that hangs is not one."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)

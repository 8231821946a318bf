"""Looks at one file without a pause, and remembers when it became what."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self


@dataclass(frozen=True, slots=True)
class Seen:
    """The content from a moment on (CLOCK_MONOTONIC, seconds); None: there was no file."""

    at: float
    content: bytes | None


class Witness:
    """Reads in a thread of its own while the block runs."""

    def __init__(self, read: Callable[[], bytes]) -> None:
        self.read = read
        self.seen = [Seen(time.monotonic(), self._look())]
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.done = False

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.done = True
        self.thread.join()

    def _look(self) -> bytes | None:
        try:
            return self.read()
        except OSError:
            return None

    def _watch(self) -> None:
        while not self.done:
            content = self._look()
            if content != self.seen[-1].content:
                self.seen.append(Seen(time.monotonic(), content))
            time.sleep(0)  # others run too

    def wrong_for(self, right: Callable[[bytes], bool], within: float) -> float | None:
        """How long the file was not right, in seconds, once it is right again.

        None where it is not right within that time. 0.0 where it was right again between two looks.
        """
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            seen = list(self.seen)
            wrong = next((look for look in seen if not _right(look, right)), None)
            if wrong and _right(seen[-1], right):
                return seen[-1].at - wrong.at
            if wrong is None and time.monotonic() > deadline - within + 1:
                return 0.0
            time.sleep(0.005)
        return None


def _right(look: Seen, right: Callable[[bytes], bool]) -> bool:
    return look.content is not None and right(look.content)

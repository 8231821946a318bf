"""Looks at one file without a pause, and remembers when it became what."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

SETTLED = 0.3  # seconds after which nobody is still about to spoil the file


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
        self.longest_gap = 0.0
        self.done = False

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done = True
        self.thread.join()

    def _look(self) -> bytes | None:
        try:
            return self.read()
        except OSError:
            return None

    def _watch(self) -> None:
        last = time.monotonic()
        while not self.done:
            content = self._look()
            now = time.monotonic()
            self.longest_gap = max(self.longest_gap, now - last)
            last = now
            if content != self.seen[-1].content:
                self.seen.append(Seen(now, content))
            time.sleep(0)  # others run too

    def wrong_for(self, right: Callable[[bytes], bool], within: float) -> "Wrong | None":
        """How long the file was wrong, after something has spoilt it; None if it still is."""
        began = time.monotonic()
        while (now := time.monotonic()) < began + within:
            seen = list(self.seen)
            wrong = next((look for look in seen if not _right(look, right)), None)
            if wrong and _right(seen[-1], right):
                return Wrong(seen[-1].at - wrong.at, exact=True)
            if wrong is None and now > began + SETTLED:
                return Wrong(self.longest_gap, exact=False)
            time.sleep(0.005)
        return None


@dataclass(frozen=True, slots=True)
class Wrong:
    """How long a file was wrong, in seconds; less, where not `exact`: between two looks."""

    seconds: float
    exact: bool


def _right(look: Seen, right: Callable[[bytes], bool]) -> bool:
    return look.content is not None and right(look.content)

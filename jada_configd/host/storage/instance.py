"""One daemon a host, also where somebody removes what it has locked.

The lock stands in the run-time directory, and once more in the state directory: who cleans one of
them up under a daemon does not let a second one start beside it. What was removed is locked anew.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Self

from jada_configd.errors import Busy, HostError
from jada_configd.host.storage.locks import Lock, lock


class Instance:
    """The locks of the one daemon, held while it is entered."""

    def __init__(self, place: str, more: Sequence[tuple[str, int]] = ()) -> None:
        """`place` must be had; `more`, with the modes of their directories, where that can be."""
        self._place = place
        self._more = tuple(more)
        self._held: dict[str, Lock] = {}
        self._trouble: str | None = None

    def __enter__(self) -> Self:
        """Raises `Busy` where another daemon runs, `HostError` where that cannot be known."""
        try:
            self._held[self._place] = lock(self._place)
            self._take_more()
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._release()

    def keep(self) -> None:
        """Lock anew what was removed; costs a look at each place where nothing was.

        Nothing else can pass for what was removed: a file that is open lends its number to none.
        """
        self._trouble = None
        for path in [path for path, held in self._held.items() if not held.is_at(path)]:
            self._held.pop(path).release()
        try:
            if self._place not in self._held:
                self._held[self._place] = lock(self._place)
            self._take_more()
        except Busy as busy:
            self._trouble = f"another instance runs on this host: {busy}"
        except HostError as error:
            self._trouble = str(error)

    def troubles(self) -> tuple[str, ...]:
        """Why not all is locked that was."""
        return (self._trouble,) if self._trouble is not None else ()

    def _take_more(self) -> None:
        for path, mode in self._more:
            if path not in self._held:
                with suppress(HostError):  # said by who keeps something in that directory
                    self._held[path] = lock(path, directory_mode=mode)

    def _release(self) -> None:
        for held in self._held.values():
            held.release()
        self._held.clear()

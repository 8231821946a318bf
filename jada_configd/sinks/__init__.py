"""Who is told. All hear the same events; one that fails harms neither the others nor the loop."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from jada_configd.core.report import Event


class Sink(Protocol):
    """Hears events, in order, on the thread of the loop; it must not block."""

    def handle(self, event: Event) -> None:
        """Take note of an event."""

    def close(self) -> None:
        """No more events will come."""


class FanOut:
    """Tells several sinks, and remembers which of them last failed and how."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = tuple(sinks)
        self._failures: dict[Sink, tuple[type[Event], str]] = {}

    def handle(self, event: Event) -> None:
        """Tell every sink; a failing one is a trouble to report, never an exception.

        The trouble lasts until the sink has taken an event of that sort: others it may pass over.
        """
        sort = type(event)
        for sink in self._sinks:
            try:
                sink.handle(event)
            except Exception as error:  # noqa: BLE001 - whatever a sink does, the others are told
                self._failures[sink] = sort, str(error) or type(error).__name__
            else:
                if sink in self._failures and self._failures[sink][0] is sort:
                    del self._failures[sink]

    def troubles(self) -> tuple[str, ...]:
        """One sentence for each sink that last failed."""
        return tuple(f"{type(s).__name__}: {why}" for s, (_, why) in self._failures.items())

    def close(self) -> None:
        """Close every sink."""
        for sink in self._sinks:
            with suppress(Exception):  # the end has come for all of them
                sink.close()

"""What has happened, heard from the watcher and the service manager, and turned into due times.

It carries no facts: a hint says what to look at, never what is there. What ends with an event is a
job of ours, or a probe.
"""

import selectors
import time
from typing import TYPE_CHECKING, Final, Protocol

from jada_configd.core.schedule import Schedule
from jada_configd.holdings import Holdings
from jada_configd.host.manager.systemd import (
    JobEnded,
    ManagerLost,
    ProbeEnded,
    Systemd,
    UnitChanged,
    UnitsReloaded,
)
from jada_configd.host.watching.hints import Everything, Hints
from jada_configd.kinds import KINDS

if TYPE_CHECKING:  # watchdog is dear to import, and only a daemon watches
    from jada_configd.host.watching.watch import Watcher

EVERYTHING_GAP_NS: Final = 250_000_000
SETTLED_NS: Final = 2_000_000  # longer after a start than the clocks' slack in core/staleness.py


class Listener(Protocol):
    """Who is told what has ended, and when that was heard (CLOCK_MONOTONIC, nanoseconds)."""

    def job_ended(self, event: JobEnded, now_ns: int) -> None:
        """A job of a unit that is held has ended, ours or another's."""

    def probe_ended(self, event: ProbeEnded, now_ns: int) -> None:
        """A probe of ours has ended."""

    def missed(self) -> None:
        """What has happened lately may not have been heard."""


class Hearing:
    """One wait for all that can happen. The watcher and the service manager may be missing."""

    def __init__(
        self,
        watcher: "Watcher | None",
        systemd: Systemd | None,
        schedule: Schedule,
        holdings: Holdings,
        listener: Listener,
        retries: str,
    ) -> None:
        """`retries` is the file by which an operator has something tried again."""
        self._watcher = watcher
        self._systemd = systemd
        self._schedule = schedule
        self._holdings = holdings
        self._listener = listener
        self._retries = retries
        self.told_to_retry = True  # at the start too: it may have been said while nobody listened
        self._manager_descriptor: int | None = None
        self._everything_ns = 0
        self.selector = selectors.DefaultSelector()
        self.overflows = 0
        self.lost_match = False  # a pattern may match other files now
        if watcher is not None:
            self.selector.register(watcher, selectors.EVENT_READ)

    def sleep(self, until_ns: int, not_before_ns: int) -> list[int]:
        """Until something happens or is due, but no longer than `until_ns`.

        What is due is not done before `not_before_ns`. Returns the descriptors of others that
        became readable.
        """
        systemd = self._systemd
        if systemd is not None:
            self._follow_descriptor(systemd.fileno())
            poll_ns = systemd.poll_due()
            until_ns = until_ns if poll_ns is None else min(until_ns, poll_ns)
            if systemd.pending():
                until_ns = 0
        due_ns = max(self._schedule.next_due(), not_before_ns)
        wait = (min(until_ns, due_ns) - time.monotonic_ns()) / 1e9
        opens_at = self._schedule.next_opening()
        if opens_at is not None:
            wait = min(wait, opens_at - time.time())
        ready = self.selector.select(max(0.0, wait))
        ours = (self._watcher, self._manager_descriptor)
        return [key.fd for key, _ in ready if key.fileobj not in ours]

    def hear(self, now_ns: int) -> None:
        """Take in what has happened, at a glance: what costs more is caught up with later."""
        if self._watcher is not None:
            self._take(self._watcher.glance(), now_ns)
        if self._systemd is not None:
            self._hear_manager(self._systemd, now_ns)

    def catch_up(self) -> None:
        """Watch what a glance has left, and hear what happened to that."""
        if self._watcher is not None and self._watcher.is_behind():
            self._take(self._watcher.hints(), time.monotonic_ns())

    def _follow_descriptor(self, descriptor: int | None) -> None:
        """The bus is another descriptor after a reconnect."""
        if descriptor == self._manager_descriptor:
            return
        if self._manager_descriptor is not None:
            self.selector.unregister(self._manager_descriptor)
        if descriptor is not None:
            self.selector.register(descriptor, selectors.EVENT_READ)
        self._manager_descriptor = descriptor

    def _take(self, hints: Hints, now_ns: int) -> None:
        if isinstance(hints, Everything):
            self.overflows += 1
            self.lost_match = self.told_to_retry = True
            # Whoever overflows the queue again and again has everything looked at a few times a
            # second, not at each overflow.
            earliest_ns = max(now_ns, self._everything_ns + EVERYTHING_GAP_NS)
            self._everything_ns = min(earliest_ns, now_ns + EVERYTHING_GAP_NS)
            self._schedule.hint(self._holdings.resources, self._everything_ns)
            return
        for path in hints:
            if path == self._retries:
                self.told_to_retry = True
                continue
            known = self._holdings.at_path(path)
            if known is None:
                self.lost_match = True
            else:
                self._schedule.hint(known, now_ns)

    def _hear_manager(self, systemd: Systemd, now_ns: int) -> None:
        for event in systemd.events():
            match event:
                case UnitChanged():
                    self._hint_unit(event.unit, now_ns)
                case JobEnded():
                    self._listener.job_ended(event, now_ns)
                    self._hint_unit(event.unit, now_ns)
                case ProbeEnded():
                    self._listener.probe_ended(event, now_ns)
                case ManagerLost():
                    self._listener.missed()
                    self._schedule.hint(self._holdings.asking_manager(), now_ns)
                case UnitsReloaded():
                    self._schedule.hint(self._holdings.asking_manager(), now_ns)

    def _hint_unit(self, unit: str, now_ns: int) -> None:
        """Look at what a unit concerns; at what it reads, when that look can tell what it read."""
        for each in self._holdings.of_unit(unit):
            at_ns = now_ns if KINDS[each.kind].asks_manager else now_ns + SETTLED_NS
            self._schedule.hint((each,), at_ns)

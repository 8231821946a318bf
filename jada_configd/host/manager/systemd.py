"""The service manager: units, jobs and daemon-reloads, by whichever route leads to it.

The message bus comes first, then systemd's private socket, then `systemctl`; who asks sees one
`Systemd` all along. No call waits longer than its time limit, and a route that hangs costs that
once in a while only. How a route works is its own business, which one is taken that of `ways.py`.
"""

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Final, TypeVar

from jada_configd.core.actions import How
from jada_configd.core.facts import Inhibitor, Probe, UnitFact
from jada_configd.errors import ManagerGone, UnitRefused
from jada_configd.host.manager.own_jobs import OwnJobs
from jada_configd.host.manager.probes import Probes
from jada_configd.host.manager.routes import (
    Declined,
    Event,
    Gone,
    JobEnded,
    ManagerLost,
    ProbeEnded,
    Route,
    Silent,
    UnitChanged,
    UnitsReloaded,
)
from jada_configd.host.manager.unit_facts import (
    ManagerFact,
    UnitLook,
    is_unit_name,
    no_such_name,
)
from jada_configd.host.manager.ways import Way, Ways

__all__ = [
    "Event",
    "JobEnded",
    "ManagerLost",
    "ProbeEnded",
    "Systemd",
    "UnitChanged",
    "UnitsReloaded",
]

CALL_SECONDS: Final = 5.0
_COME_BACK_SECONDS: Final = 0.25  # in between, a better route is tried for no longer than this
_RELOAD_NS: Final = 30_000_000_000  # while systemd reads its units, waiting for it is in vain

# What systemd says of a name that is, after all, no unit's.
_NO_UNIT: Final = ("InvalidArgs", "NoSuchUnit", "UnknownObject")

T = TypeVar("T")


class Systemd:
    """Asks the service manager and hears of it. One thread uses it, and it starts none.

    `user` is for the caller's own service manager (`systemctl --user`). Nothing is connected before
    somebody asks. Every call raises `ManagerGone` where nobody answers.
    """

    def __init__(self, *, user: bool, seconds: float = CALL_SECONDS) -> None:
        """`seconds` is how long a call may take at most."""
        self._seconds = seconds
        self.user = user
        self._ways = Ways(_ways(user=user), self._greet)
        self._followed: frozenset[str] = frozenset()
        self._ids: dict[str, str] = {}  # what systemd calls the units that were looked at
        self._jobs = OwnJobs()
        self._probes = Probes(self._ask)
        self._events: list[Event] = []
        self._silent_until_ns = 0

    @property
    def connected(self) -> bool:
        """Whether the message bus is what is used."""
        return self._ways.best

    @property
    def route(self) -> str | None:
        """What is used, in words for an operator; None where nothing answers."""
        return None if self._ways.route is None else self._ways.route.name

    # ---- calls

    def unit(self, name: str) -> UnitFact:
        """The unit as it is now; one that does not exist, or cannot, is a fact too."""
        return self._look(name).fact

    def follow(self, units: Collection[str]) -> None:
        """Tell of these units from now on, and of no others.

        Raises nothing: where nobody can be asked now, they are followed as soon as somebody can.
        """
        followed = frozenset(filter(is_unit_name, units))
        if followed == self._followed and (self._ways.route is not None or not followed):
            return
        self._followed = followed
        self._probes.forget_names()
        self._ids = {name: behind for name, behind in self._ids.items() if name in followed}
        try:
            self._ask(self._greet)
        except (ManagerGone, Declined):
            return

    def reload_units(self) -> None:
        """Start a daemon-reload; its end is a `UnitsReloaded`."""
        try:
            self._ask(lambda route, left: route.begin_reload(left))
        except Declined as error:
            raise UnitRefused(str(error)) from error

    def start_job(self, unit: str, how: How) -> str:
        """Start a job for a unit; its name, under which its `JobEnded` comes.

        Of a unit that does not run, the job ends at once and changes nothing, but for "start",
        which may go by the name of a job that it takes the place of. Raises `UnitRefused` with
        systemd's own sentence.
        """
        if not is_unit_name(unit):
            raise UnitRefused(f"{unit!r} is not the name of a unit")
        if unit not in self._ids:
            self._look(unit)  # it may be an alias, and the end is told of the unit behind it
        if unit not in self._followed:
            self.follow(self._followed | {unit})
        try:
            # Whether a job was accepted whose answer got lost is not known: it is not asked twice.
            job = self._ask(lambda route, left: route.start_job(unit, how, left), again=False)
        except Declined as error:
            raise UnitRefused(str(error)) from error
        self._jobs.started(job, unit, how, heard=self.hears())
        return job

    def start_probe(self, probe: Probe) -> str:
        """Start a probe; its end is a `ProbeEnded`. Returns the name of its job.

        Raises `UnitRefused` where its name is in use, or nobody knows as whom to ask.
        """
        if self._probes.admit(probe):
            try:
                self._ask(self._greet)
            except ManagerGone:
                self._probes.forget_names()  # else it would pass for one that is heard of
                raise
        return self._probes.start(probe, heard=self.hears())

    def stop_probe(self, name: str) -> None:
        """Have a probe end whose end nobody waits for: no `ProbeEnded` comes. Raises nothing."""
        self._probes.stop(name)

    def inhibitors(self) -> tuple[Inhibitor, ...]:
        """Who keeps the host from being shut down now; none where nobody can tell."""
        try:
            return self._ask(lambda route, left: route.inhibitors(left))
        except (ManagerGone, Declined):
            return ()

    def manager(self) -> ManagerFact:
        """What the manager gives where a unit says nothing, and where it looks for units."""
        try:
            return self._ask(lambda route, left: route.manager(left))
        except Declined as error:
            raise ManagerGone(f"systemd does not tell of itself: {error}") from error

    def manager_pid(self) -> int:
        """The service manager's own process: PID 1, or a user's; 0 where nobody tells."""
        if not self.user:
            return 1
        try:
            return self._ask(lambda route, left: route.manager_pid(left))
        except (ManagerGone, Declined):
            return 0

    def _look(self, name: str) -> UnitLook:
        if not is_unit_name(name):
            return no_such_name(name)
        try:
            look = self._ask(lambda route, left: route.look(name, left))
        except Declined as error:
            if error.name.rpartition(".")[2] in _NO_UNIT:
                return no_such_name(name)
            raise ManagerGone(f"systemd does not tell of {name}: {error}") from error
        known = self._ids.get(name, name)
        self._ids[name] = look.id
        if known != look.id and name in self._followed:
            self._ask(self._greet)
        return look

    def _greet(self, route: Route, seconds: float) -> None:
        aliases = {name: self._ids.get(name, name) for name in self._followed}
        route.follow(aliases, self._probes.names, seconds)

    def hears(self) -> bool:
        """Whether the route in use tells of ends by itself."""
        return self._ways.route is not None and self._ways.route.fileno() is not None

    def _ask(self, question: Callable[[Route, float], T], *, again: bool = True) -> T:
        """The answer, by the best route that gives one; `again`: asking twice does no harm."""
        deadline = time.monotonic() + self._seconds
        if time.monotonic_ns() < self._silent_until_ns:
            raise ManagerGone("systemd is reading its unit files again, and does not answer yet")
        while True:
            route = self._ways.current(deadline)
            try:
                return question(route, max(0.0, deadline - time.monotonic()))
            except Gone as error:
                self._lost(str(error))
                if not again:
                    raise ManagerGone(f"{route.name} was lost: {error}") from error
            except Silent as error:
                if route.reloading():  # it will answer, and asking till then would only cost time
                    self._silent_until_ns = time.monotonic_ns() + _RELOAD_NS
                else:
                    self._lost("it does not answer", hung=True)
                words = f"systemd has not answered for {self._seconds:g} s through {route.name}"
                raise ManagerGone(words) from error

    # ---- events

    def fileno(self) -> int:
        """What becomes readable when something has happened; the same for good."""
        return self._ways.fileno()

    def pending(self) -> bool:
        """Whether `events` has something that makes no descriptor readable."""
        route = self._ways.route
        more = route is not None and (self._ways.missed or route.pending())
        return more or bool(self._events)

    def poll_due(self) -> int | None:
        """When to call `events` even if nothing becomes readable (CLOCK_MONOTONIC, nanoseconds)."""
        due = [*self._jobs.dues(), *self._probes.dues()]
        route = self._ways.route
        if route is not None and (poll_ns := route.poll_due()) is not None:
            due.append(poll_ns)
        if self._needed() and not self._ways.best:
            due.append(self._ways.due_ns())
        return min(due, default=None)

    def events(self) -> list[Event]:
        """What has happened since the last call. Waits for what `poll_due` announced, a little."""
        self._hear()
        if self._needed() and not self._ways.best:
            self._ways.improve(_COME_BACK_SECONDS)
        if self._ways.missed and self._ways.route is not None:
            self._ways.missed = False
            self._silent_until_ns = 0
            self._events += map(UnitChanged, sorted(self._followed))
        for ends in (self._jobs.look_after(self._look), self._probes.look_after()):
            with suppress(ManagerGone):  # their units are asked for soon, and who asks is told
                for end in ends:  # one by one: what was found till then is told
                    self._events.append(end)
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        """End the connection; there will be no more events."""
        self._ways.close()

    def _needed(self) -> bool:
        return bool(self._followed or self._jobs or self._probes)

    def _hear(self) -> None:
        if self._ways.route is None:
            return
        try:
            heard = self._ways.route.events()
        except Gone as error:
            self._lost(str(error))
            return
        for event in heard:
            self._silent_until_ns = 0
            if isinstance(event, JobEnded):
                if self._probes.heard(event):
                    continue
                self._jobs.ended(event.job)
            self._events.append(event)

    def _lost(self, problem: str, *, hung: bool = False) -> None:
        self._ways.lost(problem, hung=hung)
        self._events.append(ManagerLost())
        self._jobs.missed()
        self._probes.missed()


def _ways(*, user: bool) -> Sequence[Way]:
    """Best first. What a route needs is imported when it is tried."""

    def message_bus(seconds: float) -> Route:
        from jada_configd.host.manager.systemd_bus import SystemdBus

        return SystemdBus.on_message_bus(user=user, seconds=seconds)

    def private_socket(seconds: float) -> Route:
        from jada_configd.host.manager.systemd_bus import SystemdBus

        return SystemdBus.on_private_socket(user=user, seconds=seconds)

    def systemctl(seconds: float) -> Route:
        from jada_configd.host.manager.systemctl import Systemctl

        return Systemctl(user=user, seconds=seconds)

    return (
        Way("message bus", message_bus),
        Way("private socket", private_socket),
        Way("systemctl", systemctl),
    )

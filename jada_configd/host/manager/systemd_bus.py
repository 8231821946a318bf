"""systemd over D-Bus (org.freedesktop.systemd1(5)): through the message bus, or its private socket.

On the private socket there is no bus in between: no names, no match rules, and every signal comes.
"""

import re
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from jada_configd.core.actions import How
from jada_configd.host.manager.bus import (
    MESSAGE_BUS,
    Bus,
    Reply,
    Signal,
    Target,
    message_bus_address,
    private_address,
)
from jada_configd.host.manager.routes import (
    Declined,
    Event,
    Gone,
    JobEnded,
    UnitChanged,
    UnitsReloaded,
)
from jada_configd.host.manager.unit_facts import (
    ManagerFact,
    UnitLook,
    look_from_properties,
    manager_from_properties,
    unit_path,
)

_SYSTEMD: Final = "org.freedesktop.systemd1"
_MANAGER_PATH: Final = "/org/freedesktop/systemd1"
_MANAGER: Final = "org.freedesktop.systemd1.Manager"
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"
_UNITS: Final = "/org/freedesktop/systemd1/unit"
_METHODS: Final[Mapping[How, str]] = {
    "reload": "ReloadUnit",
    "restart": "TryRestartUnit",
    "reload-or-restart": "ReloadOrTryRestartUnit",
    "start": "RestartUnit",
}
# Two rules for each unit, so that we sleep through what other units do. A bus allows a connection
# 512 of them (dbus-daemon(1), max_match_rules_per_connection).
_MOST_UNITS: Final = 200
_RELOAD_SECONDS: Final = 90.0  # should its answer be lost, another may be asked for
_NOBODY: Final = re.compile(
    r"org\.freedesktop\.DBus\.Error\.(ServiceUnknown|NameHasNoOwner|NoReply)"
)


class SystemdBus:
    """One connection to systemd: a `Route`."""

    def __init__(self, bus: Bus, systemd: str) -> None:
        """`systemd` is whom calls are for: its unique name on a message bus."""
        self._bus = bus
        self._systemd = systemd
        self._manager = Target(systemd, _MANAGER_PATH, _MANAGER)
        self._rules: frozenset[str] = frozenset()
        self._names: Mapping[str, tuple[str, ...]] = {}  # by what systemd calls the unit
        self._names_at: Mapping[str, tuple[str, ...]] = {}  # by the unit's object path
        self._reload = 0  # the serial of ours
        self._reload_until = 0.0
        self._reloading = False
        self.name = "the message bus" if bus.name else "systemd's private socket"

    @classmethod
    def on_message_bus(cls, *, user: bool, seconds: float) -> "SystemdBus":
        """Connect through the message bus. Raises `Gone` and `Silent`."""
        bus = Bus.connect(message_bus_address(user=user), seconds)
        try:
            bus.hello(seconds)
            # Calls go to the owner, not to the name: nobody is started by asking, and who takes the
            # name later is somebody else.
            (owner,) = bus.call(MESSAGE_BUS, "GetNameOwner", "s", (_SYSTEMD,), seconds=seconds)
            bus.hear_only((owner, MESSAGE_BUS.name))
            route = cls(bus, owner)
            route.subscribe(seconds)
        except Declined as error:
            bus.close()
            raise Gone(str(error)) from error
        except BaseException:
            bus.close()
            raise
        return route

    @classmethod
    def on_private_socket(cls, *, user: bool, seconds: float) -> "SystemdBus":
        """Connect to systemd itself, as systemctl(1) does. Raises `Gone` and `Silent`."""
        bus = Bus.connect(private_address(user=user), seconds)
        try:
            route = cls(bus, _SYSTEMD)
            route.subscribe(seconds)
        except BaseException:
            bus.close()
            raise
        return route

    def subscribe(self, seconds: float) -> None:
        """Have systemd send its signals, as long as this connection stands."""
        self.follow({}, seconds)
        self._call(self._manager, "Subscribe", seconds=seconds)

    # ---- calls

    def look(self, unit: str, seconds: float) -> UnitLook:
        """The unit as it is now. One call: systemd loads the unit that a path names."""
        target = Target(self._systemd, unit_path(unit), _PROPERTIES)
        (properties,) = self._call(target, "GetAll", "s", ("",), seconds=seconds)
        return look_from_properties(unit, properties)

    def start_job(self, unit: str, how: How, seconds: float) -> str:
        """Start a job; its path. Raises `Declined`."""
        if how == "start":
            self.reset(unit, seconds)
        method, body = _METHODS[how], (unit, "replace")
        (path,) = self._call(self._manager, method, "ss", body, seconds=seconds)
        return str(path)

    def reset(self, unit: str, seconds: float) -> None:
        """Have a failure forgotten (systemctl(1), reset-failed), before anything asked later.

        Whether there was any to forget is not waited for.
        """
        self._bus.begin(self._manager, "ResetFailedUnit", "s", (unit,), seconds=seconds)

    def begin_reload(self, seconds: float) -> None:
        """Start a daemon-reload, unless one of ours is under way."""
        if not self._reload or time.monotonic() > self._reload_until:
            self._reload = self._bus.begin(self._manager, "Reload", seconds=seconds)
            self._reload_until = time.monotonic() + _RELOAD_SECONDS

    def follow(self, aliases: Mapping[str, str], seconds: float) -> None:
        """Tell of these units, and of daemon-reloads."""
        names: dict[str, tuple[str, ...]] = {}
        for name, unit in aliases.items():
            names[unit] = (*names.get(unit, ()), name)
        self._names = names
        self._names_at = {unit_path(unit): known for unit, known in names.items()}
        if not self._bus.name:
            return
        rules = frozenset(_rules(names))
        for member, changed in (
            ("RemoveMatch", self._rules - rules),
            ("AddMatch", rules - self._rules),
        ):
            for rule in sorted(changed):
                # The bus handles these before whatever we ask of systemd afterwards.
                self._bus.begin(MESSAGE_BUS, member, "s", (rule,), seconds=seconds)
        self._rules = rules

    def manager(self, seconds: float) -> ManagerFact:
        """What the manager says of itself."""
        target = Target(self._systemd, _MANAGER_PATH, _PROPERTIES)
        (properties,) = self._call(target, "GetAll", "s", (_MANAGER,), seconds=seconds)
        return manager_from_properties(properties)

    def manager_pid(self, seconds: float) -> int:
        """The service manager's own process."""
        if not self._bus.name:
            return self._bus.peer_pid()
        body, method = (self._systemd,), "GetConnectionUnixProcessID"
        (pid,) = self._call(MESSAGE_BUS, method, "s", body, seconds=seconds)
        return int(pid)

    def _call(
        self,
        target: Target,
        member: str,
        signature: str = "",
        body: tuple[Any, ...] = (),
        *,
        seconds: float,
    ) -> tuple[Any, ...]:
        try:
            return self._bus.call(target, member, signature, body, seconds=seconds)
        except Declined as error:
            if _NOBODY.fullmatch(error.name):
                raise Gone(str(error)) from error
            raise

    # ---- events

    def reloading(self) -> bool:
        """Whether systemd is reading its units again, and so will not answer for a while."""
        return self._reloading or self._reload != 0

    def pending(self) -> bool:
        """Whether `events` has something that makes no descriptor readable."""
        return self._bus.pending()

    def fileno(self) -> int:
        """The socket."""
        return self._bus.fileno()

    def poll_due(self) -> None:
        """Never: all is heard."""

    def close(self) -> None:
        """End the connection."""
        self._bus.close()

    def events(self) -> list[Event]:
        """What has happened; each unit's change once. Raises `Gone`."""
        events: dict[Event, None] = {}
        for message in self._bus.incoming():
            heard = self._replied(message) if isinstance(message, Reply) else self._heard(message)
            events |= dict.fromkeys(heard)
        return list(events)

    def _replied(self, reply: Reply) -> Iterator[Event]:
        if reply.serial == self._reload:
            self._reload = 0
            self._reloading = False
            yield UnitsReloaded(reply.error)

    def _heard(self, signal: Signal) -> Iterator[Event]:
        match signal.member, signal.body:
            case "PropertiesChanged", _:
                yield from map(UnitChanged, self._names_at.get(signal.path, ()))
            case "JobRemoved", (_, str(job), str(unit), str(result)):
                for name in self._names.get(unit, ()):
                    yield JobEnded(name, job, result)
            case "Reloading", (bool(active),):
                self._reloading = active
                if not active and not self._reload:  # the end of ours is its reply
                    yield UnitsReloaded()
            case "NameOwnerChanged", (str(name), *_) if name == _SYSTEMD:
                raise Gone("systemd has left the message bus")


def _rules(units: Mapping[str, object]) -> Iterator[str]:
    """Match rules (D-Bus specification, Message Bus Message Routing)."""
    bus = f"type='signal',sender='{MESSAGE_BUS.name}',path='{MESSAGE_BUS.path}'"
    yield f"{bus},interface='{MESSAGE_BUS.interface}',member='NameOwnerChanged',arg0='{_SYSTEMD}'"
    manager = f"type='signal',sender='{_SYSTEMD}',path='{_MANAGER_PATH}',interface='{_MANAGER}'"
    yield f"{manager},member='Reloading'"
    change = (
        f"type='signal',sender='{_SYSTEMD}',interface='{_PROPERTIES}',member='PropertiesChanged'"
    )
    if len(units) > _MOST_UNITS:
        yield f"{change},path_namespace='{_UNITS}'"
        yield f"{manager},member='JobRemoved'"
        return
    for unit in units:
        yield f"{change},path='{unit_path(unit)}'"
        yield f"{manager},member='JobRemoved',arg2='{unit}'"

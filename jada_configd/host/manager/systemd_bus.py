"""systemd over D-Bus (org.freedesktop.systemd1(5)): through the message bus, or its private socket.

On the private socket there is no bus in between: no names, no match rules, and every signal comes.
"""

import re
import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from jada_configd.core.actions import How
from jada_configd.core.facts import Inhibitor, Probe
from jada_configd.host.manager.bus import (
    MESSAGE_BUS,
    Bus,
    Reply,
    Signal,
    Target,
    message_bus_address,
    private_address,
)
from jada_configd.host.manager.logind import inhibitors
from jada_configd.host.manager.match_rules import (
    MANAGER,
    MANAGER_PATH,
    PROPERTIES,
    SYSTEMD,
    match_rules,
)
from jada_configd.host.manager.routes import (
    Declined,
    Event,
    Gone,
    JobEnded,
    UnitChanged,
    UnitsReloaded,
)
from jada_configd.host.manager.transient_units import as_properties, probe_settings
from jada_configd.host.manager.unit_facts import (
    ManagerFact,
    UnitLook,
    look_from_properties,
    manager_from_properties,
    unit_path,
)

_METHODS: Final[Mapping[How, str]] = {
    "reload": "ReloadUnit",
    "restart": "TryRestartUnit",
    "reload-or-restart": "ReloadOrTryRestartUnit",
    "start": "RestartUnit",
}
_RELOAD_SECONDS: Final = 90.0  # should its answer be lost, another may be asked for
_NOBODY: Final = re.compile(
    r"org\.freedesktop\.DBus\.Error\.(ServiceUnknown|NameHasNoOwner|NoReply)"
)


class SystemdBus:
    """One connection to systemd: a `Route`."""

    def __init__(self, bus: Bus, systemd: str, *, user: bool) -> None:
        """`systemd` is whom calls are for: its unique name on a message bus."""
        self._bus = bus
        self._user = user
        self._systemd = systemd
        self._manager = Target(systemd, MANAGER_PATH, MANAGER)
        self._rules: frozenset[str] = frozenset()
        self._names: Mapping[str, tuple[str, ...]] = {}  # by what systemd calls the unit
        self._probes: frozenset[str] = frozenset()
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
            (owner,) = bus.call(MESSAGE_BUS, "GetNameOwner", "s", (SYSTEMD,), seconds=seconds)
            bus.hear_only((owner, MESSAGE_BUS.name))
            route = cls(bus, owner, user=user)
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
            route = cls(bus, SYSTEMD, user=user)
            route.subscribe(seconds)
        except BaseException:
            bus.close()
            raise
        return route

    def subscribe(self, seconds: float) -> None:
        """Have systemd send its signals, as long as this connection stands."""
        self.follow({}, (), seconds)
        self._call(self._manager, "Subscribe", seconds=seconds)

    # ---- calls

    def look(self, unit: str, seconds: float) -> UnitLook:
        """The unit as it is now. One call: systemd loads the unit that a path names."""
        return look_from_properties(unit, self._properties(unit, seconds))

    def _properties(self, unit: str, seconds: float) -> Mapping[str, tuple[str, Any]]:
        target = Target(self._systemd, unit_path(unit), PROPERTIES)
        (properties,) = self._call(target, "GetAll", "s", ("",), seconds=seconds)
        return dict(properties)

    def start_job(self, unit: str, how: How, seconds: float) -> str:
        """Start a job; its path. Raises `Declined`."""
        if how == "start":
            self.reset(unit, seconds)
        method, body = _METHODS[how], (unit, "replace")
        (path,) = self._call(self._manager, method, "ss", body, seconds=seconds)
        return str(path)

    def start_probe(self, probe: Probe, seconds: float) -> str:
        """Start a probe as a transient unit; the path of its job. Raises `Declined`."""
        deadline = time.monotonic() + seconds
        asked = self._properties(probe.unit, seconds)
        values = {name: value for name, (_, value) in asked.items()}
        settings = probe_settings(probe, values, user=self._user)
        properties = as_properties(probe.command, settings)
        (path,) = self._call(
            self._manager,
            "StartTransientUnit",
            "ssa(sv)a(sa(sv))",
            (probe.name, "fail", properties, []),
            seconds=max(0.0, deadline - time.monotonic()),
        )
        return str(path)

    def stop(self, unit: str, seconds: float) -> None:
        """Stop a unit. That it has gone already is no failure, and nothing is waited for."""
        self._bus.begin(self._manager, "StopUnit", "ss", (unit, "replace"), seconds=seconds)

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

    def inhibitors(self, seconds: float) -> tuple[Inhibitor, ...]:
        """Who keeps the host from being shut down; logind is on the message bus alone."""
        return inhibitors(self._bus, seconds) if self._bus.name else ()

    def follow(self, aliases: Mapping[str, str], probes: Collection[str], seconds: float) -> None:
        """Tell of these units, of the ends of probes, and of daemon-reloads."""
        names: dict[str, tuple[str, ...]] = {}
        for name, unit in aliases.items():
            names[unit] = (*names.get(unit, ()), name)
        self._names = names
        self._probes = frozenset(probes)
        self._names_at = {unit_path(unit): known for unit, known in names.items()}
        if not self._bus.name:
            return
        rules = frozenset(match_rules(names, self._probes))
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
        target = Target(self._systemd, MANAGER_PATH, PROPERTIES)
        (properties,) = self._call(target, "GetAll", "s", (MANAGER,), seconds=seconds)
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
                if unit in self._probes:
                    yield JobEnded(unit, job, result)
            case "Reloading", (bool(active),):
                self._reloading = active
                if not active and not self._reload:  # the end of ours is its reply
                    yield UnitsReloaded()
            case "NameOwnerChanged", (str(name), *_) if name == SYSTEMD:
                raise Gone("systemd has left the message bus")

"""What every route to the service manager offers, what it tells, and how it fails.

The routes are the message bus and systemd's private socket (`systemd_bus.py`) and `systemctl`
(`systemctl.py`); which of them is taken is the business of `systemd.py`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from jada_configd.core.actions import How
from jada_configd.core.facts import Inhibitor, Probe
from jada_configd.host.manager.unit_facts import ManagerFact, UnitLook


class Gone(Exception):
    """The route cannot be taken, or has ended; the text says why."""


class Silent(Exception):
    """No answer within the time limit."""


class Declined(Exception):
    """The other side refused. `name` is the D-Bus error's, the text its own sentence."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


@dataclass(frozen=True, slots=True)
class UnitChanged:
    """A followed unit may be another than it was."""

    unit: str


@dataclass(frozen=True, slots=True)
class JobEnded:
    """A job of a followed unit, or one of ours, has ended.

    `result` is systemd's: done, failed, canceled, timeout, dependency, skipped, invalid …
    """

    unit: str
    job: str
    result: str


@dataclass(frozen=True, slots=True)
class UnitsReloaded:
    """A daemon-reload has ended; where it was ours and was refused, `error` is why."""

    error: str | None = None


@dataclass(frozen=True, slots=True)
class ManagerLost:
    """The connection has ended: what happened since is not known."""


@dataclass(frozen=True, slots=True)
class ProbeEnded:
    """A probe of ours has ended; where it did not pass, `why` says how.

    `exit status 3`, `exit status 203 (EXEC)`, `signal KILL`, `took longer than 10 s` …
    """

    name: str
    why: str = ""

    @property
    def passed(self) -> bool:
        """Whether it ended well."""
        return not self.why


Event: TypeAlias = UnitChanged | JobEnded | UnitsReloaded | ManagerLost | ProbeEnded


class Route(Protocol):
    """A way to ask the service manager; every call raises `Gone` or `Silent`."""

    name: str  # for an operator

    def look(self, unit: str, seconds: float) -> UnitLook:
        """The unit as it is now."""

    def start_job(self, unit: str, how: How, seconds: float) -> str:
        """Start a job; its path. Raises `Declined`."""

    def start_probe(self, probe: Probe, seconds: float) -> str:
        """Start a probe as a transient unit; the path of its job. Raises `Declined`.

        Raises `UnitRefused` where nobody knows as whom to ask.
        """

    def stop(self, unit: str, seconds: float) -> None:
        """Stop a unit; nothing is waited for."""

    def reset(self, unit: str, seconds: float) -> None:
        """Have a failure forgotten, if there is any, before whatever is asked next."""

    def inhibitors(self, seconds: float) -> tuple[Inhibitor, ...]:
        """Who keeps the host from being shut down; none where the route does not tell."""

    def begin_reload(self, seconds: float) -> None:
        """Start a daemon-reload; its end is a `UnitsReloaded`."""

    def follow(self, aliases: Mapping[str, str], probes: Collection[str], seconds: float) -> None:
        """Tell of these units: the name that events bear, and the one that systemd uses.

        Of probes it is told how their jobs end.
        """

    def reloading(self) -> bool:
        """Whether the manager is reading its units again, and so will not answer for a while."""

    def manager(self, seconds: float) -> ManagerFact:
        """What the manager says of itself."""

    def manager_pid(self, seconds: float) -> int:
        """The service manager's own process; 0 where the route does not tell."""

    def events(self) -> list[Event]:
        """What has happened, without waiting."""

    def pending(self) -> bool:
        """Whether `events` has something that makes no descriptor readable."""

    def fileno(self) -> int | None:
        """What becomes readable when something has happened; None where `poll_due` tells."""

    def poll_due(self) -> int | None:
        """When to call `events` in any case (CLOCK_MONOTONIC, nanoseconds)."""

    def close(self) -> None:
        """End it."""

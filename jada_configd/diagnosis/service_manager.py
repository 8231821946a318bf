"""Whether there is a service manager, how it is reached, and what it has of the policy's units."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from jada_configd.core.facts import UnitFact
from jada_configd.core.survey import ManagerLook, Unknown
from jada_configd.core.wording import count, escaped
from jada_configd.diagnosis.findings import Finding, ok, problem, unknown, warning

OLDEST: Final = 252  # what the unit and the drop-ins are written for, and tested on
NOTIFY_RELOAD: Final = 253  # systemd.service(5), Type=notify-reload
_JOURNAL_UNITS: Final = "systemd-journald.socket systemd-journald.service"


def bus(look: ManagerLook, *, user: bool, holds_units: bool) -> Iterator[Finding]:
    """The way to the service manager: message bus, its own socket, or `systemctl`."""
    check = "service-manager"
    if not look.runs:
        tell = problem if holds_units else warning
        says = "no systemd runs here: no unit can be looked at, reloaded or restarted"
        if user:
            says = "no service manager of this user runs: no unit of theirs can be looked at"
        yield tell(check, says, _begin(user=user))
    elif look.route is None:
        why = f": {escaped(look.problem)}" if look.problem else ""
        yield problem(check, f"the service manager does not answer{why}", _restart_bus(user=user))
    elif look.by_bus:
        yield ok(check, "answers through the message bus")
    else:
        says = f"there is no message bus that answers: systemd is asked through {look.route}, and "
        says += "the daemon says degraded"
        yield problem(check, says, _restart_bus(user=user))


def version(number: int | None) -> Iterator[Finding]:
    """What systemd is able to do."""
    check = "systemd-version"
    if number is None:
        yield warning(check, "which systemd this is cannot be told", "systemctl --version")
    elif number < OLDEST:
        says = f"systemd {number} is older than {OLDEST}, for which all this is made"
        yield warning(check, says, "systemctl --version  # a newer distribution")
    elif number < NOTIFY_RELOAD:
        yield ok(check, f"systemd {number}; the service reloads by SIGHUP (Type=notify)")
    else:
        yield ok(check, f"systemd {number}; the service reloads by Type=notify-reload")


def journal(*, listens: bool | Unknown) -> Iterator[Finding]:
    """Where events are told."""
    check = "journal"
    if isinstance(listens, Unknown):
        yield unknown(check, listens)
    elif listens:
        yield ok(check, "takes structured records")
    else:
        says = "nobody listens to the journal's socket: events are told on standard error only"
        yield warning(check, says, f"systemctl start {_JOURNAL_UNITS}")


def units(
    named: Mapping[str, str], found: Mapping[str, UnitFact], *, user: bool
) -> Iterator[Finding]:
    """The units of the policy (by name, where it names them): there, not masked, and loaded."""
    check, told = "services", False
    for name, origin in named.items():
        unit = found.get(name)
        if unit is None:
            continue
        shown = escaped(name)
        if (finding := _unit(unit, shown, origin, user=user)) is not None:
            told = True
            yield finding
    if found and named and not told:
        yield ok(check, f"{count(len(named), 'unit')} of the policy can be looked at and restarted")


def _unit(unit: UnitFact, shown: str, origin: str, *, user: bool) -> Finding | None:
    check = "services"
    match unit.load_state:
        case "not-found":
            says = f"there is no {shown}, which {origin} names: nobody takes its corrections up"
            return problem(check, says, f"edit {origin}, or put the unit in place")
        case "masked":
            return problem(check, f"{shown} is masked", unmask(unit, user=user))
        case "bad-setting" | "error":
            says = f"{shown} does not load ({unit.load_state})"
            return problem(check, says, f"systemd-analyze verify {shown}")
    if unit.need_daemon_reload:
        says = f"{shown} has other files than systemd has read"
        return warning(check, says, f"{systemctl(user=user)} daemon-reload")
    return None


def unmask(unit: UnitFact, *, user: bool) -> str:
    """A mask that lasts till the next boot is another one (systemctl(1), mask)."""
    option = " --runtime" if unit.unit_file_state == "masked-runtime" else ""
    return f"{systemctl(user=user)} unmask{option} {escaped(unit.name)}"


def systemctl(*, user: bool) -> str:
    """How an operator begins a command about units."""
    return "systemctl --user" if user else "systemctl"


def _begin(*, user: bool) -> str:
    if user:
        return 'loginctl enable-linger "$USER"  # or log in, rather than su'
    return "jada-configd run  # in the foreground, by what supervises this container"


def _restart_bus(*, user: bool) -> str:
    package = "dbus-user-session" if user else "dbus"
    return f"{systemctl(user=user)} start dbus.socket  # not there: apt install {package}"


def names_of(policy_units: Sequence[tuple[str, str]]) -> Mapping[str, str]:
    """Each unit once, with the first place that names it."""
    named: dict[str, str] = {}
    for name, origin in policy_units:
        named.setdefault(name, origin)
    return named

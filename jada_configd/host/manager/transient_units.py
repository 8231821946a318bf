"""What a probe is as a transient unit: the settings, for D-Bus and for systemd-run(1). Pure.

It is asked as the unit that it asks: as its user, in its directory, with its environment; in no
sandbox of ours, because systemd starts it. It is there until it is looked at: failed, or active
without a process.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from jada_configd.core.facts import Probe
from jada_configd.errors import UnitRefused

Setting: TypeAlias = str | bool | float | tuple[str, ...]  # a number is seconds

# Whom a command runs as. A user's manager runs all as that user, and takes none of these.
_IDENTITY: Final = ("User", "Group", "DynamicUser", "SupplementaryGroups")
_PLACE: Final = ("WorkingDirectory", "Environment")
ASKED_SHOWN: Final = ("LoadState", *_IDENTITY, *_PLACE)

_US_PER_SECOND: Final = 1_000_000
_STOP_SECONDS: Final = 1.0  # from SIGTERM to SIGKILL, once its time is over
_LEVELS: Final = {"notice": 5}  # syslog(3)
_LEVEL_SETTINGS: Final = ("SyslogLevel", "LogLevelMax")


def probe_settings(probe: Probe, unit: Mapping[str, Any], *, user: bool) -> dict[str, Setting]:
    """All but the command, by its name in a unit file (systemd.service(5), systemd.exec(5)).

    `unit` has the properties of the unit to be asked, `ASKED_SHOWN` at least. Raises
    `UnitRefused` where that is not loaded: nobody knows then as whom to ask.
    """
    if unit.get("LoadState") != "loaded":
        raise UnitRefused(f"Unit {probe.unit} is not loaded.")
    return {
        "Description": f"Asks how {probe.unit} is, for jada-configd",
        "Type": "oneshot",
        # Else one that passes is gone at once, and whoever did not hear of its end never learns it.
        "RemainAfterExit": True,
        "TimeoutStartSec": probe.seconds,  # of a oneshot unit, for all of its command
        "TimeoutStopSec": _STOP_SECONDS,
        "KillMode": "control-group",
        "SendSIGKILL": True,
        "NoNewPrivileges": True,
        "StandardOutput": "journal",
        "StandardError": "journal",
        "SyslogIdentifier": probe.name.removesuffix(".service"),
        # What it says itself is kept; "Starting" and "Finished" of systemd, at info, are not.
        "SyslogLevel": "notice",
        "LogLevelMax": "notice",
        **_taken(_wanted(probe, user=user), unit),
    }


def _wanted(probe: Probe, *, user: bool) -> tuple[str, ...]:
    """What is taken over of the unit; nothing of it reaches a command that root's manager runs."""
    if probe.as_root:
        return ()
    return _PLACE if user else (*_IDENTITY, *_PLACE)


def as_properties(
    command: tuple[str, ...], settings: Mapping[str, Setting]
) -> list[tuple[str, tuple[str, Any]]]:
    """For StartTransientUnit (org.freedesktop.systemd1(5))."""
    start = ("a(sasb)", [(command[0], _literal(command), False)])
    return [*(_property(name, value) for name, value in settings.items()), ("ExecStart", start)]


def as_arguments(name: str, command: tuple[str, ...], settings: Mapping[str, Setting]) -> list[str]:
    """For systemd-run(1).

    It looks for the command itself, and starts nothing where there is none; env(1) makes an end of
    that, exit status 127.
    """
    arguments = [f"--unit={name}"]
    for key, value in settings.items():
        arguments += _arguments(key, value)
    return [*arguments, "--", "/usr/bin/env", "--", *_literal(command)]


def _taken(wanted: Sequence[str], unit: Mapping[str, Any]) -> dict[str, Setting]:
    """What is set of these."""
    found: dict[str, Setting] = {}
    for name in wanted:
        match unit.get(name):
            case (str() | bool()) as value if value:
                found[name] = value
            case [*values] if values:
                found[name] = tuple(map(str, values))
    directory = found.get("WorkingDirectory")
    if isinstance(directory, str) and directory.startswith("!"):
        # That it may be missing is told with another sign than it is set with (dbus-execute.c).
        found["WorkingDirectory"] = f"-{directory[1:]}"
    return found


def _literal(command: tuple[str, ...]) -> list[str]:
    """With no $VARIABLE that systemd would replace: what a policy says is no shell's."""
    return [word.replace("$", "$$") for word in command]


def _property(name: str, value: Setting) -> tuple[str, tuple[str, Any]]:
    match value:
        case bool():
            return name, ("b", value)
        case float() | int():
            return name.replace("Sec", "USec"), ("t", _microseconds(value))
        case tuple():
            return name, ("as", list(value))
        case _:
            return name, ("i", _LEVELS[value]) if name in _LEVEL_SETTINGS else ("s", value)


def _arguments(name: str, value: Setting) -> list[str]:
    match value:
        case bool():
            return [f"--property={name}={'yes' if value else 'no'}"]
        case float() | int():
            return [f"--property={name}={_microseconds(value)}us"]
        case tuple():
            option = "--setenv=" if name == "Environment" else f"--property={name}="
            return [option + each for each in value]
        case _:
            return [f"--property={name}={value}"]


def _microseconds(seconds: float) -> int:
    return round(seconds * _US_PER_SECOND)

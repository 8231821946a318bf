"""What systemd says of a unit, as a `UnitFact`: from D-Bus properties, or from `systemctl show`.

Pure: asking is the business of `systemd_bus.py` and `systemctl.py`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from jada_configd.core.facts import LimitPair, LimitValue, UnitFact
from jada_configd.core.limits import LIMITS, directive
from jada_configd.host.manager.process_ends import how_it_ended
from jada_configd.host.manager.time_spans import microseconds

_INFINITY: Final = (1 << 64) - 1  # RLIM_INFINITY
_DIGITS: Final = 21  # one more than any 64-bit number has
_NS_PER_US: Final = 1000

# systemd.unit(5): the characters of a name, and its suffixes. A template is no unit.
_NAME: Final = re.compile(
    r"(?!@|.*@\.)[A-Za-z0-9:_.\\@-]+"
    r"\.(automount|device|mount|path|scope|service|slice|socket|swap|target|timer)"
)
_LONGEST_NAME: Final = 255
_WORD: Final = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)', re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED: Final = dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True))
_ARGV: Final = re.compile(r"argv\[\]=(.*?) ; ignore_errors=")

_LIMIT_KEYS: Final = {name: directive(name) for name in LIMITS}
_NUMBERS: Final = (
    "MainPID", "ExecMainStartTimestampMonotonic", "InactiveExitTimestampMonotonic",
    "StateChangeTimestampMonotonic", "NRestarts", "ExecMainCode", "ExecMainStatus",
    "StartLimitBurst",
)  # fmt: skip
_FLAGS: Final = ("CanReload", "NeedDaemonReload", "DynamicUser")
_LISTS: Final = ("DropInPaths", "SupplementaryGroups", "Environment")
_SPANS: Final = ("StartLimitIntervalUSec",)
SHOWN: Final = (
    "Id", "LoadState", "ActiveState", "SubState", "Result", "ReloadResult", "UnitFileState",
    "Type", "CanReload", "NeedDaemonReload", "Job", "FragmentPath", "DropInPaths", "ExecStart",
    "ControlGroup", *_NUMBERS, *_SPANS,
    *_LIMIT_KEYS.values(), *(f"{key}Soft" for key in _LIMIT_KEYS.values()),
)  # fmt: skip


MANAGER_SHOWN: Final = (
    "UnitPath",
    *(f"Default{key}{soft}" for key in _LIMIT_KEYS.values() for soft in ("", "Soft")),
)


@dataclass(frozen=True, slots=True)
class ManagerFact:
    """What the running manager gives where a unit says nothing, and where it looks for units."""

    limits: Mapping[str, LimitPair]  # DefaultLimitNOFILE= and its kin (systemd-system.conf(5))
    unit_path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UnitLook:
    """A unit, its name where the one asked for is an alias, and what tells how a job has ended."""

    fact: UnitFact
    id: str
    job: int  # the number of the job in hand, or 0
    reload_result: str  # of the last reload: success, exit-code, timeout …


def is_unit_name(name: str) -> bool:
    """Whether systemd would take this for the name of one unit (systemd.unit(5))."""
    return len(name) <= _LONGEST_NAME and _NAME.fullmatch(name) is not None


def unit_path(name: str) -> str:
    """The D-Bus object of a unit: all but letters and inner digits is escaped as `_hh`."""
    return "/org/freedesktop/systemd1/unit/" + "".join(
        chr(byte) if chr(byte).isalpha() or (at and chr(byte).isdigit()) else f"_{byte:02x}"
        for at, byte in enumerate(name.encode("ascii"))
    )


def job_path(number: int) -> str:
    """The D-Bus object of a job."""
    return f"/org/freedesktop/systemd1/job/{number}"


def no_such_name(name: str) -> UnitLook:
    """What there is to say of a name that systemd takes for no unit's."""
    return UnitLook(UnitFact(name, "error", "inactive"), name, 0, "")


def look_from_properties(name: str, variants: Mapping[str, tuple[str, Any]]) -> UnitLook:
    """From all properties of a unit, as D-Bus gives them (org.freedesktop.systemd1(5)).

    What a unit of its type does not have, or what is of another type than documented, counts as
    not being there.
    """
    return _look(name, {key: value for key, (_, value) in variants.items()})


def look_from_show(name: str, text: str) -> UnitLook:
    """From the output of `systemctl show --property=… UNIT` for the properties `SHOWN`.

    systemctl writes a command's arguments with a blank between them and no quotes, so that those
    that hold a blank come apart.
    """
    return _look(name, values_from_show(text))


def values_from_show(text: str) -> dict[str, Any]:
    """What `systemctl show` says, in the shape of the D-Bus properties."""
    said: dict[str, str] = {}
    for line in text.split("\n"):
        key, _, value = line.partition("=")
        said.setdefault(key, value)  # several ExecStart=: the first
    values: dict[str, Any] = {}
    for key, value in said.items():
        if key.startswith("Limit") or key in _NUMBERS:
            values[key] = _number(value)
        elif key in _SPANS:
            values[key] = microseconds(value)
        elif key in _FLAGS:
            values[key] = value == "yes"
        elif key == "Job":
            values[key] = (_number(value), "/")
        elif key in _LISTS:
            values[key] = _words(value)
        elif key == "ExecStart":
            argv = _ARGV.search(value)
            values[key] = [("", argv[1].split(" "))] if argv else []
        else:
            values[key] = value
    return values


def manager_from_properties(variants: Mapping[str, tuple[str, Any]]) -> ManagerFact:
    """From all properties of the manager, as D-Bus gives them."""
    return _manager({key: value for key, (_, value) in variants.items()})


def manager_from_show(text: str) -> ManagerFact:
    """From the output of `systemctl show --property=…` for the properties `MANAGER_SHOWN`."""
    said = dict(line.partition("=")[::2] for line in text.split("\n"))
    values: dict[str, Any] = {
        key: _number(value) for key, value in said.items() if key.startswith("Default")
    }
    return _manager({**values, "UnitPath": _words(said.get("UnitPath", ""))})


def _manager(values: Mapping[str, Any]) -> ManagerFact:
    limits = {
        key.removeprefix("Default"): value
        for key, value in values.items()
        if key.startswith("DefaultLimit") and type(value) is int
    }
    paths = values.get("UnitPath")
    known = paths if isinstance(paths, list) else []
    return ManagerFact(_limits(limits) or {}, tuple(each for each in known if type(each) is str))


def _look(name: str, values: Mapping[str, Any]) -> UnitLook:
    """From Python values in the shape of the D-Bus properties."""

    def get(key: str, kind: type) -> Any:  # noqa: ANN401 - of the kind asked for
        value = values.get(key)
        return value if type(value) is kind else kind()

    job, *_ = get("Job", tuple) or (0,)
    (_, command, *_), *_ = get("ExecStart", list) or [("", ())]
    fact = UnitFact(
        name=name,
        load_state=get("LoadState", str),
        active_state=get("ActiveState", str),
        sub_state=get("SubState", str),
        result=get("Result", str),
        unit_file_state=get("UnitFileState", str),
        main_pid=get("MainPID", int),
        main_started_ns=get("ExecMainStartTimestampMonotonic", int) * _NS_PER_US,
        activating_since_ns=get("InactiveExitTimestampMonotonic", int) * _NS_PER_US,
        state_changed_ns=get("StateChangeTimestampMonotonic", int) * _NS_PER_US,
        can_reload=get("CanReload", bool),
        once=get("Type", str) == "oneshot",
        need_daemon_reload=get("NeedDaemonReload", bool),
        job=job != 0,
        fragment=get("FragmentPath", str),
        drop_ins=tuple(get("DropInPaths", list)),
        command=tuple(command),
        control_group=get("ControlGroup", str),
        limits=_limits(values) if get("LoadState", str) == "loaded" else None,
        restarts=get("NRestarts", int),
        ended=how_it_ended(get("ExecMainCode", int), get("ExecMainStatus", int)),
        start_burst=get("StartLimitBurst", int),
        start_interval_ns=get("StartLimitIntervalUSec", int) * _NS_PER_US,
    )
    return UnitLook(fact, get("Id", str) or name, job, get("ReloadResult", str))


def job_result(look: UnitLook, *, reload: bool) -> str:
    """How a job ended that nobody heard of, from what the unit is afterwards: done or failed."""
    fact = look.fact
    well = fact.active_state != "failed" and fact.result in ("", "success")
    if reload:
        well = well and look.reload_result in ("", "success")
    return "done" if well else "failed"


def _limits(values: Mapping[str, Any]) -> Mapping[str, LimitPair] | None:
    """Soft and hard by name; None where the unit starts no process of its own."""

    def value(key: str) -> LimitValue:
        number = values.get(key)
        return None if number == _INFINITY else number

    return {
        name: (value(f"{key}Soft"), value(key))
        for name, key in _LIMIT_KEYS.items()
        if key in values
    } or None


def _number(text: str) -> int:
    """A number as systemctl writes it; `infinity` is one, `[not set]` and nothing at all are 0."""
    if text == "infinity":
        return _INFINITY
    return int(text) if text.isascii() and text.isdigit() and len(text) < _DIGITS else 0


def _words(text: str) -> list[str]:
    """A list of strings as systemctl writes it: in double quotes where there is a need."""
    return [
        _ESCAPE.sub(lambda escape: _ESCAPED.get(escape[1], escape[1]), quoted) if quoted else plain
        for quoted, plain in _WORD.findall(text)
    ]

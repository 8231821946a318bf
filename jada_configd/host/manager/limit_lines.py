"""What says what a unit's limits are to be: the manager, its configuration, the unit, its drop-ins.

Which file counts is systemd's own rule (`core/drop_in_order.py`); what a line means is read by
`formats/limit_lines.py`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Protocol

from jada_configd.core.drop_in_order import drop_in_directories, in_force
from jada_configd.core.facts import Content, FileFact, LimitLayer, LimitLine, UnitFact
from jada_configd.core.limits import line_that_gives
from jada_configd.errors import HostError
from jada_configd.formats.limit_lines import limit_lines
from jada_configd.host.manager.unit_facts import ManagerFact

# systemd-system.conf(5): the first that has the main file, and of drop-ins the one that counts.
_CONFIGURATION: Final = ("/etc", "/run", "/usr/local/lib", "/usr/lib")
_BUILT_IN: Final = "the service manager, which has it from the kernel"
_RUNNING: Final = "the running service manager (its files are others by now)"


class Texts(Protocol):
    """Where files are read from (`host/filesystem/files.py`)."""

    def read_file(self, path: str) -> FileFact:
        """The file at an absolute path; raises nothing."""

    def glob(self, pattern: str) -> tuple[str, ...]:
        """The paths that match; raises `HostError`."""


def configuration_directories(*, user: bool, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Where system.conf, or user.conf, and its drop-ins may stand; the first counts first."""
    directories = tuple(f"{each}/systemd" for each in _CONFIGURATION)
    if not user:
        return directories
    home = environ.get("XDG_CONFIG_HOME") or f"{environ.get('HOME', '')}/.config"
    return (f"{home}/systemd", *directories)


def unit_limit_lines(
    files: Texts, unit: UnitFact, manager: ManagerFact, directories: Sequence[str], *, user: bool
) -> tuple[LimitLine, ...]:
    """All of it, in the order in which systemd reads it; what cannot be read says nothing."""
    name = "user.conf" if user else "system.conf"
    defaults = list(_manager_files(files, directories, name))
    section = unit.name.rpartition(".")[2].capitalize()
    lines = _as_it_runs(defaults, manager)
    if unit.fragment:
        lines += _read(files, unit.fragment, section, "unit file")
    for path in _drop_ins(files, unit, manager):
        lines += _read(files, path, section, "drop-in")
    return tuple(lines)


def _manager_files(files: Texts, directories: Sequence[str], name: str) -> Iterator[LimitLine]:
    mains = (files.read_file(f"{directory}/{name}") for directory in directories)
    main = next((fact for fact in mains if isinstance(fact, Content)), None)
    if main is not None:
        yield from limit_lines(main.data, "Manager", "manager default", main.path)
    for path in in_force(_listed(files, (f"{each}/{name}.d" for each in directories))):
        yield from _read(files, path, "Manager", "manager default")


def _as_it_runs(defaults: Sequence[LimitLine], manager: ManagerFact) -> list[LimitLine]:
    """The lines of its files, and what it gives where that is something else.

    It reads them at daemon-reload and daemon-reexec only.
    """
    lines = [
        LimitLine(limit, *pair, "kernel default", _BUILT_IN)
        for limit, pair in manager.limits.items()
        if line_that_gives(defaults, limit) is None
    ]
    lines += defaults
    for limit, pair in manager.limits.items():
        line = line_that_gives(defaults, limit)
        if line is not None and (line.soft, line.hard) != pair:
            lines.append(LimitLine(limit, *pair, "manager default", _RUNNING))
    return lines


def _drop_ins(files: Texts, unit: UnitFact, manager: ManagerFact) -> tuple[str, ...]:
    """What systemd has read; where that is not what there is, what it would read."""
    if not unit.need_daemon_reload:
        return unit.drop_ins
    directories = drop_in_directories(unit.name, manager.unit_path)
    return in_force((*_listed(files, directories), *unit.drop_ins))


def _listed(files: Texts, directories: Iterable[str]) -> Iterator[str]:
    for directory in directories:
        try:
            yield from files.glob(f"{directory}/*.conf")
        except HostError:
            continue


def _read(files: Texts, path: str, section: str, layer: LimitLayer) -> list[LimitLine]:
    fact = files.read_file(path)
    return limit_lines(fact.data, section, layer, path) if isinstance(fact, Content) else []

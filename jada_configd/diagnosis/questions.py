"""The questions of a survey: each is asked by a child of its own, which may be left behind.

`at` is told what is being looked at, so that what hangs can be named.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from jada_configd.assembly import assemble
from jada_configd.core.facts import Missing, Unreadable
from jada_configd.core.resources import DROP_IN, is_pattern
from jada_configd.core.specs import Policy
from jada_configd.core.survey import (
    FileLook,
    Mount,
)
from jada_configd.diagnosis.answers import Around, Asked, Managed, units_of
from jada_configd.diagnosis.places import METRICS, Place
from jada_configd.diagnosis.policies import PolicyLook
from jada_configd.errors import HostError, PolicyError
from jada_configd.holdings import Holdings
from jada_configd.host.filesystem.files import Files
from jada_configd.host.processes.ceilings import ceiling
from jada_configd.host.storage.published import Publisher
from jada_configd.host.survey import manager_looks, place_looks, process_looks, surroundings
from jada_configd.host.survey.daemon_look import daemon_look
from jada_configd.host.survey.patience import Note
from jada_configd.host.watching.tally import watches_needed
from jada_configd.installation.comparison import service_look, systemd_version
from jada_configd.installation.manager import Manager
from jada_configd.installation.site import Site
from jada_configd.installation.trusted import Trusted
from jada_configd.installation.units import UNIT
from jada_configd.policy import load, sources
from jada_configd.sinks.journal import SOCKET

_LIMITS_D: Final = "/etc/security/limits.d"
_SYSCTL_D: Final = "/etc/sysctl.d"
_SYSCTLS: Final = "/proc/sys"
_AS_PATH: Final = str.maketrans("./", "/.")  # sysctl.d(5)
_SETTINGS_DIRECTORIES: Final = 500  # that are looked at, of patterns that match very many


def policy_of(asked: Asked, at: Note) -> PolicyLook:
    """The policy on disk."""
    where = asked.where
    path = asked.policy_path or where.policy
    named = asked.policy_path is not None
    at(path)
    if not Path(path).exists():
        return PolicyLook(path, exists=False, named=named)
    found: Policy | None = None
    errors: tuple[str, ...] = ()
    try:
        found = load(path, fragments=not named, home=where.home)
    except PolicyError as error:
        errors = error.messages
    untrusted = None if named or asked.image else _untrusted(path)
    return PolicyLook(
        path, exists=True, policy=found, errors=errors, untrusted=untrusted, named=named
    )


def _untrusted(path: str) -> str | None:
    """The hop by which somebody else could change the policy that a service reads."""
    try:
        Trusted().check(sources(path))
    except (HostError, PolicyError) as error:
        return str(error)
    return None


def around_of(asked: Asked, at: Note) -> Around:
    """What is so whatever the policy says."""
    at(asked.where.status)
    daemon = daemon_look(asked.where.status)
    pid = daemon.pid if daemon is not None else 0
    at("/proc")
    doer = process_looks.process_look(pid or process_looks.own_pid())
    uid = doer.uid if doer is not None else asked.uid
    inotify = process_looks.inotify_look(uid, pid)
    at(SOCKET)
    journal = manager_looks.journal_listens(SOCKET)
    at("systemctl --version")
    version = systemd_version(Manager(asked.where.user))
    clock, security = surroundings.clock_look(), surroundings.security_look()
    where = surroundings.container()
    return Around(daemon, doer, inotify, clock, security, journal, version, where)


def managed_of(asked: Asked, policy: Policy | None, version: int | None, at: Note) -> Managed:
    """The service manager, and the units of the policy and our own as it has them."""
    where = asked.where
    names = dict.fromkeys([UNIT, *(name for name, _ in units_of(policy))])
    manager, units = manager_looks.manager_look(tuple(names), user=where.user, at=at)
    pid = manager.pid or (0 if where.user else 1)
    at(f"process {pid}, the service manager,")
    process = process_looks.process_look(pid) if pid else None
    named = sorted({limit for spec in policy.services for limit in spec.limits} if policy else ())
    ceilings = {limit: ceiling(limit, pid) for limit in named}
    service = None
    if UNIT in units:
        at("the files of the service")
        in_place = None if asked.policy_path else policy
        site = Site(where, Files(), Manager(where.user))
        service = service_look(units[UNIT], site, version, in_place)
    return Managed(manager, units, process, ceilings, service)


def own_places(
    asked: Asked, policy: Policy | None, table: Sequence[Mount], daemon: int, at: Note
) -> tuple[Place, ...]:
    """Our own directories, and those of others into which the policy has us put files."""
    if not asked.sees_all:
        return ()
    where = asked.where
    found = []
    for purpose, path, mode in (("state", where.state, 0o700), ("run-time", where.runtime, 0o755)):
        at(path)
        look = place_looks.own_place_look(path, mode, table, daemon)
        found.append(Place(purpose, look))
    wanted = _written_to(asked, policy) if policy is not None else {}
    seen = set()
    for directory, (purpose, files) in wanted.items():
        at(directory)
        look = place_looks.place_look(directory, files, table, daemon)
        if look.there not in seen:  # a drop-in directory that is not there yet is made in another
            found.append(Place(purpose, look))
        seen.add(look.there)
    if policy is not None and policy.textfile is not None:
        found.append(_metrics_place(where.root, policy.textfile, table, daemon, at))
    return tuple(found)


def _metrics_place(
    root: str, textfile: str, table: Sequence[Mount], daemon: int, at: Note
) -> Place:
    """Where the policy has metrics written: a directory of others, trusted or not."""
    path = root.rstrip("/") + textfile
    directory = path.rpartition("/")[0] or "/"
    at(directory)
    look = place_looks.place_look(directory, [path], table, daemon)
    if look.mount.user is None:
        look = replace(look, problem=Publisher(root).trouble(textfile))
    return Place(METRICS, look)


def _written_to(asked: Asked, policy: Policy) -> dict[str, tuple[str, list[str]]]:
    """By directory: what for, and the files that the policy has us put there."""
    inside = asked.where.root.rstrip("/")
    wanted: dict[str, tuple[str, list[str]]] = {}
    for spec in policy.services:
        if spec.limits:
            directory = f"{inside}{asked.where.units}/{spec.unit}.d"
            wanted[directory] = ("drop-ins", [f"{directory}/{DROP_IN}"])
    if asked.where.user:
        return wanted  # the rest is root's: no user has to be able to write there
    if policy.logins:
        wanted[f"{inside}{_LIMITS_D}"] = ("login limits", [f"{inside}{_LIMITS_D}/{DROP_IN}"])
    if policy.sysctls:
        wanted[f"{inside}{_SYSCTL_D}"] = ("sysctl files", [f"{inside}{_SYSCTL_D}/{DROP_IN}"])
    for sysctl in policy.sysctls if not asked.image else ():
        place = f"{_SYSCTLS}/{sysctl.key.translate(_AS_PATH)}"
        wanted[place.rpartition("/")[0]] = ("sysctl", [])
    return wanted


def files_of(
    asked: Asked, policy: Policy | None, table: Sequence[Mount], daemon: int, at: Note
) -> tuple[tuple[FileLook, ...], tuple[Place, ...]]:
    """The settings files as the program itself sees them, and their directories."""
    if policy is None or not asked.sees_all:
        return (), ()
    files = Files(asked.where.root)
    looks: dict[str, FileLook] = {}
    for spec in policy.settings:
        at(spec.path)
        paths: Sequence[str] = (spec.path,)
        if is_pattern(spec.path):
            try:
                paths = files.glob(spec.path)
            except HostError as error:
                looks[spec.path] = FileLook(
                    spec.path, spec.origin, create=False, problem=str(error)
                )
                continue
        for path in paths:
            at(path)
            looks.setdefault(path, _file(files, path, spec.origin, create=spec.create))
    directories: dict[str, list[str]] = {}
    inside = asked.where.root.rstrip("/")
    for path, file in looks.items():
        if not (is_pattern(path) or file.lacks):  # a directory that is not there is not made
            directories.setdefault(f"{inside}{path}".rpartition("/")[0], []).append(inside + path)
    places = []
    for directory, held in list(directories.items())[:_SETTINGS_DIRECTORIES]:
        at(directory)
        look = place_looks.place_look(directory or "/", held, table, daemon)
        places.append(Place("the directory", look))
    return tuple(looks.values()), tuple(places)


def _file(files: Files, path: str, origin: str, *, create: bool) -> FileLook:
    match files.read_file(path):
        case Unreadable(_, problem):
            return FileLook(path, origin, create, problem)
        case Missing(directory=False, lacks=lacks):
            return FileLook(path, origin, create, None, lacks)
    return FileLook(path, origin, create)


def watches_of(asked: Asked, policy: Policy | None, at: Note) -> int:
    """As many as the daemon's own watcher takes for this policy."""
    if policy is None:
        return 0
    at("what the policy's patterns match")
    where = asked.where
    assembly = assemble(where, lambda _event: None, daemon=False, writes=False)
    holdings = Holdings(assembly.reader, assembly.scope)
    holdings.resolve(policy)
    return watches_needed(holdings.watched(), where.root)

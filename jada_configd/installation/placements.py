"""Which files an installation consists of on a host, and what of ours stands there."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from jada_configd.core.actions import RemoveFile, ReplaceFile, digest
from jada_configd.core.facts import Content, Missing, Unreadable
from jada_configd.core.our_files import is_any_of_ours
from jada_configd.core.resources import DROP_IN
from jada_configd.core.resources.logins import LOGIN_FILE
from jada_configd.core.resources.sysctls import SYSCTL_FILE
from jada_configd.errors import HostError, Refused
from jada_configd.host.directories import Directories
from jada_configd.host.filesystem.files import Files
from jada_configd.installation import units
from jada_configd.installation.shipped import shipped
from jada_configd.installation.units import FROM_POLICY, NOTIFY_RELOAD, UNIT

_MANUALS: Final = ("man1/jada-configd.1", "man5/jada-configd-policy.5")
_CATALOGUE: Final = "/usr/local/lib/systemd/catalog/jada-configd.catalog"
_ELSEWHERE: Final = (LOGIN_FILE, SYSCTL_FILE)


@dataclass(frozen=True, slots=True)
class Placement:
    """A file that is to stand at a path, as seen inside the root.

    `extra`: the service works without it (a manual page, the catalogue), so its lack is only told.
    """

    path: str
    content: bytes
    mode: int = 0o644
    extra: bool = False


@dataclass(frozen=True, slots=True)
class Pending:
    """A placement that is not as it should be, and what stands in its place."""

    placement: Placement
    present: Content | Missing

    def __str__(self) -> str:
        verb = "replace" if isinstance(self.present, Content) else "write"
        return f"{verb} {self.placement.path}"


def own_files(where: Directories) -> tuple[str, ...]:
    """The paths of all that `install` may write, but for the policy."""
    drop_ins = f"{where.units}/{UNIT}.d"
    return (
        f"{where.units}/{UNIT}",
        f"{drop_ins}/{NOTIFY_RELOAD}",
        f"{drop_ins}/{FROM_POLICY}",
        *_manual_paths(where),
        *(() if where.user else (_CATALOGUE,)),
    )


def placements(
    where: Directories, unit: str, from_policy: str, version: int | None
) -> tuple[Placement, ...]:
    """The files of an installation, but for the policy; `version` is systemd's, None if unknown."""
    drop_ins = f"{where.units}/{UNIT}.d"
    found = [
        Placement(f"{where.units}/{UNIT}", unit.encode()),
        Placement(f"{drop_ins}/{FROM_POLICY}", from_policy.encode()),
    ]
    if version is not None and version >= units.NOTIFY_RELOAD_SINCE:
        text = shipped(f"systemd/{UNIT}.d/{NOTIFY_RELOAD}")
        found.append(Placement(f"{drop_ins}/{NOTIFY_RELOAD}", text.encode()))
    return (*found, *_extras(where))


def _extras(where: Directories) -> Iterator[Placement]:
    """What the service works without; a packager may have put it elsewhere, or left it out."""
    shipped_as = {path: f"docs/{path.rpartition('/')[2]}" for path in _manual_paths(where)}
    if not where.user:
        shipped_as[_CATALOGUE] = "systemd/jada-configd.catalog"
    for path, name in shipped_as.items():
        with suppress(HostError):
            yield Placement(path, shipped(name).encode(), extra=True)


def outdated(where: Directories, wanted: Iterable[Placement], files: Files) -> Iterator[str]:
    """Paths of ours that this installation does not have, and an earlier one may have left."""
    paths = {placement.path for placement in wanted}
    for path in own_files(where):
        if path not in paths and isinstance(files.read_file(path), Content):
            yield path


def pending(wanted: Iterable[Placement], files: Files) -> list[Pending]:
    """What has to be written; raises `Refused` where something else is in the way."""
    found = []
    for placement in wanted:
        present = files.read_file(placement.path)
        if isinstance(present, Unreadable):
            if placement.extra:
                continue
            masked = "; if it is masked: systemctl unmask" if placement.path.endswith(UNIT) else ""
            raise Refused(f"{placement.path}: {present.problem}{masked}")
        if isinstance(present, Missing) or present.data != placement.content:
            found.append(Pending(placement, present))
    return found


def put(change: Pending, files: Files) -> None:
    """Write one file, whole or not at all; raises `HostError`."""
    placement, present = change.placement, change.present
    replaces, mode, uid, gid = None, placement.mode, -1, -1
    if isinstance(present, Content):
        replaces, mode = digest(present.data), present.mode
        uid, gid = present.uid, present.gid
    files.replace_file(
        ReplaceFile(
            placement.path, placement.content, mode, uid, gid, replaces, make_directories=True
        )
    )


def held_files(where: Directories, files: Files) -> list[str]:
    """The files that the daemon has written because of a policy, known by their header."""
    paths = [*files.glob(f"{where.units}/*.d/{DROP_IN}"), *([] if where.user else _ELSEWHERE)]
    return of_ours(paths, files)


def of_ours(paths: Iterable[str | None], files: Files) -> list[str]:
    """Those of some paths at which a file of ours stands."""
    return [path for path in paths if path and is_any_of_ours(files.read_file(path))]


def present_files(where: Directories, files: Files) -> list[str]:
    """Of the files that `install` may write, those that are there."""
    return [path for path in own_files(where) if isinstance(files.read_file(path), Content)]


def take_away(path: str, files: Files) -> None:
    """Remove a file, and a drop-in directory that it leaves empty; raises `HostError`."""
    present = files.read_file(path)
    if isinstance(present, Unreadable):
        raise HostError(f"{path}: {present.problem}")
    if isinstance(present, Content):
        files.remove_file(RemoveFile(path, digest(present.data)))


def _manual_paths(where: Directories) -> tuple[str, ...]:
    manuals = f"{where.home}/.local/share/man" if where.user else "/usr/local/share/man"
    return tuple(f"{manuals}/{name}" for name in _MANUALS)

"""Whether the program can write where it has to, and read the settings files of the policy."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from jada_configd.core.survey import FileLook, PlaceLook, Unknown
from jada_configd.core.wording import count, escaped
from jada_configd.diagnosis.findings import Finding, ok, problem, unknown, warning

METRICS: Final = "metrics"  # of a place, its purpose
_LEAST_BYTES: Final = 4 << 20  # a policy, a ledger, a settings file and its evidence
_FEW_BYTES: Final = 64 << 20  # what evidence alone may come to (host/storage/state.py)
_LEAST_INODES: Final = 16
_FEW_INODES: Final = 1000
# Where renameat2(2) does not take RENAME_EXCHANGE, or the server decides.
_NO_EXCHANGE: Final = frozenset(
    {"9p", "afs", "ceph", "cifs", "exfat", "nfs", "nfs4", "ntfs", "ntfs3", "smb3", "vboxsf"}
)
# Below these our unit may write only where `install` has opened it (ProtectSystem=yes), or where a
# unit of an earlier version kept them closed.
_CLOSED: Final = ("/usr", "/boot", "/efi", "/bin", "/sbin", "/lib", "/proc/sys")


@dataclass(frozen=True, slots=True)
class Place:
    """A directory, what it is for, and how it looks."""

    purpose: str  # `state`, `drop-ins` …
    look: PlaceLook | Unknown


def directories(places: Sequence[Place]) -> Iterator[Finding]:
    """Our own directories, and those into which drop-ins and the like are put."""
    yield from _each("directories", places)


def file_systems(places: Sequence[Place]) -> Iterator[Finding]:
    """File systems on which a correction is less safe, or a change is not heard of."""
    check = "file-systems"
    seen: set[str] = set()
    kinds: set[str] = set()
    for place in places:
        look = place.look
        if isinstance(look, Unknown) or look.mount.kind == "proc":
            continue
        kind = look.mount.kind
        kinds.add(kind)
        weak = kind in _NO_EXCHANGE or kind.startswith("fuse")
        if not weak or look.mount.point in seen:
            continue
        seen.add(look.mount.point)
        says = (
            f"{escaped(look.mount.point)} is {escaped(kind)}: what somebody else writes there in "
        )
        says += "the moment of a correction may be lost, and what another host changes is only "
        says += "found at the next sweep"
        yield warning(check, says, 'edit the policy: a local file; or [daemon] sweep = "30s"')
    if kinds and not seen:
        yield ok(check, f"files can be exchanged in one step ({escaped(', '.join(sorted(kinds)))})")


def settings(files: Sequence[FileLook] | Unknown, places: Sequence[Place]) -> Iterator[Finding]:
    """The settings files of the policy: read by the program's own rules, and their directories."""
    check = "settings"
    if isinstance(files, Unknown):
        yield unknown(check, files)
        return
    found = list(_each(check, places, all_well=False))
    for file in files:
        if file.problem is not None:
            yield problem(check, file.problem, _for_file(file, places))
        elif file.lacks and file.create:
            says = f"{escaped(file.path)} waits for {escaped(file.lacks)}, which is not there"
            yield warning(check, says, f"install --directory {_quoted(file.lacks)}  # its owner's")
    yield from found
    if not found and not any(file.problem or (file.lacks and file.create) for file in files):
        yield ok(check, f"{count(len(files), 'file')} can be read and replaced")


def _for_file(file: FileLook, places: Sequence[Place]) -> str:
    for place in places:
        look = place.look
        if isinstance(look, PlaceLook) and look.mount.user and file.path.startswith(look.path):
            return _unmount(look)
    return f"ls -ld {_quoted(file.path)}  # mend that, or take it out of the policy: {file.origin}"


def _unmount(look: PlaceLook) -> str:
    """Lazily: umount(8) asks the file system first otherwise, and may wait for ever."""
    return f"umount --lazy {_quoted(look.mount.point)}"


def _each(check: str, places: Sequence[Place], *, all_well: bool = True) -> Iterator[Finding]:
    well = []
    for place in places:
        found = (
            [unknown(check, place.look)]
            if isinstance(place.look, Unknown)
            else list(_place(check, place.purpose, place.look))
        )
        yield from found
        if not found and isinstance(place.look, PlaceLook):
            well.append(f"{place.purpose} {escaped(place.look.path)}")
    if well and all_well:
        yield ok(check, f"can be written, with room: {', '.join(well)}")


def _place(check: str, purpose: str, look: PlaceLook) -> Iterator[Finding]:
    """What is wrong with one directory; the first thing that keeps us from writing is enough."""
    name = f"{purpose} {escaped(look.path)}"
    point = _quoted(look.mount.point)
    fixed = next(iter(look.immutable or look.append_only), None)
    if look.problem is not None:
        remedy = f"ls -ld {_quoted(look.path)}  # whose it has to be: ours"
        if purpose == METRICS and look.there != look.path:  # no other is left to others to make
            remedy = f"install --directory {_quoted(look.path)}"
        yield problem(check, look.problem, remedy)
    elif look.mount.user:
        if check != "settings":  # there the file itself is refused, and says so
            says = f"{name} is on a mount that uid {look.mount.user} has made"
            yield problem(check, says, _unmount(look))
    elif look.read_only:
        says = f"{name} is on a read-only file system, mounted on {escaped(look.mount.point)}"
        yield problem(check, says, f"mount -o remount,rw {point}{_whose(look)}")
    elif look.daemon_read_only:
        yield problem(check, f"{name} is read-only to the daemon", _open_up(look))
    elif fixed is not None:
        what, flag = ("immutable", "i") if look.immutable else ("append-only", "a")
        yield problem(check, f"{escaped(fixed)} is {what}", f"chattr -{flag} {_quoted(fixed)}")
    elif not look.writable:
        yield problem(check, f"{name} cannot be written: no permission", _permit(look))
    else:
        yield from _room(check, name, look)


def _room(check: str, name: str, look: PlaceLook) -> Iterator[Finding]:
    point = _quoted(look.mount.point)
    on = f"{name} ({escaped(look.mount.point)})"
    if look.free_bytes is not None and look.free_bytes < _FEW_BYTES:
        tell = problem if look.free_bytes < _LEAST_BYTES else warning
        says = f"{on} has {look.free_bytes >> 10} KiB left"
        yield tell(check, says, f"du -xh {point} | sort -h | tail  # and remove what can go")
    if look.free_inodes is not None and look.free_inodes < _FEW_INODES:
        tell = problem if look.free_inodes < _LEAST_INODES else warning
        says = f"{on} has room for {count(look.free_inodes, 'more file')}"
        remedy = f"du -x --inodes {point} | sort -n | tail  # and remove what can go"
        yield tell(check, says, remedy)


def _permit(look: PlaceLook) -> str:
    if look.path.startswith("/run/user/"):
        return 'loginctl enable-linger "$USER"  # gives a run-time directory'
    return f'sudo chown "$USER" {_quoted(look.there)} && chmod u+rwx {_quoted(look.there)}'


def _whose(look: PlaceLook) -> str:
    """In a container the parameters outside `net` are its host's, which is why they are closed."""
    return "  # in a container: set it on its host" if look.mount.kind == "proc" else ""


def _open_up(look: PlaceLook) -> str:
    if look.there.startswith(_CLOSED):
        return "jada-configd install  # opens what the policy names to the service"
    return (
        "systemctl restart jada-configd  # if that does not do: systemctl edit jada-configd, "
        f"[Service] ReadWritePaths=-{look.there}"
    )


def _quoted(path: str) -> str:
    return shlex.quote(escaped(path))

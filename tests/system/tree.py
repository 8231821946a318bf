"""Puts a throwaway host's tree together: everything on the machine is in it, and no write leaks.

The tree is an overlay whose lower layer is the machine's `/` and whose upper layer is a tmpfs.
What is enabled, configured or owned by people on the machine is covered by new, empty directories.
Only `keeper.py` calls this, and only in a mount namespace of its own.
"""

import ctypes
import errno
import os
import re
import shutil
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

SCRATCH = Path("/run/jada-host")  # on a tmpfs that only the keeper's mount namespace sees
TREE = SCRATCH / "tree"

MS_REC, MS_SLAVE = 0x4000, 0x80000  # mount(2)
CLONE_NEWNS = 0x20000  # unshare(2)

# A machine may keep these on file systems of their own; an overlay does not reach across mounts.
SPREAD_OVER = ("etc", "nix", "opt", "usr", "var")
NOT_SPREAD_OVER = ("autofs", "cifs", "fuse", "nfs", "nfs4", "ramfs", "squashfs", "tmpfs", "vfat")

# Directories that the host has anew. Of the machine's units only the vendor's remain.
FRESH: Mapping[str, int] = {
    "/etc/systemd": 0o755,
    "/home": 0o755,
    "/root": 0o700,
    "/usr/lib/systemd/system-generators": 0o755,
    "/usr/lib/systemd/system/local-fs.target.wants": 0o755,
    "/usr/lib/systemd/system/multi-user.target.wants": 0o755,
    "/usr/lib/systemd/system/sockets.target.wants": 0o755,
    "/usr/lib/systemd/system/sysinit.target.wants": 0o755,
    "/usr/lib/systemd/system/timers.target.wants": 0o755,
    "/usr/lib/systemd/user-generators": 0o755,
    "/var/lib/systemd": 0o755,
    "/var/log": 0o755,
    "/var/tmp": 0o1777,
}
GONE = (
    "/etc/claude-code",
    "/etc/crypttab",
    "/etc/fstab",
    "/etc/jada-configd",
    "/usr/local/lib/systemd",
    "/var/lib/jada-configd",
)

# What a small server starts.
WANTED: Mapping[str, Sequence[str]] = {
    "multi-user.target": (
        "dbus.service",
        "systemd-logind.service",
        "systemd-user-sessions.service",
    ),
    "sockets.target": (
        "dbus.socket",
        "systemd-journald-dev-log.socket",
        "systemd-journald.socket",
    ),
    "sysinit.target": ("systemd-journald.service", "systemd-tmpfiles-setup.service"),
}
# Pulled in by others or startable by name, and about the machine's hardware, kernel or network.
MASKED = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "console-getty.service",
    "getty.target",
    "modprobe@.service",
    "systemd-binfmt.service",
    "systemd-journal-flush.service",
    "systemd-modules-load.service",
    "systemd-networkd.service",
    "systemd-networkd.socket",
    "systemd-remount-fs.service",
    "systemd-resolved.service",
    "systemd-sysctl.service",
    "systemd-timesyncd.service",
    "systemd-udev-trigger.service",
    "systemd-udevd-control.socket",
    "systemd-udevd-kernel.socket",
    "systemd-udevd.service",
    "systemd-update-utmp.service",
)
VENDOR_UNITS = Path("/usr/lib/systemd/system")

_libc = ctypes.CDLL(None, use_errno=True)


def leave_the_machines_mounts() -> None:
    """Go where the machine sees none of our mounts, though we still see it unmount its own."""
    if _libc.unshare(CLONE_NEWNS):
        number = ctypes.get_errno()
        raise OSError(number, f"cannot make a mount namespace: {os.strerror(number)}")
    _mount("none", Path("/"), "", MS_REC | MS_SLAVE)


def make_tree(
    users: Mapping[str, int], overlays: Mapping[str, Sequence[str]], links: Mapping[str, str]
) -> None:
    """Make `TREE` with these users (name to id) and symbolic links (path to target).

    At each key of `overlays` lie its directories, the uppermost first.
    """
    places = [Path("/"), *_places_to_spread_over()]
    # Opened before /run is covered. A descriptor needs no escaping in a mount option either.
    lowers = {place: os.open(place, os.O_PATH) for place in places}
    stacks = {at: [os.open(layer, os.O_PATH) for layer in overlays[at]] for at in overlays}
    _mount("tmpfs", Path("/run"), "tmpfs", 0, "mode=755")  # nspawn leaves litter in /run/systemd
    TREE.mkdir(parents=True)
    uppers = {place: _new_upper(place) for place in places}
    for name, mode in FRESH.items():
        _cover(uppers, Path(name), mode)
    for place in places:
        _overlay([lowers[place]], uppers[place], inside(place))
    for at, stack in stacks.items():
        inside(at).mkdir(parents=True, exist_ok=True)
        _overlay(stack, _new_upper(Path("/")), inside(at))
    _furnish(users)
    for path, target in links.items():
        inside(path).unlink(missing_ok=True)
        inside(path).symlink_to(target)


def inside(path: str | Path) -> Path:
    """Where a path of the host is while its tree is being made."""
    return TREE / str(path).lstrip("/")


def _mount(source: str, target: Path, kind: str, flags: int, options: str = "") -> None:
    if _libc.mount(source.encode(), os.fsencode(target), kind.encode(), flags, options.encode()):
        number = ctypes.get_errno()
        raise OSError(number, f"cannot mount {kind or source} on {target}: {os.strerror(number)}")


def _overlay(lowers: Sequence[int], upper: Path, target: Path) -> None:
    work = upper.with_name(upper.name + "-work")
    work.mkdir()
    stack = ":".join(f"/proc/self/fd/{lower}" for lower in lowers)
    try:
        _mount("overlay", target, "overlay", 0, f"lowerdir={stack},upperdir={upper},workdir={work}")
    except OSError as error:
        if error.errno == errno.EINVAL:  # the kernel's overlayfs.rst: two may be stacked
            error.strerror = f"{error.strerror}: it is an overlay on an overlay already"
        raise


def _new_upper(place: Path) -> Path:
    upper = SCRATCH / f"upper-{uuid.uuid4().hex}"
    upper.mkdir(mode=0o755)
    if place != Path("/"):
        shutil.copymode(place, upper)
    return upper


def _places_to_spread_over() -> list[Path]:
    """The mounts that hold a part of the machine's own tree, outermost first (proc(5))."""
    places = set()
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mounted, _, file_system = line.partition(" - ")
        place = Path(re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), mounted.split()[4]))
        kind = file_system.split()[0].partition(".")[0]
        if place.is_dir() and place.parts[1:2] and place.parts[1] in SPREAD_OVER:
            covered = any(place.is_relative_to(name) for name in FRESH)
            if not covered and kind not in NOT_SPREAD_OVER:
                places.add(place)
    return sorted(places)


def _cover(uppers: Mapping[Path, Path], path: Path, mode: int) -> None:
    """Put a new directory over the machine's (the kernel's overlayfs.rst, opaque directories)."""
    if not path.is_dir():
        return
    place = max(filter(path.is_relative_to, uppers), key=lambda at: len(at.parts))
    upper = uppers[place]
    for part in path.relative_to(place).parts:
        upper, place = upper / part, place / part
        if not upper.exists():
            upper.mkdir()
            status = place.stat()
            os.chown(upper, status.st_uid, status.st_gid)
            upper.chmod(status.st_mode & 0o7777)
    upper.chmod(mode)
    os.setxattr(upper, "trusted.overlay.opaque", b"y")


def _furnish(users: Mapping[str, int]) -> None:
    for name in GONE:
        path = inside(name)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    _add_users(users)
    # An empty machine-id would make this a first boot (machine-id(5)).
    _replace("/etc/machine-id", uuid.uuid4().hex + "\n")
    _replace("/etc/hostname", "jada-host\n")
    _replace("/etc/hosts", "127.0.0.1 localhost jada-host\n::1 localhost\n")
    # A journal that is written to memory needs no flush at boot and no space on the machine's disk.
    _replace("/etc/systemd/journald.conf.d/host.conf", "[Journal]\nStorage=volatile\n")
    units = inside("/etc/systemd/system")
    units.mkdir()
    (units / "default.target").symlink_to(VENDOR_UNITS / "multi-user.target")
    for unit in MASKED:
        (units / unit).symlink_to("/dev/null")
    for target, wanted in WANTED.items():
        wants = inside(VENDOR_UNITS / f"{target}.wants")
        for unit in wanted:
            (wants / unit).symlink_to(f"../{unit}")
    broker = VENDOR_UNITS / "dbus-broker.service"
    if broker.exists() and not (VENDOR_UNITS / "dbus.service").exists():
        (units / "dbus.service").symlink_to(broker)


def _replace(path: str, text: str) -> None:
    """A new file, whatever the machine has there: a link is not followed."""
    target = inside(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    target.write_text(text)


def _add_users(users: Mapping[str, int]) -> None:
    """Add the users with a group each and a home, in place of the machine's of that name or id."""
    lines = {
        "passwd": [f"{user}:x:{uid}:{uid}::/home/{user}:/bin/bash" for user, uid in users.items()],
        "group": [f"{user}:x:{uid}:" for user, uid in users.items()],
        "shadow": [f"{user}:*:19000:0:99999:7:::" for user in users],
    }
    ids = {str(uid) for uid in users.values()}
    for name, added in lines.items():
        path = inside(f"/etc/{name}")
        column = 2 if name != "shadow" else 0
        kept = [
            line
            for line in path.read_text().splitlines()
            if line.split(":")[0] not in users and line.split(":")[column] not in ids
        ]
        path.write_text("\n".join([*kept, *added, ""]))
    for user, uid in users.items():
        home = inside(f"/home/{user}")
        home.mkdir(mode=0o750)
        os.chown(home, uid, uid)

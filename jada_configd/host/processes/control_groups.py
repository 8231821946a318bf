"""Control groups (cgroups(7)): which processes are in one, and how many tasks it may have.

A group is named as systemd names it (`ControlGroup=`): a path below where the hierarchy is mounted.
"""

import os
from typing import Final

MOUNT: Final = "/sys/fs/cgroup"
# Where systemd's own hierarchy and the pids controller are: on a unified host both at the mount
# point, on a hybrid and a legacy one in directories below (systemd's docs/CGROUP_DELEGATION).
_TREES: Final = ("", "unified", "systemd")
_CONTROLLER: Final = ("", "pids")


def members(group: str, mount: str = MOUNT) -> tuple[int, ...]:
    """The processes in a group and in all below it; none where there is no such group.

    Who comes or goes while this looks may be missed; the kernel lists no zombie here.
    """
    for tree in _TREES:
        top = _place(mount, tree, group)
        if top is not None and os.path.exists(f"{top}/cgroup.procs"):
            return tuple(pid for place in _with_all_below(top) for pid in _members(place))
    return ()


def tasks(group: str, mount: str = MOUNT) -> tuple[int, int | None] | None:
    """How many tasks a group has and may have, None for no bound; None without the controller.

    A task is a thread; systemd sets the bound as `TasksMax=` (cgroup-v2.rst, PID).
    """
    for tree in _CONTROLLER:
        place = _place(mount, tree, group)
        current, most = _read(f"{place}/pids.current"), _read(f"{place}/pids.max")
        if place is not None and current.isdigit() and (most.isdigit() or most == "max"):
            return int(current), None if most == "max" else int(most)
    return None


def _place(mount: str, tree: str, group: str) -> str | None:
    """The directory of a group; the root group is nobody's, and has everybody in it."""
    inside = group.strip("/")
    if not inside or ".." in inside.split("/"):
        return None
    return "/".join(part for part in (mount, tree, inside) if part)


def _with_all_below(top: str) -> list[str]:
    """The directories of a group and its descendants; a service that delegates may have many."""
    found = [top]
    for place in found:  # grows as it goes
        try:
            with os.scandir(place) as entries:
                found += [each.path for each in entries if each.is_dir(follow_symlinks=False)]
        except OSError:  # it has gone
            continue
    return found


def _members(place: str) -> list[int]:
    return [int(word) for word in _read(f"{place}/cgroup.procs").split() if word.isdigit()]


def _read(path: str) -> str:
    """A file whole, empty where it is not to be had: a threaded group lists no processes."""
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""

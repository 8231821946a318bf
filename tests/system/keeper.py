"""Holds one throwaway host: boots it, waits, and takes all of it away again.

A process of its own, with the standard library alone. It says one JSON line on standard output,
`{"leader": PID}` or `{"problem": TEXT}`, and lives as long as its standard input stays open: when
whoever started it closes that, or dies in whatever way, the host dies too. `host.py` starts it.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from tests.system import tree

BOOT_SECONDS = 30.0
PR_SET_PDEATHSIG = 1  # prctl(2)


class BootFailed(Exception):
    """The host did not come up; the text says why."""


def main() -> int:
    """Boot what the JSON in the first argument describes; return when it is gone again."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started this
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the end of standard input is the one way out
    wanted = json.loads(sys.argv[1])
    group = own_control_group()
    try:
        tree.leave_the_machines_mounts()
        tree.make_tree(wanted["users"], wanted["overlays"], wanted["links"])
        with tempfile.TemporaryFile(dir=tree.SCRATCH) as console:
            keep(group, console)
    except (OSError, BootFailed) as error:
        say({"problem": str(error)})
        return 1
    finally:
        join(group.parent)
        remove_control_group(group)
    return 0


def say(message: Mapping[str, object]) -> None:
    """One line for whoever started this."""
    with contextlib.suppress(BrokenPipeError):
        os.write(1, json.dumps(message).encode() + b"\n")


def own_control_group() -> Path:
    """Make a control group for this host, and go into a leaf of it.

    nspawn makes `payload` and `supervisor` beside that leaf. Where PID 1 is not systemd, all hosts
    would share one `payload` at the root otherwise.
    """
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    root = next((place for _, place, kind, *_ in mounts if kind == "cgroup2"), None)
    if root is None:
        raise BootFailed("no cgroup v2 hierarchy is mounted here")
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    ours = next(line.removeprefix("0::") for line in lines if line.startswith("0::"))
    # Whoever came in from outside the control group namespace sees a path that leads nowhere here.
    start = "" if ours.startswith("/..") else ours.strip("/")
    group = Path(root, start, f"jada-host-{os.getpid()}")
    for left in group.parent.glob("jada-host-*"):  # by a keeper that was killed itself
        if not Path("/proc", left.name.rpartition("-")[2]).exists():
            remove_control_group(left, patience=0)
    (group / "keeper").mkdir(parents=True)
    join(group / "keeper")
    return group


def join(group: Path) -> None:
    """Move this process into a control group."""
    (group / "cgroup.procs").write_text("0")


def remove_control_group(group: Path, patience: float = 5.0) -> None:
    """Remove the group; the kernel takes a moment to forget the processes that were in it.

    On a hybrid machine nspawn makes one of the same name in the `name=systemd` hierarchy.
    """
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    places = [Path(place, group.name) for _, place, kind, *_ in mounts if kind == "cgroup"]
    left = [group, *(place for place in places if place.exists())]
    deadline = time.monotonic() + patience
    while True:
        for place in left:
            for directory, _, _ in os.walk(place, topdown=False):
                with contextlib.suppress(OSError):
                    Path(directory).rmdir()
        if time.monotonic() >= deadline or not any(place.exists() for place in left):
            return
        time.sleep(0.002)


def keep(group: Path, console: IO[bytes]) -> None:
    """Boot, say so, and wait until nobody wants the host any more or it has ended by itself."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(b"\0jada-host-%d" % os.getpid())
        nspawn = start_nspawn(group, console)
        try:
            leader = wait_until_booted(notified, nspawn, console)
            notified.close()  # nspawn goes on notifying, and would block once nobody reads
            say({"leader": leader})
            wait_for_the_end(nspawn)
        finally:
            end(group, nspawn)


def end(group: Path, nspawn: "subprocess.Popen[bytes]") -> None:
    """Kill what runs in the host, upon which nspawn reaps it and ends; or nspawn too."""
    deadline = time.monotonic() + 5
    while nspawn.poll() is None:
        kill(group / "payload" if time.monotonic() < deadline else group)
        time.sleep(0.002)


def kill(group: Path) -> None:
    """Kill every process in a control group and below, but not this one."""
    for pid in members(group) - {os.getpid()}:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def members(group: Path) -> set[int]:
    """The processes in a control group and below; a zombie is not among them (cgroup-v2.rst)."""
    pids = set()
    for directory, _, _ in os.walk(group):
        with contextlib.suppress(OSError):  # a group may go while we look
            pids |= {int(pid) for pid in Path(directory, "cgroup.procs").read_text().split()}
    return pids


def start_nspawn(group: Path, console: IO[bytes]) -> "subprocess.Popen[bytes]":
    """Start the container manager on the tree, unregistered: the machine may have no system bus."""

    def prepare() -> None:
        join(group)
        # Upon which nspawn shuts its container down; were it killed, the container would live on.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

    return subprocess.Popen(
        [
            "systemd-nspawn",
            "--quiet",
            "--boot",
            f"--directory={tree.TREE}",
            f"--machine=jada-host-{os.getpid()}",
            "--hostname=jada-host",
            "--settings=no",
            "--register=no",
            "--keep-unit",
            "--private-network",
            "--link-journal=no",
            "--resolv-conf=off",
            "--timezone=off",
            "--console=pipe",
            "--notify-ready=yes",
        ],
        stdin=subprocess.DEVNULL,
        stdout=console,
        stderr=console,
        preexec_fn=prepare,  # noqa: PLW1509 - this process has one thread
        env={
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "NOTIFY_SOCKET": f"@jada-host-{os.getpid()}",
            "UNIFIED_CGROUP_HIERARCHY": "1",  # a hybrid machine would get a hybrid host
            "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",  # its name since systemd 233
        },
    )


def wait_until_booted(
    notified: socket.socket, nspawn: "subprocess.Popen[bytes]", console: IO[bytes]
) -> int:
    """The PID of the host's first process, once that says that it is ready."""
    leader = 0
    deadline = time.monotonic() + BOOT_SECONDS
    while (left := deadline - time.monotonic()) > 0 and nspawn.poll() is None:
        readable, _, _ = select.select([notified.fileno(), 0], [], [], min(left, 0.2))
        if 0 in readable:
            raise BootFailed("given up before the host had booted")
        if notified.fileno() not in readable:
            continue
        fields = dict(line.partition("=")[::2] for line in notified.recv(4096).decode().split("\n"))
        leader = int(fields.get("X_NSPAWN_LEADER_PID", leader))
        if fields.get("READY") == "1":
            return leader
    console.seek(0)
    said = console.read().decode(errors="replace").strip()
    if leader and nspawn.poll() is None:
        enter = ["nsenter", f"--target={leader}", "--mount", "--pid", "--cgroup", "--ipc", "--net"]
        for question in (["systemctl", "list-jobs"], ["journalctl", "--no-pager", "--lines=40"]):
            answer = subprocess.run([*enter, *question], capture_output=True, check=False)
            said += f"\n{answer.stdout.decode(errors='replace')}"
    raise BootFailed(f"systemd-nspawn did not boot the host: {said or 'it said nothing'}")


def wait_for_the_end(nspawn: "subprocess.Popen[bytes]") -> None:
    """Return when standard input ends or the host has shut down."""
    descriptor = os.pidfd_open(nspawn.pid)
    select.select([0, descriptor], [], [])
    os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main())

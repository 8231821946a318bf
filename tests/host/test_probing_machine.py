"""What is told of a busy service without a command: a file that stands, and locks that it holds."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from jada_configd.core.facts import Inhibitor, UnitFact
from jada_configd.core.ledger import Ledger
from jada_configd.host.filesystem.files import Files
from jada_configd.host.machine import MachineReader
from jada_configd.host.manager.systemd import Systemd
from jada_configd.host.sysctls import Sysctls
from tests.host.stage import BOB, EVE, Stage

BUSY = "/run/agent/busy"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    made.directory("/run")
    yield made
    made.files.close()


# ------------------------------------------------------------------------------ files


@pytest.mark.needs_root
@pytest.mark.parametrize("owner", [0, EVE])
@pytest.mark.parametrize("mode", [0o000, 0o644])
def test_a_busy_file_exists_in_roots_directory_and_in_a_users(
    stage: Stage, owner: int, mode: int
) -> None:
    stage.directory("/run/agent", owner)
    assert not stage.files.exists(BUSY)
    stage.file(BUSY, b"", owner, mode)
    assert stage.files.exists(BUSY)


@pytest.mark.needs_root
def test_what_would_block_or_act_when_opened_exists_and_is_not_opened(stage: Stage) -> None:
    stage.directory("/run/agent", EVE)
    os.mkfifo(stage.real(BUSY))
    os.mknod(stage.real(f"{BUSY}.null"), 0o020666, os.makedev(1, 3))
    with socket.socket(socket.AF_UNIX) as listening:
        descriptor = os.open(stage.real("/run/agent"), os.O_PATH)  # a socket's path is short
        listening.bind(f"/proc/self/fd/{descriptor}/busy.socket")
        os.close(descriptor)
    assert [stage.files.exists(f"{BUSY}{end}") for end in ("", ".null", ".socket")] == [True] * 3


@pytest.mark.needs_root
def test_a_link_is_followed_inside_its_owners_tree_and_nowhere_else(stage: Stage) -> None:
    stage.directory("/run/agent", EVE)
    stage.directory("/run/bob", BOB)
    stage.file("/run/bob/file", uid=BOB)
    stage.file("/run/roots", mode=0o600)
    stage.file("/run/agent/task", uid=EVE)
    targets = {"own": "task", "bobs": "/run/bob/file", "roots": "/run/roots", "gone": "nothing"}
    for name, target in targets.items():
        stage.link(f"/run/agent/{name}", target, EVE)
    stage.link("/run/agent/loop", "loop", EVE)
    found = {name: stage.files.exists(f"/run/agent/{name}") for name in (*targets, "loop")}
    assert found == {"own": True, "bobs": False, "roots": False, "gone": False, "loop": False}


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.needs_root
def test_a_look_leaves_no_descriptor_and_keeps_the_file_that_is_kept(stage: Stage) -> None:
    home = stage.home()
    stage.file(f"{home}/settings.json", uid=EVE)
    stage.directory("/run/agent", EVE)
    stage.file(BUSY, uid=EVE)
    stage.files.begin_pass()
    stage.files.read_file(f"{home}/settings.json")
    before = descriptors()
    for path in (BUSY, "/run/nothing", "/run/nothing/below", "/", f"{BUSY}/below"):
        stage.files.exists(path)
    assert descriptors() == before
    assert stage.files._kept is not None


# ------------------------------------------------------------------------------ locks

GROUP = "/system.slice/jada-agent.service"
LOCKS = tuple(Inhibitor(pid, f"holder {pid}", "work in flight") for pid in (7, 90, 7, 4))


class Logind:
    """A service manager that knows of locks alone."""

    def __init__(self, *locks: Inhibitor) -> None:
        self.locks = locks

    def inhibitors(self) -> tuple[Inhibitor, ...]:
        return self.locks


def reader(groups: Path, *locks: Inhibitor) -> MachineReader:
    ledger = Ledger()
    return MachineReader(
        Files(str(groups)),
        cast("Systemd", Logind(*locks)),
        lambda: None,
        Sysctls(),
        owed=ledger.owed,
        seen=ledger.pay_off,
        groups=str(groups),
    )


def unit(group: str) -> UnitFact:
    return UnitFact("jada-agent.service", "loaded", "active", control_group=group)


def test_the_locks_of_a_unit_are_those_that_its_processes_hold(tmp_path: Path) -> None:
    for group, pids in ((GROUP, "7\n8\n"), (f"{GROUP}/workers", "90\n"), ("/other.service", "4\n")):
        place = tmp_path / group.strip("/")
        place.mkdir(parents=True)
        (place / "cgroup.procs").write_text(pids)
    found = reader(tmp_path, *LOCKS).inhibitors(unit(GROUP))
    assert [each.pid for each in found] == [7, 90, 7]
    assert found[0] == LOCKS[0]


@pytest.mark.parametrize("group", ["", GROUP])
def test_a_unit_that_does_not_run_holds_no_lock(tmp_path: Path, group: str) -> None:
    (tmp_path / "cgroup.procs").write_text("7\n90\n4\n")
    assert reader(tmp_path, *LOCKS).inhibitors(unit(group)) == ()
    assert reader(tmp_path).inhibitors(unit(group)) == ()

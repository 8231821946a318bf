"""Which processes of a control group lack their limits: real processes, in a tree of our own."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from jada_configd.core.facts import LimitPair, Stray
from jada_configd.host.processes import control_groups, facts, procfs
from jada_configd.host.processes.strays import strays

GROUP = "/system.slice/jada-agent.service"
SLEEPER = "import os, sys; print(flush=True); sys.stdin.read()"
LOWERS = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 128)); " + SLEEPER


@dataclass
class Group:
    """A control group as the kernel would show it, with processes of our own."""

    mount: Path
    children: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def start(self, program: str = SLEEPER, below: str = "") -> int:
        child = subprocess.Popen(
            [sys.executable, "-S", "-E", "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        child.stdout.readline()
        self.children.append(child)
        self.add(child.pid, below)
        return child.pid

    def add(self, pid: int, below: str = "") -> None:
        place = self.mount / GROUP.strip("/") / below
        place.mkdir(parents=True, exist_ok=True)
        with (place / "cgroup.procs").open("a") as file:
            file.write(f"{pid}\n")

    def strays(self, wanted: Mapping[str, LimitPair]) -> tuple[Stray, ...]:
        return strays(GROUP, wanted, 1, str(self.mount))


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Group]:
    made = Group(tmp_path)
    yield made
    for child in made.children:
        child.kill()
        child.communicate()


def own(*limits: str) -> dict[str, LimitPair]:
    """Our own limits, which all that we start has."""
    numbers = {"nofile": resource.RLIMIT_NOFILE, "core": resource.RLIMIT_CORE}
    pairs = {limit: resource.getrlimit(numbers[limit]) for limit in limits}
    return {
        limit: (None if soft == -1 else soft, None if hard == -1 else hard)
        for limit, (soft, hard) in pairs.items()
    }


def refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is with other users' processes, without CAP_SYS_RESOURCE."""

    def refuses(pid: int, number: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(resource, "prlimit", refuses)


@pytest.fixture(params=["asked", "read"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits are asked for, or read where that is refused."""
    if request.param == "read":
        refuse(monkeypatch)


@pytest.mark.usefixtures("way")
def test_whoever_has_the_limits_is_none(group: Group) -> None:
    group.start()
    group.start(below="workers/a")
    assert group.strays(own("nofile", "core")) == ()


@pytest.mark.usefixtures("way")
def test_who_has_others_is_told_with_them_the_oldest_first(group: Group) -> None:
    group.start()
    strayed = [group.start(LOWERS), group.start(LOWERS, below="workers/a")]
    found = group.strays(own("nofile", "core"))
    assert [each.pid for each in found] == strayed
    for each in found:
        assert each.limits == {"nofile": (64, 128), **own("core")}
        fact = facts.process(each.pid)
        assert fact is not None
        assert (each.started, each.name) == (fact.started, fact.name)
        assert each.name.startswith("python")
        assert not each.starting


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("wanted", [(None, None), (64, None), (65, 128), ((1 << 64) - 2, None)])
def test_each_value_counts(group: Group, wanted: LimitPair) -> None:
    group.start(LOWERS)
    (stray,) = group.strays({"nofile": wanted})
    assert stray.limits == {"nofile": (64, 128)}
    assert group.strays({"nofile": (64, 128)}) == ()


@pytest.mark.usefixtures("way")
def test_what_has_ended_is_none_a_zombie_included(group: Group) -> None:
    zombie, gone = group.start(LOWERS), group.start(LOWERS)
    for pid in (zombie, gone):
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    group.children[1].wait()
    assert group.strays(own("nofile")) == ()


@pytest.mark.usefixtures("way")
def test_who_ends_in_the_middle_of_the_look_is_none(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends, stays = group.start(LOWERS), group.start(LOWERS)
    looks = procfs.stat

    def ending(pid: int) -> procfs.Stat | None:
        if pid == ends and group.children[0].poll() is None:
            group.children[0].kill()
            group.children[0].wait()
        return looks(pid)

    monkeypatch.setattr(procfs, "stat", ending)
    assert [each.pid for each in group.strays(own("nofile"))] == [stays]


def test_a_number_that_has_passed_to_somebody_elses_process_is_none(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no longer listed then, though a process of that number is there to be looked at."""
    left, stays = group.start(LOWERS), group.start(LOWERS)
    listings: list[tuple[int, ...]] = [(left, stays), (stays,)]
    monkeypatch.setattr(control_groups, "members", lambda *_: listings.pop(0))
    assert [each.pid for each in group.strays(own("nofile"))] == [stays]


def test_who_starts_later_is_found_at_the_next_look(group: Group) -> None:
    assert group.strays(own("nofile")) == ()
    pid = group.start(LOWERS)
    assert [each.pid for each in group.strays(own("nofile"))] == [pid]


def test_processes_of_a_namespace_that_is_not_ours_have_no_number(group: Group) -> None:
    group.add(0)
    assert group.strays(own("nofile")) == ()


def test_where_there_is_no_group_there_is_nobody(group: Group) -> None:
    assert group.strays({"nofile": (1, 1)}) == ()
    assert strays("", {"nofile": (1, 1)}, 1, str(group.mount)) == ()


FORKED = 0x400040  # sched.h: PF_FORKNOEXEC, and one that does not matter


@pytest.mark.parametrize(
    ("changed", "found", "starting"),
    [
        ({}, True, False),
        ({"flags": 0x00200000 | FORKED}, False, False),  # PF_KTHREAD
        ({"name": b"(sd-pam)", "flags": FORKED}, False, False),
        ({"name": b"(sd-pam)", "flags": 0x100}, True, False),  # claims to be
        ({"name": b"(agent)", "flags": FORKED, "parent": 1}, True, True),
        (
            {"name": b"(agent)", "flags": FORKED, "parent": 2},
            True,
            False,
        ),  # systemd did not start it
        ({"name": b"worker", "flags": FORKED, "parent": 1}, True, False),
    ],
)
def test_systemds_own_and_the_kernels_are_told_from_the_services(
    group: Group,
    monkeypatch: pytest.MonkeyPatch,
    changed: Mapping[str, object],
    found: bool,  # noqa: FBT001 - a column of the table
    starting: bool,  # noqa: FBT001
) -> None:
    pid = group.start(LOWERS)
    known = procfs.stat(pid)
    assert known is not None
    told = {**known._asdict(), **changed}
    monkeypatch.setattr(procfs, "stat", lambda _: procfs.Stat(**told))
    monkeypatch.setattr(facts, "_program", lambda _: None)
    strayed = group.strays(own("nofile"))
    assert [each.starting for each in strayed] == ([starting] if found else [])


def test_the_limits_of_who_has_become_the_service_meanwhile_are_its_own(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had systemd's at the first look, and its own a moment later."""
    pid = group.start()
    wanted = own("nofile")
    known = procfs.stat(pid)
    assert known is not None
    told = {**known._asdict(), "parent": 1}
    monkeypatch.setattr(procfs, "stat", lambda _: procfs.Stat(**told))
    asks: Callable[[int, int], tuple[int, int]] = resource.prlimit
    answers = [(5, 6)]
    monkeypatch.setattr(
        resource, "prlimit", lambda pid, limit: answers.pop() if answers else asks(pid, limit)
    )
    assert group.strays(wanted) == ()

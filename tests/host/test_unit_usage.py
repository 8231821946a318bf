"""What the processes of a unit use, counted on real ones; psutil counts the same in its own way."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from jada_configd.core.facts import Usage, Use
from jada_configd.host.processes import procfs, unit_usage

GROUP = "/system.slice/jada-agent.service"
# Files that it has open beside its three streams, threads beside its first, and limits of its own.
PROGRAM = """
import resource, sys, threading
files, threads, nofile, nproc, uid = map(int, sys.argv[1:])
held = [open("/dev/null") for _ in range(files)]
for _ in range(threads):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
if nofile:
    resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, resource.getrlimit(7)[1]))
if nproc:
    resource.setrlimit(resource.RLIMIT_NPROC, (nproc, nproc))
if uid:
    import os
    os.setuid(uid)
print(flush=True)
input()
"""
STREAMS = 3
RLIMITS = {
    "as": psutil.RLIMIT_AS,
    "cpu": psutil.RLIMIT_CPU,
    "data": psutil.RLIMIT_DATA,
    "memlock": psutil.RLIMIT_MEMLOCK,
    "stack": psutil.RLIMIT_STACK,
}
UID = 54321  # nobody else's on this machine


class Group:
    """A control group as the kernel shows one, with real processes in it."""

    def __init__(self, mount: Path) -> None:
        self._mount = mount
        self._place = mount / GROUP.strip("/")
        self._place.mkdir(parents=True)
        self._children: list[subprocess.Popen[bytes]] = []
        self._list()

    def start(self, **switches: int) -> int:
        """A process with so many `files` and `threads`, and limits `nofile` and `nproc`."""
        words = [str(switches.get(each, 0)) for each in ("files", "threads", "nofile", "nproc")]
        words.append(str(switches.get("uid", 0)))
        child = subprocess.Popen(
            [sys.executable, "-S", "-E", "-c", PROGRAM, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        child.stdout.readline()
        self._children.append(child)
        self._list()
        return child.pid

    def kill(self, pid: int) -> None:
        """It ends, and stays listed."""
        child = next(each for each in self._children if each.pid == pid)
        child.kill()
        child.wait()

    def put(self, **files: str) -> None:
        for name, text in files.items():
            (self._place / name.replace("_", ".")).write_text(text)

    def usage(self, near: Mapping[str, float] | None = None) -> Usage | None:
        return unit_usage.usage(GROUP, near or {}, str(self._mount))

    def close(self) -> None:
        for child in self._children:
            child.kill()
            child.communicate()

    def _list(self) -> None:
        self.put(cgroup_procs="".join(f"{each.pid}\n" for each in self._children))


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Group]:
    group = Group(tmp_path)
    yield group
    group.close()


def known(usage: Usage | None) -> Usage:
    assert usage is not None
    return usage


def test_where_nothing_runs_nothing_is_used(group: Group) -> None:
    assert group.usage() is None
    pid = group.start()
    group.kill(pid)
    assert group.usage({"nofile": 0.5, "memlock": 0.5}) is None


def test_processes_threads_and_descriptors_are_those_that_psutil_counts(group: Group) -> None:
    pids = [group.start(files=20, threads=4), group.start(files=5), group.start(threads=1)]
    usage = known(group.usage())
    others = [psutil.Process(pid) for pid in pids]
    assert usage.processes == len(pids)
    assert usage.threads == sum(each.num_threads() for each in others) == 5 + 1 + 2
    (most,) = usage.uses["nofile"]
    assert most.used == max(each.num_fds() for each in others) == 20 + STREAMS
    assert most.limit == others[0].rlimit(psutil.RLIMIT_NOFILE)[0]
    assert (most.pid, most.name) == (pids[0], others[0].name())
    stat = procfs.stat(pids[0])
    assert stat is not None
    assert most.started == stat.started


def test_the_process_with_the_highest_share_of_its_own_limit_comes_first(group: Group) -> None:
    group.start(files=50, nofile=1000)
    small = group.start(files=5, nofile=10)
    (nearest,) = known(group.usage()).uses["nofile"]
    assert (nearest.pid, nearest.used, nearest.limit) == (small, 5 + STREAMS, 10)
    assert nearest.share == pytest.approx(0.8)


def test_whatever_is_near_is_told_and_what_is_not_is_left_out(group: Group) -> None:
    one = group.start(files=5, nofile=10)
    other = group.start(files=6, nofile=10)
    group.start(files=1, nofile=1000)
    near = known(group.usage({"nofile": 0.72})).uses["nofile"]
    assert [each.pid for each in near] == [other, one]
    assert [each.pid for each in known(group.usage({"nofile": 0.85})).uses["nofile"]] == [other]


def test_a_process_that_ends_meanwhile_is_left_out(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    group.start()
    gone = group.start(files=50)
    real = unit_usage._nearest

    def late(found: list[unit_usage._Raw], near: float | None) -> tuple[Use, ...]:
        if psutil.pid_exists(gone):
            group.kill(gone)
        return real(found, near)

    monkeypatch.setattr(unit_usage, "_nearest", late)
    (left,) = known(group.usage()).uses["nofile"]
    assert left.used == STREAMS


@pytest.mark.parametrize("limit", ["as", "cpu", "data", "memlock", "stack"])
def test_other_limits_are_measured_where_they_are_asked_for(group: Group, limit: str) -> None:
    pid = group.start()
    assert limit not in known(group.usage()).uses
    (use,) = known(group.usage({limit: 0.5})).uses[limit]
    assert use.pid == pid
    assert use.limit == {-1: None}.get(soft := psutil.Process(pid).rlimit(RLIMITS[limit])[0], soft)
    if limit == "as":
        assert use.used == psutil.Process(pid).memory_info().vms


def test_tasks_are_those_of_the_controller(group: Group) -> None:
    group.start()
    assert "tasks" not in known(group.usage({"tasks": 0.5})).uses
    group.put(pids_current="40\n", pids_max="64\n")
    assert known(group.usage()).uses["tasks"] == (Use(40, 64),)
    group.put(pids_max="max\n")
    assert known(group.usage()).uses["tasks"] == (Use(40, None),)


def test_of_a_user_all_threads_count_wherever_they_run(group: Group) -> None:
    group.start(threads=3)
    (use,) = known(group.usage()).uses["nproc"]
    if os.geteuid() == 0:  # whom nothing binds, so that nobody counts what is elsewhere
        assert (use.limit, use.uid) == (None, 0)
    else:
        mine = 0
        for each in psutil.process_iter():
            if each.uids().real == os.getuid():
                mine += each.num_threads()
        assert use.uid == os.getuid()
        assert use.used == pytest.approx(mine, abs=20)


def test_the_lowest_limit_of_a_users_processes_binds_it_first(group: Group) -> None:
    if os.geteuid() != 0:
        uid = os.getuid()
        group.start(nproc=4000)
        low = group.start(nproc=3000)
        (use,) = known(group.usage()).uses["nproc"]
        assert (use.pid, use.limit, use.uid) == (low, 3000, uid)
        return
    group.start(nproc=400, uid=UID, threads=2)
    low = group.start(nproc=300, uid=UID)
    group.start(nproc=9)
    uses = known(group.usage({"nproc": 0.01})).uses["nproc"]
    assert [(each.pid, each.used, each.limit, each.uid) for each in uses] == [(low, 4, 300, UID)]


def test_limits_are_read_where_the_kernel_does_not_let_us_ask(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    group.start(files=5, nofile=10, nproc=4000)
    group.start(files=5, nofile=11)
    asked = known(group.usage({"memlock": 0.01, "as": 0.01}))

    def refuses(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(resource, "prlimit", refuses)
    assert known(group.usage({"memlock": 0.01, "as": 0.01})) == asked


def test_thousands_of_processes_are_looked_at_in_little_time(tmp_path: Path) -> None:
    group = Group(tmp_path)
    pid = os.getpid()
    # One process under many numbers costs as many looks as many processes do.
    group.put(cgroup_procs=f"{pid}\n" * 2000)
    best = float("inf")
    for _ in range(5):
        began = time.thread_time()
        assert known(group.usage({"nofile": 0.8})).processes == 2000
        best = min(best, time.thread_time() - began)
    assert best < 0.1

"""Limits of services of several processes on a real systemd, as root and as a user of their own."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.system.daemons import POLICY, UNIT, Daemon, holds
from tests.system.host import Host, eventually
from tests.system.layers import Installed

PROGRAM = "/usr/local/lib/sample_family.py"
HAS = (2048, 8192)  # what the policy says, and the service starts with


@dataclass(frozen=True, slots=True)
class Family:
    """The service, and its processes as the host sees them."""

    host: Host
    user: str
    unit: str = "family.service"

    @classmethod
    def install(cls, host: Host, user: str) -> "Family":
        host.write(PROGRAM, Path(__file__).with_name("sample_family.py").read_text())
        host.write(
            "/etc/systemd/system/family.service",
            # Tests start it more often than its start limit would leave room for.
            "[Unit]\nStartLimitIntervalSec=0\n"
            f"[Service]\nUser={user}\nRuntimeDirectory=family\nRestart=no\n"
            f"LimitNOFILE={HAS[0]}:{HAS[1]}\nExecStart=/usr/bin/python3 {PROGRAM}\n",
        )
        family = cls(host, user)
        host.sh("systemctl daemon-reload")
        family.restart()
        return family

    def restart(self) -> None:
        """Start it anew, as it is at first."""
        self.host.sh("systemctl reset-failed family; systemctl restart family")
        holds(lambda: self.host.read("/run/family/answers") == "ready\n", within=5)

    def order(self, words: str) -> str:
        """Have it do something, and hear what came of it."""
        count = len(self.host.read("/run/family/answers").splitlines())
        self.host.sh(f"echo '{words}' > /run/family/orders")

        def answer() -> list[str]:
            return self.host.read("/run/family/answers").splitlines()[count:]

        return eventually(answer, within=30)[0]

    def child(self, name: str = "worker", limits: str = "") -> int:
        """A child that sets its own limits."""
        return int(self.order(f"fork {name} {limits}"))

    def prlimit(self, pid: int, limits: str, limit: str = "nofile") -> None:
        """Somebody sets a limit, who may."""
        self.host.run(["prlimit", f"--pid={pid}", f"--{limit}={limits}"], user=self.user)

    @property
    def pid(self) -> int:
        """The main process."""
        return int(self.host.show(self.unit, "MainPID")["MainPID"])

    def has(self, pid: int, title: str = "open files") -> tuple[int, int]:
        """Soft and hard limit of a process."""
        for line in self.host.sh(f"cat /proc/{pid}/limits").splitlines():
            if line.startswith(f"Max {title} "):
                soft, hard = line.removeprefix(f"Max {title} ").split()[:2]
                return int(soft), int(hard)
        raise KeyError(title)


def policy(live: str = "main", nofile: str = f"{{ soft = {HAS[0]}, hard = {HAS[1]} }}") -> str:
    """A policy; how often a service is restarted, and for how long it is watched, is no matter."""
    return f"""
version = 1
[daemon]
sweep = "1s"
[service."family.service"]
live = "{live}"
gather = "0ms"
min_interval = "0s"
health.stable = "0s"
limits = {{ nofile = {nofile} }}
"""


@pytest.fixture(scope="module")
def held(installed: Installed) -> Iterator[Host]:
    """One host and one daemon for all of it."""
    with Host.boot(overlays=installed.overlays, links=installed.links) as host:
        yield host


@pytest.fixture(scope="module", params=["root", "ubuntu"])
def service(held: Host, request: pytest.FixtureRequest) -> Family:
    family = Family.install(held, request.param)
    if not held.exists(POLICY):
        Daemon.install(held, policy())
    return family


@pytest.fixture
def family(service: Family) -> Family:
    """The service as it is at first, in sync."""
    daemon = Daemon(service.host)
    service.restart()
    daemon.reload(policy())
    daemon.settles()
    service.restart()  # at first it may have been started with what the last test left
    daemon.settles()
    assert service.has(service.pid) == HAS
    return service


@pytest.fixture
def daemon(family: Family) -> Daemon:
    return Daemon(family.host)


def told(daemon: Daemon) -> dict[str, Any]:
    """What the daemon says of the unit's processes."""
    for each in daemon.status()["resources"]:
        if each["id"] == "process-limits:family.service":
            found: dict[str, Any] = each
            return found
    raise KeyError


def records(host: Host, since: int) -> list[str]:
    """What the journal has of it since then."""
    found = host.journal("JADA_RESOURCE=process-limits:family.service")
    return [each["MESSAGE"] for each in found if int(each["__REALTIME_TIMESTAMP"]) > since]


def now(host: Host) -> int:
    """In microseconds, as the journal counts."""
    return int(host.sh("date +%s%6N"))


def sweeps(daemon: Daemon, count: int = 2) -> None:
    """Have everything looked at so often more, as a sweep does; a reload is over when it was."""
    for _ in range(count):
        daemon.host.run(["systemctl", "reload", UNIT], timeout=60)


def may_raise(host: Host, family: Family) -> bool:
    """Whether the daemon can set limits of these processes: as their user, or with the right."""
    return family.user == "root" or may_raise_any(host)


def may_raise_any(host: Host) -> bool:
    """Whether the daemon has CAP_SYS_RESOURCE."""
    pid = host.show(UNIT, "MainPID")["MainPID"]
    held = host.sh(f"sed -n 's/CapEff:\\s*//p' /proc/{pid}/status")
    return bool(int(held, 16) >> 24 & 1)


# ---- a child that sets its own limits


def test_by_default_a_child_that_lowers_its_own_is_told_once_and_left(
    family: Family, daemon: Daemon
) -> None:
    since, main = now(family.host), family.pid
    child = family.child("worker", "256 8192")
    holds(lambda: told(daemon)["result"] == "drifted")
    problem = f"process {child} (worker) has nofile 256:8192 instead of 2048:8192"
    assert told(daemon)["problem"] == (f'{problem}; live = "main" leaves that till it starts anew')
    sweeps(daemon, 3)
    assert family.has(child) == (256, 8192)
    assert family.pid == main
    (record,) = records(family.host, since)
    assert problem in record
    family.host.sh(f"kill {child}")
    daemon.settles()


def test_who_takes_the_place_of_a_child_that_is_told_is_no_news(
    family: Family, daemon: Daemon
) -> None:
    """Workers that set their own limits, and end after so many requests, do so all the time."""
    since, child = now(family.host), family.child("worker-0", "256 8192")
    holds(lambda: told(daemon)["result"] == "drifted")
    for number in range(1, 4):
        after = family.child(f"worker-{number}", "256 8192")
        family.host.sh(f"kill {child}")
        child = after
        holds(lambda: f"(worker-{number})" in told(daemon)["problem"], within=5)  # noqa: B023
    assert len(records(family.host, since)) == 1
    family.host.sh(f"kill {child}")
    daemon.settles()


@pytest.mark.parametrize("limits", ["256 8192", "8192 8192"], ids=["lowered", "raised to its hard"])
def test_where_all_are_changed_the_child_gets_what_the_policy_says_if_the_kernel_lets_us(
    family: Family, daemon: Daemon, limits: str
) -> None:
    """Of another user, without the right, nothing can be set: told once, and no restart."""
    daemon.reload(policy("all"))
    since, main = now(family.host), family.pid
    child = family.child("worker", limits)
    if may_raise(family.host, family):
        holds(lambda: family.has(child) == HAS, within=5)
        daemon.settles()
    else:
        holds(lambda: told(daemon)["result"] == "failed", within=5)
        assert (
            f"process {child} nofile 2048:8192 without CAP_SYS_RESOURCE" in told(daemon)["problem"]
        )
        sweeps(daemon, 3)
        assert len(records(family.host, since)) == 1
    assert family.pid == main


def test_beyond_its_hard_limit_a_child_is_raised_only_with_the_right_and_never_by_a_restart(
    family: Family, daemon: Daemon
) -> None:
    """The main process has the limits, so a new child would begin with them and set them again."""
    daemon.reload(policy("all"))
    since, main = now(family.host), family.pid
    child = family.child("worker", "64 128")
    if may_raise_any(family.host):
        holds(lambda: family.has(child) == HAS, within=5)
        daemon.settles()
    else:
        holds(lambda: told(daemon)["result"] == "failed", within=5)
        sweeps(daemon, 3)
        assert family.has(child) == (64, 128)
        assert len(records(family.host, since)) == 1
    assert family.pid == main


def test_a_refused_child_keeps_no_other_from_its_limit(held: Host, family: Family) -> None:
    daemon = Daemon(held)
    daemon.reload(policy("all"))
    beyond, within = family.child("first", "64 128"), family.child("second", "256 8192")
    if may_raise(held, family):
        holds(lambda: family.has(within) == HAS, within=5)
    if may_raise_any(held):
        holds(lambda: family.has(beyond) == HAS, within=5)


def test_a_process_that_comes_into_the_group_later_is_found(family: Family, daemon: Daemon) -> None:
    """And in a group below the unit's, too."""
    daemon.settles()
    group = family.host.show(family.unit, "ControlGroup")["ControlGroup"]
    place = f"/sys/fs/cgroup{group}/below"
    other = family.host.start(["prlimit", "--nofile=100:8192", "sleep", "1000"])
    pid = int(eventually(lambda: family.host.sh("pgrep -x sleep || true"), within=5).split()[-1])
    family.host.sh(f"mkdir -p {place} && echo {pid} > {place}/cgroup.procs")
    holds(lambda: told(daemon)["result"] == "drifted", within=5)
    assert f"process {pid} (sleep) has nofile 100:8192" in told(daemon)["problem"]
    family.host.sh(f"kill {pid}")
    daemon.settles()
    del other


# ---- who is left alone


def test_zombies_and_who_ends_in_the_middle_of_a_look_are_nobodys_business(
    family: Family, daemon: Daemon
) -> None:
    daemon.reload(policy("all"))
    since, main = now(family.host), family.pid
    zombie = int(family.order("zombie"))
    assert "(zombie)" in family.host.sh(f"grep State /proc/{zombie}/status")
    sweeps(daemon, 2)
    assert told(daemon)["result"] == "in-sync"
    family.order("churn 1500")
    daemon.settles()
    assert family.pid == main
    assert not [each for each in records(family.host, since) if "fault" in each]
    assert daemon.status()["state"] == "in-sync"


def test_where_none_is_changed_all_is_told_and_left(family: Family, daemon: Daemon) -> None:
    daemon.reload(policy("none"))
    since, main = now(family.host), family.pid
    family.prlimit(main, "1000:8192")
    holds(lambda: told(daemon)["result"] == "drifted")
    assert told(daemon)["problem"] == (
        f"process {main} (python3) has nofile 1000:8192 instead of 2048:8192; "
        'live = "none" leaves that till it starts anew'
    )
    sweeps(daemon, 3)
    assert family.has(main) == (1000, 8192)
    assert family.pid == main
    assert len(records(family.host, since)) == 1
    drop_in = "/etc/systemd/system/family.service.d/zz-jada-configd.conf"
    assert "LimitNOFILE=2048:8192" in family.host.read(drop_in)
    family.restart()
    daemon.settles()
    assert family.has(family.pid) == HAS


# ---- the main process


def test_the_main_process_comes_back_by_prlimit_or_by_one_restart(
    family: Family, daemon: Daemon
) -> None:
    """Lowered below the hard limit: set where we may, else given by one restart."""
    main = family.pid
    family.prlimit(main, "1000:8192")
    holds(lambda: family.has(family.pid) == HAS, within=5)
    daemon.settles()
    assert (family.pid == main) == may_raise(family.host, family)
    after = family.pid
    sweeps(daemon, 3)
    assert family.pid == after


def test_a_hard_limit_is_raised_with_the_right_and_without_it_by_one_restart(
    family: Family, daemon: Daemon
) -> None:
    main = family.pid
    child = family.child()
    family.prlimit(main, "1000:4096")
    holds(lambda: family.has(family.pid) == HAS, within=5)
    daemon.settles()
    assert (family.pid == main) == may_raise_any(family.host)
    assert may_raise_any(family.host) or not family.host.exists(f"/proc/{child}")
    after = family.pid
    sweeps(daemon, 3)
    assert family.pid == after


def test_a_service_that_sets_its_own_limits_at_each_start_is_restarted_once_at_most(
    family: Family, daemon: Daemon
) -> None:
    """As Node.js does with its soft limit."""
    host = family.host
    unit = host.read("/etc/systemd/system/family.service")
    line = f"ExecStart=/usr/bin/prlimit --nofile=8192:8192 /usr/bin/python3 {PROGRAM}\n"
    before = unit.partition("ExecStart=")[0]
    host.write("/etc/systemd/system/family.service", before + line)
    try:
        host.sh("systemctl daemon-reload")
        family.restart()
        sweeps(daemon, 5)
        starts = host.journal("--unit=family", "MESSAGE=Started family.service.")
        count = len(starts)
        sweeps(daemon, 4)
        starts = host.journal("--unit=family", "MESSAGE=Started family.service.")
        assert len(starts) == count
        if may_raise(host, family):
            assert family.has(family.pid) == HAS
        else:
            assert "did not bring it either" in told(daemon)["problem"]
    finally:
        host.write("/etc/systemd/system/family.service", unit)
        host.sh("systemctl daemon-reload")


# ---- what nobody gets, and what would break


def test_beyond_the_hosts_ceiling_nothing_is_restarted_and_it_is_told_once(
    family: Family, daemon: Daemon
) -> None:
    ceiling = int(family.host.read("/proc/sys/fs/nr_open"))
    since, main = now(family.host), family.pid
    daemon.reload(policy("all", f"{{ soft = 2048, hard = {ceiling + 1} }}"))
    holds(lambda: told(daemon)["result"] == "drifted", within=5)
    problem = told(daemon)["problem"]
    assert problem.startswith(
        f"process {main} (python3) has nofile 2048:8192 "
        f"and no restart would give it {ceiling + 1}: "
    )
    assert "which sysctl can raise" in problem or "which whoever starts it can raise" in problem
    sweeps(daemon, 3)
    assert family.pid == main
    assert len(records(family.host, since)) == 1


def test_a_number_put_in_by_hand_that_nobody_gets_is_told_beside_what_the_process_has(
    family: Family, daemon: Daemon
) -> None:
    host = family.host
    daemon.reload("version = 1\n")
    # systemctl waits for the signal alone; our drop-in counts till it has been taken away.
    loaded = "DropInPaths"
    holds(lambda: not host.show("family.service", loaded)[loaded], within=10)
    path = "/etc/systemd/system/family.service.d/override.conf"
    host.write(path, "[Service]\nLimitNOFILE=2147483646\n")
    host.write("/root/other.toml", policy())
    try:
        host.sh("systemctl daemon-reload")
        family.restart()
        soft, hard = family.has(family.pid)
        said = host.run(
            ["jada-configd", "check", "--json", "--policy", "/root/other.toml"], check=False
        )
        found = next(
            each
            for each in json.loads(said.stdout)["resources"]
            if each["id"] == "process-limits:family.service"
        )
        has, asked, why = found["problem"].split("; ")
        assert has == f"process {family.pid} (python3) has nofile {soft}:{hard}"
        assert asked == f"asked: LimitNOFILE=2147483646 in {path}:2"
        assert why.startswith("why: ")
        assert str(hard) in why
        assert {each["field"]: each["have"] for each in found["changes"]} == {
            "/nofile/soft": soft,
            "/nofile/hard": hard,
        }
    finally:
        host.sh(f"rm {path}; systemctl daemon-reload")


def test_a_limit_is_not_brought_down_to_what_is_open(family: Family, daemon: Daemon) -> None:
    since, main = now(family.host), family.pid
    family.order("open 300")
    daemon.reload(policy("main", "{ soft = 200, hard = 8192 }"))
    holds(lambda: told(daemon)["result"] == "drifted", within=5)
    problem = (
        f"process {main} (python3) has 200 or more descriptors open: "
        "nofile 200:8192 would break it at its next open, and is not set"
    )
    assert told(daemon)["problem"] == problem
    family.order("open 50")
    sweeps(daemon, 3)
    assert told(daemon)["problem"] == problem
    assert family.has(main) == HAS
    assert family.pid == main
    assert len(records(family.host, since)) == 1
    family.order("close")
    holds(lambda: family.has(family.pid) == (200, 8192), within=5)
    assert (family.pid == main) == may_raise(family.host, family)


# ---- many


def test_two_thousand_processes_are_looked_at(family: Family, daemon: Daemon) -> None:
    first = family.child("first", "256 8192")
    family.order("many 2000")
    for live in ("main", "all"):
        text = policy(live, "{ soft = 2000, hard = 8192 }")
        family.host.write("/root/other.toml", text)
        said = family.host.run(
            ["jada-configd", "check", "--json", "--policy", "/root/other.toml"], check=False
        )
        assert said.returncode == 2
        found = next(
            each
            for each in json.loads(said.stdout)["resources"]
            if each["id"] == "process-limits:family.service"
        )
        haves = {each["field"]: each["have"] for each in found["changes"]}
        assert haves == {"/nofile/soft": 2048, "/others/nofile/soft": [256, 2048]}
        if live == "main":
            assert found["problem"].startswith(f"process {first} (first) has nofile 256:8192")
            assert found["problem"].endswith(", and so it is with 1,000 or more other processes")
        else:
            assert found["problem"] is None
            assert found["actions"][-1] == "prlimit --nofile of 1,999 more processes"
    if may_raise(family.host, family):
        daemon.reload(policy("all", "{ soft = 2000, hard = 8192 }"))
        holds(lambda: told(daemon)["result"] == "in-sync", within=10)
        assert family.has(first) == (2000, 8192)

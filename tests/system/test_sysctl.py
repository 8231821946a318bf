"""Kernel parameters on a real systemd, in a network namespace of the host's own.

All of /proc/sys but `net` is read-only there, which is what the machine's own parameters need.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jada_configd.formats.sysctl_lines import normal, parse_sysctls
from jada_configd.formats.sysctl_precedence import DIRECTORIES, files_in_order, setting_of
from tests.system.daemons import UNIT, Daemon, holds
from tests.system.host import Host
from tests.system.layers import Installed

FILE = "/etc/sysctl.d/zz-jada-configd.conf"
LATER = "/etc/sysctl.d/zzz.conf"
KEY = "net.core.somaxconn"
LIVE = "/proc/sys/net/core/somaxconn"
RULES = f"""version = 1
daemon.sweep = "1s"
[sysctl]
"{KEY}" = 4097
"net/ipv4/ip_forward" = 1
"net.ipv4.tcp_rmem" = "4096 87380 6291450"
"""
HEADER = (
    "# Written by jada-configd from /etc/jada-configd/policy.toml; "
    "what is changed here is put right again.\n\n"
)
WHOLE = f"{HEADER}{KEY} = 4097\nnet.ipv4.ip_forward = 1\nnet.ipv4.tcp_rmem = 4096 87380 6291450\n"


@pytest.fixture(scope="module")
def daemon(installed: Installed) -> Iterator[Daemon]:
    with Host.boot(overlays=installed.overlays, links=installed.links) as host:
        daemon = Daemon.install(host, RULES)
        daemon.settles()
        expect_machine_is_safe(daemon)
        yield daemon


@pytest.fixture(autouse=True)
def as_declared(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test begins and ends with the one policy held."""
    yield
    if "daemon" in request.fixturenames:
        daemon: Daemon = request.getfixturevalue("daemon")
        daemon.host.sh(f"rm -f {LATER}")
        daemon.reload(RULES)
        daemon.settles()


def expect_machine_is_safe(daemon: Daemon) -> None:
    """What the host has read-only its sandbox has too: outside `net` it is the machine's own."""
    inside = ["nsenter", f"--target={daemon.pid}", "--mount"]
    daemon.host.run([*inside, "test", "-w", LIVE])
    for path in ("/proc/sys/fs/nr_open", "/proc/sysrq-trigger", "/sys/fs/cgroup/cgroup.procs"):
        assert daemon.host.run([*inside, "test", "-w", path], check=False).returncode == 1, path


def live(host: Host, key: str = KEY) -> str:
    """A parameter as a process inside has it: `net` is that of whoever reads it."""
    return host.sh(f"cat /proc/sys/{normal(key)}")


def check(host: Host) -> dict[str, dict[str, Any]]:
    said = host.run(["jada-configd", "check", "--json"], check=False)
    return {each["id"]: each for each in json.loads(said.stdout)["resources"]}


def records(host: Host, resource: str) -> list[str]:
    """The events that the journal has of a resource."""
    found = host.journal(f"--unit={UNIT}")
    return [each["JADA_EVENT"] for each in found if each.get("JADA_RESOURCE") == resource]


def held_by(daemon: Daemon, entry: str) -> dict[str, Any]:
    """What `status` and `check` say of one more entry, once the daemon has it."""
    daemon.reload(f"{RULES}{entry}\n")
    key = entry.split('"')[1]
    holds(lambda: daemon.result(f"sysctl:{key}") != "waiting")
    return check(daemon.host)[f"sysctl:{key}"]


def test_kernel_and_file_come_to_be_as_declared(daemon: Daemon) -> None:
    host = daemon.host
    assert live(host) == "4097"
    assert live(host, "net.ipv4.ip_forward") == "1"
    assert live(host, "net.ipv4.tcp_rmem") == "4096\t87380\t6291450"
    assert host.read(FILE) == WHOLE
    status = host.status(FILE)
    assert status is not None
    assert (status.st_uid, status.st_mode & 0o7777) == (0, 0o644)
    assert host.run(["jada-configd", "check"], check=False).returncode == 0


def test_what_somebody_sets_is_found_by_the_sweep_and_put_right(daemon: Daemon) -> None:
    host = daemon.host
    host.sh(f"echo 128 > {LIVE}; echo '1000 2000 3000' > /proc/sys/net/ipv4/tcp_rmem")
    holds(lambda: live(host) == "4097", within=5)
    holds(lambda: live(host, "net.ipv4.tcp_rmem") == "4096\t87380\t6291450", within=5)
    holds(lambda: "corrected" in records(host, f"sysctl:{KEY}"))


@pytest.mark.parametrize(
    "script",
    [
        f"rm {FILE}",
        f"sed -i s/4097/5/ {FILE}",
        f"sed -i 1d {FILE}",
        f"echo 'net.ipv4.conf.all.forwarding = 1' >> {FILE}",
        f": > {FILE}",
    ],
)
def test_our_file_is_put_right_at_once(daemon: Daemon, script: str) -> None:
    daemon.host.sh(script)
    holds(lambda: daemon.host.read(FILE) == WHOLE, within=0.9)  # before the next sweep


def test_a_file_that_wins_over_ours_is_named_with_its_line(daemon: Daemon) -> None:
    host = daemon.host
    host.write(LATER, f"# ours is later still\n{normal(KEY)} = 5\n")
    daemon.settles("drifted")
    found = check(host)[f"sysctl:{KEY}"]
    assert found["changes"] == [{"field": "/boot", "have": 5, "want": 4097}]
    assert found["problem"] == f"{LATER}:2 sets it otherwise at the next boot"
    assert found["actions"] == []
    assert live(host) == "4097"
    host.remove(LATER)
    daemon.settles()


def test_a_key_that_there_is_not_is_held_for_the_next_boot(daemon: Daemon) -> None:
    found = held_by(daemon, '"net.nothing.here" = 1')
    assert found["result"] == "drifted"
    assert found["problem"] == "this kernel has no net.nothing.here: a module may not be loaded"
    assert found["changes"] == [{"field": "/live", "want": 1}]
    assert "net.nothing.here = 1\n" in daemon.host.read(FILE)


def test_what_is_read_only_is_told_and_the_machine_keeps_its_own(daemon: Daemon) -> None:
    expect_machine_is_safe(daemon)
    before = int(Path("/proc/sys/fs/nr_open").read_text())
    found = held_by(daemon, f'"fs.nr_open" = {before + 8}')
    assert found["problem"] == (
        "fs.nr_open is read-only here, as /proc/sys is mounted in a container"
    )
    assert found["changes"] == [{"field": "/live", "have": before, "want": before + 8}]
    assert found["actions"] == []
    assert int(Path("/proc/sys/fs/nr_open").read_text()) == before
    assert held_by(daemon, '"kernel.ostype" = "BSD"')["problem"]


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ('"net.ipv4.tcp_congestion_control" = "none-such"', "kernel takes no none-such for"),
        ('"net.core.optmem_max" = "0x5000"', "kernel did not keep 0x5000 for"),
    ],
    ids=["refused", "otherwise"],
)
def test_what_the_kernel_does_not_take_is_told_once(
    daemon: Daemon, entry: str, problem: str
) -> None:
    host = daemon.host
    resource = f"sysctl:{entry.split(chr(34))[1]}"
    before = len(records(host, resource))
    daemon.reload(f"{RULES}{entry}\n")
    holds(lambda: daemon.result(resource) == "drifted")
    assert problem in daemon.status()["reason"]
    assert entry.split('"')[1] in host.read(FILE)
    passes = daemon.status()["counters"]["passes"]
    holds(lambda: daemon.status()["counters"]["passes"] > passes + 2, within=6)
    assert records(host, resource)[before:] == ["corrected", "drift"]  # our file, the kernel


def test_two_passes_make_one_write(daemon: Daemon) -> None:
    host = daemon.host
    host.sh(f"systemctl stop {UNIT}; echo 128 > {LIVE}")
    first = host.run(["jada-configd", "apply", "--json"])
    second = host.run(["jada-configd", "apply", "--json"])
    results = [
        {each["id"]: (each["result"], *each["actions"]) for each in resources}
        for resources in (json.loads(said.stdout)["resources"] for said in (first, second))
    ]
    assert results[0][f"sysctl:{KEY}"] == ("corrected", f"set {KEY}")
    assert set(results[1].values()) == {("in-sync",)}
    host.run(["systemctl", "start", UNIT])


def test_in_observe_mode_nothing_is_set(daemon: Daemon) -> None:
    host = daemon.host
    daemon.reload(RULES.replace('"1s"', '"1s"\ndaemon.mode = "observe"'))
    host.sh(f"echo 128 > {LIVE}; rm {FILE}")
    daemon.settles("drifted")
    assert daemon.result(f"sysctl:{KEY}") == "reported"
    assert live(host) == "128"
    assert not host.exists(FILE)


def test_an_entry_that_leaves_the_policy_leaves_the_file_and_the_kernel_as_it_is(
    daemon: Daemon,
) -> None:
    host = daemon.host
    daemon.reload(RULES.replace(f'"{KEY}" = 4097\n', ""))
    holds(lambda: host.read(FILE) == WHOLE.replace(f"{KEY} = 4097\n", ""))
    daemon.settles()
    assert live(host) == "4097"
    daemon.reload("version = 1\n")
    holds(lambda: not host.exists(FILE))
    assert host.exists("/etc/sysctl.d")
    assert live(host) == "4097"


def test_uninstall_takes_the_file_away_and_says_that_the_kernel_keeps_its_values(
    host: Host,
) -> None:
    daemon = Daemon.install(host, RULES)
    daemon.settles()
    said = host.run(["jada-configd", "uninstall", "--yes"], timeout=60).stdout
    assert f"removed {FILE}" in said
    assert "The kernel keeps its values until they are set or the host boots." in said
    assert not host.exists(FILE)
    assert live(host) == "4097"


def test_on_an_image_only_the_file_is_written(daemon: Daemon) -> None:
    host = daemon.host
    host.sh("mkdir -p /tmp/image/etc/sysctl.d /tmp/image/etc/jada-configd")
    host.write("/tmp/image/etc/jada-configd/policy.toml", RULES.replace("4097", "77"))
    host.run(["jada-configd", "apply", "--root", "/tmp/image"])
    assert f"{KEY} = 77\n" in host.read(f"/tmp/image{FILE}")
    assert live(host) == "4097"


# ------------------------------------------------------------------------------ the real loader

LOADER = "/usr/lib/systemd/systemd-sysctl"
LO = "net.ipv4.conf.lo"
PLACES = (
    "/usr/lib/sysctl.d/50-default.conf",
    "/usr/lib/sysctl.d/60-masked.conf",
    "/usr/local/lib/sysctl.d/70-local.conf",
    "/run/sysctl.d/80-run.conf",
    "/etc/sysctl.d/99-last.conf",
)
SCENES = (
    {PLACES[0]: f"{LO}.tag=1", PLACES[4]: f"{LO}.tag=2"},
    {PLACES[4]: f"{LO}.tag=1", PLACES[3]: f"{LO}.tag=2"},
    {PLACES[0]: f"{LO}.tag=1", "/etc/sysctl.d/50-default.conf": ""},
    {PLACES[1]: f"{LO}.tag=1", "/etc/sysctl.d/60-masked.conf": None},
    {PLACES[0]: "net.ipv4.conf.*.tag=3", PLACES[4]: f"{LO}.tag=2"},
    {PLACES[4]: "net.ipv4.conf.*.tag=3", PLACES[0]: f"{LO}.tag=2"},
    {PLACES[0]: "net.ipv4.conf.*.tag=3", PLACES[4]: "net.ipv4.conf.l?.tag=2"},
    {PLACES[0]: "net.ipv4.conf.l?.tag=3", PLACES[4]: "net.ipv4.conf.*.tag=2"},
    {PLACES[0]: "net.ipv4.conf.*.tag=3", PLACES[4]: f"-{LO}.tag"},
    {PLACES[0]: f"{LO}.tag=3", PLACES[4]: f"-{LO}.tag"},
    {PLACES[0]: f"-{LO}.tag", PLACES[4]: f"-{LO}.tag = 4"},
    {PLACES[0]: "net/ipv4/conf/lo/tag=5\n;net.ipv4.conf.lo.tag=6", PLACES[2]: "nonsense"},
    {PLACES[2]: "net//ipv4/./conf/lo/tag=7\r\n#", PLACES[3]: "=5\n-\n[x]"},
    {
        PLACES[0]: "net.ipv4.conf.*.tag=2\nnet.ipv4.conf.l*.tag=1",
        PLACES[4]: "net.ipv4.conf.*.tag=2",
    },
    {PLACES[0]: f"{LO}.tag=1", "/etc/sysctl.d/99-last.conf.bak": f"{LO}.tag=2"},
    {PLACES[0]: f"{LO}.tag=1", "/etc/sysctl.d/.zz.conf": f"{LO}.tag=2"},
    {"/etc/sysctl.conf": f"{LO}.tag=8", PLACES[0]: f"{LO}.tag=1"},
    {"/etc/sysctl.conf": f"{LO}.tag=8"},
)


@pytest.fixture(scope="module")
def bare(machine: None) -> Iterator[Host]:
    with Host.boot() as booted:
        yield booted


@pytest.mark.parametrize("scene", SCENES)
def test_what_wins_is_what_systemd_sets(bare: Host, scene: dict[str, str | None]) -> None:
    """`/etc/sysctl.conf` counts where a link leads there, as Debian has one."""
    bare.sh("rm -rf /etc/sysctl.d /run/sysctl.d /usr/local/lib/sysctl.d /usr/lib/sysctl.d")
    bare.sh("mkdir /etc/sysctl.d; ln -s ../sysctl.conf /etc/sysctl.d/99-sysctl.conf")
    bare.write("/etc/sysctl.conf", "")
    for path, text in scene.items():
        if text is None:
            bare.sh(f"ln -s /dev/null {path}")
        else:
            bare.write(path, text)
    bare.sh("echo 0 > /proc/sys/net/ipv4/conf/lo/tag")
    bare.run([LOADER, "--prefix=/net"], check=False)
    real = live(bare, f"{LO}.tag")
    names = " ".join(f"{each}/*.conf" for each in DIRECTORIES)
    listed = bare.sh(f"ls -d1 {names} 2>/dev/null; true").split()
    order = files_in_order(listed)
    shown = bare.run([LOADER, "--cat-config"], check=False).stdout.splitlines()
    headed = [line.removeprefix("# ") for line in shown if line.startswith("# /")]
    assert [path for path in headed if path in order] == order
    texts = [(path, parse_sysctls(bare.sh(f"cat {path}"))) for path in order]
    found = setting_of(normal(f"{LO}.tag"), texts)
    assert (found.value if found and found.value is not None else "0") == real

"""The throwaway host itself: what tests rest on when they do as they like in it."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.system import machine as harness
from tests.system.host import CHECKOUT, CommandFailed, Host, eventually

HARNESS = {"/opt/harness/tests/system": [CHECKOUT / "tests/system"]}


@pytest.fixture(scope="module")
def bare(machine: None) -> Iterator[Host]:
    with Host.boot(overlays=HARNESS) as booted:
        yield booted


def test_a_host_is_a_running_systemd_in_which_nothing_has_failed(bare: Host) -> None:
    assert bare.sh("systemctl is-system-running") == "running"
    assert bare.sh("systemctl --failed --no-legend") == ""
    assert bare.sh("cat /proc/1/comm") == "systemd"
    assert bare.boot_seconds < 10


def test_the_bus_the_journal_and_logind_work(bare: Host) -> None:
    bare.run(["systemd-run", "--wait", "--unit=said.service", "echo", "hello"])
    assert "hello" in [record["MESSAGE"] for record in bare.journal("--unit=said.service")]
    assert "seat0" in bare.sh("loginctl list-seats")
    assert bare.show("dbus.service", "ActiveState", "SubState") == {
        "ActiveState": "active",
        "SubState": "running",
    }


def test_what_is_on_the_machine_is_there_and_no_write_comes_back(bare: Host) -> None:
    assert bare.read_bytes("/usr/bin/env") == Path("/usr/bin/env").read_bytes()
    for path in ("/etc/jada-probe", "/usr/jada-probe", "/opt/jada-probe", "/var/jada-probe"):
        bare.write(path, "here")
        assert bare.read(path) == "here"
        assert not Path(path).exists()
    bare.sh("rm /usr/bin/yes; touch /run/jada-probe /tmp/jada-probe; chmod 711 /")
    assert Path("/usr/bin/yes").exists()
    assert not Path("/run/jada-probe").exists()
    assert not Path("/tmp/jada-probe").exists()


def test_people_and_what_the_machine_has_enabled_are_not_there(bare: Host) -> None:
    assert bare.sh("ls /home").split() == ["eve", "ubuntu"]
    assert bare.sh("id -u ubuntu; id -u eve").split() == ["1000", "1001"]
    assert bare.sh("stat -c '%U %a' /home/ubuntu") == "ubuntu 750"
    enabled = bare.sh("find /etc/systemd/system -name '*.wants'")
    assert enabled == ""


def test_the_network_is_a_loopback_of_its_own(bare: Host) -> None:
    assert bare.sh("ls /sys/class/net") == "lo"


def test_the_machines_sysctls_cannot_be_set(bare: Host) -> None:
    before = Path("/proc/sys/fs/file-max").read_text()
    with pytest.raises(CommandFailed, match="Read-only"):
        bare.sh("echo 12345 > /proc/sys/fs/file-max")
    assert Path("/proc/sys/fs/file-max").read_text() == before


def test_a_command_has_a_clean_environment_and_the_users_own_identity(bare: Host) -> None:
    assert bare.sh("id -un; pwd; echo $HOME").split() == ["root", "/", "/root"]
    assert bare.sh("id -un; id -Gn; echo $HOME", user="ubuntu").split() == [
        "ubuntu",
        "ubuntu",
        "/home/ubuntu",
    ]
    names = {line.partition("=")[0] for line in bare.sh("env").splitlines()}
    assert names <= {"HOME", "LANG", "LOGNAME", "OLDPWD", "PATH", "PWD", "SHELL", "USER", "_"}
    assert bare.run(["pwd"], cwd="/etc").stdout == "/etc\n"
    assert bare.run(["cat"], stdin="given").stdout == "given"
    assert bare.run(["printenv", "A"], env={"A": "b"}).stdout == "b\n"


def test_a_failing_command_says_all_that_it_said(bare: Host) -> None:
    with pytest.raises(CommandFailed, match=r"ended with 3:\nout\nerr"):
        bare.sh("echo out; echo err >&2; exit 3")
    assert bare.run(["sh", "-c", "exit 3"], check=False).returncode == 3


def test_a_command_that_takes_too_long_is_killed(bare: Host) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        bare.run(["sleep", "987"], timeout=0.2)
    assert "sleep 987" not in bare.sh("ps -eo args")


def test_a_link_inside_never_leads_out(bare: Host) -> None:
    bare.sh("ln -s /etc/jada-linked /home/eve/link; ln -s / /home/eve/top", user="root")
    bare.write("/home/eve/link", "inside")
    assert bare.read("/etc/jada-linked") == "inside"
    bare.write("/home/eve/top/etc/jada-through", "inside")
    assert bare.read("/etc/jada-through") == "inside"
    assert not Path("/etc/jada-linked").exists()
    assert not Path("/etc/jada-through").exists()
    bare.remove("/home/eve/link")
    assert bare.exists("/etc/jada-linked")


def test_new_files_and_directories_belong_to_whom_the_test_says(bare: Host) -> None:
    bare.write("/home/eve/a/b/c", "x", owner="eve", mode=0o600)
    assert bare.sh("stat -c '%U:%G %a' /home/eve/a /home/eve/a/b/c").split("\n") == [
        "eve:eve 755",
        "eve:eve 600",
    ]
    bare.write("/home/eve/a/b/c", "y")
    assert bare.sh("stat -c '%U %a' /home/eve/a/b/c; cat /home/eve/a/b/c") == "eve 600\ny"


def test_a_background_process_takes_signals_and_its_output_is_there(bare: Host) -> None:
    trap = "trap 'echo bye; exit 3' TERM; echo hi; while :; do sleep 0.01; done"
    process = bare.start(["sh", "-c", trap], user="ubuntu")
    eventually(lambda: process.output == "hi\n")
    assert bare.sh(f"stat -c %U /proc/{process.pid_inside}") == "ubuntu"
    assert process.stop() == 3
    assert process.output == "hi\nbye\n"


def test_a_user_has_a_service_manager_after_it_is_started(bare: Host) -> None:
    bare.start_user_manager("eve")
    bare.run(["systemd-run", "--user", "--wait", "true"], user="eve")


def leaves_nothing(keeper: int, leader: int) -> bool:
    # Other hosts come and go meanwhile, which os.walk() takes as it comes.
    groups = [place for place, _, _ in os.walk("/sys/fs/cgroup") if f"jada-host-{keeper}" in place]
    processes = [pid for pid in (keeper, leader) if Path(f"/proc/{pid}").exists()]
    return not groups and not processes and "jada" not in Path("/proc/mounts").read_text()


def test_nothing_is_left_when_a_host_is_closed(machine: None) -> None:
    before = {*Path("/run").iterdir(), *Path("/run/systemd").glob("*/*"), *Path("/tmp").iterdir()}
    host = Host.boot()
    assert not leaves_nothing(host._keeper.pid, host.pid)
    background = host.start(["sleep", "987"])
    host.close()
    assert background.nsenter.returncode is not None
    assert leaves_nothing(host._keeper.pid, host.pid)
    after = {*Path("/run").iterdir(), *Path("/run/systemd").glob("*/*"), *Path("/tmp").iterdir()}
    assert not [path for path in after - before if "nspawn" in str(path)]


def test_nothing_is_left_when_a_host_shuts_down_by_itself(machine: None) -> None:
    with Host.boot() as host:
        host.run(["systemctl", "poweroff", "--force", "--force"], check=False)
        assert host._keeper.wait(20) == 0
        assert leaves_nothing(host._keeper.pid, host.pid)


@dataclass
class Runner:
    """A process that has booted a host, and waits."""

    process: "subprocess.Popen[str]"
    keeper: int
    leader: int


@pytest.fixture
def runner(machine: None) -> Iterator[Runner]:
    script = """
        import signal, time
        from tests.system.host import Host
        # A shell starts what runs in its background with SIGINT ignored, and that is inherited.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with Host.boot() as host:
            print(host._keeper.pid, host.pid, flush=True)
            time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        keeper, leader = process.stdout.readline().split()
        yield Runner(process, int(keeper), int(leader))
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_whoever_booted_a_host_is_ended(
    runner: Runner, number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    runner.process.send_signal(number)
    runner.process.wait(20)
    eventually(lambda: leaves_nothing(runner.keeper, runner.leader), within=20)


def test_nothing_is_left_when_the_keeper_itself_is_killed(runner: Runner) -> None:
    os.kill(runner.keeper, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{runner.leader}").exists(), within=20)


def test_two_hosts_do_not_see_each_other(bare: Host) -> None:
    with Host.boot() as other:
        other.write("/etc/only-here", "x")
        assert not bare.exists("/etc/only-here")
        assert bare.read("/etc/machine-id") != other.read("/etc/machine-id")
    assert bare.sh("systemctl is-system-running") == "running"


def test_a_host_boots_in_a_scope_where_systemd_manages_the_machine(bare: Host) -> None:
    script = """
        from tests.system.host import BootFailed, Host
        from tests.system.machine import why_not
        assert why_not() is None, why_not()
        try:
            with Host.boot() as host:
                print(host.sh("systemctl is-system-running; cat /proc/1/comm"))
        except BootFailed as error:
            print(error)
    """
    command = ["/usr/bin/python3", "-c", textwrap.dedent(script)]
    said = bare.run(command, cwd="/opt/harness", timeout=60).stdout
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    if next(kind for _, place, kind, *_ in reversed(mounts) if place == "/") == "overlay":
        assert "it is an overlay on an overlay already" in said
    else:
        assert said.split() == ["running", "systemd"]
    assert "jada-host" not in bare.sh("find /sys/fs/cgroup -type d; ls /run /run/systemd")
    assert bare.sh("systemctl list-units --type=scope --no-legend 'run-*'") == ""


def test_the_package_is_in_a_host_as_an_operator_would_have_it(shared_host: Host) -> None:
    assert shared_host.sh("jada-configd --version").startswith("jada-configd ")
    confined = ["systemd-run", "--wait", "--pipe", "--property=ProtectHome=yes"]
    as_ubuntu = [*confined, "--uid=ubuntu", "jada-configd", "--version"]
    assert shared_host.run(as_ubuntu).stdout.startswith("jada-configd ")
    assert str(CHECKOUT) not in shared_host.sh("cat /opt/jada-configd/bin/jada-configd")


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        ({"systemd-nspawn"}, "apt-get install -y systemd-container"),
        ({"dbus-daemon", "systemd-nspawn"}, "apt-get install -y dbus systemd-container"),
    ],
)
def test_what_is_missing_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, missing: set[str], sentence: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(harness, "_on_path", lambda name: name not in missing)
    assert str(harness.why_not()).endswith(sentence)


def test_an_ordinary_user_is_told_that_it_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert harness.why_not() == "a throwaway host needs root"

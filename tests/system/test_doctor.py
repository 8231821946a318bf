"""`doctor` on a real host: a healthy one, then one thing after the other broken and mended.

The kernel's own limits (`fs.*`) are the machine's: what is said of those is in `tests/diagnosis`.
"""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from tests.system.daemons import POLICY as POLICY_PATH
from tests.system.daemons import UNIT, Daemon
from tests.system.host import Host, eventually
from tests.system.layers import ENVIRONMENT, Installed

# A FUSE mount whose maker (the argument) never answers anything (fuse(4)).
HANGING_MOUNT = """
import ctypes, os, sys, time
os.makedirs("/mnt/dead", exist_ok=True)
if not os.path.exists("/dev/fuse"):
    os.mknod("/dev/fuse", 0o20600, os.makedev(10, 229))
descriptor = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={descriptor},rootmode=40000,user_id={sys.argv[1]},group_id=0,allow_other".encode()
libc = ctypes.CDLL(None, use_errno=True)
if libc.mount(b"dead", b"/mnt/dead", b"fuse.dead", 0, options):
    sys.exit(os.strerror(ctypes.get_errno()))
time.sleep(600)
"""
SETTINGS = "/home/ubuntu/.claude/settings.json"
AGENT_FILE = "/etc/systemd/system/agent.service"
UNIT_FILE = f"/etc/systemd/system/{UNIT}"
AGENT = """[Service]
ExecStart=/bin/sleep infinity
User=ubuntu
[Install]
WantedBy=multi-user.target
"""
POLICY = f"""version = 1
[settings.agent]
path = "{SETTINGS}"
services = ["agent.service"]
absent = ["/env/ANTHROPIC_MODEL"]
[settings.agent.set]
model = "claude-sonnet-4-6"
[service."agent.service".limits]
nofile = {{ soft = 512, hard = 1024 }}
"""
# What a throwaway host lacks, as a container does: told, and no failure.
OF_A_CONTAINER = {"capabilities", "manager-limits", "clock"}


@dataclass(frozen=True, slots=True)
class Said:
    """What `doctor --json` said."""

    status: int
    plain: dict[str, Any]

    def findings(self, *statuses: str) -> list[dict[str, str]]:
        return [each for each in self.plain["findings"] if each["status"] in statuses]

    def problem(self, check: str) -> dict[str, str]:
        """The one problem that a check has found."""
        found = [each for each in self.findings("problem") if each["check"] == check]
        assert len(found) == 1, json.dumps(self.plain["findings"], indent=1)
        return found[0]


@pytest.fixture(scope="module")
def held(installed: Installed) -> Iterator[Host]:
    """A host with the daemon at work, which each test leaves healthy."""
    with Host.boot(overlays=installed.overlays, links=installed.links) as host:
        host.write(SETTINGS, '{"model": "claude-haiku-4-5"}\n', owner="ubuntu")
        host.write(AGENT_FILE, AGENT)
        host.run(["systemctl", "daemon-reload"])
        host.run(["systemctl", "start", "agent.service"])
        Daemon.install(host, POLICY).settles()
        yield host


def doctor(host: Host, *options: str, user: str | None = None) -> Said:
    ended = host.run(["jada-configd", "doctor", "--json", *options], user=user, check=False)
    assert ended.stderr == ""
    return Said(ended.returncode, json.loads(ended.stdout))


def mend(host: Host, finding: dict[str, str]) -> None:
    """Type what the remedy says, as it stands."""
    host.sh(finding["remedy"])


def is_healthy(host: Host) -> bool:
    said = doctor(host)
    return said.status == 0 and {each["check"] for each in said.findings("warning")} <= (
        OF_A_CONTAINER
    )


def becomes_healthy(host: Host) -> None:
    try:
        eventually(lambda: is_healthy(host), within=15, every=0.2)
    except AssertionError as error:
        raise AssertionError(json.dumps(doctor(host).plain, indent=1)) from error


def checks(findings: Sequence[dict[str, str]]) -> set[str]:
    return {each["check"] for each in findings}


class TestAHealthyHost:
    def test_has_no_problem_and_only_the_warnings_of_a_container(self, held: Host) -> None:
        said = doctor(held)
        assert (said.status, said.plain["state"]) == (0, "ok")
        assert said.findings("problem") == []
        assert checks(said.findings("warning")) <= OF_A_CONTAINER
        assert checks(said.findings("ok")) >= {
            "policy",
            "user",
            "service-manager",
            "systemd-version",
            "journal",
            "services",
            "installation",
            "daemon",
            "directories",
            "settings",
            "file-systems",
            "inotify",
            "python",
        }

    def test_is_looked_at_within_a_second_and_left_as_it_was(self, held: Host) -> None:
        places = "/etc /home /var/lib/jada-configd /usr/local"
        look = f"find {places} -printf '%p %T@ %C@ %s %m\\n' | grep -v known.json | sort"
        before = held.sh(look)
        times = []
        for _ in range(5):  # the machine has others to serve, too
            began = time.monotonic()
            doctor(held)
            times.append(time.monotonic() - began)
        assert min(times) < 1.0
        assert held.sh(look) == before

    def test_counts_the_capabilities_of_the_daemon_and_not_of_who_asks(self, held: Host) -> None:
        held.write(f"{UNIT_FILE}.d/less.conf", "[Service]\nCapabilityBoundingSet=~CAP_FOWNER\n")
        held.run(["systemctl", "daemon-reload"])
        held.run(["systemctl", "restart", UNIT])
        found = doctor(held).problem("capabilities")
        assert "the daemon (process " in found["says"]
        assert "lacks CAP_FOWNER" in found["says"]
        held.remove(f"{UNIT_FILE}.d/less.conf")
        held.run(["systemctl", "daemon-reload"])
        held.run(["systemctl", "restart", UNIT])
        becomes_healthy(held)

    def test_is_told_by_an_ordinary_user_to_be_asked_by_root(self, held: Host) -> None:
        said = doctor(held, user="ubuntu")
        assert said.status == 1
        assert "sudo jada-configd doctor" in said.problem("user")["remedy"]


class TestThePolicy:
    def test_that_is_gone(self, held: Host) -> None:
        held.run(["mv", POLICY_PATH, "/root/kept.toml"])
        said = doctor(held)
        assert said.status == 1
        found = said.problem("policy")
        assert "there is no policy at /etc/jada-configd/policy.toml" in found["says"]
        assert found["remedy"].startswith("jada-configd install --policy ")
        held.run(["mv", "/root/kept.toml", POLICY_PATH])
        becomes_healthy(held)

    def test_that_does_not_load_says_what_validate_says(self, held: Host) -> None:
        held.write(POLICY_PATH, POLICY.replace("path =", "pth ="))
        said = doctor(held)
        validated = held.run(["jada-configd", "validate"], check=False).stderr.splitlines()
        found = [each for each in said.findings("problem") if each["check"] == "policy"]
        assert [each["says"] for each in found] == validated
        assert all("jada-configd validate" in each["remedy"] for each in found)
        held.write(POLICY_PATH, POLICY)
        becomes_healthy(held)

    def test_that_somebody_else_could_change(self, held: Host) -> None:
        held.run(["chmod", "o+w", POLICY_PATH])
        found = doctor(held).problem("policy")
        assert "can be written by everybody" in found["says"]
        mend(held, found)
        becomes_healthy(held)

    def test_that_was_not_read_yet(self, held: Host) -> None:
        held.write(POLICY_PATH, f"{POLICY}# another\n")
        said = doctor(held)
        assert said.status == 0
        (found,) = (each for each in said.findings("warning") if each["check"] == "policy")
        mend(held, found)
        becomes_healthy(held)
        held.write(POLICY_PATH, POLICY)
        held.run(["systemctl", "reload", UNIT])


class TestTheServiceManager:
    def test_without_a_bus(self, held: Host) -> None:
        held.run(["systemctl", "stop", "dbus.socket", "dbus.service"])
        said = doctor(held)
        assert said.status == 1
        found = said.problem("service-manager")
        assert "systemd's private socket" in found["says"]
        mend(held, found)
        becomes_healthy(held)

    def test_with_a_bus_that_hangs_is_not_waited_for(self, held: Host) -> None:
        held.run(["systemctl", "kill", "--signal=STOP", "dbus.service"])
        began = time.monotonic()
        said = doctor(held)
        took = time.monotonic() - began
        held.run(["systemctl", "kill", "--signal=CONT", "dbus.service"])
        assert "is asked through" in said.problem("service-manager")["says"]
        assert took < 5
        becomes_healthy(held)

    def test_without_a_journal(self, held: Host) -> None:
        held.sh(
            "systemctl stop systemd-journald.socket systemd-journald-dev-log.socket "
            "systemd-journald-audit.socket systemd-journald.service; "
            "rm -f /run/systemd/journal/socket"
        )
        (found,) = (each for each in doctor(held).findings("warning") if each["check"] == "journal")
        mend(held, found)
        becomes_healthy(held)

    @pytest.mark.parametrize("lasting", [[], ["--runtime"]])
    def test_a_unit_that_is_masked(self, held: Host, lasting: Sequence[str]) -> None:
        held.run(["mv", AGENT_FILE, "/root/agent.service"])
        held.run(["systemctl", "mask", *lasting, "agent.service"])
        found = doctor(held).problem("services")
        assert (found["says"], found["remedy"]) == (
            "agent.service is masked",
            " ".join(["systemctl unmask", *lasting, "agent.service"]),
        )
        mend(held, found)
        held.run(["mv", "/root/agent.service", AGENT_FILE])
        held.run(["systemctl", "daemon-reload"])
        becomes_healthy(held)

    def test_a_unit_that_is_not_there(self, held: Host) -> None:
        text = POLICY.replace('["agent.service"]', '["agent.service", "agnet.service"]')
        held.write(POLICY_PATH, text)
        found = doctor(held).problem("services")
        assert "there is no agnet.service, which policy.toml:" in found["says"]
        assert found["remedy"].startswith("edit policy.toml:")
        held.write(POLICY_PATH, POLICY)
        becomes_healthy(held)


class TestTheService:
    def test_of_an_interpreter_that_is_gone(self, held: Host) -> None:
        text = held.read(UNIT_FILE)
        wrong = text.replace(f"ExecStart={ENVIRONMENT}/", "ExecStart=/opt/of-last-year/")
        held.write(UNIT_FILE, wrong)
        held.run(["systemctl", "daemon-reload"])
        found = doctor(held).problem("installation")
        assert "/opt/of-last-year/bin/jada-configd, which is not there" in found["says"]
        mend(held, found)
        assert held.read(UNIT_FILE) == text
        becomes_healthy(held)

    def test_whose_script_has_lost_its_interpreter(self, held: Host) -> None:
        held.write("/opt/old/jada-configd", "#!/opt/old/python3\n", mode=0o755)
        text = held.read(UNIT_FILE)
        wrong = text.replace(f"{ENVIRONMENT}/bin/jada-configd", "/opt/old/jada-configd")
        held.write(UNIT_FILE, wrong)
        held.run(["systemctl", "daemon-reload"])
        found = doctor(held).problem("installation")
        assert "for which /opt/old/python3 is not there" in found["says"]
        mend(held, found)
        becomes_healthy(held)

    def test_that_is_another_version_s(self, held: Host) -> None:
        text = held.read(UNIT_FILE)
        held.write(UNIT_FILE, text.replace("WatchdogSec=30s", "WatchdogSec=60s"))
        held.run(["systemctl", "daemon-reload"])
        said = doctor(held)
        assert said.status == 0
        (found,) = (each for each in said.findings("warning") if each["check"] == "installation")
        assert f"{UNIT_FILE} is not as this version has it" in found["says"]
        mend(held, found)
        assert held.read(UNIT_FILE) == text
        becomes_healthy(held)

    def test_that_was_installed_for_another_policy(self, held: Host) -> None:
        more = (
            '[settings.more]\npath = "/usr/local/share/x/settings.json"\nabsent = ["/env"]\n'
            'set.model = "claude-sonnet-4-6"\n[service."other.service"]\napply = "none"\n'
        )
        held.make_directory("/usr/local/share/x")
        held.write("/etc/systemd/system/other.service", AGENT)
        held.write(POLICY_PATH, POLICY + more)
        held.run(["systemctl", "daemon-reload"])
        held.run(["systemctl", "reload", UNIT])
        said = doctor(held)
        found = said.problem("installation")
        assert found["says"] == (
            "the service may not write below /usr/local/share/x, as the policy asks"
        )
        assert "at boot other.service may start before its files are right" in {
            each["says"] for each in said.findings("warning")
        }
        mend(held, found)
        becomes_healthy(held)
        held.write(POLICY_PATH, POLICY)
        held.run(["jada-configd", "install"], timeout=60)
        becomes_healthy(held)

    def test_beside_another_program_of_its_name(self, held: Host) -> None:
        held.write("/usr/bin/jada-configd", "#!/bin/sh\n", mode=0o755)
        said = doctor(held)
        (found,) = (each for each in said.findings("warning") if each["check"] == "installation")
        assert f"{ENVIRONMENT}/bin/jada-configd, /usr/bin/jada-configd" in found["says"]
        mend(held, found)
        becomes_healthy(held)

    def test_that_does_not_get_to_run(self, held: Host) -> None:
        held.write(
            f"{UNIT_FILE}.d/fails.conf", "[Service]\nExecStartPre=/bin/false\nRestartSec=1h\n"
        )
        held.run(["systemctl", "daemon-reload"])
        held.run(["systemctl", "restart", UNIT], check=False)
        found = doctor(held).problem("daemon")
        assert "the daemon does not get to run: activating" in found["says"]
        held.remove(f"{UNIT_FILE}.d/fails.conf")
        held.run(["systemctl", "daemon-reload"])
        mend(held, found)
        becomes_healthy(held)

    def test_that_is_stopped(self, held: Host) -> None:
        held.run(["systemctl", "stop", UNIT])
        found = doctor(held).problem("daemon")
        assert found["remedy"] == "systemctl start jada-configd"
        mend(held, found)
        becomes_healthy(held)

    def test_that_is_masked(self, held: Host) -> None:
        held.run(["systemctl", "stop", UNIT])
        held.run(["mv", UNIT_FILE, "/root/unit"])
        held.run(["systemctl", "mask", UNIT])
        found = doctor(held).problem("installation")
        assert "jada-configd.service is masked" in found["says"]
        mend(held, found)
        held.run(["mv", "/root/unit", UNIT_FILE])
        held.run(["systemctl", "enable", "--now", UNIT])
        becomes_healthy(held)


class TestPlaces:
    def test_a_read_only_state_directory(self, held: Host) -> None:
        state = "/var/lib/jada-configd"
        held.run(["mount", "-t", "tmpfs", "-o", "ro,mode=0700", "tmpfs", state])
        said = doctor(held)
        assert said.status == 1
        found = said.problem("directories")
        assert f"state {state} is on a read-only file system" in found["says"]
        assert found["remedy"] == f"mount -o remount,rw {state}"
        mend(held, found)
        # The daemon has a mount of its own of it, which is as it was made.
        found = doctor(held).problem("directories")
        assert found["says"] == f"state {state} is read-only to the daemon"
        mend(held, found)
        assert "directories" not in checks(doctor(held).findings("problem"))
        held.run(["umount", state])
        held.run(["systemctl", "restart", UNIT])
        becomes_healthy(held)

    def test_a_directory_that_only_the_daemon_cannot_write(self, held: Host) -> None:
        override = f"{UNIT_FILE}.d/strict.conf"
        held.write(override, "[Service]\nReadOnlyPaths=/home/ubuntu/.claude\n")
        held.run(["systemctl", "daemon-reload"])
        held.run(["systemctl", "restart", UNIT])
        found = doctor(held).problem("settings")
        assert "the directory /home/ubuntu/.claude is read-only to the daemon" in found["says"]
        held.remove(override)
        held.run(["systemctl", "daemon-reload"])
        mend(held, found)
        becomes_healthy(held)

    def test_a_full_file_system(self, held: Host) -> None:
        place = "/home/ubuntu/.claude"
        kept = held.read(SETTINGS)
        options = "size=1m,mode=0755,uid=1000,gid=1000"
        held.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place])
        held.write(SETTINGS, kept, owner="ubuntu")
        found = doctor(held).problem("settings")
        assert "KiB left" in found["says"]
        held.run(["umount", place])
        becomes_healthy(held)

    def test_a_settings_file_that_is_refused(self, held: Host) -> None:
        held.sh(f"cp --preserve {SETTINGS} /root/kept; mkfifo /root/fifo; mv /root/fifo {SETTINGS}")
        found = doctor(held).problem("settings")
        assert f"{SETTINGS} is a FIFO" in found["says"]
        assert "policy.toml:2" in found["remedy"]
        held.run(["mv", "/root/kept", SETTINGS])
        becomes_healthy(held)


@pytest.mark.parametrize(
    ("uid", "says", "remedy"),
    [
        (0, "/mnt/dead/settings.json does not answer (", "umount --lazy /mnt/dead"),
        (1000, "/mnt/dead is on a FUSE mount (fuse.dead) of ubuntu's", "umount --lazy /mnt/dead"),
    ],
)
def test_a_file_system_that_never_answers(host: Host, uid: int, says: str, remedy: str) -> None:
    text = POLICY.replace(SETTINGS, "/mnt/dead/settings.json")
    host.write("/root/policy.toml", text)
    host.write("/root/hang.py", HANGING_MOUNT)
    host.start(["/usr/bin/python3", "/root/hang.py", str(uid)])
    eventually(lambda: "/mnt/dead" in host.sh("cat /proc/mounts"), within=10)
    began = time.monotonic()
    said = doctor(host, "--policy", "/root/policy.toml")
    assert time.monotonic() - began < 9
    found = said.problem("settings")
    assert found["says"].startswith(says)
    assert found["remedy"].startswith(remedy)
    assert "directories" in checks(said.findings("ok"))
    mend(host, found)
    said = doctor(host, "--policy", "/root/policy.toml")
    assert "settings" not in checks(said.findings("problem"))


def test_a_user_s_own_service(host: Host) -> None:
    host.start_user_manager("ubuntu")
    policy = 'version = 1\n[settings.mine]\npath = "~/.claude/settings.json"\n'
    host.write("/home/ubuntu/policy.toml", f'{policy}set.model = "claude-sonnet-4-6"\n')
    command = ["jada-configd", "install", "--user", "--policy", "/home/ubuntu/policy.toml"]
    host.run([*command, "--yes"], user="ubuntu", timeout=60)
    said = doctor(host, "--user", user="ubuntu")
    assert (said.status, said.findings("problem")) == (0, [])
    host.run(["systemctl", "--user", "stop", UNIT], user="ubuntu")
    found = doctor(host, "--user", user="ubuntu").problem("daemon")
    host.run(["sh", "-c", found["remedy"]], user="ubuntu")
    eventually(lambda: doctor(host, "--user", user="ubuntu").status == 0, within=10)


def test_without_proc_that_is_what_is_wrong(host: Host) -> None:
    alone = [
        "unshare",
        "--mount",
        "sh",
        "-c",
        "umount -l -R /proc; exec jada-configd doctor --json",
    ]
    said = host.run(alone, check=False)
    found = {each["check"]: each for each in json.loads(said.stdout)["findings"]}
    assert said.returncode == 1
    assert found["processes"]["remedy"] == "mount -t proc proc /proc"


def test_no_user_is_told_to_take_what_is_root_s(host: Host) -> None:
    host.start_user_manager("ubuntu")
    host.write("/home/ubuntu/p.toml", 'version = 1\n[sysctl]\n"net.core.somaxconn" = 4096\n')
    said = doctor(host, "--user", "--policy", "/home/ubuntu/p.toml", user="ubuntu")
    assert said.problem("user")["remedy"] == "move [sysctl] to the policy of the host"
    told = json.dumps(said.findings("ok", "warning", "problem"))
    assert "/etc/sysctl.d" not in told
    assert "/proc/sys" not in told


def test_what_a_policy_with_logins_and_kernel_parameters_needs(held: Host) -> None:
    """Only looked at: what is below /proc/sys/fs is the machine's own."""
    most = int(held.read("/proc/sys/fs/nr_open"))
    held.write(
        "/root/other.toml",
        f'version = 1\n[sysctl]\n"fs.nr_open" = {most}\n"net.core.somaxconn" = 4096\n'
        "[login.ubuntu.limits]\nnofile = 4096\n"
        f'[service."agent.service".limits]\nnofile = {most + 1}\n',
    )
    said = doctor(held, "--policy", "/root/other.toml")
    assert said.status == 1
    read_only = "sysctl /proc/sys/fs is on a read-only file system, mounted on /proc/sys"
    assert read_only in {each["says"] for each in said.findings("problem")}
    (written,) = (each for each in said.findings("ok") if each["check"] == "directories")
    for place in ("/etc/security/limits.d", "/etc/sysctl.d"):
        assert place in written["says"]
    limits = said.problem("limits")
    assert f"agent.service cannot have nofile {most + 1} (other.toml:" in limits["says"]
    assert limits["remedy"].startswith("systemd-nspawn --rlimit=NOFILE=")
    assert "logins" in checks(said.findings("ok", "warning"))

"""`install` and `uninstall` on a real systemd, and what the unit promises there."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jada_configd.installation.shipped import shipped
from jada_configd.installation.units import NOTIFY_RELOAD_SINCE, Needs, policy_text, unit_text
from tests.system.host import CommandFailed, Host, eventually
from tests.system.layers import ENVIRONMENT, Installed

UNIT = "/etc/systemd/system/jada-configd.service"
SETTINGS = "/home/ubuntu/.claude/settings.json"
READ = "/tmp/read-at-start"
AGENT_UNIT = f"""[Service]
Type=exec
ExecStart=/bin/sh -c 'cp ~/.claude/settings.json {READ}; exec sleep infinity'
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
WRONG = '{"model": "claude-haiku-4-5"}\n'


@pytest.fixture
def ready(host: Host) -> Host:
    """A host with an agent that runs on a wrong model, and a policy for it; nothing installed."""
    furnish(host)
    return host


@pytest.fixture
def held(ready: Host) -> Host:
    """The same, with the policy held."""
    install(ready)
    return ready


@pytest.fixture(scope="module")
def at_work(installed: Installed) -> Iterator[Host]:
    """One host with the policy held, for tests that leave the service running."""
    with Host.boot(overlays=installed.overlays, links=installed.links) as host:
        furnish(host)
        install(host)
        yield host


def furnish(host: Host) -> None:
    host.write(SETTINGS, WRONG, owner="ubuntu")
    host.write("/etc/systemd/system/agent.service", AGENT_UNIT)
    host.write("/root/policy.toml", POLICY)
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "start", "agent.service"])


def wrapped(text: str) -> str:
    """An expression for a sentence, wherever its lines end."""
    return re.escape(text).replace(r"\ ", r"\s+")


def install(host: Host, *options: str, user: str | None = None) -> str:
    command = ["jada-configd", "install", "--policy", "/root/policy.toml", *options]
    return host.run(command, user=user, timeout=120).stdout


def on_a_terminal(host: Host, command: str, answer: str) -> tuple[int, str]:
    ended = host.run(
        ["script", "--quiet", "--return", "--command", command, "/dev/null"],
        stdin=answer,
        check=False,
    )
    return ended.returncode, ended.stdout


def wait_until_back(host: Host, pid: str) -> None:
    """Until the service runs in another process than that."""

    def is_back() -> bool:
        shown = host.show("jada-configd", "MainPID", "SubState")
        return shown["SubState"] == "running" and shown["MainPID"] not in ("0", pid)

    eventually(is_back, within=10)


def has_taken_up(host: Host) -> bool:
    """Whether the agent runs on what was corrected; for that it was restarted."""
    status = json.loads(host.read("/run/jada-configd/status.json"))
    return bool(status["services"]) and all(each["loaded"] for each in status["services"])


def model(host: Host) -> object:
    return json.loads(host.read(SETTINGS))["model"]


class TestInstall:
    def test_has_it_run_enabled_and_ready_and_the_host_in_sync(self, ready: Host) -> None:
        said = install(ready)
        assert "jada-configd.service is ready (" in said
        shown = ready.show("jada-configd", "ActiveState", "UnitFileState", "Type", "NRestarts")
        version = int(ready.sh("systemctl --version").split()[1])
        assert shown == {
            "ActiveState": "active",
            "UnitFileState": "enabled",
            "Type": "notify-reload" if version >= NOTIFY_RELOAD_SINCE else "notify",
            "NRestarts": "0",
        }
        # By default a change has to bear 5 s.
        in_sync = ["jada-configd", "status"]
        eventually(lambda: ready.run(in_sync, check=False).returncode == 0, within=10)
        assert model(ready) == "claude-sonnet-4-6"

    def test_says_before_what_the_first_pass_then_does(self, ready: Host) -> None:
        said = install(ready)
        before, _, after = said.partition("This will")
        assert '/model  "claude-haiku-4-5" -> "claude-sonnet-4-6"' in before
        assert "to do: create /etc/systemd/system/agent.service.d/zz-jada-configd.conf" in before
        assert "enable jada-configd.service\n  start jada-configd.service\n" in after

    def test_on_a_terminal_asks_and_without_a_yes_changes_nothing(self, ready: Host) -> None:
        command = "jada-configd install --policy /root/policy.toml"
        for answer in ("\n", "n\n", "\x04"):
            status, said = on_a_terminal(ready, command, answer)
            assert status == 1
            assert "Go on? [y/N]" in said
            assert "Nothing was changed." in said
        assert not ready.exists(UNIT)
        assert not ready.exists("/etc/jada-configd")
        assert model(ready) == "claude-haiku-4-5"

    def test_on_a_terminal_goes_on_after_a_yes_and_asks_none_with_the_option(
        self, ready: Host
    ) -> None:
        command = "jada-configd install --policy /root/policy.toml"
        status, said = on_a_terminal(ready, command, "y\n")
        assert (status, "is ready" in said) == (0, True)
        status, said = on_a_terminal(ready, f"{command} --yes", "")
        assert (status, "Go on?" in said) == (0, False)

    def test_again_changes_no_file_and_runs_a_new_process(self, held: Host) -> None:
        first = held.show("jada-configd", "MainPID")
        said = install(held)
        assert "wrote" not in said
        assert "enabled" not in said
        assert held.show("jada-configd", "MainPID") != first

    def test_refuses_what_others_could_change_and_names_the_hop(self, ready: Host) -> None:
        library = ready.sh(f"ls -d {ENVIRONMENT}/lib/python*/site-packages/psutil")
        ready.run(["chown", "ubuntu:ubuntu", library])
        told = wrapped(f"{library} belongs to ubuntu: whoever can")
        with pytest.raises(CommandFailed, match=told):
            install(ready)
        assert not ready.exists(UNIT)
        assert not ready.exists("/etc/jada-configd")

    def test_that_does_not_get_ready_says_why_and_leaves_nothing_starting_over_and_over(
        self, ready: Host
    ) -> None:
        ready.write("/etc/jada-configd/policy.toml", POLICY)
        other = ready.start(["jada-configd", "run"])
        eventually(lambda: ready.exists("/run/jada-configd/status.json"))
        ended = ready.run(["jada-configd", "install"], check=False)
        other.stop()
        assert ended.returncode == 1
        assert "jada-configd.service does not get ready: " in ended.stderr
        assert "/run/jada-configd/daemon.lock is held by process" in ended.stderr
        assert "is stopped and disabled again" in ended.stderr
        shown = ready.show("jada-configd", "ActiveState", "UnitFileState")
        assert shown == {"ActiveState": "inactive", "UnitFileState": "disabled"}
        assert "is ready" in install(ready)

    def test_brings_the_manual_pages(self, at_work: Host) -> None:
        assert at_work.exists("/usr/local/share/man/man1/jada-configd.1")
        assert at_work.exists("/usr/local/share/man/man5/jada-configd-policy.5")


class TestUninstall:
    def test_leaves_no_file_of_ours_and_the_values_as_they_are(self, held: Host) -> None:
        eventually(lambda: held.exists("/etc/systemd/system/agent.service.d/zz-jada-configd.conf"))
        eventually(lambda: has_taken_up(held))
        pid = held.show("agent.service", "MainPID")["MainPID"]
        said = held.run(["jada-configd", "uninstall"]).stdout
        assert "Settings files stay as they are." in said
        assert "Running processes keep their limits" in said
        left = held.sh(
            "find /etc /usr/local /run -path /proc -prune -o -name '*jada-configd*' -print"
        )
        assert left.split() == ["/etc/jada-configd", "/usr/local/bin/jada-configd"]
        assert held.show("jada-configd", "LoadState") == {"LoadState": "not-found"}
        assert model(held) == "claude-sonnet-4-6"
        assert held.show("agent.service", "MainPID", "LimitNOFILESoft") == {
            "MainPID": pid,
            "LimitNOFILESoft": "1024",
        }
        assert held.exists("/var/lib/jada-configd")

    def test_with_purge_removes_the_state_and_keeps_the_policy(self, held: Host) -> None:
        held.run(["jada-configd", "uninstall", "--purge"])
        assert not held.exists("/var/lib/jada-configd")
        assert held.read("/etc/jada-configd/policy.toml") == POLICY

    def test_asks_on_a_terminal(self, held: Host) -> None:
        status, said = on_a_terminal(held, "jada-configd uninstall", "n\n")
        assert (status, "Nothing was changed." in said) == (1, True)
        assert held.show("jada-configd", "ActiveState") == {"ActiveState": "active"}

    def test_finishes_what_somebody_began_by_hand(self, held: Host) -> None:
        held.remove(UNIT)
        held.run(["systemctl", "daemon-reload"])
        held.run(["jada-configd", "uninstall"])
        assert held.show("jada-configd", "ActiveState", "LoadState") == {
            "ActiveState": "inactive",
            "LoadState": "not-found",
        }
        wants = "/etc/systemd/system/multi-user.target.wants/jada-configd.service"
        assert held.status(wants, follow=False) is None

    def test_leaves_what_the_administrator_wrote(self, held: Host) -> None:
        override = f"{UNIT}.d/override.conf"
        held.write(override, "[Service]\nNice=5\n")
        held.run(["jada-configd", "uninstall"])
        assert held.exists(override)


class TestTheUnitAtWork:
    """One host for all of these: each leaves the service running."""

    def test_has_little_exposure(self, at_work: Host) -> None:
        at_work.run(["systemd-analyze", "security", "--threshold=35", "jada-configd.service"])

    def test_gives_its_directories_the_right_modes(self, at_work: Host) -> None:
        paths = "/etc/jada-configd /var/lib/jada-configd /run/jada-configd"
        modes = at_work.sh(f"stat -c %a {paths} /run/jada-configd/status.json").split()
        assert modes == ["755", "700", "755", "644"]

    def test_has_the_journal_explain_its_records(self, at_work: Host) -> None:
        said = at_work.sh("journalctl -x --unit=jada-configd JADA_EVENT=corrected")
        assert "Defined-By: jada-configd" in said

    def test_takes_a_new_policy_on_reload(self, at_work: Host) -> None:
        at_work.write("/etc/jada-configd/policy.toml", POLICY.replace("sonnet", "opus"))
        at_work.run(["systemctl", "reload", "jada-configd"])
        eventually(lambda: model(at_work) == "claude-opus-4-6")

    def test_is_back_within_a_second_after_a_kill_however_often(self, at_work: Host) -> None:
        """The default start limit is five in ten seconds."""
        for _ in range(6):
            pid = at_work.show("jada-configd", "MainPID")["MainPID"]
            began = time.monotonic()
            at_work.run(["kill", "-KILL", pid])
            wait_until_back(at_work, pid)
            assert time.monotonic() - began < 1.0

    def test_is_killed_and_started_anew_when_its_loop_stands_still(self, at_work: Host) -> None:
        at_work.write(f"{UNIT}.d/watchdog.conf", "[Service]\nWatchdogSec=500ms\n")
        at_work.run(["systemctl", "daemon-reload"])
        at_work.run(["systemctl", "restart", "jada-configd"])
        pid = at_work.show("jada-configd", "MainPID")["MainPID"]
        at_work.run(["kill", "-STOP", pid])
        wait_until_back(at_work, pid)
        assert any("Watchdog timeout" in each["MESSAGE"] for each in at_work.journal("--boot"))

    def test_starts_before_the_services_that_it_holds(self, at_work: Host) -> None:
        """As at boot, where a target wants both: the agent reads right settings."""
        at_work.write(
            "/etc/systemd/system/both.target",
            "[Unit]\nWants=agent.service jada-configd.service\n",
        )
        at_work.run(["systemctl", "daemon-reload"])
        at_work.run(["systemctl", "stop", "agent.service", "jada-configd.service"])
        at_work.remove(READ)
        at_work.write(SETTINGS, WRONG)
        at_work.run(["systemctl", "start", "both.target"])
        read = eventually(lambda: at_work.exists(READ) and at_work.read(READ))
        assert json.loads(str(read))["model"] != json.loads(WRONG)["model"]


class TestTheUnitOfAPolicy:
    def test_does_not_start_before_what_it_starts_after(self, ready: Host) -> None:
        ready.write("/root/policy.toml", f'{POLICY}[service."dbus.service"]\napply = "none"\n')
        ended = ready.run(["jada-configd", "install", "--policy", "/root/policy.toml"])
        assert "itself starts after dbus.service" in ended.stderr
        before = ready.show("jada-configd", "Before")["Before"].split()
        assert "agent.service" in before
        assert "dbus.service" not in before
        said = ready.run(["systemd-analyze", "verify", "default.target"], check=False)
        assert "cycle" not in said.stdout + said.stderr

    def test_writes_wherever_the_policy_has_files(self, ready: Host) -> None:
        paths = [
            f"{place}/settings.json"
            for place in ("/root", "/opt/x", "/srv", "/tmp", "/etc/x", "/usr/local/share/x")
        ]
        text = "version = 1\n"
        for number, path in enumerate(paths):
            ready.write(path, WRONG)
            text += f'[settings.s{number}]\npath = "{path}"\nabsent = ["/env"]\n'
            text += f'[settings.s{number}.set]\nmodel = "claude-sonnet-4-6"\n'
        ready.write("/root/policy.toml", text)
        install(ready)
        models = {path: json.loads(ready.read(path))["model"] for path in paths}
        assert models == dict.fromkeys(paths, "claude-sonnet-4-6")


def test_at_boot_a_held_service_starts_on_right_files_and_limits(
    installed: Installed, tmp_path: Path
) -> None:
    """Everything is there before systemd is, as on a host that boots again."""
    path = "/opt/agent/settings.json"
    directories = {
        at: tmp_path / at.replace("/", "-")
        for at in ("/opt/agent", "/opt/policy", "/etc/systemd/system.attached")
    }
    for directory in directories.values():
        directory.mkdir()
    agent, policy, units = directories.values()
    (agent / "settings.json").write_text(WRONG)
    (policy / "policy.toml").write_text(POLICY.replace(SETTINGS, path))
    command = [f"{ENVIRONMENT}/bin/jada-configd", "--policy=/opt/policy/policy.toml"]
    template = shipped("systemd/jada-configd.service")
    (units / "jada-configd.service").write_text(unit_text(template, command, user=False))
    (units / "jada-configd.service.d").mkdir()
    drop_in = policy_text("/opt/policy/policy.toml", Needs(("agent.service",), ()))
    (units / "jada-configd.service.d/50-policy.conf").write_text(drop_in)
    (units / "agent.service").write_text(AGENT_UNIT.replace("~/.claude/settings.json", path))
    (units / "multi-user.target.wants").mkdir()
    for unit in ("agent.service", "jada-configd.service"):
        (units / "multi-user.target.wants" / unit).symlink_to(f"../{unit}")
    overlays = {**installed.overlays, **{at: [made] for at, made in directories.items()}}
    with Host.boot(overlays=overlays, links=installed.links) as host:
        read = eventually(lambda: host.exists(READ) and host.read(READ))
        assert json.loads(str(read))["model"] == "claude-sonnet-4-6"
        pid = host.show("agent.service", "MainPID")["MainPID"]
        files = host.sh(f"grep 'Max open files' /proc/{pid}/limits").split()
        assert files[3:5] == ["512", "1024"]


class TestForOneUser:
    @pytest.fixture
    def workstation(self, host: Host) -> Host:
        host.write(SETTINGS, WRONG, owner="ubuntu")
        host.write(
            "/home/ubuntu/policy.toml",
            'version = 1\n[settings.mine]\npath = "~/.claude/settings.json"\n'
            'absent = ["/env/ANTHROPIC_MODEL"]\n[settings.mine.set]\nmodel = "claude-sonnet-4-6"\n',
            owner="ubuntu",
        )
        return host

    def install(self, host: Host) -> str:
        command = ["jada-configd", "install", "--user", "--policy", "/home/ubuntu/policy.toml"]
        return host.run(command, user="ubuntu", timeout=60).stdout

    def test_runs_in_the_user_s_own_manager_and_places(self, workstation: Host) -> None:
        workstation.start_user_manager("ubuntu")
        said = self.install(workstation)
        assert "enable-linger" not in said
        shown = workstation.run(["systemctl", "--user", "is-active", "jada-configd"], user="ubuntu")
        assert shown.stdout == "active\n"
        assert model(workstation) == "claude-sonnet-4-6"
        for path in (
            ".config/jada-configd/policy.toml",
            ".config/systemd/user/jada-configd.service",
            ".local/state/jada-configd",
        ):
            status = workstation.status(f"/home/ubuntu/{path}")
            assert status is not None
            assert status.st_uid == workstation.account("ubuntu").uid
        assert workstation.exists("/run/user/1000/jada-configd/status.json")
        assert not workstation.exists(UNIT)

    def test_says_that_it_ends_with_the_session(self, workstation: Host) -> None:
        workstation.run(["systemctl", "start", "user@1000.service"])  # as a login does
        assert "`loginctl enable-linger ubuntu`" in self.install(workstation)

    def test_without_a_session_says_what_would_do(self, workstation: Host) -> None:
        with pytest.raises(CommandFailed, match=wrapped("log in, or `loginctl enable-linger`")):
            self.install(workstation)

    def test_goes_away_again(self, workstation: Host) -> None:
        workstation.start_user_manager("ubuntu")
        self.install(workstation)
        workstation.run(["jada-configd", "uninstall", "--user", "--purge"], user="ubuntu")
        left = workstation.sh("find /home/ubuntu /run/user/1000 -name '*jada-configd*'")
        assert left.split() == ["/home/ubuntu/.config/jada-configd"]

    def test_of_the_host_needs_root_and_says_so(self, workstation: Host) -> None:
        ended = workstation.run(["jada-configd", "install"], user="ubuntu", check=False)
        assert ended.returncode == 1
        assert ended.stderr == (
            "jada-configd: a service of the host needs root: sudo; without root: --user\n"
        )

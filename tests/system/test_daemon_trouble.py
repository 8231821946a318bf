"""What stands in the daemon's way on a real systemd: it lives, says so, and recovers by itself."""

import time

import pytest

from tests.system.agents import Agent
from tests.system.daemons import POLICY, UNIT, Daemon, holds
from tests.system.host import Host, eventually

SETTINGS = "/home/ubuntu/.claude/settings.json"
WANTED = "claude-sonnet-4-6"
RULES = f"""version = 1
[settings.agent]
path = "{SETTINGS}"
absent = ["/env/ANTHROPIC_MODEL"]
set.model = "{WANTED}"
"""
GOOD = f'{{"model": "{WANTED}"}}'
BAD = '{"model": "x"}'
HOLDS_THE_LOCK = """
import fcntl, time
lock = open("/run/jada-configd/pass.lock", "r+")
fcntl.lockf(lock, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def daemon(host: Host) -> Daemon:
    """The daemon, in sync."""
    host.write(SETTINGS, GOOD, owner="ubuntu")
    daemon = Daemon.install(host, RULES)
    daemon.settles()
    return daemon


def ticks(daemon: Daemon) -> int:
    """Processor time that it has used, in hundredths of a second (proc(5), stat)."""
    fields = daemon.host.read(f"/proc/{daemon.pid}/stat").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_a_pass_that_does_not_end_is_told_and_keeps_no_daemon_from_starting(
    daemon: Daemon,
) -> None:
    """As `jada-configd apply` and Ctrl-Z leave it."""
    host = daemon.host
    holder = host.start(["python3", "-c", HOLDS_THE_LOCK])
    eventually(lambda: "held" in holder.output)
    host.write(SETTINGS, BAD)
    daemon.settles("degraded")
    assert "pass.lock is held by process" in daemon.status()["reason"]
    host.run(["systemctl", "restart", UNIT], timeout=40)
    assert daemon.status()["state"] == "degraded"
    holder.stop()
    holds(lambda: host.read(SETTINGS) == GOOD)
    daemon.settles()


def test_without_a_policy_it_sleeps(daemon: Daemon) -> None:
    """There is nothing to look at, and looking again for the policy costs next to nothing."""
    daemon.host.sh(f"rm {POLICY} /var/lib/jada-configd/*.json; systemctl restart {UNIT}")
    daemon.settles("degraded")
    before = ticks(daemon)
    time.sleep(2)
    assert ticks(daemon) - before < 20


def test_signals_without_end_do_not_keep_a_policy_from_being_loaded(daemon: Daemon) -> None:
    """What is being loaded is taken, and then what changed meanwhile."""
    host = daemon.host
    storm = host.start(["sh", "-c", f"while kill -HUP {daemon.pid}; do sleep 0.02; done"])
    host.write(POLICY, RULES.replace(WANTED, "claude-opus-4-8"))
    holds(lambda: "claude-opus-4-8" in host.read(SETTINGS), within=5)
    storm.stop()
    host.write(POLICY, RULES)
    host.sh(f"kill -HUP {daemon.pid}; kill -HUP {daemon.pid}")
    holds(lambda: host.read(SETTINGS) == GOOD, within=5)
    holds(lambda: host.show(UNIT, "ActiveState") == {"ActiveState": "active"})


def test_a_full_state_directory_is_told_and_left_behind_by_itself(daemon: Daemon) -> None:
    """Nothing drifts any more, and still it finds out that there is room again."""
    host = daemon.host
    state = "/var/lib/jada-configd"
    host.sh(f"mount -t tmpfs -o size=64k,mode=700 none {state}")
    host.sh(f"cat /dev/zero > {state}/fill 2>/dev/null || true")
    host.write(SETTINGS, BAD.replace("}", ', "new": 1}'))  # so that there is something to keep
    holds(lambda: WANTED in host.read(SETTINGS))
    daemon.settles("degraded")
    assert "No space left" in daemon.status()["reason"]
    time.sleep(2)
    host.remove(f"{state}/fill")
    daemon.settles(within=15)


@pytest.mark.parametrize("policy", ["version = 1\n", None], ids=["holds nothing", "is missing"])
def test_without_anything_to_hold_it_is_ready_at_once_and_sleeps(
    daemon: Daemon, policy: str | None
) -> None:
    """Services that stand behind it at boot wait for nothing, and nothing spins."""
    host = daemon.host
    host.sh(f"systemctl stop {UNIT}; rm -f {POLICY} /var/lib/jada-configd/policy.json")
    if policy is not None:
        host.write(POLICY, policy)
    began = time.monotonic()
    host.run(["systemctl", "start", UNIT])
    assert time.monotonic() - began < 3
    daemon.settles("in-sync" if policy is not None else "degraded", within=2)
    before = ticks(daemon)
    time.sleep(3)
    assert ticks(daemon) - before < 30


def test_whoever_cleans_up_its_directories_starts_no_second_one_and_hides_none(
    daemon: Daemon,
) -> None:
    """All is there again after a beat, and what was known to be right is remembered again."""
    host = daemon.host
    host.write(f"/etc/systemd/system/{UNIT}.d/beat.conf", "[Service]\nWatchdogSec=2s\n")
    host.sh(f"systemctl daemon-reload && systemctl restart {UNIT}")
    daemon.settles()
    first = daemon.pid
    host.sh("rm -rf /run/jada-configd")
    second = host.run(["jada-configd", "run"], check=False)
    assert second.returncode == 1
    assert "another instance runs on this host" in second.stderr
    daemon.settles(within=3)
    assert host.sh("cd /run/jada-configd && stat -c %a . status.json") == "755\n644"
    host.sh("rm -rf /var/lib/jada-configd")
    holds(lambda: host.exists("/var/lib/jada-configd/daemon.lock"), within=3)
    holds(lambda: host.sh("ls /var/lib/jada-configd/last-good"), within=3)
    host.write(SETTINGS, "{")
    holds(lambda: host.read(SETTINGS) == GOOD, within=6)
    host.write(POLICY, "version = 2\n")
    host.sh(f"systemctl kill --signal=KILL {UNIT}")
    daemon.settles("degraded")
    host.write(SETTINGS, BAD)
    holds(lambda: host.read(SETTINGS) == GOOD)
    assert daemon.pid not in (0, first)


def test_a_run_time_directory_that_went_with_the_unit_hides_no_daemon_in_the_foreground(
    daemon: Daemon,
) -> None:
    """systemd removes it when the unit stops, be it that the unit never got the lock."""
    host = daemon.host
    host.run(["systemctl", "stop", UNIT])
    foreground = host.start(["jada-configd", "run"])
    daemon.settles()
    host.run(["systemctl", "start", UNIT], check=False)
    host.run(["systemctl", "stop", UNIT])
    host.run(["systemctl", "start", UNIT], check=False)
    host.write(SETTINGS, BAD)
    holds(lambda: host.read(SETTINGS) == GOOD)
    daemon.settles()
    said = [str(record["MESSAGE"]) for record in host.journal(f"--unit={UNIT}")]
    assert any("another instance runs on this host" in each for each in said)
    foreground.stop()
    daemon.settles(within=3)


def test_a_service_in_a_crash_loop_is_told_of_once(host: Host) -> None:
    """However often it crashes; and once more when something else is wrong with it."""
    host.write(SETTINGS, GOOD, owner="ubuntu")
    agent = Agent.install(host)
    agent.start()
    policy = RULES.replace("absent", 'services = ["jada-agent.service"]\nabsent')
    Daemon.install(host, policy).settles()
    loop = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nRestart=always\nRestartSec=100ms\n"
    host.write(f"/etc/systemd/system/{agent.unit}.d/loop.conf", loop)
    agent.switch({"AGENT_EXIT": "3"})
    host.sh(f"systemctl daemon-reload; systemctl restart {agent.unit}", check=False)
    holds(lambda: int(host.show(agent.unit, "NRestarts")["NRestarts"]) >= 8, within=10)
    records = host.journal(f"--unit={UNIT}", "JADA_EVENT=drift")
    assert [record["JADA_RESOURCE"] for record in records] == [f"service:{agent.unit}"]
    assert "started again and again" in records[0]["MESSAGE"]


def test_a_file_system_that_was_read_only_at_the_start_is_written_to_when_it_is_no_longer(
    host: Host,
) -> None:
    """A remount does not reach the daemon's own mount namespace: it starts anew by itself."""
    home = "/home/eve/.claude"
    file = f"{home}/settings.json"
    host.sh(f"mkdir -p {home} && mount -t tmpfs -o uid=1001,gid=1001,mode=700 tmpfs {home}")
    host.write(file, BAD, owner="eve")
    host.sh(f"mount -o remount,ro {home}")
    daemon = Daemon.install(host, RULES.replace(SETTINGS, file))
    host.write(f"/etc/systemd/system/{UNIT}.d/beat.conf", "[Service]\nWatchdogSec=2s\n")
    host.sh(f"systemctl daemon-reload && systemctl restart {UNIT}")
    daemon.settles("degraded")
    assert "read-only file system" in daemon.status()["reason"]
    host.sh(f"mount -o remount,rw {home}")
    holds(lambda: host.read(file) == GOOD, within=5)
    daemon.settles()
    said = [str(record["MESSAGE"]) for record in host.journal(f"--unit={UNIT}")]
    anew = f"jada-configd: starts anew: {home} can be written to again"
    assert sum(anew in each for each in said) == 1

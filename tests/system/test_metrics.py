"""The metrics of the installed service, where Debian's node_exporter looks for them."""

import json
import re

import pytest

from tests import promtool
from tests.system.agents import Agent
from tests.system.daemons import UNIT, Daemon, holds
from tests.system.host import Host

SETTINGS = "/home/ubuntu/.claude/settings.json"
GOOD = '{"model": "claude-sonnet-4-6"}'
BAD = '{"model": "claude-haiku-4-5"}'
WAY = "/var/lib/prometheus/node-exporter"
FILE = f"{WAY}/jada_configd.prom"
RULES = f"""version = 1
[settings.agent]
path = "{SETTINGS}"
services = ["jada-agent.service"]
absent = ["/env/ANTHROPIC_MODEL"]
set.model = "claude-sonnet-4-6"
"""


def rules(path: str = FILE) -> str:
    """The policy, with metrics there."""
    return f'{RULES}[metrics]\ntextfile = "{path}"\n'


def value(host: Host, series: str, path: str = FILE) -> float:
    """What a series of the file says."""
    found = re.search(rf"^jada_configd_{re.escape(series)} (\S+)$", host.read(path), re.MULTILINE)
    if found is None:
        raise KeyError(series)
    return float(found[1])


@pytest.fixture
def furnished(host: Host) -> Host:
    """A host with an agent, and the directory as Debian's package leaves it."""
    host.sh(f"mkdir -p {WAY}; chown ubuntu: /var/lib/prometheus")
    host.write(SETTINGS, GOOD, owner="ubuntu")
    Agent.install(host).start()
    return host


@pytest.fixture
def daemon(furnished: Host) -> Daemon:
    """The daemon as it is shipped, in sync, with metrics."""
    daemon = Daemon.install(furnished, rules())
    daemon.settles()
    return daemon


def test_a_drift_is_counted_and_timed_and_the_file_is_for_everybody(daemon: Daemon) -> None:
    host = daemon.host
    holds(lambda: value(host, 'state{state="in-sync"}') == 1)
    assert value(host, 'drifts_total{kind="settings"}') == 0
    host.write(SETTINGS, BAD)
    holds(lambda: value(host, 'corrections_total{kind="settings"}') == 1, within=5)
    assert host.read(SETTINGS) == GOOD
    applied = 'service_applies_total{unit="jada-agent.service",result="done"}'
    daemon.settles()
    holds(lambda: value(host, 'state{state="in-sync"}') == 1)
    assert value(host, 'drifts_total{kind="settings"}') == 1
    assert value(host, 'correction_duration_seconds_bucket{kind="settings",le="1.0"}') == 1
    assert value(host, applied) == daemon.status()["counters"]["service_applies"]
    assert value(host, f'resource_in_sync{{id="settings:{SETTINGS}",kind="settings"}}') == 1
    assert value(host, 'service_up{unit="jada-agent.service"}') == 1
    holds(lambda: value(host, 'service_limit{unit="jada-agent.service",limit="nofile"}') > 0)
    status = host.status(FILE)
    assert status is not None
    assert (status.st_mode & 0o7777, status.st_uid) == (0o644, 0)
    assert host.run(["cat", FILE], user="nobody").stdout == host.read(FILE)
    assert host.sh(f"ls -A {WAY}").split() == ["jada_configd.prom"]
    assert promtool.check(host.read(FILE)) == ""


def test_they_come_move_and_go_with_the_policy(furnished: Host) -> None:
    daemon = Daemon.install(furnished, RULES)
    daemon.settles()
    assert not furnished.exists(FILE)
    daemon.reload(rules())
    holds(lambda: value(furnished, "policy_valid") == 1)
    moved = f"{WAY}/other.prom"
    daemon.reload(rules(moved))
    holds(lambda: value(furnished, "policy_valid", moved) == 1)
    assert not furnished.exists(FILE)
    daemon.reload(RULES)
    holds(lambda: not furnished.exists(moved))
    daemon.settles()


def test_a_policy_that_does_not_load_is_counted_and_the_file_stays(daemon: Daemon) -> None:
    daemon.reload("version = 1\n[metrics]\ntextfile = 5\n")
    holds(lambda: value(daemon.host, "policy_valid") == 0)
    assert value(daemon.host, "policy_load_failures_total") == 1
    assert value(daemon.host, 'state{state="degraded"}') == 1


def test_they_go_with_the_daemon_and_what_a_killed_one_left_goes_with_the_next(
    daemon: Daemon,
) -> None:
    host = daemon.host
    holds(lambda: host.exists(FILE))
    host.run(["systemctl", "stop", UNIT])
    assert not host.exists(FILE)
    host.run(["systemctl", "start", UNIT])
    holds(lambda: host.exists(FILE))
    host.sh(f"systemctl kill --signal=KILL {UNIT}; systemctl stop {UNIT}", check=False)
    host.write(FILE, "# Written by jada-configd from /etc/jada-configd/policy.toml; so\n")
    host.write("/etc/jada-configd/policy.toml", RULES)
    host.run(["systemctl", "start", UNIT])
    assert not host.exists(FILE)


@pytest.mark.parametrize(
    ("spoil", "mend", "why"),
    [
        (f"mv {WAY} /root/away", f"mv /root/away {WAY}", "does not exist"),
        (f"chown ubuntu {WAY}", f"chown root {WAY}", "belongs to ubuntu"),
        (f"chmod 777 {WAY}", f"chmod 755 {WAY}", "others can write"),
        (f"echo x >{FILE}", f"rm {FILE}", "is not ours"),
    ],
)
def test_what_is_in_the_way_is_told_and_keeps_nothing_from_being_corrected(
    furnished: Host, spoil: str, mend: str, why: str
) -> None:
    furnished.sh(spoil)
    daemon = Daemon.install(furnished, rules())
    daemon.settles("degraded")
    assert why in daemon.status()["reason"]
    furnished.write(SETTINGS, BAD)
    holds(lambda: furnished.read(SETTINGS) == GOOD)
    furnished.sh(mend)
    daemon.settles(within=40)
    assert value(furnished, 'state{state="in-sync"}') == 1


def test_doctor_says_what_keeps_metrics_from_being_written(daemon: Daemon) -> None:
    host = daemon.host

    def said() -> list[tuple[str, str]]:
        plain = json.loads(host.run(["jada-configd", "doctor", "--json"], check=False).stdout)
        found = [each for each in plain["findings"] if each["check"] == "directories"]
        return [(each["says"], each["remedy"]) for each in found if each["status"] != "ok"]

    assert said() == []
    host.sh(f"chmod 777 {WAY}")
    refused = f"others can write to {WAY}; chmod go-w makes it safe"
    assert said() == [(refused, f"ls -ld {WAY}  # whose it has to be: ours")]
    host.sh(f"rm -r {WAY}")
    assert said() == [(f"{WAY} does not exist", f"install --directory {WAY}")]


def test_a_file_that_somebody_removed_comes_back(daemon: Daemon) -> None:
    host = daemon.host
    host.write(f"/etc/systemd/system/{UNIT}.d/beat.conf", "[Service]\nWatchdogSec=2s\n")
    host.sh(f"systemctl daemon-reload; systemctl restart {UNIT}")
    holds(lambda: host.exists(FILE))
    host.sh(f"rm {FILE}")
    holds(lambda: host.exists(FILE), within=5)


def test_uninstall_leaves_none_even_of_a_daemon_that_was_killed(daemon: Daemon) -> None:
    host = daemon.host
    holds(lambda: host.exists(FILE))
    host.sh(f"systemctl kill --signal=KILL {UNIT}; systemctl stop {UNIT}", check=False)
    host.write(FILE, "# Written by jada-configd from /etc/jada-configd/policy.toml; so\n")
    said = host.run(["jada-configd", "uninstall", "--yes"]).stdout
    assert f"removed {FILE}" in said
    assert not host.exists(FILE)


def test_below_usr_the_unit_may_write_them_too(furnished: Host) -> None:
    furnished.sh("mkdir -p /usr/local/metrics")
    daemon = Daemon.install(furnished, rules("/usr/local/metrics/a.prom"))
    daemon.settles()
    assert value(furnished, "policy_valid", "/usr/local/metrics/a.prom") == 1


def test_a_user_has_them_in_a_directory_of_theirs(host: Host) -> None:
    host.write(SETTINGS, BAD, owner="ubuntu")
    host.write(
        "/home/ubuntu/policy.toml",
        'version = 1\n[settings.a]\npath = "~/.claude/settings.json"\n'
        'absent = ["/env/ANTHROPIC_MODEL"]\nset.model = "claude-sonnet-4-6"\n'
        '[metrics]\ntextfile = "~/metrics/a.prom"\n',
        owner="ubuntu",
    )
    host.run(["mkdir", "/home/ubuntu/metrics"], user="ubuntu")
    host.start_user_manager("ubuntu")
    command = ["jada-configd", "install", "--user", "--policy", "/home/ubuntu/policy.toml"]
    host.run(command, user="ubuntu", timeout=60)
    path = "/home/ubuntu/metrics/a.prom"
    holds(lambda: value(host, 'corrections_total{kind="settings"}', path) == 1)

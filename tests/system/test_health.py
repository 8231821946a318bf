"""Health on a real systemd: when a service counts as healthy, by what, and what is told of it."""

import json
import time
from collections.abc import Mapping

import pytest

from tests.system.agents import CHECK
from tests.system.daemons import POLICY, UNIT, holds
from tests.system.host import Host
from tests.system.trials import (
    AGENT,
    CHECKED,
    GOOD,
    SERVICE,
    SETTINGS,
    WANTED,
    Keys,
    Watch,
    bring,
    calm,
    policy,
    rules,
    service,
    settings,
)

NEW = "claude-opus-4-8"
HAIKU = "claude-haiku-4-5"
BAD = GOOD.replace(WANTED, HAIKU)
URL: Keys = {"url": "http://127.0.0.1:8098/healthz", "every": "1s"}


@pytest.fixture
def host(shared_host: Host) -> Host:
    """The module's host as it was at first."""
    calm(shared_host)
    return shared_host


# ---- a trial


def test_a_change_is_under_way_until_the_service_is_healthy_on_it(host: Host) -> None:
    agent = bring(host)
    watch = Watch.begin(host, rules(WANTED))
    assert watch.service()["latency_ms"]["healthy"] == {"p50": None, "p99": None}
    began = time.monotonic()
    watch.reload(rules(NEW, health={"stable": "1500ms"}))
    watch.until(lambda: agent.model == NEW and agent.active == "active")
    watch.until(lambda: watch.service()["healthy"] is None, within=1)
    assert watch.told()["state"] == "correcting"
    watch.settles_on(agent, NEW)
    took = (time.monotonic() - began) * 1000
    runs = watch.service()
    assert 1500 <= runs["latency_ms"]["healthy"]["p50"] <= took
    assert watch.told()["latency_ms"]["healthy"] == runs["latency_ms"]["healthy"]
    assert (runs["health"], runs["rolled_back"], runs["breaker"]) == (None, None, None)
    assert agent.starts == [WANTED, NEW]


def test_apply_ends_when_the_service_is_healthy(host: Host) -> None:
    agent = bring(host, content=BAD)
    host.write(POLICY, rules(WANTED, health={"stable": "1500ms"}))
    began = time.monotonic()
    done = host.run(["jada-configd", "apply", "--json"], timeout=60)
    assert time.monotonic() - began > 1.5
    assert json.loads(done.stdout)["state"] == "in-sync"
    assert agent.starts == [HAIKU, WANTED]


def test_a_process_that_is_replaced_has_its_time_anew(host: Host) -> None:
    agent = bring(host)
    watch = Watch.begin(host, rules(WANTED))
    watch.reload(rules(NEW, health={"stable": "1s", "within": "10s"}))
    watch.until(lambda: agent.starts[-1] == NEW and agent.active == "active")
    time.sleep(0.5)
    host.run(["systemctl", "kill", "--kill-who=main", "--signal=KILL", AGENT])
    holds(lambda: len(agent.starts) == 3, within=3)
    again = agent.started[-1]
    watch.settles_on(agent, NEW)
    assert time.monotonic() - again >= 1
    assert agent.starts == [WANTED, NEW, NEW]


def test_what_happens_to_a_service_later_is_told_and_nobodys_fault(host: Host) -> None:
    agent = bring(host)
    watch = Watch.begin(host, rules(WANTED, health=CHECKED))
    watch.reload(rules(NEW, health=CHECKED))
    watch.settles_on(agent, NEW)
    agent.turn("unhealthy")
    watch.until(lambda: watch.service()["healthy"] is False)
    assert watch.service()["health"]["why"]
    assert watch.told()["state"] == "drifted"
    time.sleep(1)
    assert agent.starts == [WANTED, NEW]
    assert json.loads(host.read(SETTINGS))["model"] == NEW
    assert not watch.records("rolled-back")
    agent.turn("ok")
    watch.settles_on(agent, NEW)


# ---- what is asked


def test_a_command_asks_as_the_services_user_and_speaks_in_the_journal(host: Host) -> None:
    agent = bring(host)
    watch = Watch.begin(host, rules(WANTED, health=CHECKED))
    said = [each for each in host.journal() if each["MESSAGE"] == "checked as ubuntu: ok"]
    assert said
    units = {str(each.get("_SYSTEMD_UNIT")) for each in said}
    assert not units & {AGENT, UNIT}
    asked = len(said)
    holds(
        lambda: sum(each["MESSAGE"] == "checked as ubuntu: ok" for each in host.journal()) > asked
    )
    assert watch.service()["main_pid"] == agent.pid
    # Units that have ended well or not are not left behind in crowds.
    assert (
        len(host.sh("systemctl list-units --all --plain --no-legend 'jada-configd-*'").split("\n"))
        < 3
    )


def test_a_command_that_does_not_end_is_ended(host: Host) -> None:
    agent = bring(host)
    watch = Watch.begin(host, rules(WANTED, health={**CHECKED, "timeout": "500ms"}))
    agent.turn("hang")
    watch.until(lambda: watch.service()["healthy"] is False)
    holds(lambda: host.sh("pgrep --count --full 'sleep 1000'", check=False) in ("0", "1"))
    agent.turn("ok")
    watch.until(lambda: watch.service()["healthy"] is True)
    holds(lambda: not host.sh("pgrep --full '^sleep 1000'", check=False))


def test_a_command_that_is_not_there_is_told(host: Host) -> None:
    bring(host)
    missing = {**CHECKED, "command": ["/usr/local/bin/no-such-check"]}
    watch = Watch.begin(host, rules(WANTED, health=missing), healthy=False)
    assert watch.service()["health"]["why"]


def test_a_url_is_asked_and_the_daemon_keeps_no_network(host: Host) -> None:
    agent = bring(host, switches={"AGENT_PORT": "8098"})
    watch = Watch.begin(host, rules(WANTED, health=URL))
    agent.turn("unhealthy")
    watch.until(lambda: watch.service()["healthy"] is False)
    assert "http://127.0.0.1:8098/healthz" in watch.service()["health"]["why"]
    agent.turn("ok")
    watch.until(lambda: watch.service()["healthy"] is True)
    assert host.show(UNIT, "RestrictAddressFamilies") == {"RestrictAddressFamilies": "AF_UNIX"}


def test_a_url_that_nobody_answers_is_unhealthy(host: Host) -> None:
    bring(host)
    watch = Watch.begin(host, rules(WANTED, health=URL), healthy=False)
    assert watch.service()["health"]["why"]


@pytest.mark.parametrize(
    ("journal", "healthy"),
    [
        ({"must": "ready, running on claude-sonnet-4-6"}, True),
        ({"must": "ready, running on claude-[a-o]"}, False),
        ({"must_not": "panic"}, True),
        ({"must_not": "ready"}, False),
    ],
)
def test_the_journal_of_the_process_that_runs_is_searched(
    host: Host,
    journal: Mapping[str, str],
    healthy: bool,  # noqa: FBT001 - a column of the table
) -> None:
    bring(host, f"{HAIKU}=panic", content=BAD)
    host.write(SETTINGS, GOOD)
    host.run(["systemctl", "restart", AGENT])  # what the last process said counts no more
    judged = {"journal": journal, "every": "1s", "within": "2s"}
    Watch.begin(host, rules(WANTED, health=judged), healthy=healthy)


def test_a_service_that_does_not_run_is_not_healthy(host: Host) -> None:
    agent = bring(host)
    watch = Watch.begin(host, rules(WANTED))
    agent.switch({"AGENT_EXIT": "3"})
    host.run(["systemctl", "kill", "--kill-who=main", "--signal=KILL", AGENT])
    watch.until(lambda: watch.service()["healthy"] is False)
    watch.until(lambda: agent.active == "failed")
    watch.until(lambda: "failed" in str(watch.resource(SERVICE)["problem"]))


# ---- applied, not just written


def test_a_process_that_read_a_wrong_value_is_restarted_though_the_file_is_right_by_now(
    host: Host,
) -> None:
    agent = bring(host)
    watch = Watch.begin(host, rules(WANTED))
    host.run(["systemctl", "stop", UNIT])
    host.write(SETTINGS, BAD)
    host.run(["systemctl", "restart", AGENT])
    host.write(SETTINGS, GOOD)
    assert agent.model == HAIKU
    host.run(["systemctl", "start", UNIT])
    watch.settles_on(agent, WANTED)
    assert agent.starts == [WANTED, HAIKU, WANTED]


def test_a_stale_process_is_a_state_of_its_own(host: Host) -> None:
    agent = bring(host)
    watch = Watch.begin(host, rules(WANTED, {"apply": "none"}))
    host.run(["systemctl", "stop", UNIT])
    host.write(SETTINGS, BAD)
    host.run(["systemctl", "restart", AGENT])
    host.run(["systemctl", "start", UNIT])
    watch.until(lambda: watch.service()["loaded"] is False)
    assert host.read(SETTINGS) == GOOD
    watch.until(lambda: watch.told()["state"] == "drifted")
    assert watch.resource()["result"] == "in-sync"
    time.sleep(1.5)
    assert agent.starts == [WANTED, HAIKU]
    host.run(["systemctl", "restart", AGENT])
    watch.settles_on(agent, WANTED)


def test_drifts_that_are_corrected_at_once_restart_nothing(host: Host) -> None:
    agent = bring(host)
    watch = Watch.begin(host, rules(WANTED, health=CHECKED))
    pid = agent.pid
    for _ in range(20):
        host.write(SETTINGS, BAD)
        holds(lambda: host.read(SETTINGS) == GOOD)
    watch.until(lambda: watch.told()["counters"]["corrections"] >= 10)
    time.sleep(1)
    assert (agent.pid, agent.starts) == (pid, [WANTED])
    assert watch.told()["counters"]["service_applies"] == 0
    watch.settles_on(agent, WANTED)


RACES = """
import json, os, subprocess, sys, time
settings, bad, unit, group = sys.argv[1:]
processes, seen = group + "/cgroup.procs", []

def runs():
    try:
        with open(processes) as file:
            return bool(file.read())
    except OSError:
        return False

for turn in range(25):
    subprocess.run(["systemctl", "stop", unit], check=True)
    races = [f"{settings}.race{number}" for number in range(200)]
    for race in races:
        with open(race, "w") as file:
            file.write(bad)
        os.chown(race, 1000, 1000)
    start = subprocess.Popen(["systemctl", "start", "--no-block", unit])
    drifts = []
    while races and not runs():
        os.rename(races.pop(), settings)
        drifts.append(time.monotonic_ns() // 1000)
        time.sleep(0.0003)
    start.wait()
    for race in races:
        os.unlink(race)
    show = ["systemctl", "show", "--property=MainPID,ExecMainStartTimestampMonotonic", unit]
    lines = subprocess.run(show, capture_output=True, check=True, text=True).stdout.split()
    told = dict(line.split("=") for line in lines)
    started = int(told["ExecMainStartTimestampMonotonic"])
    seen.append(min(abs(started - drifted) for drifted in drifts))
    if seen[-1] < 1000:
        break
    time.sleep(1)  # for the restart that this asks for, too: else the next stop would cancel it
print(json.dumps([seen, int(told["MainPID"])]))
"""


def test_a_process_that_starts_within_the_millisecond_of_the_drift_counts_as_stale(
    host: Host,
) -> None:
    agent = bring(host, options={"StartLimitIntervalSec": "0"})
    watch = Watch.begin(host, rules(WANTED, health={"stable": "200ms"}))
    host.write("/root/races.py", RACES)
    group = f"/sys/fs/cgroup/system.slice/{AGENT}"
    raced = host.sh(f"python3 /root/races.py {SETTINGS} '{BAD}' {AGENT} {group}")
    apart, pid = json.loads(raced)
    assert apart[-1] < 1000, f"never within a millisecond: {apart} us"
    watch.until(lambda: agent.pid not in (0, pid), within=3)
    watch.settles_on(agent, WANTED)
    assert host.read(SETTINGS) == GOOD


def test_whatever_a_process_has_read_in_a_race_it_ends_on_the_right_value(host: Host) -> None:
    agent = bring(host, options={"StartLimitIntervalSec": "0"})
    watch = Watch.begin(host, rules(WANTED, health={"stable": "200ms"}))
    spoil = (
        f"for turn in $(seq 60); do printf %s '{BAD}' > {SETTINGS}.t; mv {SETTINGS}.t {SETTINGS};"
        " sleep 0.004; done"
    )
    for _ in range(6):
        spoiler = host.start(["sh", "-c", spoil], user="ubuntu")
        host.run(["systemctl", "restart", AGENT])
        spoiler.wait()
        watch.settles_on(agent, WANTED)
        assert host.read(SETTINGS) == GOOD


def test_two_services_are_judged_each_by_its_own(host: Host) -> None:
    agent = bring(host)
    text = policy(
        settings(WANTED),
        service(health=CHECKED),
        service(unit="systemd-logind.service", health={"command": ["/bin/false"], "every": "1s"}),
    )
    watch = Watch.begin(host, rules(WANTED))
    watch.reload(text)
    watch.until(lambda: watch.service("systemd-logind.service")["healthy"] is False)
    watch.until(lambda: watch.service()["healthy"] is True)
    assert agent.starts == [WANTED]
    assert CHECK in text

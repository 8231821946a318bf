"""Pace on a real systemd: how often services are restarted, and when they are left alone."""

import json
import time
from itertools import pairwise

import pytest

from tests.system.agents import Agent
from tests.system.daemons import UNIT, holds
from tests.system.host import Host, eventually
from tests.system.trials import (
    AGENT,
    CHECKED,
    FILE,
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
ALWAYS: Keys = {"apply": "restart", "when": "always"}
CONTEST: Keys = {"contested_after": 10, "contested_within": "1m"}  # the default
BY_RELOAD: Keys = {"apply": "reload", "when": "always"}
BUSY = "/run/jada-agent/busy"


@pytest.fixture
def host(shared_host: Host) -> Host:
    """The module's host as it was at first."""
    calm(shared_host)
    return shared_host


def drift(host: Host) -> None:
    """Somebody edits, and it is corrected."""
    host.write(SETTINGS, BAD)
    holds(lambda: host.read(SETTINGS) == GOOD)


# ---- how often


STORM = """
import os, sys, time
settings, bad = sys.argv[1:]
began = time.monotonic()
for turn in range(1000):
    time.sleep(max(0.0, began + turn * 0.0098 - time.monotonic()))
    with open(settings + ".storm", "w") as file:
        file.write(bad)
    os.rename(settings + ".storm", settings)
print(time.monotonic() - began)
"""


def test_a_thousand_drifts_in_ten_seconds_make_as_many_restarts_as_the_policy_allows(
    host: Host,
) -> None:
    agent = bring(host, options={"StartLimitIntervalSec": "0"})
    rarely = {**ALWAYS, "min_interval": "2s"}
    held = [settings(WANTED), service(rarely, health=CHECKED)]
    watch = Watch.begin(host, policy(*held))
    host.write("/root/storm.py", STORM)
    lasted = float(host.sh(f"chmod 644 /root/storm.py; python3 /root/storm.py {SETTINGS} '{BAD}'"))
    allowed = 1 + int(max(10.0, lasted) / 2)
    watch.settles_on(agent, WANTED)
    restarts = len(agent.starts) - 1
    assert 1 <= restarts <= allowed
    assert agent.started_by_systemd >= len(agent.starts)
    assert int(host.show(AGENT, "NRestarts")["NRestarts"]) == 0
    assert watch.told()["counters"]["corrections"] > 50
    by_daemon = agent.started[1:]
    assert all(later - earlier > 1.8 for earlier, later in pairwise(by_daemon))
    assert host.read(SETTINGS) == GOOD
    time.sleep(2.5)
    assert len(agent.starts) == restarts + 1


def test_a_thousand_drifts_under_a_policy_that_says_nothing_of_them_leave_the_service_alone(
    host: Host,
) -> None:
    """The field is contested by then: its service is no part of the fight."""
    agent = bring(host, options={"StartLimitIntervalSec": "0"})
    held = [settings(WANTED), service({**ALWAYS, "min_interval": "2s"})]
    watch = Watch.begin(host, policy(*held, daemon=CONTEST))
    host.write("/root/storm.py", STORM.replace("1000", "300"))
    host.sh(f"python3 /root/storm.py {SETTINGS} '{BAD}'")
    watch.until(lambda: host.read(SETTINGS) == GOOD, within=5)
    watch.until(lambda: watch.service()["healthy"] is True)
    assert len(agent.starts) <= 1 + 1 + 2
    assert watch.told()["state"] == "contested"


def test_what_changes_at_once_shares_one_restart(host: Host) -> None:
    other = "/home/ubuntu/.claude/other.json"
    agent = bring(host)
    host.write(other, GOOD, owner="ubuntu")

    def both(model: str) -> str:
        held = [settings(model), settings(model, name="other", path=other)]
        return policy(*held, service({**ALWAYS, "gather": "400ms"}))

    watch = Watch.begin(host, both(WANTED))
    watch.reload(both(NEW))
    watch.settles_on(agent, NEW)
    assert agent.starts == [WANTED, NEW]
    host.write(SETTINGS, BAD)
    time.sleep(0.15)
    host.write(other, BAD)
    holds(lambda: len(agent.starts) == 3, within=5)
    watch.settles_on(agent, NEW)
    time.sleep(1)
    assert len(agent.starts) == 3
    assert watch.told()["counters"]["service_applies"] == 2


def test_the_first_apply_is_not_delayed_and_the_next_keeps_its_distance(host: Host) -> None:
    agent = bring(host)
    watch = Watch.begin(host, rules(WANTED, {**ALWAYS, "min_interval": "3s"}))
    before = time.monotonic()
    drift(host)
    holds(lambda: len(agent.starts) == 2, within=2)
    watch.until(lambda: watch.service()["healthy"] is True and watch.service()["loaded"] is True)
    drift(host)
    watch.until(lambda: watch.service()["loaded"] is False, within=2)
    watch.until(lambda: watch.resource(SERVICE)["problem"])
    assert watch.told()["state"] in ("correcting", "drifted")
    holds(lambda: len(agent.starts) == 3, within=6)
    assert agent.started[1] - before < 1.5
    assert 2.9 < agent.started[2] - agent.started[1] < 4.5
    watch.settles_on(agent, WANTED)


def test_a_unit_is_not_driven_into_its_start_limit(host: Host) -> None:
    options = {"StartLimitBurst": "4", "StartLimitIntervalSec": "5"}
    agent = bring(host, options=options)
    watch = Watch.begin(host, rules(WANTED, {**ALWAYS, "gather": "50ms"}))
    ends = time.monotonic() + 6
    while time.monotonic() < ends:
        drift(host)
        assert agent.active != "failed"
        time.sleep(0.4)
    watch.settles_on(agent, WANTED, within=12)
    began = agent.started
    assert len(began) >= 3
    # One start of the four is always left to somebody else.
    assert all(later - earlier > 4.8 for earlier, later in zip(began, began[3:], strict=False))
    assert watch.service()["active"] == "active"


def test_a_unit_that_has_hit_its_start_limit_is_told_and_left_alone(host: Host) -> None:
    options = {"StartLimitBurst": "3", "StartLimitIntervalSec": "60", "RestartSec": "50ms"}
    agent = bring(host, options=options)
    watch = Watch.begin(host, rules(WANTED, ALWAYS))
    agent.switch({"AGENT_EXIT": "3"})
    host.run(["systemctl", "restart", AGENT], check=False)
    watch.until(lambda: agent.active == "failed")
    starts = len(agent.starts)
    drift(host)
    watch.until(lambda: "failed" in str(watch.resource(SERVICE)["problem"]))
    time.sleep(2)
    assert len(agent.starts) == starts
    assert agent.active == "failed"
    tries = [each for each in host.journal(f"UNIT={AGENT}") if "repeated" in str(each["MESSAGE"])]
    assert len(tries) == 1


# ---- how: by what has changed


def test_what_changed_decides_how_it_is_taken_up(host: Host) -> None:
    def held(model: str, effort: str) -> str:
        apply = {"default": "reload", "/model": "restart"}
        entry = settings(model, {"effortLevel": effort})
        return policy(entry, service({"apply": apply, "when": "always"}))

    content = GOOD.replace("dark", 'dark",\n    "effortLevel": "high')
    switches = {"AGENT_ON_HANGUP": "reload"}
    agent = bring(host, content=content, reloads=True, switches=switches)
    watch = Watch.begin(host, held(WANTED, "high"))
    reloads = agent.reloads
    pid = agent.pid
    watch.reload(held(WANTED, "medium"))
    holds(lambda: agent.reloads == reloads + 1, within=5)
    watch.settles_on(agent, WANTED)
    assert agent.pid == pid
    watch.reload(held(NEW, "medium"))
    watch.settles_on(agent, NEW)
    assert agent.pid != pid
    assert agent.reloads == reloads + 1
    watch.reload(held(WANTED, "low"))
    watch.settles_on(agent, WANTED)
    assert (agent.reloads, len(agent.starts)) == (reloads + 1, 3)


def test_a_reload_that_the_unit_does_not_support_is_told_and_not_tried(host: Host) -> None:
    agent = bring(host)
    watch = Watch.begin(host, rules(WANTED, BY_RELOAD))
    watch.reload(rules(NEW, BY_RELOAD))
    watch.until(lambda: watch.resource(SERVICE)["problem"])
    time.sleep(1.5)
    assert watch.service()["loaded"] is False
    assert watch.told()["state"] == "drifted"
    assert agent.starts == [WANTED]
    assert host.run(["jada-configd", "apply"], check=False, timeout=60).returncode == 2
    host.run(["systemctl", "restart", AGENT])
    watch.settles_on(agent, NEW)


def test_a_reload_that_fails_is_told_and_not_hammered(host: Host) -> None:
    agent = bring(host, options={"ExecReload": "/bin/false"})
    watch = Watch.begin(host, rules(WANTED, BY_RELOAD))
    pid = agent.pid
    drift(host)
    watch.until(lambda: watch.records("failed"))
    time.sleep(2)
    tried = [
        each for each in host.journal(f"UNIT={AGENT}") if "Reload failed" in str(each["MESSAGE"])
    ]
    assert len(tried) == 1
    assert (agent.pid, agent.active) == (pid, "active")
    assert watch.service()["loaded"] is False
    assert host.read(SETTINGS) == GOOD


# ---- while it is busy


@pytest.mark.parametrize("busy", [BUSY, ["/usr/bin/test", "-e", BUSY]], ids=["file", "command"])
def test_a_restart_waits_until_the_service_is_idle(host: Host, busy: str | list[str]) -> None:
    agent = bring(host)
    watch = Watch.begin(host, rules(WANTED, {"busy": busy}))
    agent.work()
    holds(lambda: host.exists(BUSY))
    watch.reload(rules(NEW, {"busy": busy}))
    watch.until(lambda: "busy" in str(watch.resource(SERVICE)["problem"]))
    time.sleep(1.5)
    assert agent.starts == [WANTED]
    assert watch.service()["loaded"] is False
    assert host.run(["jada-configd", "status"], check=False).returncode == 2
    agent.rest()
    watch.settles_on(agent, NEW)
    assert agent.starts == [WANTED, NEW]


def test_a_service_that_stays_busy_is_restarted_in_the_end(host: Host) -> None:
    agent = bring(host)
    watch = Watch.begin(host, rules(WANTED, {"busy": BUSY}))
    agent.work()
    holds(lambda: host.exists(BUSY))
    watch.reload(rules(NEW, {"busy": BUSY, "drain": "2s"}))
    holds(lambda: json.loads(host.read(SETTINGS))["model"] == NEW)
    corrected = time.monotonic()
    time.sleep(1.3)
    assert agent.starts == [WANTED]
    watch.settles_on(agent, NEW)
    assert 1.5 < agent.started[1] - corrected < 4


def test_a_service_that_stays_busy_is_left_alone_where_the_policy_says_so(host: Host) -> None:
    agent = bring(host)
    skips = {"busy": BUSY, "drain": "1s", "drain_policy": "skip"}
    watch = Watch.begin(host, rules(WANTED, skips))
    agent.work()
    holds(lambda: host.exists(BUSY))
    watch.reload(rules(NEW, skips))
    watch.until(lambda: "busy" in str(watch.resource(SERVICE)["problem"]))
    time.sleep(2)
    assert watch.told()["state"] == "drifted"
    assert watch.service()["loaded"] is False
    assert agent.starts == [WANTED]
    assert [each for each in watch.records("drift") if "busy" in str(each["MESSAGE"])]
    agent.rest()
    time.sleep(1.5)
    assert agent.starts == [WANTED]
    host.run(["systemctl", "restart", AGENT])
    watch.settles_on(agent, NEW)


def test_a_service_that_inhibits_a_shutdown_is_busy(host: Host) -> None:
    inhibits = "systemd-inhibit --what=shutdown --mode=block --why=answers sleep 1000"
    path = "/root/.claude/settings.json"
    host.write(path, GOOD)

    def held(model: str) -> str:
        return policy(settings(model, path=path), service())

    agent = bring(host, content=None, user="root", switches={"AGENT_WORK": inhibits})
    watch = Watch.begin(host, held(WANTED))
    agent.work()
    eventually(lambda: "answers" in host.sh("systemd-inhibit --list --no-pager"))
    watch.reload(held(NEW))
    watch.until(lambda: "answers" in str(watch.resource(SERVICE)["problem"]))
    time.sleep(1.5)
    assert agent.starts == [WANTED]
    agent.rest()
    watch.settles_on(agent, NEW)


def test_somebody_elses_inhibitor_keeps_nobody_waiting(host: Host) -> None:
    agent = bring(host)
    watch = Watch.begin(host, rules(WANTED))
    inhibits = ["systemd-inhibit", "--what=shutdown", "--mode=block", "--why=other", "sleep", "60"]
    other = host.start(inhibits)
    eventually(lambda: "other" in host.sh("systemd-inhibit --list --no-pager"))
    watch.reload(rules(NEW))
    watch.settles_on(agent, NEW)
    other.stop()


def test_a_way_back_waits_for_nothing(host: Host) -> None:
    agent = bring(host, f"{NEW}=unhealthy")
    keys = {"min_interval": "30s", "busy": BUSY}
    judged = {**CHECKED, "within": "2s"}
    watch = Watch.begin(host, rules(WANTED, keys, health=judged))
    watch.reload(rules(NEW, keys, health=judged))
    holds(lambda: agent.model == NEW, within=5)
    agent.work()
    watch.goes_back(within=8)
    assert (host.read(SETTINGS), agent.starts) == (GOOD, [WANTED, NEW, WANTED])


def test_who_restarts_the_service_meanwhile_has_done_it(host: Host) -> None:
    agent = bring(host)
    watch = Watch.begin(host, rules(WANTED, {"busy": BUSY}))
    agent.work()
    holds(lambda: host.exists(BUSY))
    watch.reload(rules(NEW, {"busy": BUSY}))
    watch.until(lambda: "busy" in str(watch.resource(SERVICE)["problem"]))
    host.run(["systemctl", "restart", AGENT])
    watch.settles_on(agent, NEW)
    time.sleep(1)
    assert agent.starts == [WANTED, NEW]
    assert watch.resource(FILE)["result"] == "in-sync"
    assert host.show(UNIT, "NRestarts") == {"NRestarts": "0"}
    assert Agent(host, AGENT).active == "active"

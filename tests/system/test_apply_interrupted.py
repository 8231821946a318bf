"""What gets in between a change and its end on a real systemd: each ends in a known state.

Somebody stops the unit or takes it away, systemd gives it up, the bus goes, the daemon is killed:
the next look finishes what was begun, the change or the way back.
"""

import json
import time

import pytest

from tests.system.agents import Agent
from tests.system.daemons import UNIT, holds
from tests.system.host import Host
from tests.system.trials import AGENT, FILE, GOOD, SETTINGS, WANTED, Watch, bring, calm, rules

BAD = "claude-bad"
NEW = "claude-opus-4-8"


@pytest.fixture
def host(shared_host: Host) -> Host:
    """The module's host as it was at first."""
    calm(shared_host)
    return shared_host


def file_says(host: Host, model: str) -> bool:
    """Whether the settings have this model."""
    return bool(json.loads(host.read(SETTINGS))["model"] == model)


def applying(agent: Agent, model: str) -> None:
    """Wait until the unit is in the middle of a start on this model."""
    holds(lambda: agent.starts[-1] == model and agent.active == "activating", within=10)


def test_a_unit_that_systemd_has_given_up_comes_back(host: Host) -> None:
    options = {"StartLimitBurst": "4", "StartLimitIntervalSec": "60", "RestartSec": "50ms"}
    agent = bring(host, f"{BAD}=exit", options=options)
    watch = Watch.begin(host, rules(WANTED))
    watch.reload(rules(BAD))
    holds(lambda: BAD in agent.starts, within=5)
    host.run(["systemctl", "kill", "--signal=STOP", UNIT])  # so that it cannot be quicker
    holds(lambda: agent.active == "failed", within=5)
    refused = f"{AGENT}: Start request repeated too quickly."
    assert refused in [str(each["MESSAGE"]) for each in host.journal(f"UNIT={AGENT}")]
    host.run(["systemctl", "kill", "--signal=CONT", UNIT])
    watch.goes_back()
    assert (host.read(SETTINGS), agent.model, agent.active) == (GOOD, WANTED, "active")


def test_somebodys_stop_in_mid_apply_is_obeyed(host: Host) -> None:
    agent = bring(host, f"{NEW}=slow:3")
    watch = Watch.begin(host, rules(WANTED))
    watch.reload(rules(NEW))
    applying(agent, NEW)
    host.run(["systemctl", "stop", AGENT])
    time.sleep(2)
    assert agent.active == "inactive"
    assert agent.starts == [WANTED, NEW]
    assert file_says(host, NEW)
    assert watch.service()["rolled_back"] is None
    assert not watch.records("rolled-back")
    assert watch.told()["state"] != "correcting"
    agent.switch({})
    agent.start()
    watch.settles_on(agent, NEW)
    assert agent.starts == [WANTED, NEW, NEW]


def test_a_unit_that_is_removed_in_mid_apply_is_told_and_taken_up_when_it_is_back(
    host: Host,
) -> None:
    agent = bring(host, f"{NEW}=slow:3")
    watch = Watch.begin(host, rules(WANTED))
    before = watch.pid
    watch.reload(rules(NEW))
    applying(agent, NEW)
    host.sh(f"rm -r /etc/systemd/system/{AGENT} {agent.drop_ins}; systemctl daemon-reload")
    watch.until(lambda: "does not exist" in str(watch.resource(f"service:{AGENT}")["problem"]))
    time.sleep(1)
    assert file_says(host, NEW)
    assert not watch.records("rolled-back")
    assert watch.pid == before
    Agent.install(host)
    host.run(["systemctl", "restart", AGENT])
    watch.settles_on(agent, NEW)


@pytest.mark.parametrize(("model", "way"), [(NEW, "slow:1"), (BAD, "exit")])
def test_the_bus_may_go_in_mid_apply(host: Host, model: str, way: str) -> None:
    agent = bring(host, f"{model}={way}")
    watch = Watch.begin(host, rules(WANTED))
    watch.reload(rules(model))
    holds(lambda: agent.starts[-1] == model, within=10)
    host.run(["systemctl", "kill", "--signal=KILL", "dbus.service"])
    host.run(["systemctl", "start", "dbus.socket", "dbus.service"])
    if model == NEW:
        watch.settles_on(agent, NEW, within=20)
        assert not watch.records("rolled-back")
    else:
        watch.goes_back(within=20)
        assert (host.read(SETTINGS), agent.model) == (GOOD, WANTED)


@pytest.mark.parametrize(("model", "way"), [(NEW, "ok"), (BAD, "exit")])
def test_a_kill_between_writing_and_restarting_loses_neither_the_restart_nor_the_way_back(
    host: Host, model: str, way: str
) -> None:
    agent = bring(host, f"{model}={way}")
    watch = Watch.begin(host, rules(WANTED))
    watch.reload(rules(model, {"gather": "1500ms"}))
    holds(lambda: file_says(host, model))
    assert agent.starts == [WANTED]
    watch.kill()
    assert agent.starts == [WANTED]
    if model == NEW:
        watch.settles_on(agent, NEW)
    else:
        watch.goes_back()
        assert (host.read(SETTINGS), agent.model) == (GOOD, WANTED)
        assert BAD in agent.starts
        assert watch.service()["rolled_back"]["revision"] == watch.told()["policy"]["revision"]


def test_a_kill_during_the_trial_does_not_end_it(host: Host) -> None:
    agent = bring(host, f"{BAD}=never-ready")
    watch = Watch.begin(host, rules(WANTED))
    watch.reload(rules(BAD, health={"within": "3s"}))
    applying(agent, BAD)
    watch.kill()
    watch.goes_back()
    assert (host.read(SETTINGS), agent.model) == (GOOD, WANTED)
    assert agent.starts == [WANTED, BAD, WANTED]
    assert len(watch.records("rolled-back")) == 1


def test_a_kill_on_the_way_back_does_not_end_it(host: Host) -> None:
    agent = bring(host, f"{BAD}=exit;{WANTED}=slow:1.5")
    watch = Watch.begin(host, rules(WANTED))
    watch.reload(rules(BAD))
    holds(lambda: BAD in agent.starts, within=10)
    applying(agent, WANTED)
    assert host.read(SETTINGS) == GOOD
    watch.kill()
    watch.goes_back()
    assert (host.read(SETTINGS), agent.model) == (GOOD, WANTED)
    starts = agent.starts
    time.sleep(1.5)
    assert agent.starts == starts
    assert watch.told()["state"] == "degraded"
    assert len(watch.records("rolled-back")) == 1


def test_kills_at_any_moment_end_in_the_old_values_all_the_same(host: Host) -> None:
    agent = bring(host, f"{BAD}=exit", options={"StartLimitIntervalSec": "0"})
    watch = Watch.begin(host, rules(WANTED))
    watch.reload(rules(BAD))
    for gap in (0.05, 0.3, 0.5, 0.2, 0.7):
        time.sleep(gap)
        watch.kill()
    watch.goes_back(within=20)
    assert (host.read(SETTINGS), agent.model) == (GOOD, WANTED)
    starts = agent.starts
    time.sleep(1.5)
    assert (agent.starts, host.read(SETTINGS)) == (starts, GOOD)
    assert watch.resource(FILE)["result"] == "drifted"

"""A way back that is disturbed: in the end the service runs, on values that it bears."""

import json
import time

import pytest

from tests.system.agents import Agent
from tests.system.daemons import UNIT, holds
from tests.system.host import Host
from tests.system.sample_agent import BUILT_IN
from tests.system.trials import (
    AGENT,
    CHECKED,
    CLAUDE,
    GOOD,
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

BAD = "claude-bad"
WORSE = "claude-worse"
NEW = "claude-opus-4-8"
QUICK: Keys = {"within": "6s"}
SHUT = '[windows]\nrestart = ["Sun 00:00-00:01 UTC"]'


@pytest.fixture
def host(shared_host: Host) -> Host:
    """The module's host as it was at first."""
    calm(shared_host)
    return shared_host


def goes_back_slowly(host: Host, ways: str) -> tuple[Agent, Watch]:
    """A service that is on its way back, and takes 2 s to start on what was before."""
    agent = bring(host, f"{BAD}=exit;{ways};{WANTED}=slow:2")
    watch = Watch.begin(host, rules(WANTED, health=QUICK))
    watch.reload(rules(BAD, health=QUICK))
    holds(lambda: agent.starts[-2:] == [BAD, WANTED] and agent.active == "activating", within=15)
    return agent, watch


def test_an_operator_who_says_retry_meanwhile_does_not_lose_the_way_back(host: Host) -> None:
    agent, watch = goes_back_slowly(host, "")
    host.run(["jada-configd", "retry", AGENT])
    watch.until(lambda: len(watch.records("rolled-back")) == 2, within=40)
    assert (host.read(SETTINGS), agent.model, agent.active) == (GOOD, WANTED, "active")
    assert watch.told()["state"] == "degraded"


def test_another_policy_that_fails_too_goes_back_as_far(host: Host) -> None:
    agent, watch = goes_back_slowly(host, f"{WORSE}=exit")
    watch.reload(rules(WORSE, health=QUICK))
    watch.until(lambda: len(watch.records("rolled-back")) == 2, within=40)
    assert (host.read(SETTINGS), agent.model, agent.active) == (GOOD, WANTED, "active")
    assert WORSE in agent.starts


def test_another_policy_that_it_bears_is_held_after_the_way_back(host: Host) -> None:
    agent, watch = goes_back_slowly(host, f"{NEW}=ok")
    watch.reload(rules(NEW, health=QUICK))
    watch.settles_on(agent, NEW, within=30)
    assert watch.service()["rolled_back"] is None


@pytest.mark.parametrize(("model", "ends_on"), [(NEW, NEW), (WORSE, WANTED)])
def test_a_start_that_gets_nowhere_keeps_no_other_policy_waiting(
    host: Host, model: str, ends_on: str
) -> None:
    agent = bring(host, f"{BAD}=never-ready;{WORSE}=exit")
    watch = Watch.begin(host, rules(WANTED, health={"within": "3s"}))
    watch.reload(rules(BAD, health={"within": "3s"}))
    holds(lambda: agent.starts[-1] == BAD, within=10)
    watch.reload(rules(model, health={"within": "3s"}))
    holds(lambda: agent.starts[-1] == model, within=20)
    watch.until(lambda: (agent.active, agent.model) == ("active", ends_on), within=20)
    assert json.loads(host.read(SETTINGS))["model"] == ends_on


def test_it_goes_back_where_it_failed_while_no_daemon_ran(host: Host) -> None:
    agent = bring(host, f"{BAD}=exit", options={"Restart": "no"})
    watch = Watch.begin(host, policy(settings(WANTED), service(), SHUT))
    watch.reload(policy(settings(BAD), service(), SHUT))
    watch.until(lambda: watch.service()["loaded"] is False)
    host.run(["systemctl", "stop", UNIT])
    host.run(["systemctl", "restart", AGENT], check=False)
    assert agent.active == "failed"
    host.run(["systemctl", "start", UNIT])
    watch.goes_back()
    assert (host.read(SETTINGS), agent.model) == (GOOD, WANTED)


def test_it_goes_back_where_nobody_could_ask_in_time(host: Host) -> None:
    agent = bring(host, f"{BAD}=unhealthy")
    watch = Watch.begin(host, rules(WANTED, health=CHECKED))
    watch.reload(rules(BAD, health=CHECKED))
    holds(lambda: agent.model == BAD, within=10)
    host.run(["systemctl", "stop", UNIT])
    time.sleep(5)
    host.run(["systemctl", "start", UNIT])
    watch.goes_back()
    assert (host.read(SETTINGS), agent.model) == (GOOD, WANTED)


def test_without_the_directory_it_is_started_all_the_same(host: Host) -> None:
    agent = bring(host, f"{BAD}=never-ready")
    watch = Watch.begin(host, rules(WANTED))
    watch.reload(rules(BAD))
    holds(lambda: agent.starts[-1] == BAD, within=10)
    host.sh(f"rm -rf {CLAUDE}")
    watch.goes_back()
    assert agent.model == BUILT_IN

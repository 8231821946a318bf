"""A way back on a real systemd: what a service does not run well on goes, and does not return.

The ways in which the sample agent fails stand in `sample_agent.py`; that it is healthy again on the
old values, and left alone, is what each test here ends with.
"""

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
NEW = "claude-opus-4-8"
RETRY = f"jada-configd retry {AGENT}"
BY_START: Keys = {"apply": "restart", "when": "always", "live": "none"}


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


# ---- what an operator sees of it, and does


def test_it_is_told_and_left_until_the_policy_changes(host: Host) -> None:
    agent = bring(host, f"{BAD}=exit")
    watch = Watch.begin(host, rules(WANTED))
    watch.reload(rules(BAD))
    watch.goes_back()
    told = watch.status()
    assert told["state"] == "degraded"
    assert AGENT in told["reason"]
    assert RETRY in told["reason"]
    assert RETRY in host.show(UNIT, "StatusText")["StatusText"]
    assert host.run(["jada-configd", "status"], check=False).returncode == 1
    assert host.run(["jada-configd", "check"], check=False).returncode == 2
    starts = agent.starts
    done = host.run(["jada-configd", "apply"], check=False, timeout=60)
    assert done.returncode == 1
    assert RETRY in done.stdout + done.stderr
    assert (agent.starts, host.read(SETTINGS)) == (starts, GOOD)
    watch.reload(rules(NEW))
    watch.settles_on(agent, NEW)
    assert file_says(host, NEW)
    assert watch.service()["rolled_back"] is None
    assert len(watch.records("rolled-back")) == 1


def test_the_same_values_under_another_revision_are_tried_anew(host: Host) -> None:
    agent = bring(host, f"{BAD}=exit")
    watch = Watch.begin(host, rules(WANTED))
    watch.reload(rules(BAD))
    watch.goes_back()
    agent.switch({})
    watch.reload(f"# It can by now.\n{rules(BAD)}")
    watch.settles_on(agent, BAD)


def test_a_reload_of_the_same_policy_tries_nothing_anew(host: Host) -> None:
    agent = bring(host, f"{BAD}=exit")
    watch = Watch.begin(host, rules(WANTED))
    watch.reload(rules(BAD))
    watch.goes_back()
    starts = agent.starts
    agent.switch({})
    watch.reload(rules(BAD))
    time.sleep(1.5)
    assert (agent.starts, host.read(SETTINGS)) == (starts, GOOD)
    assert watch.service()["rolled_back"] is not None


def test_an_operator_has_it_tried_again(host: Host) -> None:
    agent = bring(host, f"{BAD}=exit")
    watch = Watch.begin(host, rules(WANTED))
    watch.reload(rules(BAD))
    watch.goes_back()
    host.run(["jada-configd", "retry", AGENT])
    watch.until(lambda: len(watch.records("rolled-back")) == 2, within=12)
    watch.goes_back()
    assert (host.read(SETTINGS), agent.model) == (GOOD, WANTED)
    agent.switch({})
    host.run(["jada-configd", "retry", AGENT])
    watch.settles_on(agent, BAD)
    assert watch.service()["rolled_back"] is None


def test_one_pass_by_hand_goes_back_too(host: Host) -> None:
    agent = bring(host, f"{BAD}=unhealthy")
    watch = Watch.begin(host, rules(WANTED, health=CHECKED))
    host.run(["systemctl", "stop", UNIT])
    host.write("/etc/jada-configd/policy.toml", rules(BAD, health=CHECKED))
    done = host.run(["jada-configd", "apply", "--json"], check=False, timeout=60)
    assert done.returncode == 1
    said = json.loads(done.stdout)
    assert said["state"] == "degraded"
    assert any(RETRY in str(each["problem"]) for each in said["resources"])
    assert (host.read(SETTINGS), agent.model, agent.active) == (GOOD, WANTED, "active")
    assert agent.starts == [WANTED, BAD, WANTED]
    host.run(["systemctl", "start", UNIT])
    time.sleep(1.5)
    assert agent.starts == [WANTED, BAD, WANTED]
    assert watch.told()["state"] == "degraded"


# ---- what comes back


def test_limits_that_are_too_low_to_start_go_with_their_drop_in(host: Host) -> None:
    def limited(soft: int, hard: int) -> str:
        limits = {"nofile": {"soft": soft, "hard": hard}}
        return policy(service({**BY_START, "limits": limits}))

    agent = bring(
        host, switches={"AGENT_NEEDS_FILES": "2000"}, options={"LimitNOFILE": "2000:4000"}
    )
    drop_in = f"{agent.drop_ins}/zz-jada-configd.conf"
    watch = Watch.begin(host, limited(2048, 8192))
    watch.until(lambda: agent.limit("open files") == ("2048", "8192"))
    watch.settles()
    before = host.read(drop_in)
    started = len(agent.starts)
    watch.reload(limited(64, 128))
    watch.goes_back()
    assert host.read(drop_in) == before
    assert host.show(AGENT, "LimitNOFILE", "LimitNOFILESoft", "NeedDaemonReload") == {
        "LimitNOFILE": "8192",
        "LimitNOFILESoft": "2048",
        "NeedDaemonReload": "no",
    }
    assert agent.limit("open files") == ("2048", "8192")
    starts = len(agent.starts)
    assert starts >= started + 2
    assert watch.resource(f"unit-dropin:{AGENT}")["result"] == "drifted"
    watch.restart()
    time.sleep(1.5)
    assert (host.read(drop_in), len(agent.starts)) == (before, starts)


def test_a_drop_in_that_was_not_there_is_gone_again(host: Host) -> None:
    limits = {"nofile": {"soft": 64, "hard": 128}}
    agent = bring(
        host, switches={"AGENT_NEEDS_FILES": "1000"}, options={"LimitNOFILE": "1000:4000"}
    )
    watch = Watch.begin(host, policy(service(BY_START)))
    watch.reload(policy(service({**BY_START, "limits": limits})))
    watch.goes_back()
    assert not host.exists(f"{agent.drop_ins}/zz-jada-configd.conf")
    assert agent.limit("open files") == ("1000", "4000")


def test_a_file_that_was_not_there_is_gone_again(host: Host) -> None:
    host.make_directory(CLAUDE, owner="ubuntu")
    agent = bring(host, f"{BAD}=exit", content=None)
    watch = Watch.begin(host, policy(service()))
    watch.reload(rules(BAD))
    watch.goes_back()
    assert not host.exists(SETTINGS)
    assert agent.model == BUILT_IN
    assert watch.resource()["result"] == "drifted"
    time.sleep(1.5)
    assert not host.exists(SETTINGS)


def test_what_was_broken_comes_back_byte_for_byte(host: Host) -> None:
    broken = '{"model": "claude-haiku-4-5",\r\n\t"theme'
    agent = bring(host, f"{BAD}=exit", content=broken)
    watch = Watch.begin(host, policy(service()))
    watch.reload(rules(BAD))
    watch.goes_back(within=16)
    assert host.read(SETTINGS) == broken
    assert agent.model == BUILT_IN
    time.sleep(1.5)
    assert host.read(SETTINGS) == broken


def test_what_somebody_adds_meanwhile_stays(host: Host) -> None:
    agent = bring(host, f"{BAD}=never-ready")
    watch = Watch.begin(host, rules(WANTED))
    watch.reload(rules(BAD, health={"within": "3s"}))
    applying(agent, BAD)
    added = ("1e2", '1e2,\n    "added": [true]')
    host.write(SETTINGS, host.read(SETTINGS).replace(*added))
    watch.goes_back()
    assert host.read(SETTINGS) == GOOD.replace(*added)
    assert agent.model == WANTED


def test_two_services_that_read_one_file_go_back_together(host: Host) -> None:
    first = bring(host)
    second = Agent.install(host, name="second", switches={"AGENT_ON_MODEL": f"{BAD}=exit"})
    second.start()

    def shared(model: str) -> str:
        held = settings(model, services=[first.unit, second.unit])
        return policy(held, service(unit=first.unit), service(unit=second.unit))

    watch = Watch.begin(host, shared(WANTED))
    watch.reload(shared(BAD))
    watch.goes_back(second.unit)
    watch.until(lambda: watch.service(first.unit)["healthy"] and first.model == WANTED)
    assert host.read(SETTINGS) == GOOD
    assert second.model == WANTED
    assert watch.told()["state"] == "degraded"
    starts = (first.starts, second.starts)
    time.sleep(1.5)
    assert (first.starts, second.starts) == starts
    assert watch.service(first.unit)["loaded"] is True


# ---- what is not rolled back


def test_who_wants_to_keep_it_may(host: Host) -> None:
    agent = bring(host, f"{BAD}=unhealthy")
    kept = {"on_unhealthy": "keep"}
    watch = Watch.begin(host, rules(WANTED, kept, health=CHECKED))
    watch.reload(rules(BAD, kept, health=CHECKED))
    watch.until(lambda: watch.service()["healthy"] is False)
    watch.until(lambda: watch.records("failed"))
    time.sleep(1.5)
    assert file_says(host, BAD)
    assert agent.starts == [WANTED, BAD]
    runs = watch.service()
    assert (runs["healthy"], runs["rolled_back"]) == (False, None)
    assert watch.told()["state"] != "in-sync"
    assert not watch.records("rolled-back")
    agent.turn("ok")
    watch.settles_on(agent, BAD)


def test_what_was_unhealthy_before_is_not_blamed_on_the_change(host: Host) -> None:
    agent = bring(host, "*=unhealthy")
    watch = Watch.begin(host, rules(WANTED, health=CHECKED), healthy=False)
    watch.reload(rules(NEW, health=CHECKED))
    holds(lambda: agent.model == NEW, within=10)
    watch.until(lambda: watch.records("failed"))
    time.sleep(1.5)
    assert file_says(host, NEW)
    assert agent.starts == [WANTED, NEW]
    runs = watch.service()
    assert (runs["healthy"], runs["rolled_back"]) == (False, None)
    assert runs["health"]["why"]
    assert not watch.records("rolled-back")

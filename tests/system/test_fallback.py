"""Fallback on a real systemd: who is unhealthy on the wanted model runs on another meanwhile."""

import json
import time
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.system.agents import Agent
from tests.system.daemons import holds
from tests.system.host import Host
from tests.system.trials import (
    AGENT,
    CHECKED,
    GOOD,
    SETTINGS,
    WANTED,
    Watch,
    bring,
    calm,
    policy,
    service,
    settings,
)

HAIKU = "claude-haiku-4-5"
FALLBACK = {"settings": "agent", "set": {"model": HAIKU}, "after": 3, "retry": "4s"}


@pytest.fixture
def host(shared_host: Host) -> Host:
    """The module's host as it was at first."""
    calm(shared_host)
    return shared_host


def falls_back(**keys: object) -> str:
    """The policy: the wanted model, and what is held in its place."""
    fallback = {**FALLBACK, **keys}
    judged = {**CHECKED, "within": "2s"}
    return policy(settings(WANTED), service({"fallback": fallback}, health=judged))


def breaker(watch: Watch) -> dict[str, Any]:
    return dict(watch.service()["breaker"])


def model(host: Host) -> str:
    return str(json.loads(host.read(SETTINGS))["model"])


def retry_at(told: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(told["retry_at"])


def opens(watch: Watch, agent: Agent) -> None:
    """Wait until the fallback is held, and the service healthy on it."""
    watch.until(lambda: breaker(watch)["state"] == "open", within=12)
    watch.until(lambda: agent.model == HAIKU and watch.service()["healthy"] is True)


def test_it_opens_after_so_many_failures_and_closes_when_the_wanted_values_do_well(
    host: Host,
) -> None:
    agent = bring(host)
    watch = Watch.begin(host, falls_back())
    assert breaker(watch)["state"] == "closed"
    assert breaker(watch)["failures"] == 0
    agent.switch({"AGENT_ON_MODEL": f"{WANTED}=unhealthy"})
    agent.turn("unhealthy")
    opens(watch, agent)
    opened = breaker(watch)
    assert opened["failures"] >= 3
    assert opened["why"]
    assert opened["retry_at"]
    assert host.read(SETTINGS) == GOOD.replace(WANTED, HAIKU)
    assert agent.starts == [WANTED, HAIKU]
    time.sleep(1.2)
    assert (model(host), agent.starts) == (HAIKU, [WANTED, HAIKU])
    agent.switch({})
    watch.until(lambda: breaker(watch)["state"] == "closed", within=12)
    watch.settles_on(agent, WANTED)
    assert host.read(SETTINGS) == GOOD
    assert agent.starts == [WANTED, HAIKU, WANTED]
    assert not watch.records("rolled-back")


def test_what_is_wanted_is_tried_once_and_left_again_while_it_does_not_do(host: Host) -> None:
    agent = bring(host, f"{WANTED}=unhealthy")
    watch = Watch.begin(host, falls_back(), healthy=False)
    opens(watch, agent)
    watch.until(lambda: breaker(watch)["state"] == "half-open", within=10)
    assert model(host) == WANTED
    opens(watch, agent)
    assert agent.starts == [WANTED, HAIKU, WANTED, HAIKU]
    assert model(host) == HAIKU
    assert watch.service()["rolled_back"] is None


def test_an_open_breaker_outlives_the_daemon(host: Host) -> None:
    agent = bring(host, f"{WANTED}=unhealthy")
    watch = Watch.begin(host, falls_back(retry="1h"), healthy=False)
    opens(watch, agent)
    before = breaker(watch)
    starts = agent.starts
    watch.kill()
    watch.until(lambda: breaker(watch)["state"] == "open")
    time.sleep(1.5)
    put_off = retry_at(breaker(watch)) - retry_at(before)
    assert abs(put_off) < timedelta(seconds=1)  # a moment of one clock, told by another
    assert (model(host), agent.starts) == (HAIKU, starts)
    watch.restart()
    time.sleep(1.5)
    assert (model(host), agent.starts) == (HAIKU, starts)


def test_what_is_held_in_its_place_is_held(host: Host) -> None:
    agent = bring(host, f"{WANTED}=unhealthy")
    watch = Watch.begin(host, falls_back(retry="1h"), healthy=False)
    opens(watch, agent)
    host.write(SETTINGS, GOOD)
    holds(lambda: model(host) == HAIKU)
    host.write(SETTINGS, GOOD.replace(WANTED, "claude-opus-4-8"))
    holds(lambda: model(host) == HAIKU)
    assert breaker(watch)["state"] == "open"


def test_fewer_failures_in_a_row_open_nothing(host: Host) -> None:
    agent = bring(host)
    watch = Watch.begin(host, falls_back(after=1000))
    agent.turn("unhealthy")
    watch.until(lambda: watch.service()["healthy"] is False)
    watch.until(lambda: breaker(watch)["failures"] > 0)
    agent.turn("ok")
    watch.until(lambda: watch.service()["healthy"] is True)
    watch.until(lambda: breaker(watch)["failures"] == 0)
    assert (breaker(watch)["state"], agent.starts) == ("closed", [WANTED])


def test_a_retry_by_hand_does_not_wait(host: Host) -> None:
    agent = bring(host, f"{WANTED}=unhealthy")
    watch = Watch.begin(host, falls_back(retry="1h"), healthy=False)
    opens(watch, agent)
    agent.switch({})
    host.run(["jada-configd", "retry", AGENT])
    watch.settles_on(agent, WANTED)
    assert breaker(watch)["state"] == "closed"


def test_a_policy_without_it_holds_what_is_wanted(host: Host) -> None:
    agent = bring(host, f"{WANTED}=unhealthy")
    watch = Watch.begin(host, falls_back(retry="1h"), healthy=False)
    opens(watch, agent)
    watch.reload(policy(settings(WANTED), service(health=CHECKED)))
    holds(lambda: model(host) == WANTED, within=5)
    holds(lambda: agent.model == WANTED, within=5)
    assert watch.service()["breaker"] is None

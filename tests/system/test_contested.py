"""Fights on a real host: a process that puts a value back at once, and what comes of it."""

import json
import time
from typing import Any

import pytest

from tests.system.agents import Agent
from tests.system.daemons import UNIT, Daemon, holds
from tests.system.host import Host

SETTINGS = "/home/ubuntu/.claude/settings.json"
OTHER = "/home/eve/.claude/settings.json"
FILE = f"settings:{SETTINGS}"
SERVICE = "service:jada-agent.service"
WANTED, WRONG = "claude-sonnet-4-6", "claude-haiku-4-5"
GOOD = json.dumps({"model": WANTED, "effortLevel": "high"})
RULES = f"""
version = 1
[settings.agent]
path = "{SETTINGS}"
services = ["jada-agent.service"]
absent = ["/env/ANTHROPIC_MODEL"]
set = {{ model = "{WANTED}", effortLevel = "high" }}
[settings.eve]
path = "{OTHER}"
absent = ["/env/ANTHROPIC_MODEL"]
set.model = "{WANTED}"
[service."jada-agent.service"]
apply = "restart"
"""
RIVAL = f"""
import os, pathlib, time
file = pathlib.Path("{SETTINGS}")
while True:
    text = file.read_text()
    if "{WANTED}" in text:
        file.with_suffix(".new").write_text(text.replace("{WANTED}", "{WRONG}"))
        os.replace(file.with_suffix(".new"), file)
    time.sleep(0.005)
"""
WRITER = f"""
import pathlib, time
for _ in range(1000):
    pathlib.Path("{SETTINGS}").write_text('{{"model": "{WRONG}", "effortLevel": "high"}}')
    time.sleep(0.01)
"""


@pytest.fixture
def agent(host: Host) -> Agent:
    """The sample agent, running on a right file."""
    host.write(SETTINGS, GOOD, owner="ubuntu", mode=0o640)
    host.write(OTHER, GOOD, owner="eve")
    agent = Agent.install(host)
    agent.start()
    return agent


@pytest.fixture
def daemon(host: Host, agent: Agent) -> Daemon:
    """The daemon as it is shipped, in sync."""
    daemon = Daemon.install(host, RULES)
    daemon.settles()
    return daemon


def shown(daemon: Daemon, resource: str = FILE) -> dict[str, Any]:
    """A resource in `status`."""
    (found,) = (each for each in daemon.status()["resources"] if each["id"] == resource)
    return dict(found)


def told(host: Host, event: str, resource: str = FILE) -> list[dict[str, Any]]:
    """The records of an event."""
    match = [f"JADA_EVENT={event}", f"JADA_RESOURCE={resource}"]
    return host.journal(f"--unit={UNIT}", *match)


def model(host: Host, path: str = SETTINGS) -> str:
    return str(json.loads(host.read(path))["model"])


def after_a_correction(daemon: Daemon) -> None:
    """The rival has just had its way again, and the gap is one of some seconds."""
    before = shown(daemon)["corrections"]
    holds(lambda: shown(daemon)["corrections"] > before, within=20)
    holds(lambda: model(daemon.host) == WRONG)


def test_a_rival_is_told_once_held_off_with_growing_gaps_and_costs_no_restart(
    host: Host, agent: Agent, daemon: Daemon
) -> None:
    rival = host.start(["python3", "-c", RIVAL], user="ubuntu")
    holds(lambda: shown(daemon)["result"] == "contested", within=5)
    for _ in range(3):  # after 1, 2 and 4 s
        after_a_correction(daemon)

    (record,) = told(host, "contested")
    assert record["JADA_FIELD"] == "/model"
    assert record["MESSAGE"].startswith(f"{FILE} is contested: /model is changed back again and")
    assert f', to "{WRONG}" each time; ' in record["MESSAGE"]
    corrected = len(told(host, "corrected"))
    assert 5 < corrected <= 10  # where the rival was faster than our second look it is no more
    status = daemon.status()
    assert status["state"] == "contested"
    assert "/model is changed back" in status["reason"]
    assert "contested" in host.show(UNIT, "StatusText")["StatusText"]
    assert host.run(["jada-configd", "status"], check=False).returncode == 2
    assert agent.starts == [WANTED]

    # What nobody fights over is put right at once, there and elsewhere.
    mine = host.read(SETTINGS).replace("high", "low")
    began = time.monotonic()
    host.write(SETTINGS, mine)
    host.write(OTHER, mine)
    holds(lambda: json.loads(host.read(SETTINGS))["effortLevel"] == "high")
    holds(lambda: model(host, OTHER) == WANTED)
    assert time.monotonic() - began < 1
    assert model(host) == WRONG
    assert len(told(host, "corrected")) == corrected + 1
    assert told(host, "corrected")[-1]["JADA_FIELD"] == "/effortLevel"

    # Who has read the rival's value is owed a restart, and is left alone for now.
    host.run(["systemctl", "restart", agent.unit])
    after_a_correction(daemon)
    holds(lambda: shown(daemon, SERVICE)["result"] == "contested")
    assert shown(daemon, SERVICE)["problem"] == f"is left alone while {FILE} is contested"
    assert daemon.status()["services"][0]["loaded"] is False
    time.sleep(1)
    assert agent.starts == [WANTED, WRONG]
    assert len(told(host, "contested")) == 1
    assert host.run(["jada-configd", "check"], check=False).returncode == 2

    rival.stop()
    assert host.run(["jada-configd", "apply", "--json"], check=False, timeout=60).returncode == 0
    holds(lambda: model(host) == WANTED)
    assert shown(daemon)["result"] == "contested"  # it has not been quiet for long


def test_a_thousand_drifts_in_ten_seconds_delay_no_other_file_and_restart_nothing(
    host: Host, agent: Agent, daemon: Daemon
) -> None:
    writer = host.start(["python3", "-c", WRITER], user="ubuntu")
    took = []
    for _ in range(12):
        time.sleep(0.6)
        began = time.monotonic()
        host.write(OTHER, GOOD.replace(WANTED, WRONG))
        holds(lambda: model(host, OTHER) == WANTED)
        took.append(time.monotonic() - began)
        if len(took) == 8:
            time.sleep(1)  # eve's is no contest
    assert writer.wait() == 0
    assert sorted(took)[len(took) // 2] < 0.1
    assert max(took) < 1
    holds(lambda: model(host) == WANTED, within=20)
    assert len(told(host, "contested")) == 1
    assert len(told(host, "corrected")) <= 10
    assert shown(daemon)["corrections"] < 20
    assert agent.starts == [WANTED]

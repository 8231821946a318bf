"""Windows on a real host: what waits is shown with its time, and done when the window opens."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.system.agents import Agent
from tests.system.daemons import POLICY, UNIT, Daemon, holds
from tests.system.host import Host

SETTINGS = "/home/ubuntu/.claude/settings.json"
FILE = f"settings:{SETTINGS}"
SERVICE = "service:jada-agent.service"
GOOD = '{\n    "theme": "dark",\n    "model": "claude-sonnet-4-6"\n}'
BAD = GOOD.replace("sonnet-4-6", "haiku-4-5")
RULES = f"""
version = 1
[settings.agent]
path = "{SETTINGS}"
services = ["jada-agent.service"]
set.model = "claude-sonnet-4-6"
absent = ["/env/ANTHROPIC_MODEL"]
[service."jada-agent.service"]
apply = "restart"
when = "always"
health.stable = "0s"  # for how long it is watched afterwards is no matter
"""
MINUTE = timedelta(minutes=1)


def within(**windows: str) -> str:
    lines = [f'{purpose} = ["{window}"]\n' for purpose, window in windows.items()]
    return f"{RULES}[windows]\n{''.join(lines)}"


def in_days(days: int) -> tuple[str, str]:
    """A window that many days from now, and when it opens as it is shown."""
    day = datetime.now(UTC) + timedelta(days=days)
    return f"{day:%a} 02:00-05:00 UTC", f"{day:%Y-%m-%d} 02:00 UTC"


def soon(seconds: float, zone: str) -> tuple[str, float, str]:
    """The window that opens at the next full minute, that far off at least; and when that is."""
    at = datetime.now(ZoneInfo(zone)) + timedelta(seconds=seconds)
    opens = at.replace(second=0, microsecond=0) + MINUTE
    text = f"{opens:%a} {opens:%H:%M}-{opens + 10 * MINUTE:%H:%M} {zone}"
    return text, opens.timestamp(), f"{opens:%Y-%m-%d %H:%M} {zone}"


@pytest.fixture
def agent(host: Host) -> Agent:
    """The sample agent, running on a right file."""
    host.write(SETTINGS, GOOD, owner="ubuntu", mode=0o640)
    agent = Agent.install(host)
    agent.start()
    return agent


def shown(daemon: Daemon, resource: str) -> tuple[str, str | None]:
    """Result and problem of a resource in `status`."""
    (found,) = (each for each in daemon.status()["resources"] if each["id"] == resource)
    return found["result"], found["problem"]


def said(host: Host, *words: str) -> tuple[int, dict[str, Any]]:
    """Exit status of a command, and what it says of each resource."""
    done = host.run(["jada-configd", *words, "--json"], check=False)
    return done.returncode, {each["id"]: each for each in json.loads(done.stdout)["resources"]}


def test_what_waits_is_shown_kept_across_a_restart_and_done_as_the_window_opens(
    host: Host, agent: Agent
) -> None:
    text, clock = in_days(3)
    daemon = Daemon.install(host, within(restart=text))
    daemon.settles()
    host.write(SETTINGS, BAD)
    holds(lambda: host.read(SETTINGS) == GOOD)
    waits = f"waits for the window {text}, which opens {clock}"
    holds(lambda: shown(daemon, SERVICE) == ("waiting", waits))
    status = daemon.status()
    assert (status["state"], status["reason"]) == ("drifted", f"{SERVICE}: {waits}")
    assert status["services"][0]["loaded"] is False
    assert waits in host.show(UNIT, "StatusText")["StatusText"]
    code, resources = said(host, "check")
    assert (code, resources[SERVICE]["problem"]) == (2, waits)
    assert resources[SERVICE]["actions"] == [f"restart {agent.unit}"]
    code, resources = said(host, "apply")
    assert (code, resources[SERVICE]["result"]) == (2, "waiting")
    assert "apply --now" in host.run(["jada-configd", "apply"], check=False).stdout
    host.run(["systemctl", "restart", UNIT], timeout=60)
    holds(lambda: shown(daemon, SERVICE) == ("waiting", waits))
    records = [each["MESSAGE"] for each in host.journal(f"--unit={UNIT}")]
    told = [each for each in records if "drift in service:" in each and waits in each]
    assert len(told) == 2  # by each of the two processes once
    assert len(agent.starts) == 1

    text, opens, clock = soon(10, "Europe/Berlin")
    waits = f"waits for the window {text}, which opens {clock}"
    daemon.reload(within(restart=text, correct=text))
    holds(lambda: shown(daemon, SERVICE) == ("waiting", waits))
    host.write(SETTINGS, BAD)
    holds(lambda: shown(daemon, FILE) == ("waiting", waits))
    code, resources = said(host, "apply")
    assert (code, resources[FILE]["problem"]) == (2, waits)
    assert resources[FILE]["changes"]
    time.sleep(max(0.0, opens - time.time() - 0.3))
    assert host.read(SETTINGS) == BAD
    assert len(agent.starts) == 1
    assert time.time() < opens
    holds(lambda: host.read(SETTINGS) == GOOD)
    assert time.time() - opens < 1
    holds(lambda: len(agent.starts) == 2, within=5)
    daemon.settles()
    time.sleep(1)
    assert len(agent.starts) == 2
    assert daemon.status()["services"][0]["loaded"] is True


@pytest.mark.parametrize("way", ["reload", "apply --now"])
def test_who_does_not_want_to_wait_need_not(host: Host, agent: Agent, way: str) -> None:
    text, clock = in_days(2)
    daemon = Daemon.install(host, within(restart=text, correct=text))
    daemon.settles()
    host.write(SETTINGS, BAD)
    waits = f"waits for the window {text}, which opens {clock}"
    holds(lambda: shown(daemon, FILE) == ("waiting", waits))
    if way == "reload":
        daemon.reload(RULES)
    else:
        code, resources = said(host, "apply", "--now")
        assert (code, resources[FILE]["result"]) == (0, "corrected")
    holds(lambda: host.read(SETTINGS) == GOOD)
    holds(lambda: len(agent.starts) == 2, within=5)
    daemon.settles()


def test_a_daemon_that_starts_outside_the_window_gets_ready_and_leaves_things_as_they_are(
    host: Host, agent: Agent
) -> None:
    text, clock = in_days(2)
    host.write(SETTINGS, BAD)
    daemon = Daemon.install(host, within(correct=text))
    assert host.show(UNIT, "ActiveState") == {"ActiveState": "active"}
    daemon.settles("drifted")
    assert shown(daemon, FILE) == (
        "waiting",
        f"waits for the window {text}, which opens {clock}",
    )
    assert host.read(SETTINGS) == BAD


def test_the_hosts_own_zone_may_be_set_anew(host: Host, agent: Agent) -> None:
    host.sh("ln -sf /usr/share/zoneinfo/UTC /etc/localtime")
    there = datetime.now(ZoneInfo("Asia/Tokyo"))
    hour = timedelta(hours=1)
    text = f"{there - hour:%H:%M}-{there + hour:%H:%M}"
    daemon = Daemon.install(host, f'{within(correct=text)}[daemon]\nsweep = "1s"\n')
    daemon.settles()
    host.write(SETTINGS, BAD)
    holds(lambda: shown(daemon, FILE)[0] == "waiting")
    assert (shown(daemon, FILE)[1] or "").endswith(f"{there - hour:%H:%M} local time")
    host.sh("ln -sf /usr/share/zoneinfo/Asia/Tokyo /etc/localtime")
    holds(lambda: host.read(SETTINGS) == GOOD, within=5)


def test_a_host_that_knows_no_zones_is_told_so_when_the_policy_is_loaded(host: Host) -> None:
    host.sh("rm -r /usr/share/zoneinfo")
    host.write(POLICY, within(restart="02:00-05:00 Europe/Berlin"))
    done = host.run(["jada-configd", "validate"], check=False)
    assert done.returncode == 1
    assert "windows.restart[0]: names a time zone, and this host has no database" in done.stderr
    host.write(POLICY, within(restart="02:00-05:00 UTC"))
    assert host.run(["jada-configd", "validate"]).stdout.startswith(POLICY)

"""The sample agent: that it takes models up, and fails to, as services do."""

import time
from collections.abc import Iterator
from subprocess import TimeoutExpired

import pytest

from tests.system.agents import CHECK, Agent
from tests.system.daemons import holds
from tests.system.host import CommandFailed, Host, eventually

SETTINGS = "/home/ubuntu/.claude/settings.json"
INHIBITS = (
    "systemd-inhibit --what=shutdown --mode=block --who=agent "
    "--why=an_answer_is_on_its_way sleep 1000"
)


@pytest.fixture(scope="module")
def bare(machine: None) -> Iterator[Host]:
    with Host.boot() as booted:
        yield booted


def test_it_runs_on_the_model_that_it_read_at_start_until_it_starts_again(bare: Host) -> None:
    bare.write(SETTINGS, '{"model": "claude-sonnet-4-6"}', owner="ubuntu")
    agent = Agent.install(bare, name="first", reloads=True, switches={"AGENT_ON_HANGUP": "reload"})
    agent.start()
    bare.write(SETTINGS, '{"model": "claude-haiku-4-5"}')
    bare.run(["systemctl", "reload", agent.unit])
    said = "reloaded, still running on claude-sonnet-4-6"
    eventually(lambda: said in [r["MESSAGE"] for r in bare.journal(f"--unit={agent.unit}")])
    assert agent.model == "claude-sonnet-4-6"
    bare.run(["systemctl", "restart", agent.unit])
    assert agent.model == "claude-haiku-4-5"
    assert agent.starts == ["claude-sonnet-4-6", "claude-haiku-4-5"]
    assert bare.show(agent.unit, "StatusText") == {"StatusText": "running on claude-haiku-4-5"}


@pytest.mark.parametrize("content", ["{", '{"model": 5}', "", "[]"])
def test_it_falls_back_to_its_own_model_in_silence(bare: Host, content: str) -> None:
    bare.write(SETTINGS, content, owner="ubuntu")
    agent = Agent.install(bare, name="second")
    bare.run(["systemctl", "restart", agent.unit])
    assert agent.model == "claude-opus-4-8"


def test_the_environment_beats_the_file_and_the_files_own_beats_that(bare: Host) -> None:
    bare.write(SETTINGS, '{"model": "a"}', owner="ubuntu")
    agent = Agent.install(bare, name="third", switches={"ANTHROPIC_MODEL": "b"})
    agent.start()
    assert agent.model == "b"
    bare.write(SETTINGS, '{"model": "a", "env": {"ANTHROPIC_MODEL": "c"}}')
    bare.run(["systemctl", "restart", agent.unit])
    assert agent.model == "c"


def test_it_fails_at_start_dies_of_a_hangup_and_takes_its_time_when_it_is_told_to(
    bare: Host,
) -> None:
    agent = Agent.install(bare, name="fourth", switches={"AGENT_EXIT": "3"})
    with pytest.raises(CommandFailed):
        agent.start()
    assert bare.show(agent.unit, "ExecMainStatus") == {"ExecMainStatus": "3"}
    bare.run(["systemctl", "stop", agent.unit])
    agent.switch({"AGENT_START_SECONDS": "1"})
    bare.run(["systemctl", "start", "--no-block", agent.unit])
    eventually(lambda: agent.pid)
    assert bare.show(agent.unit, "ActiveState") == {"ActiveState": "activating"}
    eventually(lambda: bare.show(agent.unit, "ActiveState") == {"ActiveState": "active"})
    before = agent.pid
    bare.run(["kill", "-HUP", str(before)])
    eventually(lambda: agent.pid not in (0, before))
    eventually(lambda: len(agent.starts) >= 3)


def test_its_limits_are_those_of_its_process(bare: Host) -> None:
    agent = Agent.install(bare, name="fifth")
    bare.write(f"/etc/systemd/system/{agent.unit}.d/l.conf", "[Service]\nLimitNOFILE=111:222\n")
    bare.run(["systemctl", "daemon-reload"])
    agent.start()
    assert agent.limit("open files") == ("111", "222")


# ---- the ways in which it fails, by its model


def on_model(bare: Host, name: str, way: str, **options: str) -> Agent:
    """An agent that behaves so on the model that it is going to read."""
    bare.write(SETTINGS, '{"model": "claude-bad"}', owner="ubuntu")
    ways = f"claude-good=ok;claude-bad={way}"
    return Agent.install(bare, name=name, switches={"AGENT_ON_MODEL": ways}, options=options)


def said(agent: Agent) -> list[str]:
    return [str(each["MESSAGE"]) for each in agent.host.journal(f"_SYSTEMD_UNIT={agent.unit}")]


def test_on_a_bad_model_it_exits_at_start_until_systemd_gives_up(bare: Host) -> None:
    limits = {"StartLimitBurst": "3", "StartLimitIntervalSec": "60", "RestartSec": "100ms"}
    agent = on_model(bare, "exits", "exit", **limits)
    with pytest.raises(CommandFailed):
        agent.start()
    eventually(lambda: agent.active == "failed")
    assert agent.starts == ["claude-bad"] * 3
    assert agent.started_by_systemd == 3
    assert bare.show(agent.unit, "Result", "ExecMainStatus") == {
        "Result": "exit-code",
        "ExecMainStatus": "3",
    }
    # What came first remains its result, so nothing but a refused start tells of the limit.
    assert bare.run(["systemctl", "start", agent.unit], check=False).returncode == 1
    assert bare.show(agent.unit, "Result") == {"Result": "exit-code"}
    assert agent.starts == ["claude-bad"] * 3
    bare.run(["systemctl", "reset-failed", agent.unit])
    agent.switch({})
    agent.start()
    assert agent.active == "active"
    agent.remove()
    assert bare.show(agent.unit, "LoadState") == {"LoadState": "not-found"}


def test_on_a_bad_model_it_exits_after_a_while(bare: Host) -> None:
    agent = on_model(bare, "exits-after", "exit-after:0.3", RestartSec="100ms")
    agent.start()
    assert agent.model == "claude-bad"
    eventually(lambda: len(agent.starts) >= 3)
    assert agent.started[1] - agent.started[0] > 0.4
    bare.write(SETTINGS, '{"model": "claude-good"}')
    eventually(lambda: agent.model == "claude-good")
    started = len(agent.starts)
    time.sleep(0.5)
    assert len(agent.starts) == started
    assert bare.show(agent.unit, "NRestarts") == {"NRestarts": str(started - 1)}
    assert agent.started_by_systemd == started


@pytest.mark.parametrize(
    ("way", "ran", "stopped_by"), [("hang", False, "KILL"), ("never-ready", True, "exited")]
)
def test_on_a_bad_model_it_does_not_become_ready(
    bare: Host,
    way: str,
    ran: bool,  # noqa: FBT001 - a column of the table
    stopped_by: str,
) -> None:
    options = {"TimeoutStartSec": "500ms", "TimeoutStopSec": "300ms", "Restart": "no"}
    agent = on_model(bare, way, way, **options)
    bare.run(["systemctl", "start", "--no-block", agent.unit])
    holds(lambda: agent.starts == ["claude-bad"])
    assert agent.active == "activating"
    eventually(lambda: agent.active == "failed")
    assert bare.exists(f"{agent.place}/model") == ran
    assert bare.show(agent.unit, "Result") == {"Result": "timeout"}
    killed = any("Killing process" in each for each in systemd_said(agent))
    assert killed == (stopped_by == "KILL")


def systemd_said(agent: Agent) -> list[str]:
    return [str(each["MESSAGE"]) for each in agent.host.journal(f"UNIT={agent.unit}")]


def test_on_a_slow_model_it_takes_its_time(bare: Host) -> None:
    agent = on_model(bare, "slow", "slow:0.5")
    began = time.monotonic()
    agent.start()
    assert 0.5 < time.monotonic() - began < 5
    assert agent.model == "claude-bad"


def test_its_health_is_by_its_model_and_can_be_turned(bare: Host) -> None:
    agent = on_model(bare, "sick", "unhealthy")
    check = [CHECK, f"{agent.place}/health"]
    agent.start()
    assert bare.run(check, user="ubuntu", check=False).returncode == 1
    agent.turn("ok")
    checked = bare.run(check, user="ubuntu")
    assert (checked.returncode, checked.stdout) == (0, "checked as ubuntu: ok\n")
    agent.turn("hang")
    with pytest.raises(TimeoutExpired):
        bare.run(check, timeout=0.3)
    bare.write(SETTINGS, '{"model": "claude-good"}')
    bare.run(["systemctl", "restart", agent.unit])
    assert bare.run(check).returncode == 0
    bare.remove(f"{agent.place}/health")
    assert bare.run(check, check=False).returncode == 1


def test_it_tells_its_health_by_http(bare: Host) -> None:
    agent = on_model(bare, "web", "ok")
    agent.switch({"AGENT_PORT": "8099"})
    agent.start()
    bare.write("/root/ask.py", ASKS)

    def status(path: str) -> str:
        return bare.sh(f"python3 /root/ask.py http://127.0.0.1:8099{path}")

    assert status("/healthz") == "200"
    assert status("/other") == "404"
    agent.turn("unhealthy")
    assert status("/healthz") == "503"
    bare.run(["systemctl", "restart", agent.unit])  # the port is free again at once
    assert status("/healthz") == "200"


ASKS = """
import sys, urllib.error, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1]).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""


@pytest.mark.parametrize(
    ("way", "lines"),
    [
        ("ok", ["ready, running on claude-bad"]),
        ("silent", []),
        ("panic", ["panic: cannot think with claude-bad", "ready, running on claude-bad"]),
    ],
)
def test_the_journal_tells_of_it(bare: Host, way: str, lines: list[str]) -> None:
    agent = on_model(bare, f"tells-{way}", way)
    agent.start()
    assert said(agent) == lines


def test_it_needs_so_many_files(bare: Host) -> None:
    agent = on_model(bare, "needy", "ok", LimitNOFILE="100:200", Restart="no")
    agent.switch({"AGENT_NEEDS_FILES": "101"})
    with pytest.raises(CommandFailed):
        agent.start()
    assert said(agent) == ["giving up at start: 100 files are too few, I need 101"]
    agent.switch({"AGENT_NEEDS_FILES": "100"})
    agent.start()
    assert agent.active == "active"


def test_a_reload_may_fail(bare: Host) -> None:
    agent = on_model(bare, "stubborn", "ok", ExecReload="/bin/false")
    agent.start()
    pid = agent.pid
    assert bare.run(["systemctl", "reload", agent.unit], check=False).returncode == 1
    assert (agent.pid, agent.active, agent.reloads) == (pid, "active", 0)


def test_it_is_busy_while_it_works_and_inhibits_what_it_is_told_to(bare: Host) -> None:
    bare.write("/root/.claude/settings.json", '{"model": "claude-good"}')
    agent = Agent.install(bare, name="busy", user="root", switches={"AGENT_WORK": INHIBITS})
    agent.start()
    assert not bare.exists(f"{agent.place}/busy")
    agent.work()
    eventually(lambda: bare.exists(f"{agent.place}/busy"))
    eventually(lambda: "an_answer_is_on_its_way" in bare.sh("systemd-inhibit --list --no-pager"))
    pid = agent.pid
    agent.rest()
    eventually(lambda: not bare.exists(f"{agent.place}/busy"))
    eventually(
        lambda: "an_answer_is_on_its_way" not in bare.sh("systemd-inhibit --list --no-pager")
    )
    agent.work()
    eventually(lambda: bare.exists(f"{agent.place}/busy"))
    assert agent.pid == pid
    bare.run(["systemctl", "restart", agent.unit])
    assert not bare.exists(f"{agent.place}/busy")


def test_its_settings_may_stand_elsewhere(bare: Host) -> None:
    bare.write("/srv/one/settings.json", '{"model": "claude-one"}')
    agent = Agent.install(bare, name="one", switches={"CLAUDE_CONFIG_DIR": "/srv/one"})
    agent.start()
    assert agent.model == "claude-one"

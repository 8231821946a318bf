"""The sample agent: that it takes models up, and fails to, as services do."""

from collections.abc import Iterator

import pytest

from tests.system.agents import Agent
from tests.system.host import CommandFailed, Host, eventually

SETTINGS = "/home/ubuntu/.claude/settings.json"


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

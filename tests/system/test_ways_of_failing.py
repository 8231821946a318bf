"""Eight services get a model that each fails on in a way of its own, and all of them go back.

How the sample agent fails stands in `sample_agent.py`. They fail at the same time, each with a file
of its own: one after the other they would take minutes.
"""

import contextlib
import time
from dataclasses import dataclass

import pytest

from tests.system.agents import CHECK, Agent
from tests.system.host import Host
from tests.system.trials import GOOD, WANTED, Watch, policy, service, settings

BAD = "claude-bad"
ROLLED_BACK = "38bee2e14d3b4da48706037d804cbb5c"


@dataclass(frozen=True, slots=True)
class Failing:
    """How an agent fails on its new model, and what it is judged by."""

    name: str
    way: str
    health: dict[str, object]

    @property
    def unit(self) -> str:
        return f"{self.name}.service"

    @property
    def path(self) -> str:
        return f"/srv/trials/{self.name}/settings.json"

    def policy(self, model: str) -> str:
        judged = {"within": "6s", "every": "1s", **self.health}
        held = settings(model, name=self.name, path=self.path, services=[self.unit])
        return f"{held}\n{service(unit=self.unit, health=judged)}"


FAILINGS = (
    Failing("exits", "exit", {}),
    Failing("exits-after", "exit-after:3", {"stable": "3500ms"}),
    Failing("hangs", "hang", {}),
    Failing("never-ready", "never-ready", {}),
    Failing(
        "fails-its-command", "unhealthy", {"command": [CHECK, "/run/fails-its-command/health"]}
    ),
    Failing("fails-its-url", "unhealthy", {"url": "http://127.0.0.1:8097/healthz"}),
    Failing("panics", "panic", {"journal": {"must_not": "^panic: "}}),
    Failing("stays-silent", "silent", {"journal": {"must": "ready, running on"}}),
)
each_way = pytest.mark.parametrize("failing", FAILINGS, ids=[each.name for each in FAILINGS])


@pytest.fixture(scope="module")
def tried(shared_host: Host) -> Watch:
    """All of them have been given the model, and had their time."""
    for each in FAILINGS:
        shared_host.write(each.path, GOOD, owner="ubuntu", mode=0o640)
        switches = {
            "CLAUDE_CONFIG_DIR": f"/srv/trials/{each.name}",
            "AGENT_ON_MODEL": f"{BAD}={each.way}",
            **({"AGENT_PORT": "8097"} if "url" in each.health else {}),
        }
        Agent.install(shared_host, name=each.name, switches=switches).start()
    watch = Watch.begin(shared_host, policy(*(each.policy(WANTED) for each in FAILINGS)))
    watch.reload(policy(*(each.policy(BAD) for each in FAILINGS)))
    ends = time.monotonic() + 20
    for each in FAILINGS:
        with contextlib.suppress(AssertionError):  # it is the tests' to tell
            watch.goes_back(each.unit, within=ends - time.monotonic())
    return watch


@pytest.fixture(scope="module")
def later(tried: Watch) -> Watch:
    """After some sweeps more, and a restart of the daemon."""
    time.sleep(1.5)
    tried.restart()
    time.sleep(2.5)
    return tried


@each_way
def test_it_is_back_on_the_old_values_and_healthy(tried: Watch, failing: Failing) -> None:
    agent = Agent(tried.host, failing.unit)
    assert tried.host.read(failing.path) == GOOD
    assert tried.host.sh(f"stat -c '%a %U' {failing.path}") == "640 ubuntu"
    first, *between, last = agent.starts
    assert (first, set(between), last) == (WANTED, {BAD}, WANTED)
    assert len(between) <= 3
    assert agent.active == "active"
    runs = tried.service(failing.unit)
    assert (runs["healthy"], runs["loaded"], runs["health"]) == (True, True, None)
    assert runs["rolled_back"]["revision"] == tried.told()["policy"]["revision"]
    assert runs["rolled_back"]["why"]


@each_way
def test_it_is_drift_that_is_left_alone(tried: Watch, failing: Failing) -> None:
    found = tried.resource(f"settings:{failing.path}")
    assert found["result"] == "drifted"
    assert f"jada-configd retry {failing.unit}" in found["problem"]


@each_way
def test_it_is_told_once_and_not_tried_again(later: Watch, failing: Failing) -> None:
    agent = Agent(later.host, failing.unit)
    (record,) = later.records("rolled-back", failing.unit)
    assert record["MESSAGE_ID"] == ROLLED_BACK
    assert int(record["PRIORITY"]) <= 3
    assert [agent.starts[0], agent.starts[-1]] == [WANTED, WANTED]
    assert agent.starts.count(WANTED) == 2
    assert later.host.read(failing.path) == GOOD
    runs = later.service(failing.unit)
    assert (runs["healthy"], runs["rolled_back"] is None) == (True, False)
    assert later.told()["state"] == "degraded"
